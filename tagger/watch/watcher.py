"""The watch as a whole: one thread for each root, so that a hung one holds up no other."""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from tagger.config.schema import WatchRoot
from tagger.paths import is_inside
from tagger.system.files import no_descriptors
from tagger.watch.events import EventSourceFactory, WatchdogSource
from tagger.watch.interfaces import CandidateSink, Clock, KnownPhotos, RootClaims, RootStatus
from tagger.watch.root_identity import RootMemory
from tagger.watch.root_layout import RootLayout
from tagger.watch.root_watcher import NO_ANSWER, RootWatcher, Settings

log = logging.getLogger(__name__)

PACE_SECONDS = 0.02
"""Hints that come closer together than this are followed together."""
RETRY_SECONDS = 5.0
"""How long a root is left alone after a failure nobody foresaw."""
DESCRIPTOR_TRIES = 10
"""How often a single run looks at a folder for which there was no file descriptor."""
CALM_SECONDS = 600.0
"""After so long without an error that nobody foresaw it is forgotten."""
STOP_SECONDS = 5.0
"""For how long, once all is to stop, a disk is waited for that does not answer."""
GIVE_UP_SECONDS = 30.0
"""For how long `scan_once` waits for files that go on changing."""


class Watcher:
    """Finds finished photos below ``roots`` and gives them to ``sink``.

    What it remembers of the roots is in ``roots.json`` in ``state_dir``; without one, it
    forgets at exit. ``clock`` never goes back; ``source`` makes the events of a root;
    ``claims`` decides who writes there; ``changed`` is called, by its thread, when a root fares
    otherwise than before. Of two roots that are the same folder, the second is left alone.
    """

    def __init__(
        self,
        roots: Sequence[WatchRoot],
        known: KnownPhotos,
        sink: CandidateSink,
        *,
        settle_seconds: float = 2.0,
        rescan_seconds: float = 300.0,
        clock: Clock = time.monotonic,
        state_dir: str | None = None,
        source: EventSourceFactory = WatchdogSource,
        claims: RootClaims | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._changed = changed
        self._silent: set[str] = set()
        memory = RootMemory(state_dir)
        roots = [replace(root, path=os.path.abspath(root.path)) for root in roots]
        self._layout = RootLayout(roots)
        self._settings = Settings(
            settle_seconds=settle_seconds,
            rescan_seconds=rescan_seconds,
            clock=clock,
            source=source,
            claims=claims,
        )
        self._watches = [
            RootWatcher(root, known, sink, memory, self._settings, self._layout) for root in roots
        ]

    def run(self, stop: threading.Event) -> None:
        """Watch until ``stop`` is set; return within a second of that.

        What goes wrong with one root is logged and told in its status, and tried again.
        """
        # Not ``stop`` itself: what is left behind must not go on when that is cleared.
        ending = threading.Event()
        threads = [_RootThread(watch, ending, changed=self._changed) for watch in self._watches]
        for thread in threads:
            thread.start()
        try:
            stop.wait()
        finally:
            ending.set()
            for watch in self._watches:
                watch.wake.set()
            deadline = time.monotonic() + 0.8
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
                if thread.is_alive():
                    log.warning("%r does not answer; thread abandoned", thread.watch.root.path)

    def survey(self, stop: threading.Event) -> int:
        """Count the photos that are to be handled, without looking into any."""
        return sum(watch.survey(stop) for watch in self._watches)

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
        for watch in self._watches:
            watch.begin(stop, listen=False)
        watches = [watch for watch in self._watches if _apart(watch, watch.scan)]
        while wait_settle and not stop.is_set():
            watches = self._wait_settle(watches, stop)
            overfull = [watch for watch in watches if watch.files.overfull]
            for watch in overfull:
                watch.files.overfull = False
                if not _apart(watch, watch.scan):
                    watches.remove(watch)
            if not overfull:
                break
        for watch in watches:
            for path in watch.files.settling.paths():
                log.warning("%r is still being written and is left for the next time", path)

    def _wait_settle(self, watches: list[RootWatcher], stop: threading.Event) -> list[RootWatcher]:
        """Wait for unfinished files; return those of ``watches`` whose disks answered."""
        clock = self._settings.clock
        until = clock() + max(GIVE_UP_SECONDS, 6 * self._settings.settle_seconds)
        while not stop.is_set():
            due = min((one.files.settling.next_due() for one in watches), default=math.inf)
            if due > until:
                break
            stop.wait(max(0.0, due - clock()))
            watches = [one for one in watches if _apart(one, one.files.work)]
        return watches

    def hint(self, path: str) -> None:
        """Look at the photo, its sidecar or the folder ``path`` again."""
        path = os.path.abspath(path)
        inside = [watch for watch in self._watches if is_inside(path, watch.root.path)]
        if inside:
            max(inside, key=lambda watch: len(watch.root.path)).hint(path)

    def rescan(self) -> None:
        """Look at everything again, soon."""
        for watch in self._watches:
            watch.rescan()

    def release_held(self, root: str) -> None:
        """Take the photos missing from ``root`` for deleted, however many they are."""
        for watch in self._watches:
            if watch.root.path == os.path.abspath(root):
                watch.departures.release()
                watch.rescan()

    def accept(self, root: str) -> None:
        """Take the offline folder ``root`` as it is now for the right one: a new disk."""
        for watch in self._watches:
            if watch.root.path == os.path.abspath(root):
                watch.accept()

    def status(self) -> list[RootStatus]:
        """Return how each root fares, in the order of the config."""
        return [self._told(watch.status()) for watch in self._watches]

    def _told(self, status: RootStatus) -> RootStatus:
        """Say once what the thread of a root that hangs cannot say."""
        silent = status.reason == NO_ANSWER
        if silent != (status.path in self._silent):
            if silent:
                self._silent.add(status.path)
                log.warning("%r is offline: %s", status.path, NO_ANSWER)
            else:
                self._silent.discard(status.path)
                log.info("%r: responding again", status.path)
        return status


def _apart(watch: RootWatcher, do: Callable[[], None]) -> bool:
    """Call ``do`` of ``watch`` in a thread, which is left behind when the disk does not answer.

    Return whether it has.
    """
    errors: list[Exception] = []

    def run() -> None:
        for tries in range(DESCRIPTOR_TRIES):
            try:
                return watch.ask(do)
            except Exception as error:  # noqa: BLE001 - raised again below
                if not no_descriptors(error) or tries + 1 == DESCRIPTOR_TRIES:
                    errors.append(error)
                    return None
            log.warning("%r is looked at again: no file descriptor is left", watch.root.path)
            watch.stop.wait(RETRY_SECONDS)
        return None

    thread = threading.Thread(target=run, name=f"scan {watch.root.path!r}", daemon=True)
    thread.start()
    stopped_at = math.inf
    while thread.is_alive():
        thread.join(0.5)
        if watch.stop.is_set():
            stopped_at = min(stopped_at, time.monotonic())
        if watch.silent or time.monotonic() - stopped_at > STOP_SECONDS:
            log.warning("%r is left out: %s", watch.root.path, NO_ANSWER)
            return False
    if errors:
        raise errors[0]
    return True


class _RootThread(threading.Thread):
    """Runs the watch over one root until ``stop`` is set."""

    def __init__(
        self,
        watch: RootWatcher,
        stop: threading.Event,
        *,
        changed: Callable[[], None],
    ) -> None:
        # A daemon: a root on a dead network disk may hang in a system call for ever.
        super().__init__(name=f"watch {watch.root.path!r}", daemon=True)
        self.watch = watch
        self._stop_watch = stop
        self._changed = changed
        self._troubles, self._troubled_at = 0, -math.inf
        watch.begin(stop, listen=True)

    def run(self) -> None:
        """Step until stopped, whatever goes wrong with this folder."""
        told = None
        try:
            while not self._stop_watch.is_set():
                due = self._step()
                if (status := self.watch.status()) != told:
                    told = status
                    self._changed()
                self._wait_until(due)
        finally:
            self.watch.close()

    def _step(self) -> float:
        try:
            due = self.watch.step()
        except OSError as error:
            # Disks that drop off fail in more ways than anyone has listed.
            log.warning("watching %r failed (%s); going on", self.watch.root.path, error)
            self._stop_watch.wait(RETRY_SECONDS)
            self.watch.rescan()
            return self.watch.clock()
        except Exception as error:  # noqa: BLE001 - logged; the other folders are watched
            self._begin_anew(error)
            return self.watch.clock()
        if self.watch.trouble and self.watch.clock() > self._troubled_at + CALM_SECONDS:
            self.watch.trouble, self._troubles = "", 0
        return due

    def _begin_anew(self, error: Exception) -> None:
        """Watch the folder anew after an error that nobody foresaw, less and less often."""
        self._troubles += 1
        seconds = min(RETRY_SECONDS * 2.0 ** min(self._troubles - 1, 10), CALM_SECONDS / 2)
        said = f"{type(error).__name__}: {error}"
        self.watch.trouble = f"watched anew after an error ({said[:200]})"
        if isinstance(error, sqlite3.Error):  # a full disk, a lock: nothing to be reported
            log.warning("watching %r failed (%s); going on", self.watch.root.path, said)
        else:
            log.error("watching %r failed", self.watch.root.path, exc_info=error)
        self._changed()
        self._stop_watch.wait(seconds)
        self._troubled_at = self.watch.clock()
        self.watch.close()
        self.watch.begin(self._stop_watch, listen=True)
        self.watch.rescan()

    def _wait_until(self, due: float) -> None:
        wake = self.watch.wake
        wake.wait(max(0.0, min(due - self.watch.clock(), 60.0)))
        self._stop_watch.wait(PACE_SECONDS)
        wake.clear()
