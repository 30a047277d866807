"""The files that tags go to: an XMP sidecar, the photo itself, or a JSON sidecar.

A place takes its file apart and puts it together again; what is in the packet is the
business of :mod:`~tagger.metadata.xmp`, when it is written that of
:mod:`~tagger.metadata.write`.
"""

from __future__ import annotations

import os
from typing import Protocol

from tagger.errors import RefusedError
from tagger.metadata import container, exif, exiftool, patch
from tagger.metadata.spliced import Content, Spliced, joined
from tagger.photo import RAW_SUFFIXES, is_photo_name, sidecar_paths

_HEIF_BRANDS = frozenset(
    {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
)


class XmpPlace(Protocol):
    """A file with an XMP packet, by its path ``file``; ``target`` as the journal names it."""

    target: str
    file: str

    def packet_in(self, data: Content | None) -> bytes | None:
        """Return the packet in the file's bytes; None without one (or without a file)."""

    def with_packet(
        self, data: bytes | None, packet: bytes | None, names: tuple[str, ...]
    ) -> Content | None:
        """Return the file's bytes with this packet; None: the file is not needed.

        ``names`` are the keywords for the EXIF block, if this place writes one. Raise
        RefusedError when the file must not be edited.
        """

    def exif_names(self, data: Content | None, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return ``names`` if the file's EXIF block is the one we make of them."""


class XmpSidecar:
    """``photo.jpg.xmp`` or an existing ``photo.xmp``."""

    target = "sidecar-xmp"

    def __init__(self, file: str) -> None:
        self.file = file

    def packet_in(self, data: Content | None) -> bytes | None:
        text = joined(data) if data is not None else b""
        return text if text.strip() else None

    def with_packet(
        self, data: bytes | None, packet: bytes | None, names: tuple[str, ...]
    ) -> bytes | None:
        return packet

    def exif_names(self, data: Content | None, names: tuple[str, ...]) -> tuple[str, ...]:
        return ()


class Embedded:
    """The photo itself: a JPEG, PNG or WebP. ``with_exif``: give it EXIF if it has none."""

    target = "embed"

    def __init__(self, file: str, *, with_exif: bool, ours: tuple[str, ...] = ()) -> None:
        self.file = file
        self._with_exif = with_exif
        self._ours = ours  # the keywords in the EXIF block that we made
        self._last: tuple[Content, container.Container | None] = b"", None

    def _open(self, data: Content | None) -> container.Container | None:
        """Take a file apart; the last one is remembered."""
        data = data or b""
        if data is not self._last[0]:
            shown = data.beginning() if isinstance(data, Spliced) else data
            self._last = data, container.open_container(shown)
        return self._last[1]

    def packet_in(self, data: Content | None) -> bytes | None:
        opened = self._open(data)
        return opened.packet if opened is not None else None

    def with_packet(
        self, data: bytes | None, packet: bytes | None, names: tuple[str, ...]
    ) -> Content | None:
        opened = self._open(data)
        if data is None or opened is None:
            raise RefusedError("it is in a format that is not edited")
        block = opened.exif
        absent = block is None and not opened.has_odd_exif
        if absent or self.exif_names(data, self._ours):
            wanted = names if self._with_exif else ()
            block = exif.build(wanted, opened.size, jpeg=opened.kind == "JPEG")
        return container.splice(opened, packet, block)

    def exif_names(self, data: Content | None, names: tuple[str, ...]) -> tuple[str, ...]:
        opened = self._open(data) if names else None
        if opened is None or opened.exif is None:
            return ()
        made = exif.build(names, opened.size, jpeg=opened.kind == "JPEG")
        return names if made == opened.exif else ()


class ByExiftool:
    """The photo itself, in a format that only exiftool edits: HEIC, AVIF, TIFF."""

    target = "embed"

    def __init__(self, file: str) -> None:
        self.file = file
        self._packets: dict[bytes, bytes | None] = {}  # a call takes a tenth of a second

    def packet_in(self, data: Content | None) -> bytes | None:
        if data is None:
            return None
        whole = joined(data)
        key = patch.digest(whole)
        if key not in self._packets:
            self._packets[key] = exiftool.packet_of_bytes(self.file, whole)
        return self._packets[key]

    def with_packet(
        self, data: bytes | None, packet: bytes | None, names: tuple[str, ...]
    ) -> bytes | None:
        if data is None or packet == self.packet_in(data):
            return data
        wanted = exiftool.wrapped(packet) if packet is not None else None
        return exiftool.replaced(self.file, data, wanted)

    def exif_names(self, data: Content | None, names: tuple[str, ...]) -> tuple[str, ...]:
        return ()


def sidecar_file(path: str) -> str:
    """Return where the XMP sidecar of the photo ``path`` is, or is to be made.

    An existing ``photo.xmp`` is used unless it may belong to another photo of that stem.
    """
    long, short, _ = sidecar_paths(path)
    if os.path.lexists(long) or not os.path.lexists(short):
        return long
    return short if _owns_stem(path) else long


def _owns_stem(path: str) -> bool:
    stem, suffix = os.path.splitext(path)
    if suffix.lower() in RAW_SUFFIXES:
        return True  # Lightroom writes photo.xmp for RAW files
    folder, own = os.path.split(path)
    name = os.path.basename(stem)
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    others = (n for n in names if n != own and os.path.splitext(n)[0] == name)
    return not any(is_photo_name(other) for other in others)


def embedding_place(
    path: str, data: bytes, *, with_exif: bool, by_exiftool: bool, ours: tuple[str, ...]
) -> Embedded | ByExiftool:
    """Return how tags get into the photo ``data`` at ``path``.

    Raise RefusedError, saying why, when they do not. ``ours`` are the keywords of an EXIF
    block that we made before.
    """
    if os.path.splitext(path)[1].lower() in RAW_SUFFIXES:
        raise RefusedError("camera RAW files are never written to")
    opened = container.open_container(data)
    if opened is not None:
        return Embedded(path, with_exif=with_exif, ours=ours)  # it refuses when it is edited
    kind = exiftool_format(data)
    if not kind:
        raise RefusedError("its format is not written to")
    if not by_exiftool:
        raise RefusedError(f"{kind} files are written to only with `write.exiftool: true`")
    if exiftool.find_exiftool() is None:
        raise RefusedError(f"{kind} files are written to by exiftool, which is not installed")
    if b"jumb" in data and b"c2pa" in data:
        raise RefusedError("its content credentials (C2PA) would be broken")
    place = ByExiftool(path)
    if reason := container.refusal_of_packet(place.packet_in(data)):
        raise RefusedError(reason)
    return place


def exiftool_format(data: bytes) -> str:
    """Return the name of a format that exiftool may edit for us, by the first bytes."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "AVIF" if data[8:12] in (b"avif", b"avis") else "HEIC"
    return "TIFF" if data[:4] in (b"II*\0", b"MM\0*") else ""
