"""What a photo file holds beside its picture: XMP, IPTC and EXIF, found by structure.

For reading only, whatever the format and however damaged: what is found before the damage
counts. It is the metadata of the picture that is shown, never that of a thumbnail, a gain map or
a second picture. XMP part 3 (ISO 16684-3) says where XMP is in each format; the formats:
ITU-T T.81, PNG third edition, RFC 9649, GIF89a.
"""

from __future__ import annotations

import binascii
import contextlib
import itertools
import re
import struct
from dataclasses import dataclass, field

from tagger.metadata.containers import heif_reader, iptc, tiff_reader
from tagger.metadata.containers.bounded_reader import MAX_PART, Source
from tagger.system.open_beneath import open_regular

_MAX_PACKETS = 8
"""More belong to no picture; each is parsed."""
_MAX_RESOURCES = 4 << 20
"""Bytes of Photoshop's resources in a JPEG; IPTC has some kB, their thumbnail 100."""


@dataclass(slots=True)
class Inside:
    """``packets`` of XMP, the main one first; ``resources``: Photoshop's, with IPTC among them;
    ``iim``: IPTC itself; ``told``: texts of EXIF by tag, see
    :meth:`~tagger.metadata.containers.tiff_reader.Directory.told`."""

    packets: list[bytes] = field(default_factory=list)
    resources: bytes = b""
    iim: bytes = b""
    told: dict[int, str] = field(default_factory=dict)
    known: bool = True
    """Whether the format is one that is understood."""
    has_exif: bool = False
    created: str = ""
    changed: str = ""
    """A PNG's dates: of its picture, and of its last change."""

    @property
    def packet(self) -> bytes | None:
        """The main XMP packet; None without one."""
        return self.packets[0] if self.packets else None

    @property
    def iptc(self) -> tuple[str, ...]:
        """The keywords of IPTC, each once."""
        words = map(iptc.keywords_of_iim, self.every_iim)
        return tuple(dict.fromkeys(itertools.chain.from_iterable(words)))

    @property
    def every_iim(self) -> list[bytes]:
        """IPTC itself, and all that is among Photoshop's resources."""
        return [self.iim, *iptc.iim_in(self.resources)]


def inside(source: Source) -> Inside:
    """Return what a file holds; nothing when it is of no format that is understood.

    Raise OSError when the disk does not give it: the user's keywords may be in there.
    """
    found = Inside()
    # Damaged: what has been found until there counts.
    with contextlib.suppress(struct.error, ValueError, IndexError):
        _look(source, found)
    said = (packet for packet in found.packets if packet.strip(b"\0 \t\r\n"))
    found.packets = [*itertools.islice(said, _MAX_PACKETS)]
    return found


def _take_exif(found: Inside, block: bytes) -> None:
    """Take the first EXIF block; no file has several that count."""
    if not found.has_exif:
        found.has_exif = True
        found.told = tiff_reader.told_in(block)


def inside_file(path: str, root: str) -> Inside:
    """Return what the photo ``path`` in the folder ``root`` holds; nothing if it is unreadable."""
    try:
        with open(open_regular(root, path), "rb", buffering=0) as file:
            return inside(Source(file.fileno()))
    except OSError:
        return Inside(known=False)


def _look(source: Source, found: Inside) -> None:
    head = source.read(0, 32)
    if head.startswith(b"\xff\xd8\xff"):
        _jpeg(source, found, 2, source.size)
    elif head.startswith(PNG_SIGNATURE):
        _png(source, found)
    elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        _webp(source, found)
    elif head[:6] in (b"GIF87a", b"GIF89a"):
        _gif(source, found)
    elif head[4:8] == b"ftyp":
        _heif(source, found)
    elif tiff_reader.order_of(head):
        _tiff(source, found, 0)
    elif head.startswith(b"FUJIFILMCCD-RAW"):
        start, size = struct.unpack(">II", source.exactly(84, 8))
        if source.read(start, 3) == b"\xff\xd8\xff":
            _jpeg(source, found, start + 2, min(source.size, start + size))
    elif head.startswith(b"\0MRM"):
        _mrw(source, found)
    else:
        found.known = False


# TIFF, and what is made of it


def _tiff(source: Source, found: Inside, at: int) -> None:
    """Take a TIFF file that begins at ``at``, also a camera's RAW file."""
    parts = tiff_reader.Directory(source, at)
    found.told = parts.told()
    found.packets.append(parts.value(tiff_reader.XMP))
    found.iim = tiff_reader.iim_of(parts.value(tiff_reader.IPTC))
    found.resources = parts.value(tiff_reader.PHOTOSHOP)


