"""The temporary files beside photos: their names, and what a killed process left of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time

from tagger.system.files import CANARY_PREFIX
from tagger.system.open_beneath import Folder
from tagger.system.paths import OWN_PREFIX

STRAY_SECONDS = 3600.0
"""From this age on a temporary file of an unknown process is taken for a leftover."""

_mine: set[str] = set()
"""Temporary files that are in use now."""
_kept: dict[str, str] = {}
"""For a folder, the temporary file that could not be deleted there: the next is made of it."""


def make_temporary(folder: Folder, mode: int) -> tuple[int, str]:
    """Return a descriptor and the name of a new, empty file, in use from now on. Raise OSError."""
    kept = _kept.pop(folder.path, None)
    if kept is not None and (fd := _made_of(folder, kept)) >= 0:
        _mine.add(kept)
        return fd, kept
    name = temporary_name()
    try:
        return folder.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode), name
    except BaseException:
        _mine.discard(name)
        raise


def temporary_name() -> str:
    """Return a name for a temporary file, which is in use from now on."""
    name = f"{OWN_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.tmp"
    _mine.add(name)
    return name


def _made_of(folder: Folder, kept: str) -> int:
    """Open and empty a file that was left; -1 when that cannot be."""
    fd = -1
    with contextlib.suppress(OSError):
        fd = folder.open(kept, os.O_RDWR | os.O_NONBLOCK)
        found = os.fstat(fd)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == os.geteuid():
            os.ftruncate(fd, 0)
            return fd
    if fd >= 0:
        os.close(fd)
    return -1


def remove_temporary(folder: Folder, name: str) -> None:
    """Delete a temporary file; it is not in use any more."""
    try:
        folder.unlink(name)
    except FileNotFoundError:
        pass  # renamed already
    except OSError:  # deleting is refused, or the disk is gone
        if folder.has(name):
            _kept[folder.path] = name
    _mine.discard(name)


def clean_strays(path: str, root: str | None = None) -> int:
    """Delete temporary files that a killed process left in a folder; return how many.

    The folder ``path`` is in the watched folder ``root`` (None: or that itself).
    """
    try:
        with Folder(root or path, path) as folder:
            return clean(folder)
    except OSError:
        return 0


def clean(folder: Folder) -> int:
    """Do what :func:`clean_strays` does. Raise OSError when the folder cannot be listed."""
    removed = 0
    for name in folder.names():
        if _is_left(folder, name):
            with contextlib.suppress(OSError):
                folder.unlink(name)
                removed += 1
    return removed


def _lives(pid: int) -> bool:
    """Whether there is such a process, also where /proc shows one's own only."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # somebody else's
    except (OSError, OverflowError):
        return False
    return True


def _is_left(folder: Folder, name: str) -> bool:
    """Whether it is a temporary file that no living process can be writing."""
    if not (name.startswith(OWN_PREFIX) and name.endswith(".tmp")) or name in _mine:
        return False
    if name.startswith(CANARY_PREFIX):
        return True
    pid = name[len(OWN_PREFIX) :].split("-", maxsplit=1)[0]
    if not pid.isdecimal():
        return False
    if int(pid) == os.getpid() or not _lives(int(pid)):
        return True
    try:
        return time.time() - folder.stat(name).st_mtime > STRAY_SECONDS
    except OSError:
        return False
