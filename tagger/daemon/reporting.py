"""Who is given the record of each tick: the status file, systemd, Prometheus, the progress bar."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tagger.daemon.metrics import Metrics
from tagger.index.connection import concerns_index
from tagger.library.daemon_status import NO_PROGRESS, DaemonStatus, ProgressSnapshot
from tagger.system.files import SpareDescriptor
from tagger.system.process import memory_mb
from tagger.system.sd_notify import Notifier
from tagger.system.state_dir import STATUS_NAME, write_heartbeat
from tagger.text.printable import printable

log = logging.getLogger(__name__)

MEMORY_SECONDS = 10.0
"""How long a figure of the memory is good for; it takes milliseconds to find out."""
BUSY_SECONDS = 2.0
"""How often the record is made while there is work."""
IDLE_SECONDS = 60.0
"""How often otherwise, and how often the same trouble with reporting is logged."""
COUNT_SECONDS = 2.0
"""How often, at most, the photos are counted for the service manager."""


class MemoryGauge:
    """The memory of the daemon and its processes. ``clock`` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._megabytes: float | None = None
        self._due = -math.inf

    def megabytes(self) -> float | None:
        """Return it in MB (10⁶ bytes), at most ten seconds old; None when it is not known."""
        if self._clock() >= self._due:
            self._due, self._megabytes = self._clock() + MEMORY_SECONDS, memory_mb()
        return self._megabytes


class HeartbeatWriter:
    """Writes the status file in ``state_dir``, when something has changed.

    A disk that does not take it is logged once, until it does.
    """

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self._written: DaemonStatus | None = None
        self._failure = ""
        self._spare = SpareDescriptor()

    def write(self, status: DaemonStatus, *, always: bool) -> None:
        if not always and status.same_as(self._written):
            return
        try:
            self._spare.call(lambda: write_heartbeat(self._state_dir, status.to_json()))
        except OSError as error:
            self._written = None  # tried again at the next tick
            if str(error) != self._failure:
                self._failure = str(error)
                log.warning("cannot write %s in %s: %s", STATUS_NAME, self._state_dir, error)
        else:
            self._written, self._failure = status, ""


class SystemdReporter:
    """Reports status and watchdog pings to systemd."""

    def __init__(self, notifier: Notifier) -> None:
        self.notifier = notifier
        self._counted_at = -math.inf

    def report(self, status: DaemonStatus, counts: Callable[[], Mapping[str, int]]) -> None:
        """Ping the watchdog while the work moves, and say in a line what it does."""
        if status.moving:
            self.notifier.alive()
        now = time.monotonic()
        if status.model is None and status.problem:
            self.notifier.status(printable(f"waiting: {status.problem}"))
        elif status.paused_reason:
            self.notifier.status(printable(status.paused_reason))
        elif status.progress is not None and status.progress.remaining:
            self.notifier.status(str(status.progress))
        elif now >= self._counted_at + COUNT_SECONDS:
            self._counted_at = now
            number = counts()
            photos = number["tagged"] + number["untagged"]
            self.notifier.status(f"idle, {photos:,} photos, {number['failed']:,} failures")


class StatusReporter:
    """Hands the record of each tick to whoever wants it; trouble with one is no other's.

    ``show`` is given the progress.
    """

    def __init__(
        self,
        state_dir: str,
        notifier: Notifier,
        metrics: Metrics,
        show: Callable[[ProgressSnapshot], None],
    ) -> None:
        self.notifier, self.heartbeat = notifier, HeartbeatWriter(state_dir)
        self.memory = MemoryGauge()
        self._systemd, self._metrics, self._show = SystemdReporter(notifier), metrics, show
        self._quiet_until = -math.inf

    def report(
        self, status: DaemonStatus, counts: Callable[[], Mapping[str, int]], *, always: bool
    ) -> None:
        """Report ``status``; ``always``: into the file even when nothing has changed.

        ``counts`` gives the photos of the index by their status; it may raise sqlite3.Error.
        """
        self._metrics.show(status)
        with self.guarded():
            self._show(status.progress or NO_PROGRESS)
        with self.guarded():
            self.heartbeat.write(status, always=always)
        with self.guarded():
            self._systemd.report(status, counts)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Within, an error is logged, once a minute: reporting ends no work."""
        try:
            yield
        except Exception as error:
            if time.monotonic() < self._quiet_until:
                return
            self._quiet_until = time.monotonic() + IDLE_SECONDS
            if concerns_index(error):
                log.warning("the index cannot be read: %s", error)
            else:
                log.error("error in the main thread", exc_info=error)
