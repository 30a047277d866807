"""Pictures on their way to the decoding processes: known by their first bytes, kept briefly."""

from __future__ import annotations

import errno
import fcntl
import io
import itertools
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from tagger.web.errors import WebError

_CHUNK = 1 << 20
_PREFIX = "tagger-web-"
_NEW_SECONDS = 60.0
"""A folder so young may not be locked yet."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)

KINDS = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP"),
    (re.compile(rb"....ftyp(?:avif|avis)", re.DOTALL), "AVIF"),
    (re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL), "HEIC"),
)
"""How the files begin that may be sent; the daemon reads more kinds from its folders."""


def kind_of(upload: IO[bytes]) -> str:
    """Return the kind of picture that begins at the position of ``upload``, which it keeps.

    Raise WebError for what begins like none.
    """
    start = upload.tell()
    head = upload.read(12)
    upload.seek(start)
    for begin, kind in KINDS:
        if begin.match(head):
            return kind
    raise WebError(
        "the file is no picture that is read here",
        "send a JPEG, PNG, GIF, WebP, HEIC or AVIF",
        status=415,
    )


class SpoolFile(io.FileIO):
    """A file in the spool's folder that has no name: gone when it is closed, whatever happens."""


class Spool:
    """A folder of this user's alone, for files that are gone when they have been read.

    It is locked. What an earlier process left that was killed is removed.
    """

    def __init__(self) -> None:
        _remove_left()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        self._numbers = itertools.count()
        self._lock = os.open(self._folder.name, _DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()
        os.close(self._lock)

    def unnamed(self) -> SpoolFile | None:
        """Return a file to write to; None where the disk knows only files with names."""
        try:
            flags = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC
            return SpoolFile(os.open(self._folder.name, flags, 0o600), "r+b")
        except OSError as error:
            if error.errno not in NO_UNNAMED:
                raise
            return None

    @contextmanager
    def file(self, source: IO[bytes], *, suffix: str = "", limit: int) -> Iterator[str]:
        """Give the path of a file that holds ``source``, and remove it at the end.

        It is copied, unless it is a file of the spool that has not been read. Raise WebError
        when there are more than ``limit`` bytes.
        """
        path = os.path.join(self._folder.name, f"{next(self._numbers)}{suffix}")
        if isinstance(source, SpoolFile) and source.tell() == 0:
            if os.fstat(source.fileno()).st_size > limit:
                raise too_large(limit)
            try:
                # With a folder's descriptor: else Python calls link(2), which follows nothing.
                os.link(
                    f"/proc/self/fd/{source.fileno()}",
                    os.path.basename(path),
                    dst_dir_fd=self._lock,
                    follow_symlinks=True,
                )
            except OSError:
                pass  # no /proc, or a disk without links
            else:
                try:
                    yield path
                finally:
                    os.unlink(path)
                return
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as target:
                copy_limited(source, target, limit)
            yield path
        finally:
            os.unlink(path)


def copy_limited(source: IO[bytes], target: IO[bytes], limit: int) -> None:
    """Copy the rest of ``source``. Raise WebError when there are more than ``limit`` bytes."""
    left = limit
    while chunk := source.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise too_large(limit)
        target.write(chunk)


def _remove_left() -> None:
    """Remove the folders of processes that were killed: those that nobody locks."""
    place = tempfile.gettempdir()
    for name in os.listdir(place):
        if not name.startswith(_PREFIX):
            continue
        path = os.path.join(place, name)
        try:
            fd = os.open(path, _DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue  # somebody else's, or just removed
        try:
            st = os.fstat(fd)
            if st.st_uid == os.geteuid() and time.time() - st.st_mtime > _NEW_SECONDS:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:
            pass  # in use
        finally:
            os.close(fd)


def closing() -> WebError:
    """Return the error for what comes while the page ends."""
    return WebError(
        "the page is being closed", "try again when it is back", status=503, retry_after=5
    )


def too_large(limit: int) -> WebError:
    """Return the error for more than ``limit`` bytes."""
    return WebError(
        f"the file is larger than {limit // 1_000_000} MB",
        "send a smaller picture, or raise `web.max_upload_mb` in the config",
        status=413,
    )
