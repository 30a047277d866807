"""Files: stat, digest and sidecars of photos; durable replacement of our own files."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable

import xxhash

from tagger.errors import (
    PhotoChangedError,
    PhotoForbiddenError,
    PhotoUnreadableError,
    PhotoVanishedError,
)
from tagger.records import FileStat
from tagger.system.open_beneath import LEADS_AWAY, held, open_regular
from tagger.system.path_spelling import spelled
from tagger.system.paths import OWN_PREFIX, sidecar_paths

CANARY_PREFIX = OWN_PREFIX + "canary-"
"""How the names of empty files begin that are made to be heard of, or to ask a folder what it
allows. Where nothing is deleted one stays, and serves for all."""
PROBE = CANARY_PREFIX + "probe.tmp"


def no_descriptors(error: BaseException | None) -> bool:
    """Whether an error comes from having no file descriptor left: no file's or disk's fault."""
    for _ in range(10):
        if error is None:
            return False
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            return True
        error = error.__cause__ or error.__context__
    return False


def open_untrusted(path: str) -> int:
    """Return a descriptor to read what is at ``path``; raise OSError.

    It may have become a link, which is not followed, or a FIFO, which is not waited for.
    """
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def open_photo(path: str, root: str) -> int:
    """Return a descriptor to read the photo ``path`` in the watched folder ``root``.

    It is a regular file, and no link between the two was followed. Raise PhotoVanishedError
    when there is no such thing (any more), PhotoUnreadableError when it may not be read.
    """
    try:
        return open_regular(root, path)
    except FileNotFoundError as error:
        raise PhotoVanishedError(f"{path} is gone", "nothing to do") from error
    except OSError as error:
        if error.errno in LEADS_AWAY:
            raise PhotoVanishedError(
                f"{path}, or a folder above it, is a link now", "nothing to do"
            ) from error
        if error.errno == errno.ENXIO:
            raise PhotoVanishedError(
                f"{path} is no regular file any more", "nothing to do"
            ) from error
        raise unreadable(path, error) from error


def hash_file(
    path: str, root: str, expected: FileStat, stop: Callable[[], bool] = lambda: False
) -> bytes:
    """Return the XXH3-128 digest of the bytes of the photo ``path`` in the folder ``root``.

    It tells a changed or copied file, thirty times as fast as a cryptographic one would; it
    proves nothing against a forger, who would gain no more than another photo's tags.

    Raise PhotoVanishedError when it is gone or is not the ``expected`` version any more, or
    ``stop`` asks to end early; PhotoUnreadableError when it cannot be read.
    """
    digest = xxhash.xxh3_128()
    try:
        with open(open_photo(path, root), "rb", buffering=0) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
                if stop():
                    raise PhotoVanishedError(f"{path} was not read to its end", "nothing to do")
            after = FileStat.of(os.fstat(file.fileno()))
    except OSError as error:
        raise unreadable(path, error) from error
    if not after.same_version(expected):
        raise PhotoChangedError(f"{path} changed while it was read", "it is looked at again")
    return digest.digest()


def unreadable(path: str, error: OSError) -> PhotoUnreadableError:
    """Return what is to be raised when the photo at ``path`` cannot be read."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return PhotoForbiddenError(
            f"cannot read {path}: {error.strerror}", "give the user that runs tagger the right to"
        )
    return PhotoUnreadableError(f"cannot read {path}: {error.strerror}", "check the disk")


def is_readable(path: str) -> bool:
    """Whether we have the right to read a file; only opening it tells, on a network disk."""
    try:
        os.close(open_untrusted(path))
    except OSError:
        return False
    return True


def is_writable(folder: str) -> bool:
    """Whether a file may be made in ``folder``, as far as rights and the mount tell."""
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)


def photo_stat(path: str) -> FileStat:
    """Return the stat of the photo at ``path``.

    Raise PhotoVanishedError when no regular file is there, PhotoUnreadableError when its
    folder cannot be read.
    """
    try:
        found = os.lstat(path)
    except FileNotFoundError as error:
        raise PhotoVanishedError(f"{path} is gone", "nothing to do") from error
    except OSError as error:
        raise PhotoUnreadableError(
            f"cannot look at {path}: {error.strerror}", "check the rights of its folder"
        ) from error
    if not stat.S_ISREG(found.st_mode):
        raise PhotoVanishedError(f"{path} is no regular file any more", "nothing to do")
    return FileStat.of(found)


