"""What the daemon's threads hand to each other: photos found, and batches to be written."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from tagger.index.store import Store
from tagger.records import Candidate, Outcome
from tagger.refusing import Refusing

if TYPE_CHECKING:
    from tagger.intake import Job
    from tagger.pipeline import Pipeline
    from tagger.recognise import Recognised

log = logging.getLogger(__name__)


P = ParamSpec("P")
T = TypeVar("T")


class Hand:
    """A thread that does one thing after another, as an executor of one worker would.

    But the interpreter does not wait for it at its end: a disk may never answer.
    """

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``do`` called when all before it is done; return the future of its result."""
        future: Future[T] = Future()

        def job() -> None:
            try:
                future.set_result(do(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - raised by the future
                future.set_exception(error)

        self._jobs.put(job)
        return future

    def close(self) -> None:
        """End it, when all is done."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # what it was about is not kept while there is nothing to do


class Writing:
    """The batch that is being written, in a thread of its own.

    ``busy`` is the number of photos in it.
    """

    def __init__(self, hand: Hand, pipeline: Pipeline) -> None:
        self.busy = 0
        self._hand = hand
        self._pipeline = pipeline
        self._jobs: list[Job] = []
        self._future: Future[list[Outcome]] | None = None

    def start(self, jobs: list[Job], recognised: list[Recognised]) -> None:
        """Begin to write what was recognised of ``jobs``; :meth:`result` ends it."""
        if jobs:
            self._jobs, self.busy = jobs, len(jobs)
            self._future = self._hand.submit(self._pipeline.write, recognised)

    def result(self) -> list[Outcome]:
        """Wait for the end of it and return the outcomes; raise what ended it."""
        future, self._future, self.busy = self._future, None, 0
        try:
            return future.result() if future is not None else []
        finally:
            self._pipeline.intake.done(self._jobs)
            self._jobs = []

    def forget(self) -> None:
        """Wait for the end of it, whatever comes of it."""
        if self._future is not None:
            wait([self._future])
        self._future, self._jobs, self.busy = None, [], 0


class Found:
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
        refusing: Refusing | None = None,
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
