"""What a TIFF or HEIF file shows, as a digest that does not depend on where things lie in it.

For proving that exiftool, which moves things when it puts in XMP, changed nothing else: the
pixel data as stored, and all that says how to decode them. TIFF 6.0; ISO 14496-12 and 23008-12.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator

from tagger.errors import RefusedError

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_RANGES = {273: 279, 324: 325, 513: 514}
"""Tags that hold offsets, and those that hold how many bytes are there."""
_SUB_IFD, _XMP = 330, 700
_MOVES = {*_RANGES, _SUB_IFD, _XMP, 34665, 34853, 40965}
_MAX_IFDS = 1000
_MAX_PIECES = 100_000
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


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the start of the content and the end of each box."""
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        elif size == 0:
            size = end - at
        if size < head or at + size > end:
            raise ValueError("a box beyond the end")
        yield kind, at + head, at + size
        at += size


def _heif(data: bytes) -> Iterator[bytes]:
    top = {kind: (start, end) for kind, start, end in _boxes(data, 0, len(data))}
    if b"moov" in top:
        raise ValueError("a sequence of pictures")
    start, end = top[b"meta"]
    inside = {kind: (first, last) for kind, first, last in _boxes(data, start + 4, end)}
    for kind, (first, last) in [(b"ftyp", top[b"ftyp"]), *inside.items()]:
        if kind not in _TABLES:
            yield kind + data[first:last]
    kinds = _item_kinds(data, *inside[b"iinf"])
    references = _references(data, *inside[b"iref"]) if b"iref" in inside else []
    first, last = inside[b"pitm"]
    main = int.from_bytes(data[first + 4 : last])
    described = {source: targets for kind, source, targets in references if kind == b"cdsc"}
    if any(described.get(number, [main]) != [main] for number in kinds if kinds[number] == b"mime"):
        raise RefusedError("its XMP describes another picture than the main one")
    for number, pieces in sorted(_item_places(data, *inside[b"iloc"]).items()):
        if kinds[number] == b"mime":
            continue  # the XMP
        yield number.to_bytes(4) + kinds[number]
        for method, offset, size in pieces:
            base = inside[b"idat"][0] if method == 1 else 0
            yield _slice(data, base + offset, size)
    for kind, source, targets in sorted(references):
        if kinds[source] != b"mime":
            yield repr((kind, source, targets)).encode()


def _item_kinds(data: bytes, at: int, end: int) -> dict[int, bytes]:
    head = 4 + (4 if data[at] else 2)
    kinds = {}
    for kind, start, _ in _boxes(data, at + head, end):
        version = data[start]
        if kind != b"infe" or version not in (2, 3):
            raise ValueError("an unknown list of items")
        letter = ">I" if version == 3 else ">H"
        number = struct.unpack_from(letter, data, start + 4)[0]
        place = start + 6 + struct.calcsize(letter)
        kinds[number] = data[place : place + 4]
    return kinds


def _item_places(data: bytes, at: int, end: int) -> dict[int, list[tuple[int, int, int]]]:
    """Return the pieces of each item: construction method, offset and length."""
    version = data[at]
    sizes = (data[at + 4] >> 4, data[at + 4] & 15, data[at + 5] >> 4, data[at + 5] & 15)
    offset_size, length_size, base_size, index_size = sizes
    at += 6

    def take(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(_slice(data[:end], at - size, size))

    found, total = {}, 0
    for _ in range(take(4 if version == 2 else 2)):
        number = take(4 if version == 2 else 2)
        method = take(2) & 15 if version else 0
        if take(2) or method > 1:
            raise ValueError("data in another file or item")
        base = take(base_size)
        pieces = []
        count = take(2)
        total += count
        if total > _MAX_PIECES:
            raise ValueError("too many pieces")
        for _ in range(count):
            take(index_size if version else 0)
            offset = take(offset_size)
            pieces.append((method, base + offset, take(length_size)))
        found[number] = pieces
    return found


def _references(data: bytes, at: int, end: int) -> list[tuple[bytes, int, list[int]]]:
    """Return which items belong to which others: the kind, the item, the others."""
    letter = "I" if data[at] else "H"
    found = []
    for kind, start, _ in _boxes(data, at + 4, end):
        source, count = struct.unpack_from(f">{letter}H", data, start)
        place = start + struct.calcsize(f">{letter}H")
        found.append((kind, source, list(struct.unpack_from(f">{count}{letter}", data, place))))
    return found
