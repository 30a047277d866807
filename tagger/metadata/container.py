"""What the three containers share into which XMP is spliced: JPEG, PNG and WebP."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import ClassVar, Protocol

from tagger.errors import RefusedError
from tagger.metadata.spliced import Content, Spliced


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


MAX_CHUNKS = 50_000
"""Of a PNG or WebP; libpng writes 8 kB of pixels in each. They may be as small as 8 bytes."""
MAX_BLOCK = 8 << 20
"""Bytes of an XMP packet or EXIF block; a JPEG has room for 64 kB."""


def too_many_chunks() -> RefusedError:
    """Return what refuses a file of more chunks than any program writes."""
    return RefusedError(f"it has more than {MAX_CHUNKS:,} chunks")


def too_large_block() -> RefusedError:
    """Return what refuses a file with more metadata than any program writes."""
    return RefusedError(f"its XMP or EXIF is larger than {MAX_BLOCK >> 20} MB")


def refusal_of_packet(packet: bytes | None) -> str:
    """Return why a photo with this packet must not be edited, whatever its container."""
    if packet is None:
        return ""
    if b"HasExtendedXMP" in packet:
        return "its XMP continues elsewhere (extended XMP)"
    if b"http://purl.org/dc/terms/" in packet and b"provenance" in packet:
        return "its content credentials (C2PA) would be broken"
    return ""


def open_container(data: bytes) -> Container | None:
    """Return the file taken apart, by its first bytes; ``None`` when it is no such format.

    Raise RefusedError when it begins like one but its structure is broken.
    """
    from tagger.metadata.jpeg import Jpeg
    from tagger.metadata.png import Png
    from tagger.metadata.webp import WebP

    if data.startswith(b"\xff\xd8\xff"):
        return Jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return Png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebP(data)
    return None


def splice(old: Container, packet: bytes | None, exif: bytes | None) -> Content:
    """Return a file with another XMP packet and EXIF block, proved to change nothing else.

    What takes long is left to :meth:`Spliced.prove`. Raise RefusedError when it must not, or
    cannot, be edited.
    """
    if old.refusal:
        raise RefusedError(old.refusal)
    made = old.replaced(packet, exif)
    new = open_container(made.beginning() if isinstance(made, Spliced) else made)
    same_exif = old.exif == exif
    if (
        new is None
        or (new.packet, new.exif) != (packet, exif)
        or not _keeps_the_rest(old, made, new)
        or not _same(old.rest(without_exif=not same_exif), new.rest(without_exif=not same_exif))
    ):
        raise RefusedError("the edit could not be proved to change nothing else")
    return made


def _same(first: Iterator[bytes], second: Iterator[bytes]) -> bool:
    return all(one == other for one, other in itertools.zip_longest(first, second))


def _keeps_the_rest(old: Container, made: Content, new: Container) -> bool:
    """Whether what is not copied begins where the parser of either file says."""
    if not isinstance(made, Spliced):
        return True
    return made.at == old.kept_from and len(made.head) == new.kept_from
