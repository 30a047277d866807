"""Whether a film beside a photo is of the same shot, as a live photo's is, by how long it takes.

After the QuickTime File Format (Apple) and ISO/IEC 14496-12: boxes, of which ``mvhd`` in ``moov``
tells the time.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

LONGEST = 10.0
"""Seconds; a live photo's film takes three."""
_MOST_BOXES = 1_000


def is_of_shot(fd: int) -> bool:
    """Whether an open film is no longer than that of a live photo, or does not tell.

    Raise OSError.
    """
    seconds = _seconds(fd)
    return seconds is None or seconds <= LONGEST


def _seconds(fd: int) -> float | None:
    size = os.fstat(fd).st_size
    for kind, start, end in _boxes(fd, 0, size):
        if kind != b"moov":
            continue
        for inner, at, _ in _boxes(fd, start, end):
            if inner == b"mvhd":
                head = os.pread(fd, 32, at)
                fields = struct.Struct(">20xIQ" if head[:1] == b"\1" else ">12xII")
                if len(head) < fields.size:
                    return None
                scale, duration = fields.unpack(head[: fields.size])
                return duration / scale if scale else None
    return None


def _boxes(fd: int, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type of each box, and where its content begins and ends."""
    for _ in range(_MOST_BOXES):
        head = os.pread(fd, 16, at)
        if at >= end or len(head) < 8:
            return
        size, begin = int.from_bytes(head[:4], "big"), at + 8
        if size == 1:
            size, begin = int.from_bytes(head[8:16], "big"), at + 16
        after = end if size == 0 else at + size
        if not begin <= after <= end:
            return
        yield head[4:8], begin, after
        at = after
