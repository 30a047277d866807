"""A file as it was found: its bytes and its stat, read without following links."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from tagger.errors import PhotoChangedError, RefusedError, WriteFailedError
from tagger.system.open_beneath import LEADS_AWAY, Beneath

MAX_READ = 128 << 20
"""Larger files are neither read as a whole nor written to."""
MAX_SIDECAR = 8 << 20
"""Nor are larger sidecars."""


@dataclass(frozen=True, slots=True)
class Original:
    """A file as it was read: its bytes and the stat that belongs to them."""

    path: str
    data: bytes
    stat: os.stat_result


def read_original(path: str, below: Beneath, most: int = MAX_READ) -> Original | None:
    """Return the regular file at ``path``; ``None`` when there is nothing.

    ``below`` is the watched folder, beneath which no link is followed. Raise RefusedError for a
    link or anything else that is no regular file, or has more than ``most`` bytes, and
    WriteFailedError when it cannot be read.
    """
    with contextlib.suppress(FileNotFoundError), opened(path, below) as (fd, found):
        if found.st_size > most:
            raise RefusedError(f"it is larger than {most >> 20} MB")
        with open(fd, "rb", buffering=0, closefd=False) as file:
            data = file.readall()
        if len(data) != found.st_size:
            raise PhotoChangedError(f"{path} changed while it was read", "it is looked at again")
        return Original(path, data, found)
    return None


@contextlib.contextmanager
def opened(path: str, below: Beneath) -> Iterator[tuple[int, os.stat_result]]:
    """Open the regular file at ``path`` for reading; it comes with its stat.

    Raise FileNotFoundError when there is nothing, else as :func:`read_original`.
    """
    try:
        folder, name = below.at(path)
        fd = folder.open(name)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in LEADS_AWAY or error.errno == errno.ENXIO:
            raise RefusedError("it is a symbolic link or a device") from error
        raise failed("read", path, error) from error
    try:
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise RefusedError("it is no regular file")
            yield fd, found
        finally:
            os.close(fd)
    except OSError as error:
        raise failed("read", path, error) from error


@contextlib.contextmanager
def naming(file: str) -> Iterator[None]:
    """Let a refusal name the file that it is about."""
    try:
        yield
    except RefusedError as error:
        if error.remedy:
            raise  # it is named already
        message = f"{file} is not written to: {error.message}"
        raise RefusedError(message, "repair it, or take it away") from error


def failed(what: str, path: str, error: OSError) -> WriteFailedError:
    """Return the error that says that ``path`` could not be read or written, and why."""
    remedy = {
        errno.ENOSPC: "free some space on that disk",
        errno.EDQUOT: "free some space, or raise the quota",
        errno.EROFS: "mount that disk for writing, or set `read_only: true` for the folder",
        errno.EIO: "check that disk",
        errno.ENAMETOOLONG: "give the photo a shorter name",
    }.get(error.errno or 0, "check the rights of the folder, or set `read_only: true` for it")
    return WriteFailedError(f"cannot {what} {path}: {error.strerror or error}", remedy)
