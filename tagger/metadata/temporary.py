"""The temporary files beside photos: their names, and what a killed process left of them."""

from __future__ import annotations

import contextlib
import os
import secrets
import time

from tagger.files import OWN_PREFIX

STRAY_SECONDS = 3600.0
"""From this age on a temporary file of an unknown process is taken for a leftover."""

_cleaned: set[str] = set()
"""Folders looked through for leftovers of an earlier process."""
_mine: set[str] = set()
"""Temporary files that are in use now."""


def temporary_beside(path: str) -> str:
    """Return a name for a temporary file, which is in use from now on."""
    name = f"{OWN_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.tmp"
    temporary = os.path.join(os.path.dirname(path), name)
    _mine.add(temporary)
    return temporary


def remove_temporary(temporary: str) -> None:
    """Delete a temporary file; it is not in use any more."""
    with contextlib.suppress(OSError):  # already renamed, or the disk is gone
        os.unlink(temporary)
    _mine.discard(temporary)


def clean_once(folder: str) -> None:
    """Call :func:`clean_strays` for ``folder`` if this process has not done so yet."""
    if folder not in _cleaned:
        _cleaned.add(folder)
        clean_strays(folder)


def clean_strays(folder: str) -> int:
    """Delete temporary files that a killed process left in ``folder``; return how many."""
    removed = 0
    try:
        names = os.listdir(folder)
    except OSError:
        return 0
    for name in names:
        path = os.path.join(folder, name)
        if _is_temporary(name) and path not in _mine and _is_left(name, path):
            with contextlib.suppress(OSError):
                os.unlink(path)
                removed += 1
    return removed


def _is_temporary(name: str) -> bool:
    return name.startswith(OWN_PREFIX) and name.endswith(".tmp")


def _is_left(name: str, path: str) -> bool:
    """Whether no living process can be writing this temporary file."""
    pid = name[len(OWN_PREFIX) :].split("-", maxsplit=1)[0]
    if not pid.isdecimal():
        return False
    if int(pid) == os.getpid() or not os.path.exists(f"/proc/{pid}"):
        return True
    try:
        return time.time() - os.lstat(path).st_mtime > STRAY_SECONDS
    except OSError:
        return False
