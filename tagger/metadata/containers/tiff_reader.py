"""The first directory of a TIFF file or of a camera's RAW file made like one.

TIFF 6.0, BigTIFF (Adobe Pagemaker 6.0 technical notes; Aware Systems); headers of RAW files as
exiftool and LibRaw know them: Olympus ("IIRO", "IIRS", "MMOR"), Panasonic ("IIU").
"""

from __future__ import annotations

import struct

from tagger.metadata.containers.bounded_reader import MAX_PART, Source

XMP, IPTC, PHOTOSHOP = 700, 33723, 34377
EXIF_DIRECTORY = 34665
MAKE, MODEL, SOFTWARE, DATE_TIME = 271, 272, 305, 306
DATE_TIME_ORIGINAL, DATE_TIME_DIGITIZED, FILE_SOURCE = 36867, 36868, 41728
IMAGE_DESCRIPTION, ARTIST, RATING, COPYRIGHT = 270, 315, 18246, 33432
_TOLD = (
    MAKE, MODEL, SOFTWARE, DATE_TIME, DATE_TIME_ORIGINAL, DATE_TIME_DIGITIZED, FILE_SOURCE,
    IMAGE_DESCRIPTION, ARTIST, RATING, COPYRIGHT,
)  # fmt: skip
_NUMBERS = (FILE_SOURCE, RATING)

_SIZES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
    16: 8, 17: 8, 18: 8,
}  # fmt: skip
_BIG = {b"II+\0": "<", b"MM\0+": ">"}
_ORDERS = {b"II*\0": "<", b"MM\0*": ">", b"IIRO": "<", b"IIRS": "<", b"MMOR": ">", b"IIU\0": "<"}
_MAX_ENTRIES = 10_000


def order_of(head: bytes) -> str:
    """Return struct's sign for the order of bytes in a file with this head; empty: no TIFF."""
    return _ORDERS.get(head[:4]) or _BIG.get(head[:4], "")


class Directory:
    """The entries of one directory, the first unless ``offset`` says where it is.

    ``start`` is where the TIFF structure begins in the file, from which its offsets count.
    Raise ValueError or struct.error when there is none.
    """

    def __init__(self, source: Source, start: int = 0, offset: int | None = None) -> None:
        self._source, self._start = source, start
        head = source.exactly(start, 16) if source.size - start >= 16 else source.read(start, 8)
        self._order, self._big = order_of(head), head[:4] in _BIG
        if not self._order:
            raise ValueError("it has no TIFF header")
        counted, pointer, entry = ("Q", "Q", 20) if self._big else ("H", "I", 12)
        width, room = struct.calcsize(counted), struct.calcsize(pointer)
        if offset is None:
            offset = struct.unpack_from(self._order + pointer, head, room)[0]
        count = struct.unpack(self._order + counted, source.exactly(start + offset, width))[0]
        count = min(count, _MAX_ENTRIES)
        table = source.read(start + offset + width, count * entry)
        self._entries: dict[int, tuple[int, int, int]] = {}
        for at in range(0, len(table) - entry + 1, entry):
            tag, kind, length = struct.unpack_from(f"{self._order}HH{pointer}", table, at)
            inline = at + entry - room
            size = length * _SIZES.get(kind, 1)
            where_is = start + offset + width + inline
            if size > room:
                where_is = start + struct.unpack_from(self._order + pointer, table, inline)[0]
            self._entries.setdefault(tag, (kind, where_is, size))

    def value(self, tag: int) -> bytes:
        """Return the bytes of an entry, as they stand there; empty without it."""
        _, at, size = self._entries.get(tag, (0, 0, 0))
        return self._source.read(at, size) if 0 < size <= MAX_PART else b""

    def text(self, tag: int) -> str:
        """Return an entry as text, up to its first NUL; empty without it, or when it is long.

        EXIF has ASCII only; what is no UTF-8 is taken for Latin-1, which old programs wrote.
        """
        if tag not in self._entries or self._entries[tag][2] > 1000:
            return ""
        data = self.value(tag).split(b"\0")[0]
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return data.decode("latin-1")

    def number(self, tag: int) -> int | None:
        """Return the first whole number of an entry; None without it."""
        if tag not in self._entries:
            return None
        kind, at, _ = self._entries[tag]
        letter = {1: "B", 3: "H", 4: "I", 7: "B", 13: "I", 16: "Q", 18: "Q"}.get(kind)
        if letter is None:
            return None
        width = struct.calcsize(letter)
        found: int = struct.unpack(self._order + letter, self._source.exactly(at, width))[0]
        return found

    def told(self) -> dict[int, str]:
        """Return what the directory, and EXIF's below it, tell of dates, maker and owner."""
        below = self.directory(EXIF_DIRECTORY)
        # RAW files have some of EXIF's in their first directory.
        every = [self] if below is None else [below, self]
        said = [(tag, one._said(tag)) for one in reversed(every) for tag in _TOLD]
        return {tag: text for tag, text in said if text.strip()}

    def _said(self, tag: int) -> str:
        try:
            return str(self.number(tag) or "") if tag in _NUMBERS else self.text(tag)
        except (ValueError, struct.error):
            return ""

    def directory(self, tag: int) -> Directory | None:
        """Return the directory that an entry leads to; None without one that can be read."""
        offset = self.number(tag)
        if offset is None:
            return None
        try:
            return Directory(self._source, self._start, offset)
        except (ValueError, struct.error):
            return None


def told_in(block: bytes) -> dict[int, str]:
    """Return what an EXIF block (a TIFF structure) tells; nothing when it is damaged."""
    try:
        return Directory(Source(block)).told()
    except (ValueError, struct.error):
        return {}


def iim_of(data: bytes) -> bytes:
    """Return IPTC as it is; some programs wrote it as longs in the other order of bytes."""
    if data[:1] == b"\x1c" or data[3:4] != b"\x1c":
        return data
    whole = len(data) - len(data) % 4
    turned = bytearray(whole)
    for place in range(4):
        turned[place::4] = data[3 - place : whole : 4]
    return bytes(turned)
