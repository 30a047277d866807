"""Replacing a file so that there is never a third state: the old file or the new one.

The new content goes to a temporary file beside the old one, with its owner, mode, extended
attributes, ACL and (if wanted) its date, and is fsynced; only then the two change places.
Where the kernel can swap two names in one step, what was replaced is looked at once more
afterwards, and swapped back when it is not what was read: an edit by another program in
the last microsecond is not lost.

The disk begins to write at once, and what else is to be proved of the content is proved
meanwhile; then all is read back and compared.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from dataclasses import dataclass, field

from tagger.errors import (
    PhotoChangedError,
    PhotoVanishedError,
    RefusedError,
    WriteFailedError,
)
from tagger.files import open_untrusted
from tagger.metadata.putting import check_written, start_writeback, write_content
from tagger.metadata.spliced import Content, Spliced
from tagger.metadata.temporary import clean_once, remove_temporary, temporary_beside
from tagger.mounts import is_remote

_AT_FDCWD = -100
_NOREPLACE, _EXCHANGE = 1, 2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
MAX_READ = 128 << 20
"""Larger files are neither read as a whole nor written to."""


@dataclass(frozen=True, slots=True)
class Original:
    """A file as it was read: its bytes and the stat that belongs to them."""

    path: str
    data: bytes
    stat: os.stat_result


def read_original(path: str) -> Original | None:
    """Return the regular file at ``path``; ``None`` when there is nothing.

    Raise RefusedError for a link or anything else that is no regular file, or too large, and
    WriteFailedError when it cannot be read.
    """
    try:
        fd = open_untrusted(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise RefusedError("it is a symbolic link or a device") from error
        raise failed("read", path, error) from error
    try:
        try:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise RefusedError("it is no regular file")
            if found.st_size > MAX_READ:
                raise RefusedError("it is larger than 128 MB")
            with open(fd, "rb", buffering=0, closefd=False) as file:
                data = file.readall()
        finally:
            os.close(fd)
    except OSError as error:
        raise failed("read", path, error) from error
    if len(data) != found.st_size:
        raise PhotoChangedError(f"{path} changed while it was read", "it is looked at again")
    return Original(path, data, found)


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


@dataclass(slots=True)
class Staged:
    """A change that is ready: :meth:`commit` makes it visible, :meth:`discard` forgets it.

    ``original`` None: a new file. ``temporary`` empty: the file is to be deleted. ``placed``
    is the stat of what was put in place, whatever has taken its place since.
    """

    path: str
    original: Original | None
    temporary: str = ""
    done: bool = field(default=False)
    placed: os.stat_result | None = None

    def commit(self) -> None:
        """Put the new content in place, durably.

        Raise PhotoChangedError when the file is not the one that was read any more, and
        WriteFailedError; the file is then untouched and nothing is left behind.
        """
        try:
            self._check_unchanged(self.path)
            if not self.temporary:
                self._disappear()
            else:
                made = os.lstat(self.temporary)
                if self.original is None:
                    self._appear()
                else:
                    self._replace()
                self.placed = self._as_placed(made)
            _fsync_folder(os.path.dirname(self.path))
            self.done = True
        except OSError as error:
            raise failed("write", self.path, error) from error
        finally:
            self.discard()

    def _as_placed(self, made: os.stat_result) -> os.stat_result:
        """Return the stat of what was ``made``, now that it is in place.

        Another date than before is another program's edit, which the next look must see. But
        a client of SMB tells the server's date only when the file has got its name.
        """
        try:
            now = os.lstat(self.path)
        except OSError:
            return made  # gone again, as the next look will see
        same = (now.st_ino, now.st_size) == (made.st_ino, made.st_size)
        if same and now.st_mtime_ns != made.st_mtime_ns and is_remote(os.path.realpath(self.path)):
            return now
        return made

    def discard(self) -> None:
        """Remove the temporary file."""
        if self.temporary:
            remove_temporary(self.temporary)

    def _check_unchanged(self, path: str, *, swapped: bool = False) -> None:
        try:
            now: os.stat_result | None = os.lstat(path)
        except FileNotFoundError:
            now = None
        old = self.original.stat if self.original else None
        if now is None and old is None:
            return
        # Renaming a file changes its ctime.
        if now is None or old is None or _identity(now, swapped) != _identity(old, swapped):
            raise PhotoChangedError(
                f"{self.path} was changed by another program meanwhile", "it is looked at again"
            )

    def _appear(self) -> None:
        """Give the temporary file its name, unless something has that name already."""
        try:
            if not _rename(self.temporary, self.path, _NOREPLACE):
                with contextlib.suppress(FileExistsError):
                    os.link(self.temporary, self.path)
                    return
                self._check_unchanged(self.path)
                os.rename(self.temporary, self.path)
        except FileExistsError as error:
            raise PhotoChangedError(
                f"{self.path} was made by another program meanwhile", "it is looked at again"
            ) from error
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
            self._check_unchanged(self.path)  # a disk without hard links
            os.rename(self.temporary, self.path)

    def _disappear(self) -> None:
        """Delete the file: first moved away and looked at once more, as in a swap."""
        aside = temporary_beside(self.path)
        if not _rename(self.path, aside, _NOREPLACE):
            os.unlink(self.path)
            return
        self.temporary = aside
        try:
            self._check_unchanged(aside, swapped=True)
        except BaseException:
            self.temporary = ""  # never deleted, whatever happens
            if not _rename(aside, self.path, _NOREPLACE):
                os.rename(aside, self.path)
            raise

    def _replace(self) -> None:
        try:
            swapped = _rename(self.temporary, self.path, _EXCHANGE)
        except FileNotFoundError as error:
            raise PhotoVanishedError(f"{self.path} is gone", "nothing to do") from error
        if not swapped:
            os.rename(self.temporary, self.path)
            return
        try:
            self._check_unchanged(self.temporary, swapped=True)
        except BaseException:
            self._swap_back()
            raise

    def _swap_back(self) -> None:
        foreign, self.temporary = self.temporary, ""  # never deleted, whatever happens
        try:
            swapped = _rename(foreign, self.path, _EXCHANGE)
        except OSError:
            swapped = False
        if swapped:
            self.temporary = foreign
        else:
            os.rename(foreign, self.path)


def _identity(st: os.stat_result, swapped: bool) -> tuple[int, ...]:
    ctime = 0 if swapped else st.st_ctime_ns
    return st.st_ino, st.st_dev, st.st_size, st.st_mtime_ns, st.st_nlink, ctime


def stage(
    path: str,
    data: Content | None,
    original: Original | None,
    *,
    like: os.stat_result | None = None,
    keep_mtime: bool = False,
) -> Staged:
    """Write ``data`` (None: nothing, the file is to go) beside ``path``, ready to replace it.

    ``original`` is what is there now (None: nothing). A new file gets the owner and the
    access rights of ``like``. Raise WriteFailedError when the disk or the rights refuse,
    RefusedError when the file's owner or rights could not be kept, or the content must not be
    written.
    """
    if data is None:
        return Staged(path, original)
    folder = os.path.dirname(path)
    clean_once(folder)
    if original is not None and original.stat.st_nlink > 1:
        raise RefusedError(f"it has {original.stat.st_nlink} hard links")
    if original is not None and not original.stat.st_mode & 0o222:
        raise RefusedError("it is write-protected")
    temporary = temporary_beside(path)
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(temporary, flags, 0o600)
        try:
            write_content(fd, data)
            start_writeback(fd)
            if isinstance(data, Spliced):
                data.prove()
            check_written(fd, data, path)
            if original is not None:
                _dress_as(fd, original, keep_mtime)
            elif like is not None:
                _dress_like(fd, like)
            os.fsync(fd)
        finally:
            os.close(fd)
        # Linux's client of SMB takes the time of the next close for the date of a file that was
        # written: let that close be this one, and not that of whoever looks at the photo.
        with contextlib.suppress(PermissionError):  # its mode may let nobody read it
            os.close(open_untrusted(temporary))
    except OSError as error:
        remove_temporary(temporary)
        raise failed("write", path, error) from error
    except BaseException:
        remove_temporary(temporary)
        raise
    return Staged(path, original, temporary)


def _dress_as(fd: int, original: Original, keep_mtime: bool) -> None:
    """Give the new file what the old one has: owner, mode, attributes, ACL, date."""
    old = original.stat
    now = os.fstat(fd)
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(fd, old.st_uid, old.st_gid)
        except PermissionError as error:
            raise RefusedError("it belongs to another user, which could not be kept") from error
    os.fchmod(fd, stat.S_IMODE(old.st_mode))
    _copy_attributes(fd, original.path)
    if keep_mtime:
        os.utime(fd, ns=(old.st_atime_ns, old.st_mtime_ns))


def _copy_attributes(fd: int, path: str) -> None:
    """Copy extended attributes; ACLs are among them."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOSYS):
            return
        raise
    for name in names:
        try:
            os.setxattr(fd, name, os.getxattr(path, name, follow_symlinks=False))
        except OSError as error:
            # Labels that the system itself puts on files cannot be set by everyone.
            if name.startswith(("security.", "trusted.")):
                continue
            raise RefusedError(
                f"its attribute {name} could not be kept ({error.strerror})"
            ) from error
    for name in set(os.listxattr(fd)) - set(names):
        if not name.startswith(("security.", "trusted.")):
            os.removexattr(fd, name)  # an ACL that it got from the folder


def _dress_like(fd: int, like: os.stat_result) -> None:
    """Let a new sidecar belong to the photo's owner, with the photo's rights."""
    with contextlib.suppress(PermissionError):  # it is ours then, as any program's file
        os.fchown(fd, like.st_uid, like.st_gid)
    os.fchmod(fd, like.st_mode & 0o666 | 0o200)


_libc = ctypes.CDLL(None, use_errno=True)


def _rename(source: str, target: str, flag: int) -> bool:
    """Rename by renameat2(2); return False where kernel or file system have no such thing."""
    call = getattr(_libc, "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), target)


def _fsync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # network disks that cannot
            raise
    finally:
        os.close(fd)
