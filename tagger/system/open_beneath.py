"""Opening what is beneath a watched folder, and never anything else.

A folder's owner may change one of its folders for a link at any moment, again and again. Who
asks for a path by its name then reads or writes wherever that link leads, with rights that its
owner has not. So everything begins at the watched folder, and no link below it is followed: by
openat2(2) with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, or, where the kernel or a filter of
system calls has no such thing, one component after the other with O_NOFOLLOW. What is then done
in a folder is done relative to its descriptor.

The watched folder itself may be reached through links: those of root and of the user that we
run as, and others that lead to a folder of their own owner's.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
from collections import deque
from collections.abc import Iterator

_OPENAT2 = 437
_NO_SYMLINKS, _BENEATH = 0x04, 0x08
_TRIES = 8
"""The kernel asks to try again (EAGAIN) when something was renamed meanwhile."""
_MAX_LINKS = 40
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""How a stranger's file is opened: a FIFO in its place is not waited for."""
LEADS_AWAY = frozenset({errno.ELOOP, errno.EXDEV, errno.ENOTDIR})
"""What opening fails with when something above the file is a link, or no folder any more."""

_GET_FLAGS = (2 << 30) | (struct.calcsize("l") << 16) | (ord("f") << 8) | 1
NOREPLACE, EXCHANGE = 1, 2
"""Flags of renameat2(2): over nothing; or both change places."""
IMMUTABLE, APPEND = 0x10, 0x20
"""Flags of a file: nothing of it changes; it, or what is in a folder, only grows."""

_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def held(fd: int) -> Iterator[int]:
    """Close a descriptor at the end of the block."""
    try:
        yield fd
    finally:
        os.close(fd)


def open_root(root: str) -> int:
    """Return a descriptor (O_PATH) of the folder ``root``. Raise OSError.

    It is ELOOP when a link of somebody else's than root and us leads to a folder that is not
    that one's own either.
    """
    try:
        return _open(None, os.path.abspath(root), _FOLDER)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
    return _follow(root)


def open_beneath(root: str, path: str, flags: int = READ, mode: int = 0) -> int:
    """Return a descriptor of ``path``, which is inside the folder ``root``; no link is followed.

    ``flags`` and ``mode`` are those of open(2). Raise OSError: ELOOP for a link, EXDEV for a
    path that is not inside.
    """
    inside = _inside(root, path)
    with held(open_root(root)) as at:
        try:
            return _open(at, inside, flags | os.O_CLOEXEC, mode)
        except OSError as error:
            raise OSError(error.errno, error.strerror, path) from error


def open_regular(root: str, path: str) -> int:
    """Return a descriptor to read the regular file ``path`` inside ``root``.

    Raise OSError as :func:`open_beneath`, ENXIO for what is no regular file.
    """
    fd = open_beneath(root, path)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.ENXIO, "not a regular file", path)
    except BaseException:
        os.close(fd)
        raise
    return fd


class Folder:
    """The folder ``path`` beneath ``root``, open: what is done in it, is done in this very one.

    Every method raises OSError. Its descriptor is closed with the object at the latest.
    """

    __slots__ = ("fd", "path")

    def __init__(self, root: str, path: str) -> None:
        self.fd, self.path = -1, path
        is_root = os.path.normpath(path) == os.path.normpath(root)
        self.fd = open_root(root) if is_root else open_beneath(root, path, _FOLDER)

    @classmethod
    def above(cls, root: str, path: str) -> Folder:
        """Return the folder of the file ``path``, which is beneath ``root``."""
        return cls(root, os.path.dirname(path))

    def close(self) -> None:
        """Close the descriptor; the folder is of no use any more."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):  # a folder was only read: nothing is lost
                os.close(fd)

    __del__ = close

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def open(self, name: str, flags: int = READ, mode: int = 0) -> int:
        """Return a descriptor of the file ``name``; a link is not followed.

        With O_TMPFILE, and the name ".", it is that of a new file without a name.
        """
        return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.fd)

    def flags(self, name: str) -> int:
        """Return the flags of chattr(1) that a file has; 0 where the file system has none."""
        answer = array.array("i", [0, 0])  # the kernel writes an int, whatever the number says
        try:
            with held(self.open(name)) as fd:
                fcntl.ioctl(fd, _GET_FLAGS, answer)
        except OSError:
            return 0
        return answer[0]

    def device(self) -> int:
        return os.fstat(self.fd).st_dev

    def stat(self, name: str) -> os.stat_result:
        """Return the stat of ``name``, of a link that of itself."""
        return os.stat(name, dir_fd=self.fd, follow_symlinks=False)

    def has(self, name: str) -> bool:
        try:
            self.stat(name)
        except OSError:
            return False
        return True

    def names(self) -> list[str]:
        with held(self.open(".", os.O_RDONLY | os.O_DIRECTORY)) as fd:
            return os.listdir(fd)

    def unlink(self, name: str) -> None:
        os.unlink(name, dir_fd=self.fd)

    def rename(self, name: str, new: str) -> None:
        """Rename, over a file called ``new`` if there is one."""
        os.rename(name, new, src_dir_fd=self.fd, dst_dir_fd=self.fd)

    def rename2(self, name: str, new: str, flags: int) -> None:
        """Rename by renameat2(2); ENOSYS where there is no such thing."""
        _rename2(self.fd, name, self.fd, new, flags)

    def link(self, name: str, new: str) -> None:
        """Give the file ``name`` a second name; FileExistsError when there is one."""
        os.link(name, new, src_dir_fd=self.fd, dst_dir_fd=self.fd, follow_symlinks=False)

    def link_open(self, fd: int, new: str) -> None:
        """Give an open file without a name (O_TMPFILE) one."""
        source = f"/proc/self/fd/{fd}"
        os.link(source, new, dst_dir_fd=self.fd, follow_symlinks=True)

    def fsync(self) -> None:
        """Let the names in the folder reach the disk."""
        with held(self.open(".", os.O_RDONLY | os.O_DIRECTORY)) as fd:
            os.fsync(fd)


class Beneath:
    """The folders beneath ``root`` that one piece of work is about, each opened once."""

    __slots__ = ("_folders", "root")

    def __init__(self, root: str) -> None:
        self.root = root
        self._folders: dict[str, Folder] = {}

    def at(self, path: str) -> tuple[Folder, str]:
        """Return the folder of the file ``path``, open, and the file's name. Raise OSError."""
        above, name = os.path.split(path)
        folder = self._folders.get(above)
        if folder is None:
            folder = self._folders[above] = Folder(self.root, above)
        return folder, name


