"""Finds out whether the end of a file is there, by its structure, whatever follows the picture.

The checks are a few small reads for most files, and only ask whether the end is there, never
whether the image is sound. What phones and programs append (a video, a sound, a second picture,
zeros) is no reason to wait, unless it says itself that it goes on. Sources: ITU T.81 annex B
(JPEG markers), CIPA DC-007 (further pictures, MPF), Google's Motion Photo format 1.0 and its
predecessor MicroVideo, PNG specification 5, RFC 9649 (WebP), ISO/IEC 14496-12 section 4.2 (boxes
of HEIF, AVIF and videos), GIF89a, TIFF 6.0 section 2, ExifTool's Samsung.pm (SEFT).
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable

from tagger.watch.stability import Completeness
from tagger.watch.tiff_end import tiff_end

log = logging.getLogger(__name__)

TAIL_BYTES = 4096
BLOCK, CHUNK = 1 << 16, 1 << 20
MAX_SCAN = 256 << 20
"""Bytes that are searched for the end of a JPEG's coded data. Larger files are not judged."""
MAX_PARTS = 16
"""Of what follows a picture: a second one, a video, a sound…"""
MAX_STEPS = 200_000
"""Chunks of a PNG, blocks of a GIF; a video of 50 MB as GIF has so many."""
MAX_SEGMENTS = 2000
MAX_TOLD = 4
"""Blocks of a JPEG in which it may tell what follows it."""
MAX_BOXES = 1024

_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"
_BOX_TYPE = re.compile(rb"[0-9A-Za-z ]{4}", re.ASCII)
_BOXES = frozenset(
    (b"ftyp", b"meta", b"mdat", b"moov", b"moof", b"mpvd", b"sefd", b"free", b"skip", b"wide")
) | {b"uuid", b"idat", b"mfra"}
"""Boxes that are believed when they say that they go on beyond the end of the file."""
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ITEM = re.compile(rb"<Container:Item\b[^>]{0,500}>")
_ITEM_LENGTH = re.compile(rb"\bItem:(?:Length|Padding)\s{0,8}=\s{0,8}[\"'](\d{1,12})[\"']")
_PRIMARY = re.compile(rb"\bItem:Semantic\s{0,8}=\s{0,8}[\"']Primary[\"']")
_MICRO_VIDEO = re.compile(rb"\bMicroVideoOffset(?:\s{0,8}=\s{0,8}[\"']|>)\s{0,8}(\d{1,12})")
_SAMSUNG = re.compile(rb"\0\0.[\x01-\x0f][\x01-\x7f]\0\0\0[\x20-\x7e]", re.DOTALL)
"""How a part of Samsung's trailer begins: its kind, and its name with the length of that."""


def completeness_of(fd: int, size: int, *, search: bool = True) -> Completeness:
    """Return what the structure of the file behind ``fd``, of ``size`` bytes, says of its end.

    Without ``search`` the coded data of a JPEG is not read: it is not judged when something
    else than the picture stands at its end.
    """
    if size == 0:
        return Completeness.INCOMPLETE
    try:
        return _by_format(fd, size, os.pread(fd, 32, 0), search)
    except OSError:
        pass  # unreadable: the decoder will say so
    except Exception:  # this is a hint only: what is broken the decoder will say
        # A GIF of 8 bytes was never handed on, so that no failure told of it.
        log.debug("the structure of a file cannot be followed", exc_info=True)
    return Completeness.UNKNOWN


def _by_format(fd: int, size: int, head: bytes, search: bool) -> Completeness:
    if head[:3] == b"\xff\xd8\xff":
        return _jpeg(fd, size, search)
    for (at, magic), check in _CHECKS:
        if head[at : at + len(magic)] == magic:
            return check(fd, size, head)
    return Completeness.UNKNOWN


def _ended(yes: bool) -> Completeness:
    return Completeness.COMPLETE if yes else Completeness.INCOMPLETE


def _tail(fd: int, size: int, start: int = 0) -> bytes:
    begin = max(start, size - TAIL_BYTES)
    return os.pread(fd, max(size - begin, 0), begin)


def _reserved(fd: int, end: int) -> bool:
    """Whether there are zeros before ``end``: its room was reserved before it was written."""
    return not _tail(fd, end)[-32:].strip(b"\0")


