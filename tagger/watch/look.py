"""One look at one file: who writes to it, and does it have an end?

The checks by format are cheap (a few small reads) and only ask whether the end is
there, never whether the image is sound. Sources: ITU T.81 annex B (JPEG markers), PNG
specification 5.6 (IEND), RFC 9649 (WebP), ISO/IEC 14496-12 section 4.2 (boxes of HEIF
and AVIF), GIF89a section 27 (trailer).
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from collections.abc import Callable

from tagger.files import open_untrusted
from tagger.photo import FileStat
from tagger.watch.settle import Completeness, Look

TAIL_BYTES = 4096
_NO_LEASE = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS}
_PNG_END = b"\0\0\0\0IEND\xae\x42\x60\x82"


def take_look(
    path: str, *, wall: float, trust_times: float, trust_lease: bool, stable_inodes: bool
) -> Look:
    """Look at the regular file ``path``.

    ``wall`` is the time of day in seconds since the epoch. ``trust_times`` is how many
    seconds the file's own times may be off (0 on a local disk); ``trust_lease``
    whether a lease shows every writer (false on a network, where others write
    unseen). A file that may not be opened gives a look that knows only its stat.

    Raise OSError (FileNotFoundError, …) when there is no such regular file.
    """
    before = os.lstat(path)
    if not stat.S_ISREG(before.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
    writer, completeness = None, Completeness.UNKNOWN
    try:
        fd = open_untrusted(path)  # which does not wait for a lease either
    except FileNotFoundError:
        raise
    except OSError:
        after = before  # the decoder will say why it cannot be read
    else:
        try:
            if trust_lease:
                writer = has_writer(fd)
            completeness = completeness_of(fd, os.fstat(fd).st_size)
            after = os.fstat(fd)
        finally:
            os.close(fd)
    look_stat = FileStat.of(after, stable_inodes=stable_inodes)
    if look_stat != FileStat.of(before, stable_inodes=stable_inodes):
        writer, completeness = None, Completeness.UNKNOWN  # it changed under our eyes
    # The ctime cannot be set by anyone, so `cp -p` and `rsync -t` do not look old.
    idle = wall - max(after.st_mtime, after.st_ctime) - trust_times
    return Look(look_stat, max(0.0, idle), writer, completeness)


def has_writer(fd: int) -> bool | None:
    """Whether anybody has the file behind ``fd`` (opened read-only) open for writing.

    A read lease is granted only when nobody has (fcntl(2)). Return ``None`` when the
    system will not say: not our file and no CAP_LEASE, or no leases on this file system.
    """
    try:
        # A writer who opens the file just now breaks the lease, and the default signal
        # for that, SIGIO, would end this process. SIGURG is ignored by default.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        if error.errno in _NO_LEASE:
            return None
        raise
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def completeness_of(fd: int, size: int) -> Completeness:
    """Return what the structure of the file behind ``fd``, of ``size`` bytes, says of its end."""
    if size == 0:
        return Completeness.INCOMPLETE
    try:
        head = os.pread(fd, 32, 0)
        for magic, check in _CHECKS:
            if head[magic[0] : magic[0] + len(magic[1])] == magic[1]:
                return check(fd, size, head)
    except OSError:
        pass  # unreadable: the decoder will say so
    return Completeness.UNKNOWN


def _ended(yes: bool) -> Completeness:
    return Completeness.COMPLETE if yes else Completeness.INCOMPLETE


def _tail(fd: int, size: int, start: int = 0) -> bytes:
    begin = max(start, size - TAIL_BYTES)
    return os.pread(fd, size - begin, begin)


def _reserved(fd: int, size: int) -> bool:
    """Whether the file ends in zeros: its room was reserved before it was written."""
    return not _tail(fd, size)[-32:].strip(b"\0")


def _jpeg(fd: int, size: int, _head: bytes) -> Completeness:
    # Walk to the scan first: an embedded thumbnail has an end marker of its own.
    at = 2
    for _ in range(2000):
        segment = os.pread(fd, 4, at)
        if len(segment) < 4:
            return Completeness.INCOMPLETE
        if segment[0] != 0xFF:
            return Completeness.UNKNOWN
        if segment[1] == 0xFF:  # a fill byte
            at += 1
            continue
        at += 2 + int.from_bytes(segment[2:])
        if segment[1] == 0xDA:
            # 0xFF is stuffed in coded data, so FF D9 after the scan's start is the end.
            return _ended(b"\xff\xd9" in _tail(fd, size, min(at, size)))
    return Completeness.UNKNOWN


def _png(fd: int, size: int, _head: bytes) -> Completeness:
    return _ended(_PNG_END in _tail(fd, size))


def _gif(fd: int, size: int, _head: bytes) -> Completeness:
    return _ended(_tail(fd, size).rstrip(b"\0").endswith(b"\x3b"))


def _webp(fd: int, size: int, head: bytes) -> Completeness:
    whole = int.from_bytes(head[4:8], "little") + 8 <= size
    return _ended(whole and not _reserved(fd, size))


def _bmp(_fd: int, size: int, head: bytes) -> Completeness:
    declared = int.from_bytes(head[2:6], "little")
    if declared > size:
        return Completeness.INCOMPLETE
    return Completeness.UNKNOWN  # some writers leave the field zero


def _boxes(fd: int, size: int, _head: bytes) -> Completeness:
    if _reserved(fd, size):
        return Completeness.INCOMPLETE
    at, seen = 0, set()
    for _ in range(256):
        if at == size:
            return Completeness.COMPLETE if b"mdat" in seen else Completeness.UNKNOWN
        box = os.pread(fd, 16, at)
        if len(box) < 8:
            return Completeness.INCOMPLETE
        length = int.from_bytes(box[:4])
        if length == 0:  # "until the end of the file": no telling
            return Completeness.UNKNOWN
        if length == 1:
            length = int.from_bytes(box[8:16])
        if length < 8:
            return Completeness.UNKNOWN
        seen.add(box[4:8])
        at += length
        if at > size:
            return Completeness.INCOMPLETE
    return Completeness.UNKNOWN


_CHECKS: tuple[tuple[tuple[int, bytes], Callable[[int, int, bytes], Completeness]], ...] = (
    ((0, b"\xff\xd8\xff"), _jpeg),
    ((0, b"\x89PNG\r\n\x1a\n"), _png),
    ((0, b"GIF8"), _gif),
    ((8, b"WEBP"), _webp),
    ((0, b"BM"), _bmp),
    ((4, b"ftyp"), _boxes),
)
