"""The XMP and EXIF of the picture that an ISO file shows: HEIC, AVIF, Canon's CR3.

ISO 14496-12 (boxes; ``iinf``, ``iloc``, ``iref``, ``pitm``), 23008-12 (which item is
what). CR3 as exiftool and LibRaw know it.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tagger.metadata.containers.bounded_reader import MAX_PART, Source
from tagger.system.iso_items import Item, Place, boxes, items, places, references

_XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")
_XMP_TYPE = b"application/rdf+xml"
_MAX_ITEMS = 20_000
_MAX_PIECES = 1000
_MAX_META = 4 << 20
"""Bytes of all tables."""
_MAX_DEPTH = 4
_MAX_TOP = 10_000


@dataclass(slots=True)
class HeifParts:
    """The ``packets`` of XMP, the picture's own first, and the ``exif`` block; ``canon``: two
    such blocks, the first directory and EXIF's own."""

    packets: list[bytes] = field(default_factory=list)
    exif: bytes = b""
    canon: list[bytes] = field(default_factory=list)


def parts(source: Source) -> HeifParts:
    """Return what belongs to the primary item, as far as the file is not damaged."""
    found = HeifParts()
    with contextlib.suppress(struct.error, ValueError, IndexError):
        for kind, start, end in _top_boxes(source):
            if kind == b"meta":
                _Meta(source, start, end).take(found)
            elif kind == b"uuid" and source.read(start, 16) == _XMP_UUID:
                found.packets.append(source.read(start + 16, end - start - 16))
            elif kind == b"moov" and not found.canon:
                found.canon = _canon(source, start, end)
    return found


def has_base_offset(data: bytes) -> bool:
    """Whether the ``iloc`` box of a HEIF file counts offsets of any item from a base of its own."""
    with contextlib.suppress(struct.error, ValueError, IndexError):
        for kind, start, end in _top_boxes(Source(data)):
            if kind == b"meta":
                return _Meta(Source(data), start, end).has_base_offset()
    return False


def _top_boxes(source: Source, at: int = 0, end: int = -1) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the start of the content and the end of each box in the file."""
    end = source.size if end < 0 else min(end, source.size)
    for _ in range(_MAX_TOP):
        if at + 8 > end:
            return
        head = source.read(at, 16)
        size, kind = struct.unpack_from(">I4s", head)
        width = 8
        if size == 1:
            size, width = struct.unpack_from(">Q", head, 8)[0], 16
        elif size == 0:
            size = end - at
        if size < width:
            raise ValueError("a box without a length")
        yield kind, at + width, min(at + size, end)
        at += size


def _canon(source: Source, start: int, end: int) -> list[bytes]:
    found = []
    for kind, first, last in _top_boxes(source, start, end):
        if kind == b"uuid" and source.read(first, 16) == _CANON_UUID:
            for name, at, stop in _top_boxes(source, first + 16, last):
                if name in (b"CMT1", b"CMT2") and stop - at <= MAX_PART:
                    found.append(source.read(at, stop - at))
    return found


class _Meta:
    """The ``meta`` box of a file, which says what items there are and where."""

    def __init__(self, source: Source, start: int, end: int) -> None:
        self._source = source
        if end - start > _MAX_META:
            raise ValueError("tables that are too long")
        self._data = data = source.exactly(start, end - start)
        self._boxes: dict[bytes, tuple[int, int]] = {}
        # A full box begins with its version; QuickTime's is none.
        first = 4 if data[:4] == b"\0\0\0\0" else 0
        for kind, at, stop in boxes(data, first, len(data)):
            self._boxes.setdefault(kind, (at, stop))
        self._references: list[tuple[bytes, int, list[int]]] = []
        # Construction method, index of the item referred to, offset, length (0: to the end).
        self._places: dict[int, list[tuple[int, int, int, int]]] = {}

    def has_base_offset(self) -> bool:
        """Whether any item's place is counted from a base. Raise as the constructor does."""
        return max((place.base for place in self._every_place()), default=0) > 0

    def take(self, found: HeifParts) -> None:
        """Add what belongs to the primary item."""
        if b"iinf" not in self._boxes or b"iloc" not in self._boxes:
            return
        known = self._items()
        at, end = self._boxes.get(b"pitm", (0, 0))
        main = int.from_bytes(self._data[at + 4 : min(end, at + 8)])
        if b"iref" in self._boxes:
            every = references(self._data, *self._boxes[b"iref"])
            self._references = [one for one in every if one[0] in (b"cdsc", b"iloc")]
        for place in self._every_place():
            if not place.elsewhere and len(place.pieces) <= _MAX_PIECES:
                pieces = [
                    (place.method, index or 1, place.base + offset, length)
                    for index, offset, length in place.pieces
                ]
                self._places.setdefault(place.number, pieces)
        described: dict[int, list[int]] = {}
        for kind, number, targets in self._references:
            if kind == b"cdsc":
                described.setdefault(number, []).extend(targets)
        for number, item in known.items():
            if main not in described.get(number, [main]):
                continue  # a gain map's, a thumbnail's
            with contextlib.suppress(ValueError, IndexError):
                self._take_item(found, number, item, first=number in described)

    def _take_item(self, found: HeifParts, number: int, item: Item, *, first: bool) -> None:
        if item.kind == b"mime":
            # A name, the type, the encoding if there is any.
            names = [name.strip().lower() for name in item.rest.split(b"\0")]
            if names[1:2] == [_XMP_TYPE]:
                data = self._decoded(self._content(number), b"".join(names[2:3]))
                # That which says what it describes comes first.
                found.packets.insert(0 if first else len(found.packets), data)
        elif item.kind == b"Exif" and not found.exif:
            block = self._content(number)
            offset = int.from_bytes(block[:4])
            found.exif = block[4 + offset :] if offset < len(block) else b""

    def _items(self) -> dict[int, Item]:
        found = dict[int, Item]()
        for item in items(self._data, *self._boxes[b"iinf"]):
            if item is not None:
                found.setdefault(item.number, item)
            if len(found) > _MAX_ITEMS:
                raise ValueError("too many items")
        return found

    def _every_place(self) -> Iterable[Place]:
        if b"iloc" not in self._boxes:
            return ()
        return itertools.islice(places(self._data, *self._boxes[b"iloc"]), _MAX_ITEMS)

    def _content(self, number: int, depth: int = 0) -> bytes:
        """Return the bytes of an item, joined from where they lie."""
        if depth > _MAX_DEPTH:
            raise ValueError("items within items without end")
        out, total = [], 0
        for method, index, offset, size in self._places.get(number, []):
            if method == 0:
                piece = self._source.read(offset, size or max(0, self._source.size - offset))
            elif method == 1:
                at, end = self._boxes.get(b"idat", (0, 0))
                stop = min(at + offset + size, end) if size else end
                piece = self._data[at + offset : stop]
            elif method == 2:
                inner = self._content(self._referred(number, index), depth + 1)
                piece = inner[offset : offset + size] if size else inner[offset:]
            else:
                raise ValueError("data in an unknown place")
            self._source.spend(len(piece))
            total += len(piece)
            if total > MAX_PART:
                raise ValueError("an item that is too long")
            out.append(piece)
        return b"".join(out)

    def _referred(self, number: int, index: int) -> int:
        lists = [to for kind, source, to in self._references if (kind, source) == (b"iloc", number)]
        return [one for targets in lists for one in targets][index - 1]

    def _decoded(self, data: bytes, encoding: bytes) -> bytes:
        if encoding in (b"deflate", b"gzip"):
            return self._source.unpacked(data)
        return b"" if encoding else data