def _mrw(source: Source, found: Inside) -> None:
    """Take Minolta's RAW file, whose TTW block is a TIFF file (format as dcraw reads it)."""
    end, at = 8 + struct.unpack(">I", source.exactly(4, 4))[0], 8
    while at < min(end, source.size):
        kind, size = struct.unpack(">4sI", source.exactly(at, 8))
        if kind == b"\0TTW":
            return _tiff(source, found, at + 8)
        at += 8 + size


def _heif(source: Source, found: Inside) -> None:
    """Take an ISO file: HEIC, AVIF, Canon's CR3."""
    parts = heif_reader.parts(source)
    found.packets += parts.packets
    for block in [parts.exif] if parts.exif else parts.canon:
        found.told |= tiff_reader.told_in(block)


# JPEG

XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"
EXTENSION_HEAD = b"http://ns.adobe.com/xmp/extension/\0"
_EXIF_HEAD = b"Exif\0"
_GUID = re.compile(rb"""HasExtendedXMP\s*(?:=\s*["']|>)\s*([0-9A-Fa-f]{32})""")
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_APP1, _APP13, _EOI, _SOS = 0xE1, 0xED, 0xD9, 0xDA


def _jpeg(source: Source, found: Inside, at: int, end: int) -> None:
    """Take the segments of a picture up to its pixels: what follows is another picture's."""
    extensions: list[bytes] = []
    resources: list[bytes] = []
    room = {_APP1: MAX_PART, _APP13: _MAX_RESOURCES}
    try:
        while at + 4 <= end:
            head = source.read(at, 4)
            if head[0] != 0xFF:
                break
            marker = head[1]
            if marker == 0xFF:  # a fill byte
                at += 1
                continue
            if marker in _STANDALONE:
                at += 2
                continue
            if marker in (_SOS, _EOI):
                break
            size = struct.unpack_from(">H", head, 2)[0]
            if room.get(marker, 0) > 0:
                room[marker] -= size
                _segment(found, source.read(at + 4, max(0, size - 2)), extensions, resources)
            at += 2 + max(2, size)
    finally:
        found.resources = b"".join(resources)
        if found.packets and extensions:
            found.packets += _extended(found.packets[0], extensions)


def _segment(found: Inside, body: bytes, extensions: list[bytes], resources: list[bytes]) -> None:
    if body.startswith(XMP_HEAD):
        if not found.packets:  # others are not the picture's
            found.packets.append(body[len(XMP_HEAD) :])
    elif body.startswith(EXTENSION_HEAD):
        extensions.append(body[len(EXTENSION_HEAD) :])
    elif body.startswith(_EXIF_HEAD):
        _take_exif(found, body[6:])
    elif body.startswith(iptc.PHOTOSHOP):
        resources.append(body[len(iptc.PHOTOSHOP) :])


def _extended(packet: bytes, extensions: list[bytes]) -> list[bytes]:
    """Return the rest of XMP that did not fit into one segment, if it is whole."""
    named = _GUID.search(packet)
    if named is None:
        return []
    pieces: dict[int, bytes] = {}
    whole = 0
    for one in extensions:
        if one[:32].upper() == named[1].upper() and len(one) > 40:
            whole, at = struct.unpack_from(">II", one, 32)
            pieces[at] = one[40:]
    joined = b"".join(pieces[at] for at in sorted(pieces))
    return [joined] if len(joined) == whole <= MAX_PART else []


# PNG

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_CREATED = b"Creation Time"
_RAW_PROFILE = b"Raw profile type "


def _png(source: Source, found: Inside) -> None:
    profiles: list[bytes] = []  # of XMP; one at most is kept
    at = len(PNG_SIGNATURE)
    try:
        while at + 12 <= source.size:
            size, kind = struct.unpack(">I4s", source.exactly(at, 8))
            if kind in _TEXTS:
                keyword = source.read(at + 8, min(size, 80)).partition(b"\0")[0]
                if keyword == _XMP_KEYWORD and not found.packets:
                    found.packets.append(_text(source, kind, at + 8, size))
                elif keyword.startswith(_RAW_PROFILE):
                    profile = unhexed(_text(source, kind, at + 8, size))
                    _raw_profile(found, keyword[len(_RAW_PROFILE) :].lower(), profile, profiles)
                    del profiles[1:], profile
                elif keyword == _CREATED and size < 1000:
                    text = _text(source, kind, at + 8, size)
                    found.created = found.created or text.decode("utf-8", "replace")
            elif kind == b"tIME" and size == 7:
                year, *others = struct.unpack(">H5B", source.exactly(at + 8, 7))
                found.changed = f"{year:04}" + "".join(f"{part:02}" for part in others)
            elif kind == b"eXIf":
                _take_exif(found, source.read(at + 8, size))
            elif kind == b"IEND":
                break
            at += 12 + size
    finally:
        if not found.packets:
            found.packets += profiles[:1]


