"""How far a TIFF file reaches, by its directories (TIFF 6.0 section 2; BigTIFF)."""

from __future__ import annotations

import os
from typing import Literal

MAX_DIRECTORIES = 64
MAX_ENTRIES = 512
MAX_PIECES = 1 << 16
"""Strips and tiles that are looked at, of all pictures together."""

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_SIZES |= {16: 8, 17: 8, 18: 8}
_PLACES = {273: 279, 324: 325, 513: 514}
"""Tags with offsets of pictures: strips, tiles, a JPEG; and those with their lengths."""
_INNER = (330, 34665, 34853)
"""Tags with offsets of further directories."""


def tiff_end(fd: int, size: int, head: bytes) -> int | None:
    """Return where the data ends of the TIFF file that begins with ``head``, 16 bytes or more.

    None when that cannot be told: it has no picture, or is too large to be looked through. A
    directory that is not written yet ends behind the file's ``size``.
    """
    order: Literal["little", "big"] = "little" if head[:1] == b"I" else "big"
    big = b"+" in head[2:4]
    width, step = (8, 20) if big else (4, 12)
    places = [int.from_bytes(head[8:16] if big else head[4:8], order)]
    known: set[int] = set()
    end, pictures, left = 0, False, MAX_PIECES
    while places:
        at = places.pop()
        if at in known:
            continue
        known.add(at)
        if len(known) > MAX_DIRECTORIES:
            return None
        counted = os.pread(fd, 8 if big else 2, at)
        count = int.from_bytes(counted, order)
        if not count or count > MAX_ENTRIES:
            return size + 1 if at >= size or not count else None
        length = count * step
        table = os.pread(fd, length + width, at + len(counted))
        end = max(end, at + len(counted) + length + width)
        if len(table) < length + width:
            return max(end, size + 1)
        values: dict[int, list[int]] = {}
        for start in range(0, length, step):
            entry = table[start : start + step]
            tag, kind = int.from_bytes(entry[:2], order), int.from_bytes(entry[2:4], order)
            number = int.from_bytes(entry[4 : 4 + width], order)
            each = _SIZES.get(kind)
            if each is None:
                continue
            data, total = entry[4 + width :], number * each
            if total > width:
                place = int.from_bytes(data, order)
                if tag != 37500:  # a maker's note, with rules of its own
                    end = max(end, place + total)
                data = b""
                if tag in _PLACES or tag in _PLACES.values() or tag in _INNER:
                    left -= number
                    if left < 0:
                        return None
                    data = os.pread(fd, total, place)
            if each in (2, 4, 8):
                values[tag] = [
                    int.from_bytes(data[i : i + each], order)
                    for i in range(0, min(total, len(data) - each + 1), each)
                ]
        for tag, lengths in _PLACES.items():
            for offset, extent in zip(values.get(tag, ()), values.get(lengths, ()), strict=False):
                pictures = True
                end = max(end, offset + extent)
        for tag in _INNER:
            places += values.get(tag, ())[:MAX_DIRECTORIES]
        if following := int.from_bytes(table[length:], order):
            places.append(following)
    return end if pictures or end > size else None
