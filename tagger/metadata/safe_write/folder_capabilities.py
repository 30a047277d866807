"""What a folder lets us do: some let files be made, but neither renamed nor deleted.

Object storage behind a mount, append-only folders (chattr +a), shares with odd rights: what is
begun there cannot be finished, and a temporary file stays. So each folder is asked once, with an
empty file that is deleted again, before anything is begun.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tagger.metadata.safe_write.temporary import clean
from tagger.system.files import CANARY_PREFIX, PROBE
from tagger.system.open_beneath import APPEND, IMMUTABLE, Folder

REFUSED = frozenset(
    {errno.EPERM, errno.EACCES, errno.EROFS, errno.EIO}
    | {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS}
)
"""What a single operation is refused with, while others may well work."""
AGAIN_SECONDS = 300.0
"""After so long a folder that refuses is asked again."""
_DEVICE_SECONDS = 3600.0
_ENOUGH = 3
"""When so many folders of a device have refused, and none has not, the others do as well."""


@dataclass(frozen=True, slots=True)
class FolderCapabilities:
    """Whether files may be deleted, and whether they may be renamed."""

    deletes: bool = True
    renames: bool = True


_FULL, _NONE = FolderCapabilities(), FolderCapabilities(deletes=False, renames=False)
_lock = threading.Lock()
_known: dict[str, tuple[FolderCapabilities, float]] = {}
_sound: set[int] = set()
_refusing: dict[int, tuple[int, float]] = {}


def powers_in(folder: Folder) -> FolderCapabilities:
    """Return what may be done in a folder. At first it is cleaned of what was left there."""
    now = time.monotonic()
    with _lock:
        known = _known.get(folder.path)
        if known is not None and (known[0] is _FULL or now - known[1] < AGAIN_SECONDS):
            return known[0]
        try:
            found = _asked(folder, now)
        except OSError:
            return _FULL  # writing will say what is wrong
        _known[folder.path] = found, now
        return found


def _asked(folder: Folder, now: float) -> FolderCapabilities:
    device = folder.device()
    count, when = _refusing.get(device, (0, now))
    if count >= _ENOUGH and now - when < _DEVICE_SECONDS and device not in _sound:
        return _NONE
    with contextlib.suppress(OSError):  # it may be written to, but not listed
        clean(folder)
    if folder.flags(".") & APPEND:
        return _NONE
    found = probe(folder)
    if found is _FULL:
        _sound.add(device)
    elif found is _NONE:
        _refusing[device] = count + 1, now
    return found


def probe(folder: Folder) -> FolderCapabilities:
    """Find out what may be done in a folder, by an empty file.

    Raise OSError when none can be made. At most that file is left; it is used again.
    """
    name = PROBE
    with contextlib.suppress(OSError):  # it may be written to, but not listed
        name = next((one for one in folder.names() if one.startswith(CANARY_PREFIX)), PROBE)
    os.close(folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o600))
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileNotFoundError):  # another process has asked as well
            folder.unlink(name)
        return _FULL
    try:
        folder.rename(name, CANARY_PREFIX + "renamed.tmp")
    except OSError:
        return _NONE
    return FolderCapabilities(deletes=False)


def refusals(path: str) -> tuple[str, ...]:
    """Return which of chmod, chown, utime, fsync, rename and delete the folder ``path`` refuses.

    Raise OSError when no file can be made there.
    """
    with Folder(path, path) as folder:
        if folder.flags(".") & APPEND:
            return "rename", "delete"
        fd = folder.open(PROBE, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o600)
        found = os.fstat(fd)
        asked: dict[str, Callable[[], object]] = {
            "chmod": lambda: os.fchmod(fd, 0o640),
            "chown": lambda: os.fchown(fd, found.st_uid, found.st_gid),
            "utime": lambda: os.utime(fd, ns=(found.st_atime_ns, found.st_mtime_ns - 10**9)),
            "fsync": lambda: os.fsync(fd),
        }
        refused = []
        try:
            for name, ask in asked.items():
                try:
                    ask()
                except OSError:
                    refused.append(name)
        finally:
            os.close(fd)
            powers = probe(folder)
        if _rename_refused(folder, powers):
            refused.append("rename")
        if not powers.deletes:
            refused.append("delete")
        return tuple(refused)


def _rename_refused(folder: Folder, powers: FolderCapabilities) -> bool:
    if not powers.deletes:
        return not powers.renames
    new = CANARY_PREFIX + "renamed.tmp"
    os.close(folder.open(PROBE, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o600))
    try:
        folder.rename(PROBE, new)
    except OSError:
        folder.unlink(PROBE)
        return True
    folder.unlink(new)
    return False


def locked(folder: Folder, name: str) -> str:
    """Return why the file ``name`` cannot be replaced although its folder may be written to."""
    flags = folder.flags(name)
    if flags & IMMUTABLE:
        return "it is immutable (`lsattr` shows it, `chattr -i` ends it)"
    if flags & APPEND:
        return "it is append-only (`lsattr` shows it, `chattr -a` ends it)"
    return ""
