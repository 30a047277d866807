"""What a HEIC file says of its picture: where its coded tiles lie, how it is cut and turned.

The boxes of ISO/IEC 14496-12 (8.11: items) and 23008-12 (6.5: properties, 6.6.2.3: grids). Only the
picture that is shown counts: thumbnails, depth maps, gain maps and other auxiliary pictures are
passed over. It understands what cameras and phones write; :class:`UnusualError` is raised of all
else, and of whatever is damaged, for libheif knows much more. The reader of metadata,
:mod:`tagger.metadata.containers.heif_reader`, runs in the daemon and looks for other items.
"""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, NamedTuple

from tagger.system.iso_items import boxes, items, places, references

MAX_META = 4 << 20
"""Bytes of all tables."""
MAX_CODED = 64 << 20
"""Bytes of one tile."""
_MAX_TOP, _MAX_ITEMS, _MAX_PIECES = 1000, 20_000, 100
_MIN_TILE = 64
"""Pixels a side (23000-22, 7.3.11.4.2); smaller ones take long to put together."""

_MIRRORED = (
    {1: 4, 2: 3, 3: 2, 4: 1, 5: 8, 6: 7, 7: 6, 8: 5},
    {1: 2, 2: 1, 3: 4, 4: 3, 5: 6, 6: 5, 7: 8, 8: 7},
)
"""What an orientation becomes when its picture is turned upside down, or left and right change."""
_ONCE_MORE = {1: 8, 2: 5, 3: 6, 4: 7, 5: 4, 6: 1, 7: 2, 8: 3}
"""What it becomes with a quarter turn to the left."""

_KNOWN = (b"hvcC", b"ispe", b"pixi", b"colr", b"irot", b"imir", b"clap", b"pasp", b"clli", b"mdcv")
"""Properties that are heeded, or say nothing of the pixels; others must not be essential."""

Span = tuple[int, int]
"""Where bytes lie in the file, and how many."""


class UnusualError(ValueError):
    """The file is of a kind that is not understood here, or damaged."""


class Property(NamedTuple):
    """What is said of an item: its kind, its content, and whether it must be understood."""

    kind: bytes
    content: bytes
    essential: bool


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """A picture of one tile or many, row by row, each to be decoded with ``setup`` (an ``hvcC``).

    ``size`` is that of all tiles as far as they count, ``box`` (left, top, right, bottom) what is
    shown of it, and ``orientation`` EXIF's that is still to be applied to that. ``colour``: the
    matrix of ITU-T H.273 and whether all of the range is used, where the file says so. Sizes are
    (width, height) in pixels.
    """

    size: tuple[int, int]
    tile_size: tuple[int, int]
    columns: int
    tiles: tuple[tuple[Span, ...], ...]
    setup: bytes
    box: tuple[int, int, int, int]
    orientation: int
    colour: tuple[int, bool] | None

    @property
    def shown(self) -> tuple[int, int]:
        """Width and height as the picture is shown."""
        left, top, right, bottom = self.box
        size = right - left, bottom - top
        return size if self.orientation < 5 else size[::-1]


def read_picture(source: BinaryIO) -> CodedPicture:
    """Return what is to be decoded for the primary item. Raise UnusualError."""
    try:
        return _Items(source).picture()
    except (struct.error, ValueError, IndexError, KeyError, ArithmeticError) as error:
        raise UnusualError(str(error)) from error


def read_spans(source: BinaryIO, spans: tuple[Span, ...]) -> bytes:
    """Return the bytes that lie there, one after the other. Raise UnusualError beyond the end."""
    if sum(length for _, length in spans) > MAX_CODED:
        raise UnusualError("a tile of very many bytes")
    out = []
    for offset, length in spans:
        source.seek(offset)
        piece = source.read(length)
        if len(piece) < length:
            raise UnusualError("a tile beyond the end")
        out.append(piece)
    return b"".join(out)


