"""JPEG files as segments: ITU-T T.81 annex B, JFIF 1.02, XMP part 3, CIPA DC-007 (MPF)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import ClassVar, NamedTuple

from tagger.errors import RefusedError
from tagger.metadata.containers.base import refusal_of_packet
from tagger.metadata.containers.reader import EXTENSION_HEAD, XMP_HEAD
from tagger.metadata.safe_write.content import Content, Spliced
from tagger.metadata.xmp.edit import Edit, apply_edits

EXIF_HEAD = b"Exif\0\0"
MPF_HEAD = b"MPF\0"
MAX_PAYLOAD = 0xFFFF - 2

_EOI, _SOS, _APP0, _APP1, _APP2, _APP11 = 0xD9, 0xDA, 0xE0, 0xE1, 0xE2, 0xEB
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NO_SEGMENTS = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
# In entropy-coded data: a marker that is neither a stuffed byte, a restart nor a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_FILL = re.compile(rb"\xff++")
_MP_ENTRY = 0xB002
_MP_ENTRY_SIZE = 16
MAX_SEGMENTS, MAX_HEADER = 10_000, 8 << 20
"""Before the first scan, and their bytes, which are copied some times. One has 4 bytes to 64 kB."""
_MAX_SCANS = 100_000
"""Segments among and behind the scans: a progressive JPEG has some dozens."""
_MAX_PICTURES = 1000
_SCANNED = 1 << 18
"""Bytes that are compared at a time: they stay in the processor's cache. An even number."""


class _Segment(NamedTuple):
    """``start``…``end`` with the marker, without fill bytes; ``body``…``end`` the payload."""

    marker: int
    start: int
    body: int
    end: int


