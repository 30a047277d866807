"""PNG files as chunks: PNG specification third edition; XMP part 3, 1.1.5."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tagger.errors import RefusedError
from tagger.metadata.containers.base import MAX_BLOCK, check_block, check_chunks, refusal_of_packet
from tagger.metadata.containers.reader import PNG_SIGNATURE, unhexed
from tagger.metadata.xmp.edit import Edit, apply_edits

XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_MAX_PROFILES = 100
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_RAW_PROFILE = re.compile(rb"Raw profile type (xmp|iptc|8bim|APP1|exif)\0")


@dataclass(slots=True)
class _Chunk:
    kind: bytes
    start: int
    end: int

    def body(self, data: bytes) -> bytes:
        return data[self.start + 8 : self.end - 4]


class Png:
    """A PNG file taken apart; see :class:`~tagger.metadata.containers.base.Container`."""

    kind: ClassVar[str] = "PNG"

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._chunks = _chunks(data)
        width, height = struct.unpack_from(">II", data, 16)
        self.size = width, height
        xmp = [c for c in self._chunks if c.kind in _TEXTS and self._is_xmp(c)]
        exif = [c for c in self._chunks if c.kind == b"eXIf"]
        self._xmp = next((c for c in xmp if c.kind == b"iTXt"), None)
        self._exif = next(iter(exif), None)
        for chunk in filter(None, (self._xmp, self._exif)):
            check_block(chunk.end - chunk.start)
        text = _text_of(self._xmp.body(data)) if self._xmp else (None, False)
        self.packet, self._packed = text
        self.exif = self._exif.body(data) if self._exif else None
        profiles = self._raw_profiles()
        self.kept_from = 0
        self.has_odd_exif = b"exif" in profiles or b"APP1" in profiles
        self.refusal = self._refusal(xmp, exif, profiles)

    def _is_xmp(self, chunk: _Chunk) -> bool:
        return self._data.startswith(XMP_KEYWORD, chunk.start + 8, chunk.end - 4)

    def _raw_profiles(self) -> set[bytes]:
        """Return the kinds of profiles that ImageMagick keeps in text chunks.

        APP1 may be EXIF or XMP: "xmp" is among them when one is, or when there are two. Raise
        RefusedError when there are more of them, or larger ones, than any program writes.
        """
        found, count = set[bytes](), 0
        for chunk in self._chunks:
            named = None
            if chunk.kind in _TEXTS:
                named = _RAW_PROFILE.match(self._data, chunk.start + 8, chunk.end)
            if named is None:
                continue
            count += 1
            if count > _MAX_PROFILES:
                raise RefusedError(f"it has more than {_MAX_PROFILES} profiles in text chunks")
            if named[1] == b"APP1" and (b"APP1" in found or self._hides_xmp(chunk, named.end())):
                found.add(b"xmp")
            found.add(named[1])
        return found

    def _hides_xmp(self, chunk: _Chunk, at: int) -> bool:
        check_block(chunk.end - at)
        body = self._data[at : chunk.end - 4]
        profile = _inflate(body[1:]) if chunk.kind == b"zTXt" else body
        return b"adobe.com/xap" in unhexed(profile)

    def _refusal(self, xmp: list[_Chunk], exif: list[_Chunk], profiles: set[bytes]) -> str:
        kinds = {chunk.kind for chunk in self._chunks}
        if any(c is not self._xmp for c in xmp) or b"xmp" in profiles:
            return "it has XMP in more than one form"
        if len(exif) > 1:
            return "it has more than one EXIF block"
        if b"caBX" in kinds:
            return "its content credentials (C2PA) would be broken"
        if self._xmp is not None and (self.packet is None or not self._is_sound(self._xmp)):
            return "its XMP chunk is damaged"
        if any(self._is_counted(chunk) for chunk in (self._xmp, self._exif) if chunk):
            return "its XMP or EXIF lies among its pixels, whose places Apple's iDOT chunk tells"
        return refusal_of_packet(self.packet)

    def _is_sound(self, chunk: _Chunk) -> bool:
        body = memoryview(self._data)[chunk.start + 4 : chunk.end - 4]
        return zlib.crc32(body) == int.from_bytes(self._data[chunk.end - 4 : chunk.end])

    def _is_counted(self, chunk: _Chunk) -> bool:
        """Whether the distance from an iDOT chunk to the pixels goes across this chunk."""
        dots = [c.start for c in self._chunks if c.kind == b"iDOT"]
        pixels = [c.start for c in self._chunks if c.kind == b"IDAT"]
        return bool(dots and pixels) and dots[0] < chunk.start < pixels[-1]

    def replaced(self, packet: bytes | None, exif: bytes | None) -> bytes:
        """See :meth:`Container.replaced`."""
        data = self._data
        before = (b"IDAT", b"IEND", b"iDOT")
        pixels = next(c.start for c in self._chunks if c.kind in before)
        edits: list[Edit] = []
        if exif != self.exif:
            place = (self._exif.start, self._exif.end) if self._exif else (pixels, pixels)
            edits.append((*place, b"" if exif is None else _chunk(b"eXIf", exif)))
        if packet != self.packet:
            place = (self._xmp.start, self._xmp.end) if self._xmp else (pixels, pixels)
            edits.append((*place, b"" if packet is None else self._xmp_chunk(packet)))
        return apply_edits(data, edits)

    def _xmp_chunk(self, packet: bytes) -> bytes:
        text = zlib.compress(packet) if self._packed else packet
        return _chunk(b"iTXt", XMP_KEYWORD + bytes([self._packed, 0, 0, 0]) + text)

    def rest(self, *, without_exif: bool) -> Iterator[bytes]:
        """See :meth:`Container.rest`."""
        left_out = (self._xmp, self._exif if without_exif else None)
        for chunk in self._chunks:
            if chunk not in left_out:
                yield self._data[chunk.start : chunk.end]
        yield self._data[self._chunks[-1].end :]


def _chunks(data: bytes) -> list[_Chunk]:
    broken = RefusedError("its PNG structure is broken")
    found: list[_Chunk] = []
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        chunk = _Chunk(data[at + 4 : at + 8], at, at + 12 + size)
        if chunk.end > len(data):
            raise broken
        found.append(chunk)
        check_chunks(len(found))
        at = chunk.end
        if chunk.kind == b"IEND":
            if found[0].kind != b"IHDR" or found[0].end - found[0].start != 25:
                raise broken
            return found
    raise broken


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _text_of(body: bytes) -> tuple[bytes | None, bool]:
    """Return the text of an iTXt chunk, ``None`` when it is damaged, and if it is packed."""
    rest = body[len(XMP_KEYWORD) :]
    if len(rest) < 4 or rest[1] != 0 or rest[0] not in (0, 1):
        return None, False
    parts = rest[2:].split(b"\0", 2)
    if len(parts) != 3 or parts[0] or parts[1]:
        return None, False  # a language, or a translated keyword: not as XMP part 3 has it
    if not rest[0]:
        return parts[2], False
    return _inflate(parts[2]) or None, True


def _inflate(packed: bytes) -> bytes:
    """Return the unpacked bytes; empty when they are damaged or more than MAX_BLOCK."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(packed, MAX_BLOCK)
    except zlib.error:
        return b""
    return text if unpacker.eof else b""
