"""One photo is changed by one at a time: the daemon, the page, or a command beside them.

The lock of a photo is one byte of the file ``photos.lock`` in the state directory, held by an
open file description (fcntl(2), F_OFD_SETLK): it ends with its process, whatever that dies of.
Nobody waits without end: who holds the locks of several photos does not wait for another's for
long, and everybody else holds one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

LOCK_NAME = "photos.lock"
WAIT_SECONDS = 30.0
"""So long a command, or the page, waits for the daemon to be done with a photo."""
STEP_SECONDS = 0.02
_BUSY = (errno.EAGAIN, errno.EACCES)


class PhotoLocks:
    """The photos that are held until the end of :func:`photo_locks`."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def take(self, path: str, seconds: float) -> bool:
        """Hold the photo ``path``; return whether nobody else did for so long."""
        if self._fd < 0:
            return True
        place = hashlib.blake2b(os.fsencode(path), digest_size=7).digest()
        lock = struct.pack(
            "hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, int.from_bytes(place, "big"), 1, 0
        )
        end = time.monotonic() + seconds
        while True:
            try:
                fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, lock)
                return True
            except OSError as error:
                if error.errno not in _BUSY:
                    log.debug("%s cannot be locked: %s", path, error)
                    return True  # a system without such locks: as before there were any
                if time.monotonic() >= end:
                    return False
                time.sleep(STEP_SECONDS)


@contextmanager
def photo_locks(state_dir: str) -> Iterator[PhotoLocks]:
    """Hold photos of the index in ``state_dir`` until the end of the block."""
    fd = -1
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(os.path.join(state_dir, LOCK_NAME), flags, 0o640)
    except OSError as error:  # without room, or rights, the work goes on as well
        log.debug("%s cannot be opened: %s", LOCK_NAME, error)
    try:
        yield PhotoLocks(fd)
    finally:
        if fd >= 0:
            os.close(fd)
