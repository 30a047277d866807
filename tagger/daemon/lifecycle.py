"""Whether the daemon goes on: signals, events that its threads watch, the error that ends it."""

from __future__ import annotations

import logging
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tagger.daemon.stalls import StallGuard
from tagger.daemon.wakeup import WakeupFd
from tagger.errors import TaggerError

log = logging.getLogger(__name__)


class Lifecycle:
    """What all threads of the daemon ask before they go on.

    ``stopping`` is set when the whole daemon is to end, ``pausing`` when watching and working are:
    for a reload, or for good. ``wakeup`` wakes the main thread. ``told_to_stop`` is True after a
    signal, not after an ``error``.
    """

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self.pausing = threading.Event()
        self.wakeup = WakeupFd()
        self.stalls = StallGuard()
        self.told_to_stop = False
        self.error: BaseException | None = None
        self._requests: deque[int] = deque()

    def request(self, number: int) -> None:
        """Have the main thread do what the signal ``number`` asks for. For signal handlers too."""
        self._requests.append(number)
        self.wakeup.ring()

    def requests(self) -> Iterator[int]:
        """Yield the signals that came, each once."""
        while self._requests:
            yield self._requests.popleft()

    def stop(self) -> None:
        """Let the daemon end, as somebody has told it to."""
        self.told_to_stop = True
        self.stopping.set()
        self.pausing.set()

    def fail(self, error: BaseException) -> None:
        """Let the daemon end by ``error``; the first one counts."""
        self.error = self.error or error
        self.stopping.set()
        self.pausing.set()

    def raise_error(self) -> None:
        if self.error is not None:
            raise self.error

    def thread(self, name: str, target: Callable[..., None], *args: Any) -> threading.Thread:
        """Return a thread; if it ends by an error the daemon stops, and systemd restarts it.

        The interpreter does not wait for it: :meth:`StallGuard.join` decides whether to.
        """

        def guarded() -> None:
            try:
                target(*args)
            except BaseException as error:
                if not isinstance(error, TaggerError):
                    log.critical("the %s thread failed", name, exc_info=True)
                self.fail(error)
            finally:
                self.wakeup.ring()

        return threading.Thread(target=guarded, name=name, daemon=True)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Within, SIGTERM and SIGINT stop and SIGHUP reloads, when in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: FrameType | None) -> None:
            self.request(number)

        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        old = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


@contextmanager
def logged_thread_errors() -> Iterator[None]:
    """Within, log what ends a thread of a library, instead of printing it among the log's lines."""

    def hear(end: threading.ExceptHookArgs) -> None:
        name = end.thread.name if end.thread is not None else "unknown"
        if isinstance(end.exc_value, RecursionError):  # a thousand lines say nothing more
            log.warning("the thread %s ended: %s", name, end.exc_value)
        elif end.exc_value is not None:
            log.error("the thread %s ended", name, exc_info=end.exc_value)

    before, threading.excepthook = threading.excepthook, hear
    try:
        yield
    finally:
        threading.excepthook = before
