"""An executor of one thread that does one task at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class SerialExecutor:
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
