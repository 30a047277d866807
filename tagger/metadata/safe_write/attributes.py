"""What a file is dressed in: owner, mode, extended attributes, ACL, date.

A file that takes another's place must wear all of it, or the other stays. A new sidecar wears
what the photo does, as far as that can be.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass

from tagger.errors import PhotoChangedError, RefusedError
from tagger.system.open_beneath import Folder

_NO_ATTRIBUTES = (errno.EOPNOTSUPP, errno.ENOSYS)
_NOT_ALLOWED = (errno.EPERM, errno.EINVAL, *_NO_ATTRIBUTES)
"""What a sound disk says; anything else is no reason to look for another place for the tags."""
_OF_THE_SYSTEM = ("security.", "trusted.")
"""Labels that the system itself puts on files cannot be set by everyone."""


@dataclass(slots=True)
class FileAttributes:
    """What to put on a new file. ``strict``: all of it, for it replaces another.

    ``attributes`` None: whatever it gets. ``date`` (access, modification) in nanoseconds.
    """

    owner: tuple[int, int] | None
    mode: int
    strict: bool
    attributes: dict[str, bytes] | None = None
    date: tuple[int, int] | None = None

    def put_on(self, fd: int, *, last: bool = False) -> bool:
        """Dress the file behind ``fd``.

        Return False when its mode could not be set, unless this is the ``last`` try. Raise
        RefusedError when something cannot be kept that must be.
        """
        now = os.fstat(fd)
        if self.owner is not None and (now.st_uid, now.st_gid) != self.owner:
            try:
                os.fchown(fd, *self.owner)
            except OSError as error:
                if self.strict:
                    reason = "it belongs to another user, which could not be kept"
                    raise RefusedError(reason) from error
        if stat.S_IMODE(os.fstat(fd).st_mode) != self.mode:
            try:
                os.fchmod(fd, self.mode)
            except OSError as error:
                if not last:
                    return False
                if self.strict:
                    raise RefusedError("its access rights could not be kept") from error
        if self.attributes is not None:
            _give_attributes(fd, self.attributes)
        if self.date is not None:
            try:
                os.utime(fd, ns=self.date)
            except OSError as error:
                if error.errno not in _NOT_ALLOWED:
                    raise
                raise RefusedError("its date could not be kept") from error
        return True


def dress_as(folder: Folder, name: str, old: os.stat_result) -> FileAttributes:
    """Return what the file ``name``, with the stat ``old``, wears.

    Raise PhotoChangedError when it is another file now, RefusedError when what it wears cannot
    be read, OSError.
    """
    path = os.path.join(folder.path, name)
    changed = PhotoChangedError(
        f"{path} was changed by another program meanwhile", "it is looked at again"
    )
    try:
        fd = folder.open(name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
            raise changed from error
        raise
    try:
        now = os.fstat(fd)
        if (now.st_dev, now.st_ino) != (old.st_dev, old.st_ino):
            raise changed
        worn = _attributes(fd)
    finally:
        os.close(fd)
    return FileAttributes((old.st_uid, old.st_gid), stat.S_IMODE(old.st_mode), True, worn)


def _attributes(fd: int) -> dict[str, bytes]:
    """Return the extended attributes; ACLs are among them. Raise RefusedError."""
    found = {}
    try:
        for name in os.listxattr(fd):
            try:
                found[name] = os.getxattr(fd, name)
            except OSError as error:
                if error.errno != errno.ENODATA and not name.startswith(_OF_THE_SYSTEM):
                    raise
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return {}
        if error.errno not in _NOT_ALLOWED:
            raise
        raise RefusedError("its extended attributes could not be read") from error
    return found


def _give_attributes(fd: int, wanted: dict[str, bytes]) -> None:
    for name, value in wanted.items():
        try:
            os.setxattr(fd, name, value)
        except OSError as error:
            if name.startswith(_OF_THE_SYSTEM):
                continue
            raise RefusedError(
                f"its attribute {name} could not be kept ({error.strerror})"
            ) from error
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = os.listxattr(fd)
    for name in names:
        if name not in wanted and not name.startswith(_OF_THE_SYSTEM):
            try:
                os.removexattr(fd, name)  # an ACL that it got from the folder
            except OSError as error:
                message = f"it would get the attribute {name} ({error.strerror})"
                raise RefusedError(message) from error


def dress_like(like: os.stat_result | None) -> FileAttributes:
    """Return what a new sidecar wears: the photo's owner, and its rights."""
    if like is None:
        return FileAttributes(None, 0o600, strict=False)
    return FileAttributes((like.st_uid, like.st_gid), like.st_mode & 0o666 | 0o200, strict=False)