class _Items:
    """The ``meta`` box of a file. All methods raise as :func:`read_picture` catches."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._start, self._data = self._meta()
        data = self._data
        self._boxes: dict[bytes, Span] = {}
        for kind, at, end in boxes(data, 4, len(data)):
            if kind in self._boxes:
                raise UnusualError("a table twice")
            self._boxes[kind] = (at, end)
        self._kinds = self._read_kinds(*self._boxes[b"iinf"])
        self._places = self._read_places(*self._boxes[b"iloc"])
        self._properties = self._read_properties(*self._boxes[b"iprp"])

    def _meta(self) -> tuple[int, bytes]:
        """Return where the content of the ``meta`` box begins in the file, and it."""
        size = self._source.seek(0, 2)
        at = 0
        for _ in range(_MAX_TOP):
            self._source.seek(at)
            head = self._source.read(16)
            length, kind = struct.unpack_from(">I4s", head)
            start = 8
            if length == 1:
                length, start = struct.unpack_from(">Q", head, 8)[0], 16
            elif length == 0:
                length = size - at
            if length < start:
                break
            if kind == b"meta":
                if length > MAX_META:
                    break
                return at + start, read_spans(self._source, ((at + start, length - start),))
            at += length
        raise UnusualError("no tables of items")

    def picture(self) -> CodedPicture:
        at, end = self._boxes[b"pitm"]
        main = int.from_bytes(self._data[at + 4 : end])
        properties = self._of(main)
        columns, numbers, size = 1, [main], _size(properties)
        if self._kinds[main] == b"grid":
            columns, numbers, size = self._grid(main)
        if {self._kinds[number] for number in numbers} != {b"hvc1"}:
            raise UnusualError("pictures of another kind")
        setups, tile_size, colours = set(), (0, 0), {_colour(properties)}
        # Tiles that share all their properties, as they do, are looked at once.
        of_tiles = {tuple(self._of(number)) for number in numbers}
        for tile in of_tiles:
            setups.add(_one(tile, b"hvcC"))
            tile_size = _size(tile)
            colours.add(_colour(tile))
            if numbers != [main] and any(p.kind in (b"irot", b"imir", b"clap") for p in tile):
                raise UnusualError("tiles that are turned")
        if len(setups) > 1 or len({_size(tile) for tile in of_tiles}) > 1:
            raise UnusualError("tiles of several kinds")
        colours.discard(None)
        if len(colours) > 1:
            raise UnusualError("colours of several kinds")
        rows = -(-len(numbers) // columns)
        for tiles, side, length in zip((columns, rows), tile_size, size, strict=True):
            if not (tiles - 1) * side < length <= tiles * side or (tiles > 1 and side < _MIN_TILE):
                raise UnusualError("tiles that do not fit")
        box, orientation = _shown(properties, size)
        return CodedPicture(
            size,
            tile_size,
            columns,
            tuple(self._places[number] for number in numbers),
            setups.pop(),
            box,
            orientation,
            colours.pop() if colours else None,
        )

    def _grid(self, main: int) -> tuple[int, list[int], tuple[int, int]]:
        """Return how many columns a grid has, its items row by row, and its size in pixels."""
        grid = read_spans(self._source, self._places[main])
        version, flags, rows, columns = struct.unpack_from(">4B", grid)
        size = struct.unpack_from(">II" if flags & 1 else ">HH", grid, 4)
        numbers = self._read_parts(main, *self._boxes[b"iref"])
        if version or len(numbers) != (rows + 1) * (columns + 1):
            raise UnusualError("a grid of another kind")
        if size != _size(self._of(main)):
            raise UnusualError("a grid of two sizes")
        return columns + 1, numbers, size

    def _of(self, number: int) -> list[Property]:
        found = self._properties[number]
        if any(one.essential and one.kind not in _KNOWN for one in found):
            raise UnusualError("an unknown property")
        return found

    def _read_kinds(self, at: int, end: int) -> dict[int, bytes]:
        found: dict[int, bytes] = {}
        for one in items(self._data, at, end):
            if one is None:
                raise UnusualError("items of another version")
            found[one.number] = b"" if one.protected else one.kind
        return found

    def _read_parts(self, main: int, at: int, end: int) -> list[int]:
        """Return the items of which a grid is made."""
        for kind, number, parts in references(self._data, at, end):
            if (kind, number) == (b"dimg", main):
                return parts
        raise UnusualError("a grid without tiles")

    def _read_places(self, at: int, end: int) -> dict[int, tuple[Span, ...]]:
        first, last = self._boxes.get(b"idat", (0, 0))
        found: dict[int, tuple[Span, ...]] = {}
        for place in itertools.islice(places(self._data, at, end), _MAX_ITEMS):
            if len(place.pieces) > _MAX_PIECES:
                raise UnusualError("an item in very many pieces")
            spans: list[Span] = []
            for _, start, length in place.pieces:
                offset = place.base + start
                if place.method == 1:
                    if offset + length > last - first:
                        offset = length = 0
                    offset += self._start + first
                spans.append((offset, length))
            # An item without a length reaches to the end: of no picture.
            if not place.elsewhere and place.method in (0, 1) and all(one for _, one in spans):
                found[place.number] = tuple(spans)
        return found

    def _read_properties(self, at: int, end: int) -> dict[int, list[Property]]:
        data = self._data
        tables: dict[bytes, Span] = {}
        for kind, start, stop in boxes(data, at, end):
            if kind in tables:
                raise UnusualError("a table twice")
            tables[kind] = (start, stop)
        known = [(kind, data[a:b]) for kind, a, b in boxes(data, *tables[b"ipco"])]
        place, stop = tables[b"ipma"]
        version, flags = data[place], data[place + 3]
        (count,) = struct.unpack_from(">I", data, place + 4)
        place += 8
        found: dict[int, list[Property]] = {}
        for _ in range(min(count, _MAX_ITEMS)):
            number, many = struct.unpack_from(">IB" if version else ">HB", data, place)
            place += 5 if version else 3
            width = 2 if flags & 1 else 1
            if place + many * width > stop or number in found:
                raise UnusualError("properties beyond their table")
            found[number] = []
            for _ in range(many):
                word = int.from_bytes(data[place : place + width])
                place += width
                top = 1 << (8 * width - 1)
                if word % top:  # 0 says nothing
                    found[number].append(Property(*known[word % top - 1], bool(word & top)))
        return found


def _one(properties: tuple[Property, ...] | list[Property], kind: bytes) -> bytes:
    """Return the one property of a kind."""
    (found,) = (one.content for one in properties if one.kind == kind)
    return found


def _size(properties: tuple[Property, ...] | list[Property]) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", _one(properties, b"ispe"), 4)
    return width, height


def _colour(properties: tuple[Property, ...] | list[Property]) -> tuple[int, bool] | None:
    """Return the matrix, and whether the range is full; 12.1.5 of 14496-12."""
    for one in properties:
        if one.kind == b"colr" and one.content[:4] == b"nclx":
            _, _, matrix, full = struct.unpack_from(">HHHB", one.content, 4)
            return matrix, full >= 128
    return None


def _shown(
    properties: list[Property], size: tuple[int, int]
) -> tuple[tuple[int, int, int, int], int]:
    """Return what is shown of a picture, and the orientation that is still to be applied to it."""
    box, orientation = (0, 0, *size), 1
    done: list[bytes] = []
    for kind, content, _ in properties:
        if kind == b"clap":
            box = _aperture(content, size)
        elif kind == b"irot":
            for _ in range(content[0] & 3):
                orientation = _ONCE_MORE[orientation]
        elif kind == b"imir":
            orientation = _MIRRORED[content[0] & 1][orientation]
        else:
            continue
        # The standard's order is: cut, turned, mirrored; each once.
        if kind in done or (kind == b"clap" and done):
            raise UnusualError("cut or turned in an unusual order")
        done.append(kind)
    return box, orientation


def _aperture(content: bytes, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the clean aperture (14496-12, 12.1.4.1), its edges rounded as libheif does."""
    words = struct.unpack_from(">8i", content)
    low, high = [], []
    for axis, length in enumerate(size):
        wide = Fraction(words[2 * axis], words[2 * axis + 1])
        offset = Fraction(words[4 + 2 * axis], words[5 + 2 * axis])
        first = (offset + Fraction(length - 1, 2) - (wide - 1) / 2).__floor__()
        last = first + round(wide)
        if not 0 <= first < last <= length:
            raise UnusualError("a clean aperture beyond the picture")
        low.append(first)
        high.append(last)
    return (*low, *high)  # type: ignore[return-value]
