"""The thread of one root: steps until it is stopped, whatever fails."""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
from collections.abc import Callable

from tagger.watch.root_watcher import RootWatcher

log = logging.getLogger(__name__)

PACE_SECONDS = 0.02
"""Hints that come closer together than this are followed together."""
RETRY_SECONDS = 5.0
"""How long a root is left alone after an unexpected error."""
CALM_SECONDS = 600.0
"""After this time without an unexpected error the last one is forgotten."""
MAX_WAIT_SECONDS = 60.0


class RootThread(threading.Thread):
    """Runs the watch over one root until ``stop`` is set; ``changed`` hears of a new status."""

    def __init__(
        self, watcher: RootWatcher, stop: threading.Event, changed: Callable[[], None]
    ) -> None:
        # A daemon: a root on a dead network disk may hang in a system call for ever.
        super().__init__(name=f"watch {watcher.root.path!r}", daemon=True)
        self.watcher = watcher
        self._end = stop
        self._changed = changed
        self._errors, self._last_error = 0, -math.inf
        watcher.begin(stop, listen=True)

    def run(self) -> None:
        last = None
        try:
            while not self._end.is_set():
                due = self._step()
                if (status := self.watcher.status()) != last:
                    last = status
                    self._changed()
                self._wait_until(due)
        finally:
            self.watcher.close()

    def _step(self) -> float:
        watcher = self.watcher
        try:
            due = watcher.step()
        except OSError as error:
            # Disks that drop off fail in more ways than anyone has listed.
            log.warning("watching %r failed (%s); tried again", watcher.root.path, error)
            self._end.wait(RETRY_SECONDS)
            watcher.rescan()
            return watcher.clock()
        except Exception as error:  # noqa: BLE001 - logged; the other roots are watched
            self._restart(error)
            return watcher.clock()
        if watcher.trouble and watcher.clock() > self._last_error + CALM_SECONDS:
            watcher.trouble, self._errors = "", 0
        return due

    def _restart(self, error: Exception) -> None:
        """Watch the root anew after an unexpected error, less and less often."""
        watcher = self.watcher
        self._errors += 1
        seconds = min(RETRY_SECONDS * 2.0 ** min(self._errors - 1, 10), CALM_SECONDS / 2)
        text = f"{type(error).__name__}: {error}"
        watcher.trouble = f"watched anew after an error ({text[:200]})"
        if isinstance(error, sqlite3.Error):  # a full disk, a lock: nothing to be reported
            log.warning("watching %r failed (%s); tried again", watcher.root.path, text)
        else:
            log.error("watching %r failed", watcher.root.path, exc_info=error)
        self._changed()
        self._end.wait(seconds)
        self._last_error = watcher.clock()
        watcher.close()
        watcher.begin(self._end, listen=True)
        watcher.rescan()

    def _wait_until(self, due: float) -> None:
        wake = self.watcher.wake
        wake.wait(max(0.0, min(due - self.watcher.clock(), MAX_WAIT_SECONDS)))
        self._end.wait(PACE_SECONDS)
        wake.clear()