class Jpeg:
    """A JPEG file taken apart; see :class:`~tagger.metadata.containers.base.Container`."""

    kind: ClassVar[str] = "JPEG"

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._segments, self._scan = _header(data)
        self.size = self._frame_size()
        self._packets = self._with(_APP1, XMP_HEAD)
        self._exifs = self._with(_APP1, EXIF_HEAD)
        self._xmp = next(iter(self._packets), None)
        self._exif = next(iter(self._exifs), None)
        self.packet = self._payload(self._xmp, XMP_HEAD)
        self.exif = self._payload(self._exif, EXIF_HEAD)
        self._mpf = self._with(_APP2, MPF_HEAD)
        self._mpf_base = self._mpf[0].body + len(MPF_HEAD) if self._mpf else 0
        self.has_odd_exif = False
        self.kept_from = self._segments[-1].start

    def _with(self, marker: int, head: bytes) -> list[_Segment]:
        return [
            segment
            for segment in self._segments
            if segment.marker == marker and self._data.startswith(head, segment.body, segment.end)
        ]

    def _payload(self, segment: _Segment | None, head: bytes) -> bytes | None:
        return None if segment is None else self._data[segment.body + len(head) : segment.end]

    def _frame_size(self) -> tuple[int, int]:
        for segment in self._segments:
            if segment.marker in _FRAMES and segment.end - segment.body >= 6:
                height, width = struct.unpack_from(">HH", self._data, segment.body + 1)
                return width, height
        return 0, 0

    @property
    def refusal(self) -> str:
        """See :class:`Container`; the rest of it is :meth:`_prove_end`."""
        if len(self._packets) > 1:
            return "it has more than one XMP packet"
        if len(self._exifs) > 1:
            return "it has more than one EXIF block"
        if self._with(_APP1, EXTENSION_HEAD):
            return "its XMP continues elsewhere (extended XMP)"
        if self._has_odd_packet():
            return "it has XMP in an unusual form"
        if self._with(_APP11, b"JP"):
            return "its content credentials (C2PA or other JUMBF data) would be broken"
        if len(self._mpf) > 1:
            return "it has more than one list of pictures (MPF)"
        try:
            self._pictures()
        except (struct.error, ValueError):
            return "its list of pictures (MPF) is damaged"
        return refusal_of_packet(self.packet)

    def _prove_end(self) -> None:
        """Raise RefusedError for what is found by a walk to the end of the picture only."""
        end = _end_of_image(self._data, self._scan)
        if self._data.find(b"AXS!", end) >= 0 or self._data.find(b"AXS*", end) >= 0:
            raise RefusedError(
                "it has an AFCP trailer, which counts from the beginning of the file"
            )
        if self._exif and self.exif and self._points_behind(self.exif, end, self._pictures()):
            raise RefusedError("it carries a preview that its EXIF points to")

    def _has_odd_packet(self) -> bool:
        """Whether other programs may find XMP in a segment that is none by its head."""
        return any(
            segment.marker == _APP1
            and (head := self._data[segment.body : min(segment.end, segment.body + 256)])
            and not head.startswith((XMP_HEAD, EXTENSION_HEAD, EXIF_HEAD))
            and (b"adobe.com/x" in head or b"<x:x" in head or b"<rdf:" in head)
            for segment in self._segments
        )

    def _pictures(self) -> list[int]:
        """Return where the other pictures are that MPF lists. Raise as :meth:`_mp_entries`."""
        if not self._mpf:
            return []
        order, entries = self._mp_entries(self._data)
        offsets = [struct.unpack_from(order + "I", self._data, at + 8)[0] for at in entries]
        return [self._mpf_base + offset for offset in offsets if offset]

    def _points_behind(self, exif: bytes, end: int, pictures: list[int]) -> bool:
        """Whether the EXIF block may count on where something after the picture is."""
        assert self._exif is not None
        while end < len(self._data) and self._data[end] == 0:
            end += 1
        known = self._data.startswith((b"\xff\xd8\xff", b"LEICA"), end)
        # The tag number of a MakerNote may be anywhere in the block.
        if known and not pictures and (b"\x92\x7c" in exif or b"\x7c\x92" in exif):
            return True
        base = self._exif.body + len(EXIF_HEAD)
        # Sony puts 32 bytes before its previews.
        places = {at - base - extra for at in [*pictures, end] for extra in (0, 32)}
        return any(
            struct.pack(order, place) in exif
            for place in places
            if len(exif) <= place < 1 << 32
            for order in ("<I", ">I")
        )

    def _mp_entries(self, data: bytes, moved: int = 0) -> tuple[str, list[int]]:
        """Return the byte order and the offsets in ``data`` of the MP entries.

        They are ``moved`` from where they were. Raise ValueError or struct.error without any.
        """
        base, end = self._mpf_base + moved, self._mpf[0].end + moved
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[base : base + 4])
        if order is None:
            raise ValueError("no TIFF header")
        directory = base + struct.unpack_from(order + "I", data, base + 4)[0]
        if directory > end:
            raise ValueError("a directory beyond the end")
        for number in range(struct.unpack_from(order + "H", data, directory)[0]):
            tag, _, count, offset = struct.unpack_from(
                order + "HHII", data, directory + 2 + 12 * number
            )
            if tag == _MP_ENTRY and count and count % _MP_ENTRY_SIZE == 0:
                start = base + offset
                if start + count > end or count > _MAX_PICTURES * _MP_ENTRY_SIZE:
                    raise ValueError("entries beyond the end")
                return order, list(range(start, start + count, _MP_ENTRY_SIZE))
        raise ValueError("no MP entries")

    def replaced(self, packet: bytes | None, exif: bytes | None) -> Content:
        """See :meth:`Container.replaced`."""
        edits: list[Edit] = []  # EXIF comes before XMP where both are new
        if exif != self.exif:
            new = _segment(EXIF_HEAD, exif, "EXIF block")
            edits.append((*self._place(self._exif), new))
        if packet != self.packet:
            edits.append((*self._place(self._xmp), _segment(XMP_HEAD, packet, "XMP")))
        made = apply_edits(self._data[: self.kept_from], edits)
        head = self._with_right_offsets(made, edits)
        return Spliced(head, self._data, self.kept_from, self._prove_end)

    def _place(self, old: _Segment | None) -> tuple[int, int]:
        """Return the range to replace: the old segment, or the gap for a new one.

        EXIF stays where it is: maker notes may count from the beginning of the file.
        """
        if old is not None:
            return old.start, old.end
        if self._exif is not None:
            return self._exif.end, self._exif.end
        at = 2
        for segment in self._segments:
            if segment.marker != _APP0:
                break
            at = segment.end
        return at, at

    def _with_right_offsets(self, made: bytes, edits: list[Edit]) -> bytes:
        grown = sum(len(new) - (end - start) for start, end, new in edits)
        if not self._mpf or not grown:
            return made
        base = self._mpf_base
        before = sum(len(new) - (end - start) for start, end, new in edits if start < base)
        out = bytearray(made)
        try:
            order, entries = self._mp_entries(made, before)
            for number, at in enumerate(entries):
                size, offset = struct.unpack_from(order + "II", made, at + 4)
                if offset == 0:  # the first picture, which is the one that grows
                    if number == 0 and size:
                        struct.pack_into(order + "I", out, at + 4, size + grown)
                elif base + offset >= max(end for _, end, _ in edits):
                    # Offsets count from the MPF header, which has moved as well.
                    struct.pack_into(order + "I", out, at + 8, offset + grown - before)
                else:
                    raise RefusedError("its list of pictures (MPF) points into its header")
        except (struct.error, ValueError) as error:
            raise RefusedError("its list of pictures (MPF) is damaged") from error
        return bytes(out)

    def rest(self, *, without_exif: bool) -> Iterator[bytes]:
        """See :meth:`Container.rest`."""
        left_out = (self._xmp, self._exif if without_exif else None)
        cuts = [(segment.start, segment.end, b"") for segment in left_out if segment is not None]
        kept = apply_edits(self._data[: self.kept_from], cuts)
        if self._mpf:
            whole = bytearray(kept)
            gone = sum(end - start for start, end, _ in cuts if start < self._mpf[0].start)
            for at in self._mp_entries(self._data)[1]:
                whole[at - gone + 4 : at - gone + 12] = bytes(8)
            kept = bytes(whole)
        yield kept


