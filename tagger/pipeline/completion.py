"""Photos that a network has not looked at, because it came after them: one by one, when idle.

A network that takes another's place has not looked at any, and what an int8 version saw that was
refused does not count. What the other said serves until then. Photos of an older index, which have
no hash of their picture, get one.

They go through the pipeline as any candidate does, so that all its promises hold; which ones they
are the index knows, so that a stop loses nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tagger.index.lookup import Wanted
from tagger.pipeline.context import Context
from tagger.records import Candidate

if TYPE_CHECKING:
    from tagger.pipeline.networks import Networks

AGAIN_SECONDS = 3600.0
"""When photos that could not be completed, as their folder was offline, are tried again."""


class Completion:
    """Gives the photos that lack what one of ``networks`` says, oldest row first.

    Used by one thread but for :attr:`remaining`; ``clock`` is monotonic seconds.
    """

    def __init__(
        self, context: Context, networks: Networks, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context, self._clock = context, clock
        subjects, refused = networks.subjects.model_id, networks.refused
        self._wanted = Wanted(*networks.ids, subjects, refused, picture=True)
        self._last = self._skipped = 0
        self._due = -math.inf
        self.remaining = self._count()
        """How many photos are left, as far as is known."""

    @property
    def is_done(self) -> bool:
        return self._clock() < self._due

    def take(self, limit: int) -> list[Candidate]:
        """Return so many photos, at most, that are to be opened again; none when all is done."""
        found: list[Candidate] = []
        while not found and not self.is_done:
            if self._last == 0:
                self.remaining, self._skipped = self._count(), 0
            rows = self._context.store.lacking(self._last, limit, self._wanted)
            if not rows:
                self._last, self._due = 0, self._clock() + AGAIN_SECONDS
                self.remaining = self._skipped
                break
            self._last = rows[-1].id
            self.remaining = max(0, self.remaining - len(rows))
            found = [
                Candidate(row.path, row.root, row.stat, row.sidecar, incomplete=True)
                for row in rows
                if row.stat is not None and self._context.health.is_online(row.path)
            ]
            self._skipped += len(rows) - len(found)
        return found

    def _count(self) -> int:
        return self._context.store.count_lacking(self._wanted)
