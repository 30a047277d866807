"""A download that can be left at once, even while its server says nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable

from tagger.errors import StoppedError

SILENCE_SECONDS = 10.0
"""A server that sends nothing for so long is given up."""


class DownloadThread(threading.Thread):
    """Fetches the weights of the model ``name`` into the state directory from its making on."""

    def __init__(self, name: str, state_dir: str) -> None:
        super().__init__(name="download", daemon=True)
        self._wanted, self._state_dir = name, state_dir
        self._left = threading.Event()
        self._path = ""
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            from tagger.classify.download import download  # HTTP and TLS, seldom needed

            self._path = download(
                self._wanted,
                state_dir=self._state_dir,
                progress=self._go_on,
                timeout=SILENCE_SECONDS,
            )
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error

    def result(self, stop: Callable[[], bool]) -> str:
        """Wait for the file and return its path. Raise what ended it; StoppedError by ``stop``."""
        self._await_end(stop)
        if self._error is not None:
            raise self._error
        return self._path

    def wait(self, stop: Callable[[], bool]) -> None:
        """Wait until the file is no longer written; raise StoppedError as :meth:`result`."""
        self._left.set()
        self._await_end(stop)

    def _await_end(self, stop: Callable[[], bool]) -> None:
        while self.is_alive():
            if stop():
                self._left.set()
                raise StoppedError("the download was stopped")
            self.join(0.1)

    def _go_on(self, done: int, total: int | None) -> None:
        if self._left.is_set():
            raise StoppedError(f"stopped at {done} of {total} bytes")
