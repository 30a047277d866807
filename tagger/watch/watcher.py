"""The watch over all roots: one thread for each, so that one that hangs holds up no other."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from tagger.config.schema import WatchRoot
from tagger.system.paths import is_inside
from tagger.watch.context import WatchSettings
from tagger.watch.interfaces import CandidateSink, KnownPhotos, RootStatus
from tagger.watch.root_identity import RootMemory
from tagger.watch.root_layout import RootLayout
from tagger.watch.root_thread import RootThread
from tagger.watch.root_watcher import NO_ANSWER, RootWatcher
from tagger.watch.single_scan import scan_once
from tagger.watch.stall_timer import SILENT_SECONDS

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.8 * SILENT_SECONDS
"""How often it is checked whether a disk does not answer: before the first one can be late."""


class Watcher:
    """Finds finished photos below ``roots`` and gives them to ``sink``.

    What it remembers of the roots is in ``roots.json`` in ``state_dir``. ``changed`` is called,
    by a thread of the watch, when the status of a root has changed. Of two roots that are the
    same folder, the second is left alone.
    """

    def __init__(
        self,
        roots: Sequence[WatchRoot],
        known: KnownPhotos,
        sink: CandidateSink,
        state_dir: str,
        settings: WatchSettings | None = None,
        *,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._changed = changed
        self._settings = settings or WatchSettings()
        memory = RootMemory(state_dir)
        roots = [replace(root, path=os.path.abspath(root.path)) for root in roots]
        self._layout = RootLayout(roots)
        self._watchers = [
            RootWatcher(root, known, sink, memory, self._settings, self._layout) for root in roots
        ]

    def run(self, stop: threading.Event) -> None:
        """Watch until ``stop`` is set; return within a second of that.

        What goes wrong with one root is logged, shown in its status, and tried again.
        """
        # Not ``stop`` itself: an abandoned thread must not go on when that is cleared.
        ending = threading.Event()
        threads = [RootThread(watcher, ending, self._changed) for watcher in self._watchers]
        for thread in threads:
            thread.start()
        try:
            self._log_stalls(stop)
        finally:
            ending.set()
            for watcher in self._watchers:
                watcher.wake.set()
            deadline = time.monotonic() + 0.8
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    log.warning("%r does not answer; thread abandoned", thread.watcher.root.path)

    def await_checks(self, seconds: float) -> None:
        """Wait until each root was checked once: before, its status does not say how it is watched.

        No longer than ``seconds``: a disk may not answer.
        """
        deadline = time.monotonic() + seconds
        for watcher in self._watchers:
            watcher.await_check(max(0.0, deadline - time.monotonic()))

    def survey(self, stop: threading.Event) -> int:
        """Count the photos that are to be handled, without looking into any."""
        return sum(watcher.count_new(stop) for watcher in self._watchers)

    def silent(self, seconds: float) -> list[str]:
        """Return the roots whose disks do not answer; call it again ``seconds`` later."""
        return self._layout.silent(seconds)

    def scan_once(self, *, wait_settle: bool = True, stop: threading.Event | None = None) -> None:
        """Deliver everything that is there now, then return.

        With ``wait_settle``, wait for unfinished files; those that go on changing are
        given up after half a minute, and named. A root whose disk does not answer is left
        out. ``stop`` ends it early.
        """
        stop = stop or threading.Event()
        scan_once(self._watchers, self._settings, stop, wait_settle=wait_settle)

    def hint(self, path: str) -> None:
        """Look at the photo, its sidecar or the folder ``path`` again."""
        path = os.path.abspath(path)
        inside = [watcher for watcher in self._watchers if is_inside(path, watcher.root.path)]
        if inside:
            max(inside, key=lambda watcher: len(watcher.root.path)).hint(path)

    def rescan(self) -> None:
        for watcher in self._watchers:
            watcher.rescan()

    def status(self) -> list[RootStatus]:
        """Return the state of each root, in the order of the config."""
        return [watcher.status() for watcher in self._watchers]

    def is_online(self, root: str) -> bool:
        """Whether the root at the path ``root`` is there, and its disk answers."""
        return any(watcher.online for watcher in self._watchers if watcher.root.path == root)

    def _log_stalls(self, stop: threading.Event) -> None:
        """Until ``stop`` is set, report each disk that does not answer: its thread cannot."""
        clock = self._settings.clock
        reported: set[str] = set()
        while True:
            for watcher in self._watchers:
                path = watcher.root.path
                if watcher.silent and path not in reported:
                    reported.add(path)
                    log.warning("%r is offline: %s", path, NO_ANSWER)
                    self._changed()
                elif not watcher.silent:
                    reported.discard(path)
            due = min(
                (watcher.context.stall.silent_at - clock() for watcher in self._watchers),
                default=0.0,
            )
            # One that is silent already has its time in the past.
            if stop.wait(due + 0.1 if 0 < due < LOOK_SECONDS else LOOK_SECONDS):
                break
