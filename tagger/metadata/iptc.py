"""Reads the keywords of IPTC-IIM, which older programs wrote; tagger never writes IPTC.

Photoshop image resources: Adobe Photoshop File Formats Specification; datasets 2:25
(keywords) and 1:90 (character set): IPTC-IIM 4.2.
"""

from __future__ import annotations

import struct

PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404
_UTF8 = b"\x1b%G"


def keywords_of_resources(resources: bytes) -> tuple[str, ...]:
    """Return the keywords in Photoshop image resources, none when they are damaged."""
    found: list[str] = []
    at = 0
    while at + 12 <= len(resources) and resources[at : at + 4] in (b"8BIM", b"MeSa", b"AgHg"):
        number = struct.unpack_from(">H", resources, at + 4)[0]
        name = resources[at + 6] + 1
        start = at + 6 + name + name % 2
        if start + 4 > len(resources):
            break
        size = struct.unpack_from(">I", resources, start)[0]
        if number == _IPTC_RESOURCE:
            found += keywords_of_iim(resources[start + 4 : start + 4 + size])
        at = start + 4 + size + size % 2
    return tuple(dict.fromkeys(found))


def keywords_of_iim(data: bytes) -> tuple[str, ...]:
    """Return the keywords among IIM datasets, up to the first damaged one."""
    raw: list[bytes] = []
    utf8 = False
    at = 0
    while at + 5 <= len(data) and data[at] == 0x1C:
        record, dataset, size = struct.unpack_from(">BBH", data, at + 1)
        if size & 0x8000:  # an extended dataset: never a keyword
            break
        value = data[at + 5 : at + 5 + size]
        if len(value) < size:
            break
        if (record, dataset) == (1, 90):
            utf8 = value == _UTF8
        elif (record, dataset) == (2, 25):
            raw.append(value)
        at += 5 + size
    words = (_text(value, utf8).strip() for value in raw)
    return tuple(dict.fromkeys(word for word in words if word))


def _text(value: bytes, utf8: bool) -> str:
    try:
        return value.decode("utf-8")  # many write it without saying so
    except UnicodeDecodeError:
        return value.decode("utf-8" if utf8 else "cp1252", "replace")
