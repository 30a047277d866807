"""What a TIFF or HEIF file shows, as a digest that does not depend on where things lie in it.

For proving that exiftool, which moves things when it puts in XMP, changed nothing else: the
pixel data as stored, and all that says how to decode them. TIFF 6.0; ISO 14496-12 and 23008-12.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from tagger.errors import RefusedError
from tagger.system.iso_items import boxes, items, places, references

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_RANGES = {273: 279, 324: 325, 513: 514}
"""Tags that hold offsets, and those that hold how many bytes are there."""
_SUB_IFD, _XMP = 330, 700
_MOVES = {*_RANGES, _SUB_IFD, _XMP, 34665, 34853, 40965}
_MAX_IFDS = 1000
_TABLES = (b"iinf", b"iloc", b"iref", b"idat", b"free")
"""What changes with the XMP, or is looked at piece by piece."""


def digest(data: bytes) -> bytes:
    """Return the digest of the picture. Raise RefusedError when the file is not understood."""
    found = hashlib.blake2b(digest_size=16)
    try:
        parts = _heif(data) if data[4:8] == b"ftyp" else _tiff(data)
        for part in parts:
            found.update(len(part).to_bytes(8) + part)
    except (struct.error, ValueError, IndexError, KeyError) as error:
        reason = "it cannot be told whether its picture would stay the same"
        raise RefusedError(reason) from error
    return found.digest()


def _slice(data: bytes, start: int, size: int) -> bytes:
    if start + size > len(data):
        raise ValueError("beyond the end")
    return data[start : start + size]


def _tiff(data: bytes) -> Iterator[bytes]:
    order = {b"II*\0": "<", b"MM\0*": ">"}[data[:4]]
    waiting, seen = [struct.unpack_from(order + "I", data, 4)[0]], set[int]()
    while waiting:
        at = waiting.pop(0)
        if at in seen or len(seen) > _MAX_IFDS:
            raise ValueError("its directories form a loop")
        seen.add(at)
        values: dict[int, tuple[int, bytes]] = {}
        count = struct.unpack_from(order + "H", data, at)[0]
        for number in range(count):
            entry = at + 2 + 12 * number
            tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
            size = length * _SIZES[kind]
            start = entry + 8 if size <= 4 else struct.unpack_from(order + "I", data, entry + 8)[0]
            values[tag] = kind, _slice(data, start, size)
        for tag, (kind, value) in sorted(values.items()):
            if tag not in _MOVES:
                yield struct.pack(">HH", tag, kind) + value
            elif tag in _RANGES:
                sizes = _numbers(order, *values[_RANGES[tag]])
                for start, size in zip(_numbers(order, kind, value), sizes, strict=True):
                    yield _slice(data, start, size)
        if _SUB_IFD in values:
            waiting += _numbers(order, *values[_SUB_IFD])
        following = struct.unpack_from(order + "I", data, at + 2 + 12 * count)[0]
        if following:
            waiting.append(following)


def _numbers(order: str, kind: int, value: bytes) -> list[int]:
    letter = {3: "H", 4: "I", 13: "I"}[kind]
    return [number for (number,) in struct.iter_unpack(order + letter, value)]


def _heif(data: bytes) -> Iterator[bytes]:
    top = {kind: (start, end) for kind, start, end in boxes(data, 0, len(data), whole=True)}
    if b"moov" in top:
        raise ValueError("a sequence of pictures")
    start, end = top[b"meta"]
    tables = boxes(data, start + 4, end, whole=True)
    inside = {kind: (first, last) for kind, first, last in tables}
    for kind, (first, last) in [(b"ftyp", top[b"ftyp"]), *inside.items()]:
        if kind not in _TABLES:
            yield kind + data[first:last]
    kinds = {}
    for item in items(data, *inside[b"iinf"]):
        if item is None:
            raise ValueError("an unknown list of items")
        kinds[item.number] = item.kind
    referred = list(references(data, *inside[b"iref"])) if b"iref" in inside else []
    first, last = inside[b"pitm"]
    main = int.from_bytes(data[first + 4 : last])
    described = {source: targets for kind, source, targets in referred if kind == b"cdsc"}
    if any(described.get(number, [main]) != [main] for number in kinds if kinds[number] == b"mime"):
        raise RefusedError("its XMP describes another picture than the main one")
    for place in sorted(places(data, *inside[b"iloc"])):
        if place.elsewhere or place.method > 1:
            raise ValueError("data in another file or item")
        if kinds[place.number] == b"mime":
            continue  # the XMP
        yield place.number.to_bytes(4) + kinds[place.number]
        start = inside[b"idat"][0] if place.method == 1 else 0
        for _, offset, size in place.pieces:
            yield _slice(data, start + place.base + offset, size)
    for kind, source, targets in sorted(referred):
        if kinds[source] != b"mime":
            yield repr((kind, source, targets)).encode()