def move(source: tuple[str, str], target: tuple[str, str]) -> None:
    """Rename a file, each given by its watched folder and its path; over nothing.

    Raise OSError: FileExistsError when something has that name.
    """
    old, new = os.path.split(source[1]), os.path.split(target[1])
    with Folder(source[0], old[0]) as here, Folder(target[0], new[0]) as there:
        try:
            _rename2(here.fd, old[1], there.fd, new[1], NOREPLACE)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM):
                raise
            if there.has(new[1]):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target[1]) from error
            os.rename(old[1], new[1], src_dir_fd=here.fd, dst_dir_fd=there.fd)


def _rename2(here: int, name: str, there: int, new: str, flags: int) -> None:
    call = getattr(_libc, "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), new)
    if call(here, os.fsencode(name), there, os.fsencode(new), flags) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), new)


def _inside(root: str, path: str) -> str:
    """Return the way from ``root`` to ``path``; raise OSError (EXDEV) when there is none."""
    top = os.path.normpath(root).rstrip("/") + "/"
    if not path.startswith(top) or ".." in path[len(top) :].split("/"):
        raise OSError(errno.EXDEV, f"not inside {root}", path)
    return path[len(top) :].lstrip("/") or "."


def _open(at: int | None, path: str, flags: int, mode: int = 0) -> int:
    """Open ``path`` without following any link: below ``at``, or (None) an absolute one."""
    if "\0" in path:  # the kernel would take what stands before it
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    resolve = _NO_SYMLINKS if at is None else _NO_SYMLINKS | _BENEATH
    how = struct.pack("=3Q", flags, mode, resolve)  # struct open_how
    for _ in range(_TRIES):
        fd: int = _libc.syscall(
            ctypes.c_long(_OPENAT2),
            ctypes.c_int(-100 if at is None else at),
            ctypes.c_char_p(os.fsencode(path)),
            ctypes.c_char_p(how),
            ctypes.c_size_t(len(how)),
        )
        if fd >= 0:
            return fd
        number = ctypes.get_errno()
        if number in (errno.ENOSYS, errno.EPERM):
            return _step_by_step(at, path, flags, mode)
        if number not in (errno.EAGAIN, errno.EINTR):
            raise OSError(number, os.strerror(number), path)
    return _step_by_step(at, path, flags, mode)


def _step_by_step(at: int | None, path: str, flags: int, mode: int) -> int:
    """Do what :func:`_open` does on an old kernel."""
    *above, last = [name for name in path.split("/") if name not in ("", ".")] or ["."]
    folder = os.open("/", _FOLDER) if at is None else os.dup(at)
    try:
        for name in above:
            inner = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(last, flags | os.O_NOFOLLOW, mode, dir_fd=folder)
    finally:
        os.close(folder)


def _follow(path: str) -> int:
    """Open a folder through those links that may be trusted."""
    strangers: set[int] = set()
    left = deque(os.path.abspath(path).split("/"))
    folder, links = os.open("/", _FOLDER), 0
    try:
        while left:
            name = left.popleft()
            if name in ("", "."):
                continue
            inner = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            found = os.fstat(inner)
            if not stat.S_ISLNK(found.st_mode):
                os.close(folder)
                folder = inner
                continue
            with held(inner):
                text = os.readlink("", dir_fd=inner)
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            if found.st_uid not in (0, os.geteuid()):
                strangers.add(found.st_uid)
            if text.startswith("/"):
                os.close(folder)
                folder = os.open("/", _FOLDER)
            left.extendleft(reversed(text.split("/")))
        found = os.fstat(folder)
        if not stat.S_ISDIR(found.st_mode):
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        if strangers - {found.st_uid}:
            said = "a link of another user leads to it (name the folder itself in the config)"
            raise OSError(errno.ELOOP, said, path)
        return os.dup(folder)
    finally:
        os.close(folder)