def leads_out(path: str, root: str) -> bool:
    """Whether a folder between ``root`` and the file ``path`` is a link (the root may be one).

    One that was a link, and is none any more when it is read, counts as one.
    """
    folder = os.path.dirname(path)
    inside = os.path.relpath(folder, root)
    try:
        return os.path.realpath(folder) != os.path.normpath(
            os.path.join(os.path.realpath(root), inside)
        )
    except OSError as error:  # not strict, but what is seen as a link must be read
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
            return True
        raise


def sidecar_stat(path: str) -> FileStat | None:
    """Return the stat of the sidecars of the photo at ``path`` that exist, together."""
    return FileStat.together([FileStat.of(one) for one in sidecar_stats(path)])


def sidecar_stats(path: str) -> tuple[os.stat_result, ...]:
    """Return the stats of the sidecars of the photo at ``path`` that exist."""
    return stats_of(sidecar_paths(path))


def stats_of(places: Iterable[str]) -> tuple[os.stat_result, ...]:
    """Return the stats of those of the files ``places`` that exist; links are not followed."""
    found = []
    for place in places:
        with contextlib.suppress(OSError):
            found.append(os.lstat(place))
    return tuple(found)


_PARTED = OWN_PREFIX + "parted-"


def parted_path(path: str, digest: bytes) -> str:
    """Return the path, where no file is, under which a photo is remembered that lost ``path``.

    Another one has its name now; by the ``digest`` of its bytes it is found again.
    """
    folder, name = os.path.split(path)
    return os.path.join(folder, _PARTED + digest.hex()[:16], name)


def former_path(path: str) -> str:
    """Return where the photo was that is remembered under ``path``, see :func:`parted_path`."""
    folder, name = os.path.split(path)
    above, last = os.path.split(folder)
    return os.path.join(above, name) if last.startswith(_PARTED) else path


def is_absent(path: str, root: str | None = None) -> bool:
    """Whether there is surely no regular file at ``path``; a disk error is no proof.

    With its ``root``, one that has another spelling below it by now is not there either.
    """
    try:
        there = stat.S_ISREG(os.lstat(path).st_mode)
        return not there or (root is not None and spelled(path, root) != path)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)


def replace_atomically(
    path: str,
    data: bytes,
    *,
    mode: int = 0o666,
    like: os.stat_result | None = None,
    durable: bool = True,
    unique: bool = False,
) -> None:
    """Make ``data`` the file at ``path``, which is whole at every moment. Raise OSError.

    ``mode`` is that of a new file, as of open(2); ``like``: mode and owner of this one instead.
    ``durable``: so also after a power cut. ``unique``: several processes may do so at once; what
    one that is killed leaves is then not cleared by the next. After an error nothing is left.
    """
    part = f"{path}.{secrets.token_hex(4)}.part" if unique else f"{path}.part"
    if not unique:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            if like is not None:
                os.fchmod(fd, stat.S_IMODE(like.st_mode))
                if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(fd, like.st_uid, like.st_gid)
            if durable:
                file.flush()
                os.fsync(fd)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    if durable:
        fsync_folder(os.path.dirname(path))


def move_into_place(part: str, path: str) -> None:
    """Rename the finished file ``part`` to ``path``, durably. Raise OSError.

    After a power cut all of it is there, or what was there before.
    """
    _fsync(part)
    os.replace(part, path)
    fsync_folder(os.path.dirname(path))


def fsync_folder(folder: str) -> None:
    """Let the names in ``folder`` reach the disk. Raise OSError."""
    try:
        _fsync(folder or ".")
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that cannot, see fsync(2)
            raise


def _fsync(path: str) -> None:
    with held(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as fd:
        os.fsync(fd)


class SpareDescriptor:
    """A file descriptor that is kept for when there is no other left. For one thread."""

    def __init__(self) -> None:
        self._fd: int | None = None
        self._take()

    def call(self, do: Callable[[], None]) -> None:
        """Call ``do``, which needs one file at a time; raise what it raises.

        When no descriptor is left it is called once more, with the spare one.
        """
        try:
            do()
        except OSError as error:
            if self._fd is None or not no_descriptors(error):
                raise
            self._release()
            do()
        finally:
            self._take()

    def _take(self) -> None:
        if self._fd is None:
            with contextlib.suppress(OSError):  # tried again after the next call
                self._fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __del__(self) -> None:
        self._release()
