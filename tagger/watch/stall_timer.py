"""Detects that the disk of a root does not answer.

A network disk whose server is away may block a system call for ever (NFS mounted `hard`, the
default). Nothing can be done for the thread that made the call, but the others must not wait
for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tagger.watch.interfaces import Clock

SILENT_SECONDS = 30.0
"""A disk that has not answered for this long is stalled. A sleeping one takes ten."""


class StallTimer:
    """Measures how long the one thread that reads a root has waited for its disk. Thread-safe.

    ``lost`` counts the seconds of all stalls that have ended. ``on_recovery`` is called with the
    seconds of a stall when it ends, by the thread that was blocked.
    """

    def __init__(
        self, clock: Clock, on_recovery: Callable[[float], None] = lambda seconds: None
    ) -> None:
        self._clock = clock
        self._on_recovery = on_recovery
        self._since = math.inf
        self.lost = 0.0

    @property
    def silent(self) -> bool:
        """Whether that thread has waited for an answer for SILENT_SECONDS."""
        return self._clock() - self._since > SILENT_SECONDS

    @property
    def silent_at(self) -> float:
        """When the disk counts as stalled unless it answers; infinity when it is not used."""
        return self._since + SILENT_SECONDS

    def reset(self) -> None:
        """Start anew: the disk has answered."""
        now = self._clock()
        waited = now - self._since
        if waited > SILENT_SECONDS:
            self.lost += waited
            self._on_recovery(waited)
        if self._since != math.inf:
            self._since = now

    @contextmanager
    def running(self) -> Iterator[None]:
        """Within the block, the thread uses the disk."""
        self._since = self._clock()
        try:
            yield
        finally:
            self.reset()
            self._since = math.inf

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Within the block, the thread waits for something else than the disk."""
        self.reset()
        before, self._since = self._since, math.inf
        try:
            yield
        finally:
            self._since = math.inf if before == math.inf else self._clock()
