"""The files that tags go to, taken apart and put together: XMP sidecar, photo, JSON sidecar."""

from __future__ import annotations

from abc import ABC, abstractmethod

from tagger.errors import RefusedError
from tagger.metadata.containers import base, exif, exiftool, splice
from tagger.metadata.containers.heif_reader import has_base_offset
from tagger.metadata.safe_write import undo
from tagger.metadata.safe_write.content import Content, Spliced, joined
from tagger.system.paths import is_raw_name

_HEIF_BRANDS = frozenset(
    {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
)


class Target(ABC):
    """A file with an XMP packet, by its path ``file``; ``target`` as the journal names it."""

    target: str

    def __init__(self, file: str) -> None:
        self.file = file

    @abstractmethod
    def packet_in(self, data: Content | None) -> bytes | None:
        """Return the packet in the file's bytes; None without one (or without a file)."""

    @abstractmethod
    def with_packet(
        self, data: bytes | None, packet: bytes | None, names: tuple[str, ...]
    ) -> Content | None:
        """Return the file's bytes with this packet; None: the file is not needed.

        ``names`` are the keywords for the EXIF block, if this place writes one. Raise
        RefusedError when the file must not be edited.
        """

    def exif_names(self, data: Content | None, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of ``names`` that stand in its EXIF block because we put them there."""
        return ()


class XmpSidecar(Target):
    """``photo.jpg.xmp`` or an existing ``photo.xmp``."""

    target = "sidecar-xmp"

    def packet_in(self, data: Content | None) -> bytes | None:
        text = joined(data) if data is not None else b""
        return text if text.strip() else None

    def with_packet(
        self, data: bytes | None, packet: bytes | None, names: tuple[str, ...]
    ) -> bytes | None:
        return packet


class JsonSidecar(XmpSidecar):
    """``photo.jpg.tags.json``, which holds no XMP; see :mod:`~tagger.metadata.json_sidecar`."""

    target = "sidecar-json"

    def packet_in(self, data: Content | None) -> bytes | None:
        return None


class Embedded(Target):
    """The photo itself: a JPEG, PNG or WebP. ``write_exif`` is ``write.exif`` of the config."""

    target = "embed"

    def __init__(self, file: str, *, write_exif: str = "never", ours: tuple[str, ...] = ()) -> None:
        super().__init__(file)
        self._write_exif = write_exif
        self._ours = ours  # the keywords in the EXIF block that we made
        self._last: tuple[Content, base.Container | None] = b"", None

    def _open(self, data: Content | None) -> base.Container | None:
        """Take a file apart; the last one is remembered."""
        data = data or b""
        if data is not self._last[0]:
            shown = data.beginning() if isinstance(data, Spliced) else data
            self._last = data, splice.open_container(shown)
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
        return splice.splice(opened, packet, self._exif_with(opened, names))

    def _exif_with(self, opened: base.Container, names: tuple[str, ...]) -> bytes | None:
        """Return the EXIF block that the file is to have, without what we put there before."""
        block = opened.exif
        if opened.has_odd_exif:
            return block
        if block is not None and self._is_built(opened, self._ours):
            block = None
        elif block is not None and (before := exif.stripped(block)) is not None:
            block = before
        elif block is not None and self._ours and self._write_exif == "always":
            block = exif.without(block, self._ours)
        if block is None:
            wanted = names if self._write_exif != "never" else ()
            return exif.build(wanted, opened.size, jpeg=opened.kind == "JPEG")
        return exif.appended(block, names) if self._write_exif == "always" and names else block

    def _is_built(self, opened: base.Container, names: tuple[str, ...]) -> bool:
        return exif.is_built(opened.exif, names, opened.size, jpeg=opened.kind == "JPEG")

    def exif_names(self, data: Content | None, names: tuple[str, ...]) -> tuple[str, ...]:
        opened = self._open(data) if names else None
        if opened is None or opened.exif is None:
            return ()
        if self._is_built(opened, names):
            return names
        before = exif.stripped(opened.exif)
        if before is None or exif.appended(before, names) != opened.exif:
            return ()
        there = {word.casefold() for word in exif.keywords_of(before)}
        return tuple(name for name in names if name.casefold() not in there)


class ByExiftool(Target):
    """The photo itself, in a format that only exiftool edits: HEIC, AVIF, TIFF."""

    target = "embed"

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self._packets: dict[bytes, bytes | None] = {}  # a call takes a tenth of a second

    def packet_in(self, data: Content | None) -> bytes | None:
        if data is None:
            return None
        whole = joined(data)
        key = undo.digest(whole)
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


def embedding_place(
    path: str, data: bytes, *, write_exif: str, by_exiftool: bool, ours: tuple[str, ...]
) -> Embedded | ByExiftool:
    """Return how tags get into the photo ``data`` at ``path``.

    Raise RefusedError, saying why, when they do not. ``ours`` are the keywords of an EXIF
    block that we made before.
    """
    if is_raw_name(path):
        raise RefusedError("camera RAW files are never written to")
    opened = splice.open_container(data)
    if opened is not None:
        return Embedded(path, write_exif=write_exif, ours=ours)  # it refuses when it is edited
    kind = exiftool_format(data)
    if not kind:
        raise RefusedError("its format is not written to")
    if not by_exiftool:
        raise RefusedError(f"{kind} files are written to only with `write.exiftool: true`")
    if exiftool.find_exiftool() is None:
        raise RefusedError(f"{kind} files are written to by exiftool, which is not installed")
    if b"jumb" in data and b"c2pa" in data:
        raise RefusedError("its content credentials (C2PA) would be broken")
    if kind in ("HEIC", "AVIF") and has_base_offset(data):
        # exiv2, and so darktable and digiKam, do not find the XMP that exiftool adds there.
        raise RefusedError("its items are located from a base offset, which hides XMP from exiv2")
    place = ByExiftool(path)
    if reason := base.refusal_of_packet(place.packet_in(data)):
        raise RefusedError(reason)
    return place


def exiftool_format(data: bytes) -> str:
    """Return the name of a format that exiftool may edit for us, by the first bytes."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return "AVIF" if data[8:12] in (b"avif", b"avis") else "HEIC"
    return "TIFF" if data[:4] in (b"II*\0", b"MM\0*") else ""
