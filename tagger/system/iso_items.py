"""The boxes of ISO files, and the tables of items in them: HEIC and AVIF.

ISO 14496-12, 4.2 (boxes) and 8.11 (``iinf``, ``iloc``, ``iref``). All raise ValueError, IndexError
or struct.error for what is damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

_MAX_PIECES = 100_000
"""Pieces of all items, which may take no bytes each."""


class Item(NamedTuple):
    """An entry of ``iinf``: its number, whether it is protected, its kind, what follows that."""

    number: int
    protected: bool
    kind: bytes
    rest: bytes


class Place(NamedTuple):
    """Where an item lies: an entry of ``iloc``.

    ``method`` is the construction method, ``elsewhere`` a reference to another file (0: none);
    ``pieces`` are the index of the item referred to (0: not said), offset and length of each.
    """

    number: int
    method: int
    elsewhere: int
    base: int
    pieces: list[tuple[int, int, int]]


def boxes(
    data: bytes, at: int, end: int, *, whole: bool = False
) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the start of the content and the end of each box.

    A few bytes may be left behind the last one, unless there must be boxes on the ``whole``.
    """
    while at + 8 <= end:
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
    if whole and at < end:
        raise ValueError("something behind the last box")


def items(data: bytes, at: int, end: int) -> Iterator[Item | None]:
    """Yield the entries of the ``iinf`` whose content is there; None for one of another version."""
    for kind, start, stop in boxes(data, at + (8 if data[at] else 6), end):
        version = data[start]
        if kind != b"infe" or version not in (2, 3):
            yield None
            continue
        letter = ">I" if version == 3 else ">H"
        number = struct.unpack_from(letter, data, start + 4)[0]
        place = start + 4 + struct.calcsize(letter)
        protected, name = struct.unpack_from(">H4s", data, place)
        yield Item(number, protected > 0, name, data[place + 6 : stop])


def references(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, list[int]]]:
    """Yield which items refer to which others: the kind, the item, the others."""
    letter = "I" if data[at] else "H"
    for kind, start, stop in boxes(data, at + 4, end):
        source, count = struct.unpack_from(f">{letter}H", data, start)
        place = start + struct.calcsize(f">{letter}H")
        if place + count * struct.calcsize(letter) > stop:
            raise ValueError("a reference beyond its end")
        yield kind, source, list(struct.unpack_from(f">{count}{letter}", data, place))


def places(data: bytes, at: int, end: int) -> Iterator[Place]:
    """Yield the entries of the ``iloc`` whose content is there."""
    version = data[at]
    sizes = (data[at + 4] >> 4, data[at + 4] & 15, data[at + 5] >> 4, data[at + 5] & 15)
    offset_size, length_size, base_size, index_size = sizes
    at += 6

    def take(size: int) -> int:
        nonlocal at
        at += size
        if at > end:
            raise ValueError("beyond the end")
        return int.from_bytes(data[at - size : at])

    total = 0
    for _ in range(take(4 if version == 2 else 2)):
        number = take(4 if version == 2 else 2)
        method = take(2) & 15 if version else 0
        elsewhere, base, count = take(2), take(base_size), take(2)
        total += count
        if total > _MAX_PIECES:
            raise ValueError("too many pieces")
        pieces = [
            (take(index_size) if version else 0, take(offset_size), take(length_size))
            for _ in range(count)
        ]
        yield Place(number, method, elsewhere, base, pieces)