def _segment(head: bytes, body: bytes | None, what: str) -> bytes:
    if body is None:
        return b""
    payload = head + body
    if len(payload) > MAX_PAYLOAD:
        raise RefusedError(f"its {what} would be over 64 kB")
    return b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload


def _header(data: bytes) -> tuple[list[_Segment], int]:
    """Return the segments up to the first scan, and where the scan's data begins."""
    segments: list[_Segment] = []
    at = 2
    while True:
        filled = _FILL.match(data, at)
        at, end = filled.end() if filled is not None else len(data), 0
        if at + 3 <= len(data) and data[at] not in _NO_SEGMENTS:
            end = at + 1 + struct.unpack_from(">H", data, at + 1)[0]
        if not at + 3 <= end <= len(data):
            raise RefusedError("its JPEG structure is broken")
        segments.append(_Segment(data[at], at - 1, at + 3, end))
        if len(segments) > MAX_SEGMENTS:
            raise RefusedError(f"its JPEG header has more than {MAX_SEGMENTS:,} segments")
        if end > MAX_HEADER:
            raise RefusedError(f"its JPEG header is larger than {MAX_HEADER >> 20} MB")
        if data[at] == _SOS:
            return segments, end
        at = end


def _end_of_image(data: bytes, at: int) -> int:
    """Return the offset after the first picture's end marker (the end, if it has none).

    Raise RefusedError when a walk to it passes more segments than any picture has.
    """
    if _find_end_marker(data, at) in (-1, len(data) - 2):
        return len(data)  # wherever the walk would lead
    for _ in range(_MAX_SCANS):
        if (found := _MARKER.search(data, at)) is None:
            return len(data)
        marker = data[found.start() + 1]
        if marker == _EOI:
            return found.end()
        if found.end() + 2 > len(data):
            return len(data)
        at = found.end() + max(2, struct.unpack_from(">H", data, found.end())[0])
    raise RefusedError(f"its JPEG has more than {_MAX_SCANS:,} segments among its scans")


def _find_end_marker(data: bytes, at: int) -> int:
    """Return the offset of the first two bytes like an end marker, from ``at`` on; -1 without.

    For a photo of 5 MB NumPy takes a third of the time of a regular expression.
    """
    import numpy as np

    for start in range(at, len(data) - 1, _SCANNED):
        found = [
            first + 2 * int(same.argmax())
            for first in (start, start + 1)
            if (count := min(_SCANNED, len(data) - first) // 2) > 0
            and (same := np.frombuffer(data, "<u2", count, first) == _EOI << 8 | 0xFF).any()
        ]
        if found:
            return min(found)
    return -1
