"""What the daemon tells of itself: to whoever asks for the status, and to systemd."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from tagger.classify.loader import EngineLoader
from tagger.daemon.progress import ProgressSnapshot
from tagger.daemon.worker import Worker
from tagger.system.logs import printable
from tagger.system.process import memory_mb
from tagger.system.sd_notify import Notifier
from tagger.system.state_dir import write_heartbeat

MEMORY_SECONDS = 10.0
"""How long a figure of the memory is good for; it takes milliseconds to find out."""
COUNT_SECONDS = 2.0
"""How often, at most, the photos are counted for the service manager."""


class HeartbeatWriter:
    """The file in ``state_dir`` that says how the daemon is; written when that changes.

    ``clock`` is monotonic seconds.
    """

    def __init__(self, state_dir: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._state_dir, self._clock = state_dir, clock
        self._told: Mapping[str, Any] = {}
        self._memory: float | None = None
        self._memory_due = -math.inf
        self._beat_at = clock()

    @property
    def age(self) -> float:
        """Seconds since :meth:`write` was called last, whether or not something was new."""
        return self._clock() - self._beat_at

    def memory(self) -> float | None:
        """Return the memory of the daemon in MB, at most ten seconds old."""
        if self._clock() >= self._memory_due:
            self._memory_due, self._memory = self._clock() + MEMORY_SECONDS, memory_mb()
        return self._memory

    def write(self, said: Mapping[str, Any], *, always: bool) -> None:
        """Write ``said``, with the time and the memory, if it is new or ``always``."""
        self._beat_at = self._clock()
        if not always and said == self._told:
            return
        self._told = said
        now = time.time()
        write_heartbeat(self._state_dir, {**said, "updated_at": now, "memory_mb": self.memory()})


class SystemdReporter:
    """The service manager: hears in a line how it stands, and that the work moves."""

    def __init__(self, notifier: Notifier) -> None:
        self.notifier = notifier
        self._counted_at = 0.0

    def tell(
        self,
        worker: Worker,
        loader: EngineLoader,
        standing: ProgressSnapshot,
        counts: Callable[[], Mapping[str, int]],
    ) -> None:
        """Feed the watchdog while the work moves, and say what it does."""
        if worker.moves():
            self.notifier.alive()
        now = time.monotonic()
        if loader.engine is None and loader.error is not None:
            self.notifier.status(printable(f"waiting: {loader.error.message}"))
        elif worker.paused_reason:
            self.notifier.status(printable(worker.paused_reason))
        elif standing.remaining:
            self.notifier.status(str(standing))
        elif now >= self._counted_at + COUNT_SECONDS:
            self._counted_at = now
            number = counts()
            photos = number["tagged"] + number["untagged"]
            self.notifier.status(f"idle, {photos:,} photos, {number['failed']:,} failures")
