"""Does the disk of a root answer at all?

A network disk whose server is away may hold a system call for ever (NFS mounted `hard`, the
default). Nothing can be done for the thread that made it, but the others are to keep off.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from tagger.watch.interfaces import Clock

SILENT_SECONDS = 30.0
"""A disk from which nothing came for so long does not answer. A sleeping one takes ten."""


class StallTimer:
    """Tells whether the one thread that looks at a root still gets answers. Thread-safe.

    ``lost`` counts the seconds after which an answer came that was not expected any more.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = math.inf
        self.lost = 0.0

    @property
    def silent(self) -> bool:
        """Whether that thread has waited for an answer for SILENT_SECONDS."""
        return self._clock() - self._at > SILENT_SECONDS

    def beat(self) -> None:
        """Note an answer."""
        now = self._clock()
        if now - self._at > SILENT_SECONDS:
            self.lost += now - self._at
        if self._at != math.inf:
            self._at = now

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Within, the thread asks the disk."""
        self._at = self._clock()
        try:
            yield
        finally:
            self.beat()
            self._at = math.inf

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Within, the thread waits for something else."""
        self.beat()
        was, self._at = self._at, math.inf
        try:
            yield
        finally:
            self._at = math.inf if was == math.inf else self._clock()
