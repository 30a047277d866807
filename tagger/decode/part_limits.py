"""Photos of more parts than any program writes, found out before a library walks over them.

Pillow takes a second for some 100,000 segments of a JPEG or chunks of a PNG, libwebp for a million
chunks of a WebP, of which 30 MB can hold millions. ITU-T T.81 B.1.1; PNG third edition, 5.3;
RFC 9649, 2.3.
"""

from __future__ import annotations

import os

from tagger.errors import DamagedImageError

MAX_SEGMENTS = 10_000
"""Of a JPEG before its first scan, each fill byte counted as one."""
MAX_CHUNKS = 50_000
"""Of a PNG; libpng writes 8 kB of pixels in each. A WebP has two for each frame."""
_PNG = b"\x89PNG\r\n\x1a\n"


def check(fd: int, path: str) -> None:
    """Raise DamagedImageError for a file of too many parts; what else is wrong is not judged."""
    head = os.pread(fd, 12, 0)
    if head[:3] == b"\xff\xd8\xff":
        if _segments(fd) > MAX_SEGMENTS:
            raise _too_many(path, f"{MAX_SEGMENTS:,} segments before its picture")
    elif (head[:8] == _PNG and _chunks(fd) > MAX_CHUNKS) or (
        head[:4] == b"RIFF" and head[8:] == b"WEBP" and _riff_chunks(fd) > MAX_CHUNKS
    ):
        raise _too_many(path, f"{MAX_CHUNKS:,} chunks")


def _segments(fd: int) -> int:
    at = 2
    for count in range(MAX_SEGMENTS + 1):
        head = os.pread(fd, 4, at)
        if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
            return count
        at += 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:])
    return MAX_SEGMENTS + 1


def _chunks(fd: int) -> int:
    at = len(_PNG)
    for count in range(MAX_CHUNKS + 1):
        head = os.pread(fd, 8, at)
        if len(head) < 8 or head[4:] == b"IEND":
            return count
        at += 12 + int.from_bytes(head[:4])
    return MAX_CHUNKS + 1


def _riff_chunks(fd: int) -> int:
    at = 12
    for count in range(MAX_CHUNKS + 1):
        head = os.pread(fd, 8, at)
        if len(head) < 8:
            return count
        size = int.from_bytes(head[4:], "little")
        at += 8 + size + size % 2
    return MAX_CHUNKS + 1


def _too_many(path: str, what: str) -> DamagedImageError:
    return DamagedImageError(
        f"{path} has more than {what}", "leave it untagged, no program writes such a file"
    )
