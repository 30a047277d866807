"""The page beside the daemon's work: in a thread, and never a reason for the work to stop.

Nothing of the page is imported unless ``web.enabled`` asks for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tagger.errors import ModelError, TaggerError

if TYPE_CHECKING:
    from tagger.config.schema import Config
    from tagger.pipeline.networks import Networks, NetworksLoader
    from tagger.web.server import WebServer
    from tagger.web.services import TagCommands

log = logging.getLogger(__name__)

RETRY_SECONDS = 30.0
"""When a page that failed is tried again."""
END_SECONDS = 4.0
"""How long the end of the page is waited for; its threads do not keep the process alive."""


class EmbeddedPage:
    """Serves the page of the config it was given last. A context manager, which ends that.

    ``loader`` has the networks, which are shared. ``notice`` says why there is no page although
    there should be one; when that changes ``changed`` is called, by any thread.
    """

    def __init__(self, loader: NetworksLoader, changed: Callable[[], None]) -> None:
        self.notice: str | None = None
        self._loader, self._changed = loader, changed
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._wanted: tuple[Config, TagCommands] | None = None
        self._server: WebServer | None = None
        self._thread: threading.Thread | None = None
        self._ending, self._end_at = False, 0.0

    def __enter__(self) -> EmbeddedPage:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        if self._thread is not None:
            self._thread.join(max(0.1, self._end_at - time.monotonic()))
            if self._thread.is_alive():
                log.warning("the page does not end; thread abandoned")

    def use(self, config: Config, manager: TagCommands) -> None:
        """Serve the page of ``config`` from now on, if it is enabled there. Returns at once."""
        self._turn_to((config, manager) if config.web.enabled else None)
        if config.web.enabled and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="page", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Begin to end. Returns at once."""
        if not self._ending:
            self._end_at = time.monotonic() + END_SECONDS
        self._ending = True
        self._turn_to(None)

    def _turn_to(self, wanted: tuple[Config, TagCommands] | None) -> None:
        with self._lock:
            self._wanted = wanted
            self._woken.set()
            if self._server is not None:
                self._server.stop()

    def _run(self) -> None:
        while not self._ending:
            with self._lock:
                wanted = self._wanted
                self._woken.clear()
            if wanted is None:
                self._say(None)
                if not self._ending:
                    self._woken.wait()
                continue
            try:
                self._serve(wanted)
            except TaggerError as error:
                self._say(f"there is no page: {error}")
            except Exception as error:  # noqa: BLE001 - logged; photos are tagged in any case
                self._say(f"the page failed: {type(error).__name__}: {error}", foreseen=False)
            else:
                continue
            self._woken.wait(RETRY_SECONDS)

    def _serve(self, wanted: tuple[Config, TagCommands]) -> None:
        from tagger.web.server import WebServer

        config, manager = wanted
        with WebServer(config, load=self._networks, manager=manager) as server:
            with self._lock:
                if self._wanted is not wanted:
                    return
                self._server = server
            self._say(None)
            try:
                server.run()
            finally:
                with self._lock:
                    self._server = None

    def _say(self, notice: str | None, *, foreseen: bool = True) -> None:
        """Tell, once, why there is no page; None: there is one, or none is wanted."""
        if notice == self.notice:
            return
        if notice is not None:
            log.error(
                "%s; it is tried again every %g s", notice, RETRY_SECONDS, exc_info=not foreseen
            )
        self.notice = notice
        self._changed()

    def _networks(self) -> Networks:
        """Return the daemon's networks of the moment. Raise ModelError while there are none."""
        networks, error = self._loader.networks, self._loader.error
        if networks is not None:
            return networks
        if error is not None:
            raise ModelError(error.message, error.remedy)
        raise ModelError("the model is being loaded", "try again in a few seconds")
