"""One file to another folder, over nothing, whole at every moment: renamed, or copied.

Folders are opened once (:mod:`tagger.system.open_beneath`): whoever changes one of them for a link
meanwhile gains nothing. A copy has the date, the rights and the attributes of the file.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import stat
from collections.abc import Callable, Iterator

import xxhash

from tagger.system.open_beneath import NOREPLACE, Folder, move, open_regular

_PIECE = 1 << 20


def numbered_names(path: str) -> Iterator[str]:
    """Yield names for a file in another folder: its own, then ``name (2).jpg`` and on."""
    name = os.path.basename(path)
    stem, suffix = os.path.splitext(name)
    yield name
    for number in itertools.count(2):
        yield f"{stem} ({number}){suffix}"


class StoppedEarlyError(OSError):
    """The copy was not finished, as the program is to stop; nothing is left of it."""

    def __init__(self, name: str) -> None:
        super().__init__(errno.EINTR, "stopped before it was copied", name)


def move_file(
    source: tuple[str, str], target: tuple[str, str], partial: str, stop: Callable[[], bool]
) -> None:
    """Move a file, each given by a folder to be trusted and a path in it; over nothing.

    To another disk it is copied, as ``partial`` at first, and the original deleted once the copy
    is on the disk. Raise OSError (FileExistsError when something has the name; ESTALE when the
    file changed meanwhile); it is where it was then.
    """
    try:
        move(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    else:
        _sync(source, target)
        return
    before = copy_file(source, target, partial, stop, strict=True)[1]
    name, other = os.path.basename(source[1]), os.path.basename(target[1])
    with Folder.above(*source) as here, Folder.above(*target) as there:
        try:
            if _version(here.stat(name)) != _version(before):
                raise OSError(errno.ESTALE, "it changed while it was copied", source[1])
            here.unlink(name)
        except OSError:
            there.unlink(other)
            raise
    _sync(source)


def copy_file(
    source: tuple[str, str],
    target: tuple[str, str],
    partial: str,
    stop: Callable[[], bool],
    *,
    strict: bool = False,
) -> tuple[str, os.stat_result]:
    """Copy a regular file, given as for :func:`move_file`; return its digest, and its stat.

    ``strict``: raise OSError when the date, or an attribute of the user's, cannot be kept.
    """
    name, new = os.path.basename(source[1]), os.path.basename(target[1])
    with Folder.above(*source) as here, Folder.above(*target) as there:
        with contextlib.suppress(FileNotFoundError):
            there.unlink(partial)  # of a crash
        with open(here.open(name, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0) as old:
            found = os.fstat(old.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.ENXIO, "not a regular file", source[1])
            fd = there.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with open(fd, "wb", buffering=0) as made:
                    digest = xxhash.xxh3_128()
                    while piece := old.read(_PIECE):
                        digest.update(piece)
                        _write(made.fileno(), piece)
                        if stop():
                            raise StoppedEarlyError(source[1])
                    _dress(old.fileno(), made.fileno(), found, strict=strict)
                    os.fsync(made.fileno())
                give_name(there, partial, new)
            except BaseException:
                with contextlib.suppress(OSError):
                    there.unlink(partial)
                raise
        there.fsync()
        return digest.hexdigest(), found


def digest_of(root: str, path: str) -> str:
    """Return the digest that :func:`copy_file` gives, of a file now. Raise OSError."""
    digest = xxhash.xxh3_128()
    with open(open_regular(root, path), "rb", buffering=0) as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _write(fd: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(fd, left) :]


def _dress(old: int, new: int, found: os.stat_result, *, strict: bool) -> None:
    """Give a copy the owner, the rights, the attributes and the date, as far as that can be."""
    with contextlib.suppress(OSError):
        if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(new, found.st_uid, found.st_gid)
    with contextlib.suppress(OSError):
        os.fchmod(new, stat.S_IMODE(found.st_mode))
    names: list[str] = []
    with contextlib.suppress(OSError):  # a file system without any
        names = os.listxattr(old)
    for name in names:
        try:
            os.setxattr(new, name, os.getxattr(old, name))
        except OSError as error:
            if strict and name.startswith("user."):
                raise OSError(
                    error.errno, f"its attribute {name} cannot be kept: {error.strerror}"
                ) from error
    try:
        os.utime(new, ns=(found.st_atime_ns, found.st_mtime_ns))
    except OSError as error:
        if strict:
            said = f"its date cannot be kept: {error.strerror}"
            raise OSError(error.errno, said) from error


def give_name(folder: Folder, partial: str, new: str) -> None:
    """Give a complete copy its name; raise FileExistsError when something has it."""
    try:
        folder.rename2(partial, new, NOREPLACE)
    except FileExistsError:
        raise
    except OSError:  # this file system knows no such renaming
        try:
            folder.link(partial, new)
        except FileExistsError:
            raise
        except OSError:
            if folder.has(new):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from None
            folder.rename(partial, new)
        else:
            folder.unlink(partial)


def _version(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _sync(*places: tuple[str, str]) -> None:
    """Let the names reach the disk, the new one first; not every file system can."""
    for root, path in reversed(places):
        with contextlib.suppress(OSError), Folder.above(root, path) as folder:
            folder.fsync()
