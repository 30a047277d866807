"""Gives finished photos to the sink, each version once."""

from __future__ import annotations

import math

from tagger.records import Candidate
from tagger.system.paths import is_inside
from tagger.watch.context import RootContext
from tagger.watch.deletions import DeletionGuard

SENT_SECONDS = 60.0
"""For how long the same version of a file is not delivered again, unless asked for."""
SENT_LIMIT = 5000
"""How many delivered files are remembered for that."""


class Delivery:
    """Gives candidates to the sink, and remembers which it gave just now.

    ``blocked`` counts the seconds spent in the sink, which waits while its queue is full.
    """

    def __init__(self, context: RootContext, guard: DeletionGuard) -> None:
        self.blocked = 0.0
        self._context, self._guard = context, guard
        self._sent: dict[str, tuple[float, Candidate]] = {}

    def deliver(self, candidate: Candidate) -> bool:
        """Give a candidate to the sink; return False when the run was stopped before."""
        context, clock = self._context, self._context.settings.clock
        if context.stop.is_set():
            return False
        self._guard.back(candidate.path)
        began = clock()
        with context.stall.paused():
            context.sink.found(candidate)
        ended = clock()
        self.blocked += ended - began
        self._sent.pop(candidate.path, None)
        while self._sent:
            oldest, (at, _) = next(iter(self._sent.items()))
            if len(self._sent) < SENT_LIMIT and at >= ended - SENT_SECONDS:
                break
            del self._sent[oldest]
        self._sent[candidate.path] = (ended, candidate)
        return True

    def is_repeated(self, candidate: Candidate, now: float, within: float) -> bool:
        """Whether just this candidate was delivered ``within`` the last so many seconds."""
        at, sent = self._sent.get(candidate.path, (-math.inf, None))
        return sent == candidate and now - at < within

    def age(self, path: str, now: float) -> float:
        """Return how many seconds ago a version of the file was delivered; infinity if none was."""
        return now - self._sent[path][0] if path in self._sent else math.inf

    def forget(self, path: str, *, folder: bool = False) -> None:
        """Let the file, or all in the ``folder``, be delivered again."""
        for sent in [sent for sent in self._sent if is_inside(sent, path)] if folder else [path]:
            self._sent.pop(sent, None)

    def forget_all(self) -> None:
        self._sent.clear()
