"""Disks that refuse: full, read-only, forbidden or broken. Their photos wait, and lose no try.

A photo that cannot be read or written is its own failure, unless the folder itself refuses
as well. Then all photos of that watched folder wait, and every few seconds it is asked again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tagger.config.schema import Config
from tagger.errors import PhotoUnreadableError, TaggerError, WriteFailedError
from tagger.records import Candidate
from tagger.system.files import PROBE, no_descriptors
from tagger.system.open_beneath import Folder
from tagger.watch.root_identity import MARKER

log = logging.getLogger(__name__)

NO_DESCRIPTORS = (
    "no file descriptor is left, photos wait for one: raise the limit (`LimitNOFILE`, `ulimit -n`)"
    " or close what holds them"
)
SINGLE_SECONDS = 60.0
"""For how long a single run waits for a file descriptor."""
LOOK_SECONDS = 5.0
"""How often a folder that refuses is asked again."""
ROOM = 1 << 16
"""Bytes that must fit on the disk besides a copy of the photo."""
FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
BROKEN = frozenset({errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENXIO})


@dataclass(slots=True)
class _Refusal:
    folder: str
    room: int
    why: str
    due: float


@dataclass(slots=True)
class _Exhausted:
    """Since when there is no file descriptor, and when that is asked again."""

    since: float
    due: float


class BlockedRoots:
    """Which watched folders of ``config`` can be worked in now, and which refuse. Thread-safe.

    ``is_online`` says whether the watched folder of a path can be trusted to be there.
    A folder that nothing is written to is never asked. ``changed`` is called when one begins
    or ends to refuse; ``clock`` is monotonic seconds. When this process, or the machine, has no
    file descriptor left, all photos wait. A ``single`` run waits for nothing else, and not for
    long: what is refused is to be said of each photo.
    """

    def __init__(
        self,
        config: Config,
        changed: Callable[[], None] = lambda: None,
        *,
        is_online: Callable[[str], bool] = lambda path: True,
        clock: Callable[[], float] = time.monotonic,
        single: bool = False,
    ) -> None:
        self.is_online, self._changed, self._clock = is_online, changed, clock
        self._patience = SINGLE_SECONDS if single else math.inf
        self._exhausted: _Exhausted | None = None
        self._gave_up = math.inf
        wanted = config.write.target != "none" and not single
        self._writable = {root.path for root in config.watch if wanted and not root.read_only}
        self._lock = threading.Lock()
        self._roots: dict[str, _Refusal] = {}
        self._parked: list[Candidate] = []

    def problem(self) -> str | None:
        """Return why photos wait, and what to do; None when none do."""
        with self._lock:
            said = [f"the photos of {root} wait: {one.why}" for root, one in self._roots.items()]
            if self._exhausted is not None:
                said.append(NO_DESCRIPTORS)
        return "; ".join(said) or None

    def is_blocked(self, root: str) -> bool:
        """Whether the photos of a watched folder are to wait; ask again when that is due."""
        if self._is_exhausted():
            return True
        refusal = self._roots.get(root)
        if refusal is None:
            return False
        with self._lock:
            if self._clock() < refusal.due:
                return True
            refusal.due = self._clock() + LOOK_SECONDS
        if _refuses(refusal.folder, root, refusal.room) is not None:
            return True
        with self._lock:
            self._roots.pop(root, None)
        log.info("%s can be written to again; its photos go on", root)
        self._changed()
        return False

    def _is_exhausted(self) -> bool:
        exhausted, now = self._exhausted, self._clock()
        if exhausted is None or now < exhausted.due:
            return exhausted is not None
        exhausted.due = now + LOOK_SECONDS
        if not _has_descriptors() and now < exhausted.since + self._patience:
            return True
        self._exhausted = None
        log.info("photos go on: files can be opened again")
        self._changed()
        return False

    def _wait_for_descriptors(self) -> bool:
        """Have all photos wait for file descriptors; return False if that took too long."""
        now = self._clock()
        with self._lock:
            if self._exhausted is None:
                if now > self._gave_up + self._patience:
                    return False
                self._exhausted = _Exhausted(now, now + LOOK_SECONDS)
                self._gave_up = min(self._gave_up, now)
                log.warning("%s", NO_DESCRIPTORS)
        self._changed()
        return True

    def park(self, candidate: Candidate, error: Exception) -> bool:
        """Whether ``error`` is no fault of the photo; it then waits in :meth:`parked`."""
        root = candidate.root
        if no_descriptors(error):
            if waits := self._wait_for_descriptors():
                with self._lock:
                    self._parked.append(candidate)
            return waits
        if root not in self._writable:
            return False
        if not isinstance(error, WriteFailedError | PhotoUnreadableError):
            return False
        if root not in self._roots:
            refusal = self._refusal(candidate, error)
            if refusal is None:
                return False
            with self._lock:
                self._roots[root] = refusal
            log.warning("%s; the photos of %s wait until that is over", error, root)
            self._changed()
        with self._lock:
            self._parked.append(candidate)
        return True

    def _refusal(self, candidate: Candidate, error: TaggerError) -> _Refusal | None:
        """Return how the folder of a photo refuses, if not only the photo itself does."""
        root, folder = candidate.root, os.path.dirname(candidate.path)
        room = candidate.stat.size + ROOM
        ours = os.path.lexists(os.path.join(root, MARKER))
        if isinstance(error, PhotoUnreadableError):
            # A photo of somebody else's, or a bad sector, is no fault of the folder.
            refuses = _errno(error) not in FORBIDDEN and _refuses(folder, root, room) in BROKEN
        elif _errno(error) in FORBIDDEN:
            # Nor is one that was never ours to write to: its tags go to the index only.
            folder = root
            refuses = ours and _refuses(folder, root, room) in FORBIDDEN
        else:
            refuses = _refuses(folder, root, room) is not None
        if not refuses:
            return None
        return _Refusal(folder, room, str(error), self._clock() + LOOK_SECONDS)

    def parked(self) -> list[Candidate]:
        """Return the photos that were parked since the last time."""
        with self._lock:
            parked, self._parked = self._parked, []
        return parked


def _errno(error: TaggerError) -> int | None:
    cause = error.__cause__
    return cause.errno if isinstance(cause, OSError) else None


def _refuses(folder: str, root: str, room: int) -> int | None:
    """Return the errno by which a folder of ``root`` refuses a file of ``room`` bytes, if any."""
    try:
        with Folder(root, folder) as there:
            _take_room(there, room)
    except OSError as error:
        # Of anything else, such as a folder that is gone, the watch takes care.
        return error.errno if error.errno in FORBIDDEN | FULL | BROKEN else None
    return None


def _take_room(folder: Folder, room: int) -> None:
    """Make a file of so many bytes, which is gone afterwards. Raise OSError."""
    name = ""
    try:
        fd = folder.open(".", os.O_WRONLY | os.O_TMPFILE, 0o600)
    except OSError:  # as most network disks
        name = PROBE
        fd = folder.open(name, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK, 0o600)
    try:
        os.posix_fallocate(fd, 0, room)
        os.fsync(fd)
    finally:
        try:
            if name:
                folder.unlink(name)
        except OSError:
            os.ftruncate(fd, 0)  # it stays where nothing is deleted
        finally:
            os.close(fd)


def _has_descriptors() -> bool:
    """Whether a few files can be opened at once, as handling a photo needs."""
    try:
        with contextlib.ExitStack() as opened:
            for _ in range(8):
                opened.enter_context(open(os.devnull, "rb"))
    except OSError:
        return False
    return True
