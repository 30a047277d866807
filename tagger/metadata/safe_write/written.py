"""Writing a new file's bytes, and checking that the disk holds them."""

from __future__ import annotations

import ctypes
import os

from tagger.errors import WriteFailedError
from tagger.metadata.safe_write.content import Content, pieces

_BEGIN_TO_WRITE = 2
_CHUNK = 1 << 16
"""Bytes that are read back at a time: larger pieces are slower, for they get fresh memory."""


def write_content(fd: int, content: Content) -> None:
    """Write the content into an empty file. Raise OSError."""
    for piece, start in pieces(content):
        view = memoryview(piece)[start:]
        while view:
            view = view[os.write(fd, view) :]


def check_written(fd: int, content: Content, path: str) -> None:
    """Raise WriteFailedError unless the file holds the content, and nothing else; or OSError."""
    if not _holds(fd, content):
        message = f"cannot write {path}: what was written beside it reads back as something else"
        raise WriteFailedError(message, "check that disk, and the machine's memory")


def _holds(fd: int, content: Content) -> bool:
    place = 0
    for piece, at in pieces(content):
        while at < len(piece):
            chunk = os.pread(fd, min(_CHUNK, len(piece) - at), place)
            if not chunk or not piece.startswith(chunk, at):
                return False
            at += len(chunk)
            place += len(chunk)
    return os.fstat(fd).st_size == place


_libc = ctypes.CDLL(None, use_errno=True)


def start_writeback(fd: int) -> None:
    """Let the disk begin, by sync_file_range(2), where there is such a thing.

    Nothing depends on it: what fails here fails again in fsync.
    """
    if (call := getattr(_libc, "sync_file_range", None)) is not None:
        call(fd, ctypes.c_int64(0), ctypes.c_int64(0), ctypes.c_uint(_BEGIN_TO_WRITE))
