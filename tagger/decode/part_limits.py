"""Photos of more parts than any program writes, found out before a library walks over them.

Pillow takes a second for some 100,000 segments of a JPEG or chunks of a PNG, libwebp for a million
chunks of a WebP, of which 30 MB can hold millions. ITU-T T.81 B.1.1; PNG third edition, 5.3;
RFC 9649, 2.3.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from tagger.errors import DamagedImageError

MAX_SEGMENTS = 10_000
"""Of a JPEG before its first scan, each fill byte counted as one."""
MAX_CHUNKS = 50_000
"""Of a PNG; libpng writes 8 kB of pixels in each. A WebP has two for each frame."""
_PNG = b"\x89PNG\r\n\x1a\n"


def check(fd: int, path: str) -> None:
    """Raise DamagedImageError for a file of too many parts; what else is wrong is not judged."""
    head = os.pread(fd, 12, 0)
    if head[:3] == b"\xff\xd8\xff" and _more_than(MAX_SEGMENTS, fd, 2, _segment):
        raise _too_many(path, f"{MAX_SEGMENTS:,} segments before its picture")
    png, webp = head[:8] == _PNG, head[:4] + head[8:] == b"RIFFWEBP"
    if (png and _more_than(MAX_CHUNKS, fd, 8, _chunk)) or (
        webp and _more_than(MAX_CHUNKS, fd, 12, _riff_chunk)
    ):
        raise _too_many(path, f"{MAX_CHUNKS:,} chunks")


def _more_than(most: int, fd: int, at: int, length: Callable[[bytes], int]) -> bool:
    """Whether more than ``most`` parts follow from ``at`` on.

    ``length`` tells of the first eight bytes of a part how long all of it is, 0 at the end.
    """
    for _ in range(most + 1):
        size = length(os.pread(fd, 8, at))
        if not size:
            return False
        at += size
    return True


def _segment(head: bytes) -> int:
    if len(head) < 4 or head[0] != 0xFF or head[1] == 0xDA:
        return 0
    return 1 if head[1] == 0xFF else 2 + int.from_bytes(head[2:4])


def _chunk(head: bytes) -> int:
    return 0 if len(head) < 8 or head[4:] == b"IEND" else 12 + int.from_bytes(head[:4])


def _riff_chunk(head: bytes) -> int:
    size = int.from_bytes(head[4:], "little")
    return 0 if len(head) < 8 else 8 + size + size % 2


def _too_many(path: str, what: str) -> DamagedImageError:
    return DamagedImageError(
        f"{path} has more than {what}", "leave it untagged, no program writes such a file"
    )
