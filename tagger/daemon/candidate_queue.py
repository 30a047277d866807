"""The queue between the watcher and the worker."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence

from tagger.index.store import Store
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.records import Candidate

log = logging.getLogger(__name__)


class CandidateQueue:
    """Where the watcher puts what it finds: a short queue that holds the scan back.

    ``full`` is called whenever it does so, ``first`` when it was empty. All of a folder that
    is ``refusing`` is held back.
    """

    def __init__(
        self,
        found: queue.Queue[Candidate | None],
        store: Store,
        pause: threading.Event,
        full: Callable[[], None],
        first: Callable[[], None] = lambda: None,
        refusing: BlockedRoots | None = None,
    ) -> None:
        self._queue = found
        self._store = store
        self._pause = pause
        self._full, self._first = full, first
        self._refusing = refusing

    def found(self, candidate: Candidate) -> None:
        while self._refusing is not None and self._refusing.holds(candidate.root):
            if self._pause.wait(0.5):
                return
        if self._queue.full():
            self._full()
        while not self._pause.is_set():
            try:
                self._queue.put(candidate, timeout=0.5)
                if self._queue.qsize() == 1:
                    self._first()
                return
            except queue.Full:
                continue

    def gone(self, paths: Sequence[str], root: str) -> None:
        log.info("%d photos are gone from %s", len(paths), root)
        self._store.mark_missing(paths)
