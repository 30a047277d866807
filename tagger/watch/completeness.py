"""Looks at one file: is it open for writing, and is its end there?"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat

from tagger.system.mounts import Mount
from tagger.system.open_beneath import held, open_beneath
from tagger.watch.file_end import completeness_of
from tagger.watch.stability import Completeness, Look

_NO_LEASE = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS}


def take_look(path: str, root: str, mount: Mount, *, wall: float, trust_times: float) -> Look:
    """Look at the regular file ``path`` in the watched folder ``root``, which is on ``mount``.

    ``wall`` is the time of day in seconds since the epoch. ``trust_times`` is how many
    seconds the file's own times may be off (0 on a local disk). On a network, others write
    unseen: no lease is asked for. Of a file that may not be opened only the stat is known.

    Raise OSError (FileNotFoundError, …) when there is no such regular file.
    """
    before = os.lstat(path)
    if not stat.S_ISREG(before.st_mode):
        raise FileNotFoundError(errno.ENOENT, "not a regular file", path)
    writer, completeness = None, Completeness.UNKNOWN
    try:
        fd = open_beneath(root, path)  # which does not wait for a lease either
    except FileNotFoundError:
        raise
    except OSError:
        after = before  # the decoder will say why it cannot be read
    else:
        with held(fd):
            if not mount.remote:
                writer = has_writer(fd)
            # What is being written is looked at often: its end is not searched for.
            completeness = completeness_of(fd, os.fstat(fd).st_size, search=writer is not True)
            after = os.fstat(fd)
    seen = mount.version(after)
    if seen != mount.version(before):
        writer, completeness = None, Completeness.UNKNOWN  # it changed meanwhile
    # The ctime cannot be set by anyone, so `cp -p` and `rsync -t` do not look old.
    idle = wall - max(after.st_mtime, after.st_ctime) - trust_times
    return Look(seen, max(0.0, idle), writer, completeness)


def has_writer(fd: int) -> bool | None:
    """Whether anybody has the file behind ``fd`` (opened read-only) open for writing.

    A read lease is granted only when nobody has (fcntl(2)). Return ``None`` when the
    system will not say: not our file and no CAP_LEASE, or no leases on this file system.
    """
    try:
        # A writer who opens the file just now breaks the lease, and the default signal
        # for that, SIGIO, would end this process. SIGURG is ignored by default.
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        if error.errno in _NO_LEASE:
            return None
        raise
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