def _jpeg(fd: int, size: int, search: bool) -> Completeness:
    # Walk to the scan first: an embedded thumbnail has an end marker of its own.
    scan, declared, more = _scan_start(fd, size, 0)
    if scan is None:
        return more
    if _tail(fd, size, scan).rstrip(b"\0\r\n ").endswith(b"\xff\xd9"):
        return Completeness.COMPLETE  # 0xFF is stuffed in coded data, so this is an end
    if not search or size - scan > MAX_SCAN:
        return Completeness.UNKNOWN
    end = _scan_end(fd, size, scan)
    if end is None:
        return Completeness.INCOMPLETE
    return _after(fd, size, end, declared)


def _scan_start(fd: int, size: int, start: int) -> tuple[int | None, list[int], Completeness]:
    """Return where the coded data of the JPEG at ``start`` begins, and what it says of its file.

    That is: where the file ends at the earliest, or negative, how long the rest behind the
    picture is. Without a beginning, the verdict comes third.
    """
    at = start + 2
    declared: list[int] = []
    for _ in range(MAX_SEGMENTS):
        segment = os.pread(fd, 40, at)
        if len(segment) < 4:
            return None, declared, Completeness.INCOMPLETE
        if segment[0] != 0xFF:
            return None, declared, Completeness.UNKNOWN
        if segment[1] == 0xFF:  # a fill byte
            at += 1
            continue
        length = int.from_bytes(segment[2:4])
        if segment[1] == 0xDA:
            return min(at + 2 + length, size), declared, Completeness.UNKNOWN
        if len(declared) >= MAX_TOLD:
            pass
        elif segment[1] == 0xE1 and segment[4:].startswith(_XMP):
            declared.append(-_appended(os.pread(fd, length, at + 4)))
        elif segment[1] == 0xE2 and segment[4:8] == b"MPF\0":
            declared.append(_pictures_end(os.pread(fd, length - 6, at + 8), at + 8))
        at += 2 + length
    return None, declared, Completeness.UNKNOWN


def _scan_end(fd: int, size: int, start: int) -> int | None:
    """Return where the picture ends whose coded data begins at ``start``, if it does."""
    at = start
    while at < size:
        data = os.pread(fd, CHUNK, at)
        if not data:
            return None
        found = data.find(b"\xff\xd9")
        if found >= 0:
            return at + found + 2
        at += max(len(data) - 1, 1)
    return None


def _appended(xmp: bytes) -> int:
    """Return how many bytes follow the picture, as its XMP says; 0 when it does not."""
    lengths = [int(number) for number in _MICRO_VIDEO.findall(xmp)]
    items = [item for item in _ITEM.findall(xmp) if not _PRIMARY.search(item)]
    lengths.append(sum(int(number) for item in items for number in _ITEM_LENGTH.findall(item)))
    return max(lengths)


def _pictures_end(index: bytes, base: int) -> int:
    """Return where the last picture of an MPF index ends, which begins at ``base``; else 0."""
    order: str = "little" if index[:2] == b"II" else "big"

    def number(at: int, length: int = 4) -> int:
        return int.from_bytes(index[at : at + length], order)  # type: ignore[arg-type]

    ifd, ends = number(4), [0]
    for entry in range(ifd + 2, ifd + 2 + 12 * min(number(ifd, 2), 32), 12):
        if number(entry, 2) == 0xB002:
            first, length = number(entry + 8), min(number(entry + 4), 16 * 64)
            for at in range(first, min(first + length, len(index) - 15), 16):
                if number(at + 8):  # the primary one has no place
                    ends.append(base + number(at + 8) + number(at + 4))
    return max(ends)


def _after(fd: int, size: int, end: int, declared: list[int]) -> Completeness:
    """Return whether what follows the picture, which ends at ``end``, is all there."""
    at = end
    for _ in range(MAX_PARTS):
        head = os.pread(fd, 64, at)
        if not head.strip(b"\0"):
            if at + len(head) >= size or _reserved(fd, size):
                return Completeness.COMPLETE  # padding
            break
        if head[:3] == b"\xff\xd8\xff":
            scan, _, verdict = _scan_start(fd, size, at)
            found = None if scan is None else _scan_end(fd, size, scan)
            if found is None:
                return verdict if scan is None else Completeness.INCOMPLETE
            at = found
        elif head[4:8] == b"ftyp":
            verdict, at, _ = _walk(fd, size, at)
            if verdict is Completeness.INCOMPLETE:
                return verdict
        elif _SAMSUNG.match(head):
            return _ended(b"SEFT" in _tail(fd, size, end))
        else:
            break
        if at >= size:
            return Completeness.COMPLETE
    # What follows is not known: it has its length only if the picture told it.
    least = [end - told if told < 0 else told for told in declared]
    return _ended(size >= max(least, default=0))


