"""What can be asked of the running daemon: by `tagger pause`, `resume`, `scan`, and by the page."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tagger.errors import StateError
from tagger.system.control_socket import Action

if TYPE_CHECKING:
    from tagger.config.schema import Config
    from tagger.index.store import Store
    from tagger.library.daemon_status import DaemonStatus
    from tagger.pipeline.outcome import Outcome
    from tagger.watch.watcher import Watcher


log = logging.getLogger(__name__)


class DaemonCommands:
    """Does what is asked, from any thread. See :class:`tagger.web.services.TagCommands`.

    ``config`` and ``watcher`` give those of the moment, which a reload replaces; ``online``
    says whether the watched folder of a path is there; ``changed`` is called when photos are
    to wait, or no longer. ``store`` is the daemon's own, ``status`` the record of the last tick.
    """

    def __init__(
        self,
        store: Store,
        *,
        config: Callable[[], Config],
        watcher: Callable[[], Watcher],
        online: Callable[[str], bool],
        changed: Callable[[], None],
    ) -> None:
        self.store = store
        self.online = online
        self.paused = store.meta("paused") == "1"
        self.status: DaemonStatus | None = None
        self._config, self._watcher, self._changed = config, watcher, changed
        self._lock = threading.Lock()
        self._hearing: list[Callable[[Outcome], None]] = []

    def actions(self) -> Mapping[str, Action]:
        """Return what the control socket does, by name."""
        return {
            "pause": lambda request: self.pause(True),
            "resume": lambda request: self.pause(False),
            "scan": lambda request: self.scan([str(path) for path in request.get("paths", ())]),
            "taught": lambda request: self.taught(),
        }

    def pause(self, paused: bool) -> str:
        """Have photos wait from now on, or no longer; return what to say of it."""
        self.store.set_meta("paused", "1" if paused else "0")
        self.paused = paused
        self._changed()
        return "paused; photos wait until `tagger resume`" if paused else "working"

    def taught(self) -> str:
        """Have what was taught learned, as soon as photos leave time for it; say so."""
        self._changed()
        return "it is being learned"

    def scan(self, paths: Sequence[str] = ()) -> str:
        """Have ``paths``, or without any all folders, looked at; return what to say of it.

        Raise StateError for a path that is in no watched folder.
        """
        for path in paths:
            if self._config().root_of(path) is None:
                raise StateError(f"{path} is in no watched folder", "see `watch` in the config")
        watcher = self._watcher()
        for path in paths:
            watcher.hint(path)
        if not paths:
            watcher.rescan()
        return f"scanning {', '.join(paths) or 'everything'}"

    def listen(self, hear: Callable[[Outcome], None]) -> Callable[[], None]:
        """Have ``hear`` called with every outcome, in the working thread; it must return at once.

        Return what ends that.
        """
        with self._lock:
            self._hearing = [*self._hearing, hear]

        return lambda: self._leave(hear)

    def _leave(self, hear: Callable[[Outcome], None]) -> None:
        with self._lock:
            self._hearing = [one for one in self._hearing if one is not hear]

    def tell(self, outcome: Outcome) -> None:
        """Let those who listen hear of an outcome. One that fails hears no more."""
        for hear in self._hearing:
            try:
                hear(outcome)
            except Exception:  # whatever it is, photos are tagged
                log.exception("a listener failed and gets no more outcomes")
                self._leave(hear)
