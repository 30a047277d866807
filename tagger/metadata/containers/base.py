"""What each container of metadata can do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Protocol

from tagger.errors import RefusedError
from tagger.metadata.safe_write.content import Content


class Container(Protocol):
    """A photo file taken apart; parsing raises RefusedError when its structure is broken.

    ``packet`` is its XMP packet and ``exif`` its EXIF block (a TIFF structure), ``None``
    without one; ``has_odd_exif`` whether it has EXIF in a form that is never edited;
    ``size`` is (width, height) in pixels as stored; ``kept_from`` is where the part begins that
    is never made anew, a JPEG's first scan (0: there is no such part).
    """

    kind: ClassVar[str]
    packet: bytes | None
    exif: bytes | None
    has_odd_exif: bool
    size: tuple[int, int]
    kept_from: int

    @property
    def refusal(self) -> str:
        """Why it must not be edited, empty when it may."""

    def replaced(self, packet: bytes | None, exif: bytes | None) -> Content:
        """Return the file with this packet and this EXIF block, all other bytes copied.

        Raise RefusedError when they do not fit. A content that is :class:`Spliced` takes
        everything that :meth:`rest` leaves out from the old bytes.
        """

    def rest(self, *, without_exif: bool) -> Iterator[bytes]:
        """Yield, piece by piece, everything but the XMP (and EXIF), lengths and offsets that
        depend on it blanked: what must be the same after an edit. Of a JPEG, only what is before
        its first scan, which is all that is ever made anew."""


def check_chunks(count: int) -> None:
    """Raise RefusedError for a file of more chunks than any program writes."""
    if count > MAX_CHUNKS:
        raise RefusedError(f"it has more than {MAX_CHUNKS:,} chunks")


def check_block(size: int) -> None:
    """Raise RefusedError for a file with more metadata than any program writes."""
    if size > MAX_BLOCK:
        raise RefusedError(f"its XMP or EXIF is larger than {MAX_BLOCK >> 20} MB")


def refusal_of_packet(packet: bytes | None) -> str:
    """Return why a photo with this packet must not be edited, whatever its container."""
    if packet is None:
        return ""
    if b"HasExtendedXMP" in packet:
        return "its XMP continues elsewhere (extended XMP)"
    if b"http://purl.org/dc/terms/" in packet and b"provenance" in packet:
        return "its content credentials (C2PA) would be broken"
    return ""


MAX_CHUNKS = 50_000
"""Of a PNG or WebP; libpng writes 8 kB of pixels in each. They may be as small as 8 bytes."""
MAX_BLOCK = 8 << 20
"""Bytes of an XMP packet or EXIF block; a JPEG has room for 64 kB."""