def _png(fd: int, size: int, _head: bytes) -> Completeness:
    if _tail(fd, size).rstrip(b"\0").endswith(_PNG_END[4:]):
        return Completeness.COMPLETE
    at = 8
    with open(fd, "rb", BLOCK, closefd=False) as file:
        for _ in range(MAX_STEPS):
            file.seek(at)
            chunk = file.read(8)
            if len(chunk) < 8:
                return Completeness.INCOMPLETE
            at += 12 + int.from_bytes(chunk[:4])
            if chunk[4:] == b"IEND":
                return _ended(at <= size)
            if not chunk[4:].isalpha():
                return Completeness.INCOMPLETE  # zeros, not written yet
    return Completeness.UNKNOWN


def _gif(fd: int, size: int, head: bytes) -> Completeness:
    at, inside = 13, False
    if len(head) < at:
        return Completeness.INCOMPLETE
    if head[10] & 0x80:
        at += 3 << ((head[10] & 7) + 1)
    with open(fd, "rb", BLOCK, closefd=False) as file:
        for _ in range(MAX_STEPS):
            file.seek(at)
            block = file.read(10)
            if not block:
                return Completeness.INCOMPLETE
            if inside:
                at += 1 + block[0]
                inside = block[0] != 0
            elif block[0] == 0x3B:
                return Completeness.COMPLETE
            elif block[0] == 0x21:
                at, inside = at + 2, True
            elif block[0] == 0x2C and len(block) == 10:
                table = 3 << ((block[9] & 7) + 1) if block[9] & 0x80 else 0
                at, inside = at + 10 + table + 1, True
            else:
                return Completeness.INCOMPLETE  # zeros, not written yet
    return Completeness.UNKNOWN


def _webp(fd: int, size: int, head: bytes) -> Completeness:
    end = int.from_bytes(head[4:8], "little") + 8
    return _ended(end <= size and not _reserved(fd, end))


def _bmp(_fd: int, size: int, head: bytes) -> Completeness:
    declared = int.from_bytes(head[2:6], "little")
    if declared > size:
        return Completeness.INCOMPLETE
    return Completeness.UNKNOWN  # some writers leave the field zero


def _tiff(fd: int, size: int, head: bytes) -> Completeness:
    end = tiff_end(fd, size, head)
    if end is None or (end <= size and _reserved(fd, size)):
        return Completeness.UNKNOWN
    return _ended(end <= size)


def _boxes(fd: int, size: int, _head: bytes) -> Completeness:
    verdict, _, seen = _walk(fd, size, 0)
    if verdict is Completeness.COMPLETE and b"mdat" not in seen:
        return Completeness.UNKNOWN
    return verdict


def _walk(fd: int, size: int, start: int) -> tuple[Completeness, int, set[bytes]]:
    """Walk over the boxes from ``start`` on; return the verdict, where they end, their types.

    What is no box ends them, as the end of the file does.
    """
    at = start
    seen: set[bytes] = set()
    for _ in range(MAX_BOXES):
        if at == size:
            return Completeness.COMPLETE, at, seen
        box = os.pread(fd, 16, at)
        kind, length = box[4:8], int.from_bytes(box[:4])
        known = kind in _BOXES
        if length == 1 and known:
            length = int.from_bytes(box[8:16])
        if not length and known:  # "until the end of the file": no telling
            return Completeness.UNKNOWN, size, seen
        plain = _BOX_TYPE.fullmatch(kind) is not None and length >= 8
        if not plain or (at + length > size and not known):
            # Something else, or a box that is not written yet.
            over = b"mdat" in seen and (start > 0 or not seen.isdisjoint((b"meta", b"moov")))
            return _ended(over), at, seen
        if at + length > size or (kind in (b"mdat", b"mpvd") and _reserved(fd, at + length)):
            return Completeness.INCOMPLETE, at, seen
        seen.add(kind)
        at += length
    return Completeness.UNKNOWN, size, seen


_CHECKS: tuple[tuple[tuple[int, bytes], Callable[[int, int, bytes], Completeness]], ...] = (
    ((0, b"\x89PNG\r\n\x1a\n"), _png),
    ((0, b"GIF8"), _gif),
    ((8, b"WEBP"), _webp),
    ((0, b"BM"), _bmp),
    ((4, b"ftyp"), _boxes),
    ((0, b"II*\0"), _tiff),
    ((0, b"MM\0*"), _tiff),
    ((0, b"II+\0"), _tiff),
    ((0, b"MM\0+"), _tiff),
)
