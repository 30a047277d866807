"""A single scan of all roots: delivers what is there now, and waits for unfinished files."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from tagger.system.files import no_descriptors
from tagger.watch.context import WatchSettings
from tagger.watch.root_watcher import NO_ANSWER, RootWatcher

log = logging.getLogger(__name__)

DESCRIPTOR_TRIES = 10
"""How often a root is tried for which there was no file descriptor."""
RETRY_SECONDS = 5.0
"""How long to wait between two tries."""
STOP_SECONDS = 5.0
"""How long, once all is to stop, to wait for a disk that does not answer."""
GIVE_UP_SECONDS = 30.0
"""How long to wait for files that go on changing."""


class SingleScan:
    """Scans roots once, until ``stop`` is set. A root whose disk does not answer is left out."""

    def __init__(
        self, watchers: Sequence[RootWatcher], settings: WatchSettings, stop: threading.Event
    ) -> None:
        self._watchers = list(watchers)
        self._settings, self._stop = settings, stop

    def run(self, *, wait_settle: bool) -> None:
        """Scan; with ``wait_settle``, wait for unfinished files and name those given up."""
        for watcher in self._watchers:
            watcher.begin(self._stop, listen=False)
        self._watchers = [watcher for watcher in self._watchers if _run(watcher, watcher.scan)]
        while wait_settle and not self._stop.is_set():
            self._wait_settle()
            again = [watcher for watcher in self._watchers if watcher.take_overflow()]
            for watcher in again:
                if not _run(watcher, watcher.scan):
                    self._watchers.remove(watcher)
            if not again:
                break
        for watcher in self._watchers:
            for path in watcher.waiting():
                log.warning("%r is still being written and is left for the next time", path)

    def _wait_settle(self) -> None:
        """Wait for unfinished files; roots whose disks do not answer are left out."""
        clock = self._settings.clock
        until = clock() + max(GIVE_UP_SECONDS, 6 * self._settings.settle_seconds)
        while not self._stop.is_set():
            due = min((watcher.next_waiting() for watcher in self._watchers), default=math.inf)
            if due > until:
                break
            self._stop.wait(max(0.0, due - clock()))
            self._watchers = [
                watcher for watcher in self._watchers if _run(watcher, watcher.check_waiting)
            ]


def _run(watcher: RootWatcher, task: Callable[[], None]) -> bool:
    """Call ``task`` of ``watcher`` in a thread, which is abandoned when the disk does not answer.

    Return whether it has answered.
    """
    errors: list[Exception] = []

    def run() -> None:
        for tries in range(DESCRIPTOR_TRIES):
            try:
                return watcher.run_timed(task)
            except Exception as error:  # noqa: BLE001 - raised again below
                if not no_descriptors(error) or tries + 1 == DESCRIPTOR_TRIES:
                    errors.append(error)
                    return None
            log.warning("%r is looked at again: no file descriptor is left", watcher.root.path)
            watcher.stop.wait(RETRY_SECONDS)
        return None

    thread = threading.Thread(target=run, name=f"scan {watcher.root.path!r}", daemon=True)
    thread.start()
    stopped_at = math.inf
    while thread.is_alive():
        thread.join(0.5)
        if watcher.stop.is_set():
            stopped_at = min(stopped_at, time.monotonic())
        if watcher.silent or time.monotonic() - stopped_at > STOP_SECONDS:
            log.warning("%r is left out: %s", watcher.root.path, NO_ANSWER)
            return False
    if errors:
        raise errors[0]
    return True
