"""Getting an engine: find the weights, or download them, or wait until somebody brings them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tagger.classify.weights import download, find_weights
from tagger.config import Config
from tagger.errors import DownloadError, ModelError, TaggerError, WeightsNotFoundError

if TYPE_CHECKING:
    from tagger.classify.engine import Engine

log = logging.getLogger(__name__)

POLL_SECONDS = 10.0
DOWNLOAD_RETRY_SECONDS = 900.0
SILENCE_SECONDS = 10.0
"""A server that sends nothing for so long is given up."""


class _StoppedError(TaggerError):
    """Ends a download when the daemon stops; what was fetched is kept."""


class _Download(threading.Thread):
    """A download that can be left at once, even while its server says nothing."""

    def __init__(self, name: str, state_dir: str) -> None:
        super().__init__(name="download", daemon=True)
        self._wanted, self._state_dir = name, state_dir
        self._left = threading.Event()
        self._path = ""
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._path = download(
                self._wanted,
                state_dir=self._state_dir,
                progress=self._go_on,
                timeout=SILENCE_SECONDS,
            )
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            self._error = error

    def result(self, stop: Callable[[], bool]) -> str:
        """Wait for the end and return the file's path, or raise what ended it.

        Raise _StoppedError as soon as ``stop`` is true.
        """
        while self.is_alive():
            if stop():
                self._left.set()
                raise _StoppedError("the download was stopped")
            self.join(0.1)
        if self._error is not None:
            raise self._error
        return self._path

    def wait(self, stop: Callable[[], bool]) -> None:
        """Wait until the file is no longer written; raise _StoppedError as :meth:`result`."""
        self._left.set()
        while self.is_alive():
            if stop():
                raise _StoppedError("the download was stopped")
            self.join(0.1)

    def _go_on(self, done: int, total: int | None) -> None:
        if self._left.is_set():
            raise _StoppedError(f"stopped at {done} of {total} bytes")


class EngineLoader:
    """Keeps one engine over reloads, and looks for weights every few seconds without one.

    ``error`` says why there is none. ``stop`` is asked during a download, and ends it when
    it is true; ``clock`` is monotonic seconds.
    """

    def __init__(
        self, stop: Callable[[], bool], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine: Engine | None = None
        self.error: ModelError | None = None
        self._stop = stop
        self._clock = clock
        self._key: tuple[Any, ...] = ()
        self._next_try = self._next_download = 0.0
        self._download: _Download | None = None
        self._warned = ""

    def get(self, config: Config) -> Engine | None:
        """Return the engine for ``config``; None when there is none yet, see ``error``."""
        model = config.model
        key = (config.state_dir, model)
        if key != self._key:
            self._key, self.engine = key, None
            self._next_try = self._next_download = self._clock()
        if self.engine is None and self._clock() >= self._next_try:
            try:
                self.engine = self._load(config)
                self.error = None
            except ModelError as error:
                if str(error) != str(self.error):
                    log.error("%s", error)
                self.error = error
            except _StoppedError:
                return None
            self._next_try = self._clock() + POLL_SECONDS
        return self.engine

    def _load(self, config: Config) -> Engine:
        from tagger.classify.engine import load_engine

        model = config.model
        started = time.monotonic()
        try:
            path = find_weights(model.name, configured=model.weights, state_dir=config.state_dir)
        except WeightsNotFoundError as missing:
            if not model.download or self._clock() < self._next_download:
                raise
            log.info("no weights of %s on this machine; downloading them", model.name)
            if self._download is not None:
                self._download.wait(self._stop)
            self._download = _Download(model.name, config.state_dir)
            try:
                path = self._download.result(self._stop)
            except DownloadError as error:
                self._next_download = self._clock() + DOWNLOAD_RETRY_SECONDS
                if str(error) != self._warned:
                    self._warned = str(error)
                    log.warning("%s", error)
                raise missing from error
        engine = load_engine(model.name, path, engine=model.engine, threads=model.threads)
        log.info(
            "%s loaded from %s with %s in %.1f s",
            engine.model_id,
            path,
            engine.name,
            time.monotonic() - started,
        )
        return engine
