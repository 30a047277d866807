"""The events of one root, and whether they can be relied on; if not, it is polled.

They are when the file system reports every change, watchdog could watch the root, inotify watches
are left over (a limit reached halfway gives no error), and a canary file made in the root was
reported. In doubt all of this is checked again.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import threading
import time
from collections.abc import Iterator
from typing import Literal

from tagger.config.schema import WatchRoot
from tagger.system.files import CANARY_PREFIX
from tagger.system.mounts import Mounts
from tagger.system.open_beneath import APPEND, Folder
from tagger.watch.events import EventSource, EventSourceFactory, Hint, Kind
from tagger.watch.interfaces import Clock
from tagger.watch.root_identity import remove_strays
from tagger.watch.stall_timer import StallTimer

log = logging.getLogger(__name__)

CANARY_SECONDS = 3.0
"""How long a canary may take to be reported."""
MAX_LOSSES = 5
"""After so many queue overflows within RETRY_SECONDS events are given up for a while."""
RETRY_SECONDS = 1800.0
"""How long after a failure events are tried again."""
_MAX_QUEUED = "/proc/sys/fs/inotify/max_queued_events"
_LIMITS = {
    errno.ENOSPC: "the inotify watch limit is reached: raise fs.inotify.max_user_watches",
    errno.EMFILE: "no inotify instance is left: raise fs.inotify.max_user_instances",
}

Mode = Literal["events", "poll"]


class EventFeed:
    """The events of one root, and whether they can be relied on.

    ``mode`` is the mode in use, ``reason`` why it is "poll". All times are seconds of
    ``clock``. Not thread-safe: one thread owns it. ``stall`` is paused meanwhile: to listen takes
    a look into every folder, and may have to wait for the turn of other roots.
    """

    def __init__(
        self,
        root: WatchRoot,
        factory: EventSourceFactory,
        wake: threading.Event,
        clock: Clock = time.monotonic,
        *,
        stall: StallTimer | None = None,
        max_queued: int | None = None,
    ) -> None:
        self.root = root
        self.mode: Mode = "poll"
        self.reason = ""
        self._factory, self._wake, self._clock = factory, wake, clock
        self._stall = stall or StallTimer(clock)
        self._max_queued = _read_int(_MAX_QUEUED) if max_queued is None else max_queued
        self._source: EventSource | None = None
        self._canary: str | None = None
        self._deadline = self._retry_at = math.inf
        self._warned: set[str] = set()
        self._count = 0
        self._losses: list[float] = []

    @property
    def is_proving(self) -> bool:
        """Whether a canary was sent and not reported yet."""
        return self._canary is not None

    def arm(self, mounts: Mounts) -> None:
        """Begin to listen if that makes sense here, otherwise fall back to polling."""
        with self._stall.paused():
            self._arm(mounts)

    def _arm(self, mounts: Mounts) -> None:
        self.disarm()
        reason = self._no_events_here(mounts)
        if reason:
            self._poll(reason, math.inf, warn=self.root.mode == "auto")
            return
        if not self.root.read_only:
            remove_strays(self.root.path)
        source = self._factory(self.root, self._wake)
        try:
            source.start()
        except OSError as error:
            self._fall_back(_LIMITS.get(error.errno or 0, f"cannot watch it: {error}"))
            return
        except RecursionError:
            self._fall_back("folders lie too deep in each other to be watched")
            return
        except Exception as error:
            log.exception("watching %r failed", self.root.path)
            self._fall_back(f"cannot watch it: {type(error).__name__}: {error}")
            return
        self._source = source
        self.mode, self.reason = "events", ""
        self.prove(doubt=True)

    def disarm(self) -> None:
        """Stop listening; the limit on watches is shared with the user's other programs."""
        if self._source is not None:
            self._source.stop()
            self._source = None
        self._canary, self._deadline, self._retry_at = None, math.inf, math.inf

    def hints(self) -> Iterator[Hint]:
        """Yield the hints since the last call; the canary is left out."""
        if self._source is None:
            return
        for hint in self._source:
            if hint.kind is Kind.CANARY:
                if hint.path == self._canary:
                    self._canary, self._deadline = None, math.inf
            else:
                yield hint

    def prove(self, *, doubt: bool) -> None:
        """Check again that events arrive; with ``doubt``, by a new canary too.

        The canary is left out otherwise, for its write would wake a sleeping disk.
        """
        if self._source is None:
            return
        with self._stall.paused():
            limit = self._limit_reached()
            if limit:
                self._fall_back(limit)
            elif doubt and not self.root.read_only and self._canary is None:
                self._send_canary()

    def lost(self, mounts: Mounts) -> None:
        """Listen anew after an overflow; poll if they overflow again and again."""
        now = self._clock()
        self._losses = [at for at in self._losses if now - at < RETRY_SECONDS] + [now]
        if len(self._losses) > MAX_LOSSES:
            self._losses.clear()
            self._fall_back("its events come faster than they can be read")
        elif self._source is not None:
            self.arm(mounts)

    def check(self, mounts: Mounts) -> bool:
        """Act on what went wrong meanwhile; return whether a full scan is needed."""
        now = self._clock()
        if self._source is not None and not self._source.alive():
            log.warning("watching %r ended by itself; watching it anew", self.root.path)
            self.arm(mounts)
        elif now >= self._deadline:
            self._fall_back("its events do not arrive (a file made in it was not heard of)")
        elif now >= self._retry_at:
            self.arm(mounts)
        else:
            return False
        return True

    def too_many_folders(self, folders: int) -> None:
        """Poll when listening anew after an overflow would overflow the queue again."""
        if self._source is not None and self._max_queued and folders > self._max_queued // 2:
            self._fall_back(
                f"its {folders} folders are too many: raise fs.inotify.max_queued_events"
            )

    def next_due(self) -> float:
        """Return when :meth:`check` has something to do at the latest."""
        return min(self._deadline, self._retry_at)

    def _no_events_here(self, mounts: Mounts) -> str:
        if self.root.mode == "poll":
            return "mode: poll in the config"
        if self.root.mode == "events":
            return ""
        path = os.path.realpath(self.root.path)
        for mount in (mounts.of(path), *mounts.below(path)):
            if mount.remote:
                if mount.mountpoint == "/":
                    return f"no events from others on {mount.fstype}"
                return f"no events from others on {mount.fstype} at {mount.mountpoint}"
        return ""

    def _limit_reached(self) -> str:
        # Folders for which no watch is left are skipped without an error: one more is asked for.
        extra = self._factory(WatchRoot(self.root.path, recursive=False), threading.Event())
        try:
            extra.start()
        except OSError as error:
            return _LIMITS.get(error.errno or 0, "")
        extra.stop()
        return ""

    def _send_canary(self) -> None:
        self._count += 1
        name = f"{CANARY_PREFIX}{os.getpid()}-{self._count}"
        try:
            with Folder(self.root.path, self.root.path) as folder:
                if folder.flags(".") & APPEND:
                    return  # it would stay; where there is such a flag, events arrive
                left = [entry for entry in folder.names() if entry.startswith(CANARY_PREFIX)]
                name = left[0] if left else name  # where nothing is deleted
                flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK
                os.close(folder.open(name, flags, 0o600))
                with contextlib.suppress(OSError):
                    folder.unlink(name)
        except OSError as error:
            log.debug("no canary in %r: %s", self.root.path, error)
            return
        self._canary = os.path.join(self.root.path, name)
        self._deadline = self._clock() + CANARY_SECONDS

    def _fall_back(self, reason: str) -> None:
        self.disarm()
        self._poll(reason, self._clock() + RETRY_SECONDS, warn=True)

    def _poll(self, reason: str, retry_at: float, *, warn: bool) -> None:
        self.mode, self.reason, self._retry_at = "poll", reason, retry_at
        if warn and reason not in self._warned:
            self._warned.add(reason)
            log.warning("%r is polled, for events cannot be relied on: %s", self.root.path, reason)


def _read_int(path: str) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0