def _text(source: Source, kind: bytes, at: int, size: int) -> bytes:
    """Return the text of a chunk, unpacked; empty when it is damaged."""
    if size > MAX_PART:
        return b""
    rest = source.read(at, size).partition(b"\0")[2]
    if kind == b"tEXt":
        return rest
    if kind == b"zTXt":
        return source.unpacked(rest[1:])
    parts = rest[2:].split(b"\0", 2)
    if len(parts) < 3 or rest[0] not in (0, 1):
        return b""
    return source.unpacked(parts[2]) if rest[0] else parts[2]


_BLANKS = b" \t\n\r\v\f"
"""Split off, 8 MB of single digits between them took 380 MB."""


def unhexed(profile: bytes) -> bytes:
    """Return what ImageMagick wrote as a name, a length and hexadecimal digits."""
    parts = profile.split(None, 2)
    try:
        return binascii.unhexlify(parts[2].translate(None, _BLANKS)) if len(parts) == 3 else b""
    except ValueError:
        return b""


def _raw_profile(found: Inside, kind: bytes, data: bytes, packets: list[bytes]) -> None:
    if kind == b"xmp":
        packets.append(data)
    elif kind in (b"iptc", b"8bim"):
        at = data.find(b"8BIM", 0, 64)
        if at >= 0:
            found.resources = found.resources or data[at:]
        else:
            found.iim = found.iim or data
    elif kind == b"app1" and data.startswith(XMP_HEAD):
        packets.append(data[len(XMP_HEAD) :])
    elif kind in (b"app1", b"exif"):
        _take_exif(found, data.removeprefix(b"Exif\0\0"))


# WebP and GIF


def _webp(source: Source, found: Inside) -> None:
    at, end = 12, min(source.size, 8 + struct.unpack("<I", source.exactly(4, 4))[0])
    while at + 8 <= end:
        kind, size = struct.unpack("<4sI", source.exactly(at, 8))
        if kind == b"XMP " and not found.packets:
            found.packets.append(source.read(at + 8, size))
        elif kind == b"EXIF" and not found.has_exif:
            _take_exif(found, source.read(at + 8, size).removeprefix(b"Exif\0\0"))
        at += 8 + size + size % 2


_BLOCK = 1 << 16
_MAX_BLOCKS = 500_000
_GIF_XMP = b"XMP DataXMP"


class _GifBlocks:
    """The bytes of a GIF, read 64 kB at a time, for its blocks have at most 255."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._start = 0
        self._block = b""
        self._left = _MAX_BLOCKS

    def take(self, at: int, size: int) -> bytes:
        self._left -= 1
        if not self._start <= at <= self._start + len(self._block) - size:
            self._start, self._block = at, self._source.read(at, _BLOCK)
        place = at - self._start
        found = self._block[place : place + size]
        if len(found) < size or self._left < 0:
            raise ValueError("beyond the end, or too many blocks")
        return found

    def after(self, at: int) -> int:
        """Return where the sub-blocks end that begin at ``at``."""
        while size := self.take(at, 1)[0]:
            self._source.spend(0)
            at += 1 + size
        return at + 1


def _gif(source: Source, found: Inside) -> None:
    """Take the XMP of an application extension (XMP part 3, 1.1.2)."""
    blocks = _GifBlocks(source)
    flags = blocks.take(10, 1)[0]
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while True:
        kind = blocks.take(at, 1)
        if kind == b"!":
            label = blocks.take(at + 1, 2)
            if label == b"\xff\x0b" and blocks.take(at + 3, 11) == _GIF_XMP:
                start = at + 14
                at = blocks.after(start)
                data = source.read(start, at - start)
                # A program that knows nothing of XMP is led to the end by 01 FF FE … 00 00.
                found.packets.append(data[: data.rfind(b"\x01\xff\xfe\xfd")])
                return
            at = blocks.after(at + 2)
        elif kind == b",":
            flags = blocks.take(at + 9, 1)[0]
            at = blocks.after(at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
        else:
            return
