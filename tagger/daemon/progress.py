"""How far the work is: what is done, how fast it goes, and how long the rest will take."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from tagger.library.daemon_status import ProgressSnapshot

WINDOW_SECONDS = 60.0
"""The rate is that of the last minute."""
LINE_SECONDS = 60.0
"""How often a log is told."""


class Progress:
    """Counts photos. Safe to be used by several threads; ``clock`` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._done = 0
        self._recent: deque[tuple[float, int]] = deque()
        self._expected: int | None = None
        self._line_due = math.inf

    def add(self, count: int) -> None:
        if not count:
            return
        now = self._clock()
        with self._lock:
            self._done += count
            self._recent.append((now, count))
            self._trim(now)
            if self._line_due == math.inf:
                self._line_due = now + LINE_SECONDS

    def expect(self, count: int | None) -> None:
        """Note that ``count`` photos are left from now on; None: only what waits in a queue."""
        with self._lock:
            self._expected = None if count is None else self._done + count

    def standing(self, queued: int) -> ProgressSnapshot:
        """Return how the work stands; ``queued`` photos at least are left."""
        now = self._clock()
        with self._lock:
            self._trim(now)
            left = 0 if self._expected is None else self._expected - self._done
            remaining = max(queued, left)
            rate = None
            if len(self._recent) > 1 and now > self._recent[0][0]:
                # What came first was worked on before the window began.
                counted = sum(count for _, count in self._recent) - self._recent[0][1]
                rate = counted / (now - self._recent[0][0])
            seconds = remaining / rate if rate and remaining else None
            return ProgressSnapshot(self._done, remaining, rate, seconds)

    def line(self, queued: int) -> str | None:
        """Return a line for the log, once a minute while there is work; else None."""
        if not queued:
            self._line_due = math.inf
            return None
        if self._clock() < self._line_due:
            return None
        self._line_due = self._clock() + LINE_SECONDS
        return str(self.standing(queued))

    def _trim(self, now: float) -> None:
        while self._recent and self._recent[0][0] < now - WINDOW_SECONDS:
            self._recent.popleft()
