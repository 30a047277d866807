"""Reads the keywords of IPTC-IIM, which older programs wrote; tagger never writes IPTC.

Photoshop image resources: Adobe Photoshop File Formats Specification; datasets 2:25
(keywords) and 1:90 (character set): IPTC-IIM 4.2.
"""

from __future__ import annotations

import struct

PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404
_UTF8 = b"\x1b%G"
_MAX_RESOURCES, _MAX_IIM, _MAX_DATASETS = 10_000, 10, 20_000
"""No program writes so many; a file full of them would take seconds."""


def iim_in(resources: bytes) -> list[bytes]:
    """Return the IIM data in Photoshop image resources, none when they are damaged."""
    found: list[bytes] = []
    at = 0
    for _ in range(_MAX_RESOURCES):
        if at + 12 > len(resources) or resources[at : at + 4] not in (b"8BIM", b"MeSa", b"AgHg"):
            break
        number = struct.unpack_from(">H", resources, at + 4)[0]
        name = resources[at + 6] + 1
        start = at + 6 + name + name % 2
        if start + 4 > len(resources):
            break
        size = struct.unpack_from(">I", resources, start)[0]
        if number == _IPTC_RESOURCE and len(found) < _MAX_IIM:
            found.append(resources[start + 4 : start + 4 + size])
        at = start + 4 + size + size % 2
    return found


def keywords_of_iim(data: bytes) -> tuple[str, ...]:
    """Return the keywords among IIM datasets, up to the first damaged one."""
    found = datasets(data)
    utf8 = found.get((1, 90), [b""])[-1] == _UTF8
    words = (_text(value, utf8).strip() for value in found.get((2, 25), []))
    return tuple(dict.fromkeys(word for word in words if word))


def datasets(data: bytes) -> dict[tuple[int, int], list[bytes]]:
    """Return the values of IIM datasets by (record, dataset), up to the first damaged one."""
    found: dict[tuple[int, int], list[bytes]] = {}
    at = 0
    for _ in range(_MAX_DATASETS):
        if at + 5 > len(data) or data[at] != 0x1C:
            break
        record, dataset, size = struct.unpack_from(">BBH", data, at + 1)
        if size & 0x8000:  # an extended dataset: never a keyword
            break
        value = data[at + 5 : at + 5 + size]
        if len(value) < size:
            break
        found.setdefault((record, dataset), []).append(value)
        at += 5 + size
    return found


def _text(value: bytes, utf8: bool) -> str:
    try:
        return value.decode("utf-8")  # many write it without saying so
    except UnicodeDecodeError:
        return value.decode("utf-8" if utf8 else "cp1252", "replace")
