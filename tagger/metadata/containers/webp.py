"""WebP files as RIFF chunks: RFC 9649."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from tagger.errors import RefusedError
from tagger.metadata.containers.base import MAX_BLOCK, check_block, check_chunks, refusal_of_packet

_XMP_FLAG, _EXIF_FLAG, _ALPHA_FLAG = 0x04, 0x08, 0x10
_MAX_RIFF = 2**32 - 10


@dataclass(slots=True)
class _Chunk:
    """A chunk of ``data``, for pixels are not to be copied: where its body starts and ends, and
    what pads it."""

    data: bytes
    kind: bytes
    start: int
    end: int
    padding: bytes

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def body(self) -> bytes:
        return self.data[self.start : self.end]

    def raw(self) -> bytes:
        return self.kind + struct.pack("<I", self.size) + self.body + self.padding


class WebP:
    """A WebP file taken apart; see :class:`~tagger.metadata.containers.base.Container`."""

    kind: ClassVar[str] = "WebP"

    def __init__(self, data: bytes) -> None:
        self._chunks, self._tail = _chunks(data)
        for chunk in self._chunks:
            if chunk.kind in (b"XMP ", b"EXIF"):
                check_block(chunk.size)
        self._head = next((c for c in self._chunks if c.kind == b"VP8X"), None)
        self.packet = self._body(b"XMP ")
        self.exif = self._body(b"EXIF")
        if self.exif is not None:
            self.exif = self.exif.removeprefix(b"Exif\0\0")  # some writers keep JPEG's prefix
        self.kept_from = 0
        self.has_odd_exif = False
        self.size, self._alpha = self._canvas()
        self.refusal = self._refusal()

    def _refusal(self) -> str:
        kinds = [chunk.kind for chunk in self._chunks]
        if kinds.count(b"XMP ") > 1:
            return "it has more than one XMP packet"
        if kinds.count(b"EXIF") > 1:
            return "it has more than one EXIF block"
        if b"C2PA" in kinds:
            return "its content credentials (C2PA) would be broken"
        if any(chunk.size % 2 != len(chunk.padding) for chunk in self._chunks):
            return "its WebP structure is unusual"
        if self._head is not None:
            usual = kinds[0] == b"VP8X" and self._head.size == 10
        else:
            usual = len(kinds) == 1 and min(self.size) > 0
        return refusal_of_packet(self.packet) if usual else "its WebP structure is unusual"

    def _body(self, kind: bytes, most: int = MAX_BLOCK) -> bytes | None:
        """Return the body of the first chunk of a kind, up to ``most`` bytes."""
        found = next((chunk for chunk in self._chunks if chunk.kind == kind), None)
        if found is None:
            return None
        return found.data[found.start : min(found.end, found.start + most)]

    def _canvas(self) -> tuple[tuple[int, int], bool]:
        """Return (width, height) and whether there is transparency; (0, 0) when unknown."""
        if self._head is not None and self._head.size == 10:
            wide, high = self._head.body[4:7], self._head.body[7:10]
            size = int.from_bytes(wide, "little") + 1, int.from_bytes(high, "little") + 1
            return size, bool(self._head.body[0] & _ALPHA_FLAG)
        body = self._body(b"VP8 ", 10) or b""
        if body[3:6] == b"\x9d\x01\x2a" and len(body) == 10:
            width, height = struct.unpack_from("<HH", body, 6)
            return (width & 0x3FFF, height & 0x3FFF), False
        body = self._body(b"VP8L", 10) or b""
        if len(body) >= 5 and body[0] == 0x2F:
            bits = int.from_bytes(body[1:5], "little")
            return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), bool(bits >> 28 & 1)
        return (0, 0), False

    def replaced(self, packet: bytes | None, exif: bytes | None) -> bytes:
        """See :meth:`Container.replaced`."""
        head = self._head.body if self._head is not None else self._new_head()
        flags, chunks = head[0], [chunk for chunk in self._chunks if chunk is not self._head]
        for kind, flag, old, new in (
            (b"EXIF", _EXIF_FLAG, self.exif, exif),
            (b"XMP ", _XMP_FLAG, self.packet, packet),
        ):
            if old == new:
                continue  # a flag that was wrong before is not ours to mend
            kinds = [chunk.kind for chunk in chunks]
            # A new EXIF block comes before the XMP, RFC 9649 2.7.
            places = [kinds.index(one) for one in (kind, b"XMP ") if one in kinds]
            at = places[0] if places else len(chunks)
            chunks[at : at + kinds.count(kind)] = [] if new is None else [_chunk(kind, new)]
            flags = flags & ~flag | (flag if new is not None else 0)
        chunks.insert(0, _chunk(b"VP8X", bytes([flags]) + head[1:]))
        size = 4 + sum(8 + chunk.size + len(chunk.padding) for chunk in chunks)
        if size > _MAX_RIFF:
            raise RefusedError("it would be over 4 GB")
        head = b"RIFF" + struct.pack("<I", size) + b"WEBP"
        return b"".join((head, *(chunk.raw() for chunk in chunks), self._tail))

    def _new_head(self) -> bytes:
        width, height = self.size
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        return bytes([_ALPHA_FLAG if self._alpha else 0, 0, 0, 0]) + sides

    def rest(self, *, without_exif: bool) -> Iterator[bytes]:
        """See :meth:`Container.rest`."""
        left_out = {b"XMP ", b"VP8X"} | ({b"EXIF"} if without_exif else set())
        flags = 0 if self._head is None else self._head.body[0]
        # A head that says nothing but the size is no change to a file without one.
        flags = flags & ~(_XMP_FLAG | (_EXIF_FLAG if without_exif else 0))
        flags |= _ALPHA_FLAG if self._alpha else 0
        reserved = self._head.body[1:4] if self._head else bytes(3)
        yield repr((flags, reserved, self.size)).encode()
        for chunk in self._chunks:
            if chunk.kind not in left_out:
                yield chunk.raw()
        yield self._tail


def _chunks(data: bytes) -> tuple[list[_Chunk], bytes]:
    """Return the chunks, and what follows the RIFF structure."""
    broken = RefusedError("its WebP structure is broken")
    end = 8 + struct.unpack_from("<I", data, 4)[0]
    if end > len(data) or end < 12:
        raise broken
    found, at = [], 12
    while at < end:
        if at + 8 > end:
            raise broken
        size = struct.unpack_from("<I", data, at + 4)[0]
        stop = at + 8 + size
        if stop > end:
            raise broken
        padding = data[stop : stop + size % 2] if stop < end else b""
        found.append(_Chunk(data, data[at : at + 4], at + 8, stop, padding))
        check_chunks(len(found))
        at = stop + len(padding)
    if not found:
        raise broken
    return found, data[end:]


def _chunk(kind: bytes, body: bytes) -> _Chunk:
    return _Chunk(body, kind, 0, len(body), b"\0" * (len(body) % 2))
