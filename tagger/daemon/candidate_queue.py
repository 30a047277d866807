"""The queue between the watcher and the worker."""

from __future__ import annotations

import contextlib
import logging
import queue
from collections.abc import Callable, Sequence

from tagger.pipeline.context import Context
from tagger.pipeline.deletions import mark_deleted
from tagger.records import Candidate

log = logging.getLogger(__name__)

SIZE = 256


class CandidateQueue:
    """A short queue of finished photos: the watcher puts them in, the worker takes batches.

    It holds the scan back while it is full, and all of a folder that is blocked. ``full`` is
    called whenever it is, ``first`` when it was empty; both in the watcher's threads.
    """

    def __init__(
        self,
        context: Context,
        size: int = SIZE,
        *,
        full: Callable[[], None] = lambda: None,
        first: Callable[[], None] = lambda: None,
    ) -> None:
        self._context = context
        self._queue: queue.Queue[Candidate | None] = queue.Queue(size)  # None wakes the worker
        self._full, self._first = full, first

    def __len__(self) -> int:
        return self._queue.qsize()

    def found(self, candidate: Candidate) -> None:
        """Put a candidate in, as soon as there is room; not after ``stop``."""
        stop = self._context.stop
        while self._context.health.is_blocked(candidate.root):
            if stop.wait(0.5):
                return
        if self._queue.full():
            self._full()
        while not stop.is_set():
            try:
                self._queue.put(candidate, timeout=0.5)
                if self._queue.qsize() == 1:
                    self._first()
                return
            except queue.Full:
                continue

    def gone(self, paths: Sequence[str], root: str) -> None:
        """Note that photos of a watched folder are gone; sidecars of ours go with them."""
        log.info("%d photos are gone from %s", len(paths), root)
        mark_deleted(self._context.config, self._context.store, paths)

    def take(self, limit: int, seconds: float | None = 0.0) -> list[Candidate]:
        """Return up to ``limit`` candidates; wait ``seconds`` for the first (None: for ever).

        :meth:`wake` ends the wait.
        """
        batch: list[Candidate] = []
        try:
            if seconds != 0.0 and not self._context.stop.is_set():
                if (one := self._queue.get(timeout=seconds)) is None:
                    return batch
                batch.append(one)
            while len(batch) < limit:
                if (one := self._queue.get_nowait()) is not None:
                    batch.append(one)
        except queue.Empty:
            pass  # what is there is the batch
        return batch

    def wake(self) -> None:
        """End the wait of :meth:`take`."""
        with contextlib.suppress(queue.Full):  # then it does not wait
            self._queue.put_nowait(None)
