"""The watch over one root: its states, and what is due when."""

from __future__ import annotations

import enum
import logging
import math
import threading

from tagger.config.schema import WatchRoot
from tagger.watch.context import RootContext, WatchSettings
from tagger.watch.deletions import DeletionGuard
from tagger.watch.event_feed import EventFeed
from tagger.watch.file_checker import FileChecker
from tagger.watch.hint_router import HintRouter
from tagger.watch.interfaces import CandidateSink, Clock, KnownPhotos, RootStatus
from tagger.watch.reconcile import Deletions, Reconciler, ScanReport
from tagger.watch.root_identity import RootMemory
from tagger.watch.root_layout import RootLayout
from tagger.watch.root_presence import Change, Presence
from tagger.watch.root_scope import RootScope
from tagger.watch.stall_timer import StallTimer
from tagger.watch.timers import ScanPace, Timer, Timers
from tagger.watch.walk import WalkReport, walk

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""How often a root is checked for being there."""
AWAY_SECONDS = 2.0
"""How often one is looked for that is not."""
RECHECK_SECONDS = 30.0
"""When a suspected wave of deletions is looked at again."""
SMALL_BATCH = 20
"""More deleted files than this are left to a full scan."""
NO_ANSWER = "its disk does not answer; is the machine that has it away?"


class WatchState(enum.Enum):
    """The states of a root's watch, and what leads from one to another.

    ``OFFLINE -> PROVING``: the folder is there. Listen to events, send a canary, scan all of it.
    ``PROVING -> EVENTS``: the canary was heard of (a read-only root gets none).
    ``PROVING, EVENTS -> POLLING``: events fail (see :class:`EventFeed`). Scan all of it.
    ``EVENTS -> PROVING``: events were lost, or a scan found what they should have reported.
    ``POLLING -> PROVING``: half an hour later events are tried again. Scan all of it.
    any ``-> OFFLINE``: the folder is gone, or another one. Stop listening, forget what waits.
    A root with other mounts in it than before, but still there, goes on by PROVING.
    """

    OFFLINE = "offline"
    PROVING = "proving"
    EVENTS = "events"
    POLLING = "polling"


class RootWatcher:
    """Watches one root. One thread calls :meth:`step`; the others only ask.

    ``files`` are decided about by that thread, too.
    """

    def __init__(
        self,
        root: WatchRoot,
        known: KnownPhotos,
        sink: CandidateSink,
        memory: RootMemory,
        settings: WatchSettings,
        layout: RootLayout,
    ) -> None:
        self.root = root
        self.wake = threading.Event()
        self.trouble = ""
        stall = StallTimer(settings.clock, self._log_recovery)
        self.context = RootContext(root, known, sink, settings, stall)
        self._scope = RootScope(self.context, layout, memory)
        self._presence = Presence(self.context, self._scope, memory)
        self._feed = EventFeed(root, settings.source, self.wake, settings.clock, stall=stall)
        self._guard = DeletionGuard(root.path)
        self.files = FileChecker(self.context, self._presence, self._guard)
        self._timers = Timers(settings.clock)
        self._timers.set(Timer.CHECK, -math.inf)
        self._pace = ScanPace(settings.rescan_seconds)
        self._router = HintRouter(
            self.context, self._scope, self.files, self._timers, self._pace, self.wake
        )
        self._reconciler = Reconciler(
            self.context, self._scope, self._presence, self.files, self._guard, self._check
        )
        self._listen = True
        self._last_scan = ScanReport()

    # Asked from other threads

    @property
    def clock(self) -> Clock:
        return self.context.settings.clock

    @property
    def silent(self) -> bool:
        """Whether its disk does not answer, so that the thread that owns the root waits."""
        return self.context.stall.silent

    @property
    def state(self) -> WatchState:
        if not self._presence.online:
            return WatchState.OFFLINE
        if self._feed.mode == "poll":
            return WatchState.POLLING
        return WatchState.PROVING if self._feed.is_proving else WatchState.EVENTS

    def hint(self, path: str) -> None:
        """Look at the photo, sidecar or folder ``path`` again, even if nothing changed."""
        self._router.request(path)

    def rescan(self) -> None:
        self._router.rescan()

    @property
    def online(self) -> bool:
        """Whether the root is there, and its disk responds."""
        return self._presence.online and not self.silent

    def await_check(self, seconds: float) -> None:
        """Wait until it is known whether the root is there and how it is watched, or so long."""
        self._presence.checked.wait(seconds)

    def status(self) -> RootStatus:
        """Return the state of the root for users."""
        presence, silent = self._presence, self.silent
        foreign = presence.foreign if presence.online and not silent else ""
        reason = NO_ANSWER if silent else self.trouble or presence.reason or self._feed.reason
        return RootStatus(
            self.root.path,
            "offline" if silent else presence.state,
            self._feed.mode,
            "; ".join(filter(None, (reason, foreign))),
            self._last_scan.ended_wall,
            len(self.files.settling),
            self._last_scan.seen,
            self._guard.held,
            foreign,
        )

    def count_new(self, stop: threading.Event) -> int:
        """Count the photos of the root, if it is there, that the index does not know as they are.

        Reads the index and folders only, so it may run beside a scan.
        """
        if not self._presence.online or self.silent:
            return 0
        count = 0
        for photo in walk(self._scope.current_rules(), self.root.path, WalkReport()):
            if stop.is_set():
                break
            count += not self.files.is_current(photo.path, photo.stat, photo.sidecars)
        return count

    # Called by the one thread that owns this root

    def begin(self, stop: threading.Event, *, listen: bool) -> None:
        """Start afresh: with events (``listen``), or for a single scan."""
        self.context.stop = stop
        self._listen = listen
        # A single scan gets no second look at what seems to be a wave of deletions.
        self._guard.patient = listen
        self._presence.forget()
        self._timers.set(Timer.CHECK, -math.inf)

    def close(self) -> None:
        self._feed.disarm()

    def step(self) -> float:
        """Do all that is due now; return when there is more to do (seconds of the clock)."""
        stall = self.context.stall
        lost = stall.lost
        # Here and not once for the thread: it waits between steps, and after errors.
        with stall.running():
            due = self._step()
        if stall.lost == lost or self.state is WatchState.OFFLINE:
            return due
        # What was delivered while its disk was silent may have been dropped.
        self.files.delivery.forget_all()
        self._timers.bring_forward(Timer.SCAN, self.clock() + self._pace.delay_after_stall())
        return min(due, self._timers.at(Timer.SCAN))

    def scan(self) -> None:
        """Look at everything in the root, and report what is gone."""
        self._check()  # another disk may have been mounted over it a moment ago
        self._timers.cancel(Timer.SCAN)
        if self.state is WatchState.OFFLINE:
            return
        report = self._reconciler.run(self._between_photos)
        if report.deletions is Deletions.HELD:
            self._timers.bring_forward(Timer.SCAN, self.clock() + RECHECK_SECONDS)
        if not report.complete:
            return
        self._last_scan = report
        self._pace.note_scan(report.ended, report.cost, stalled=report.stalled)
        self._feed.too_many_folders(report.folders)
        self._feed.prove(doubt=report.missed > 0)
        next_scan = self._pace.next_scan(polled=self.state is WatchState.POLLING)
        self._timers.bring_forward(Timer.SCAN, next_scan)

    # The steps

    def _step(self) -> float:
        timers, mounts = self._timers, self._presence.mounts
        if timers.is_due(Timer.CHECK):
            self._check()
            mounts = self._presence.mounts
        if self.state is WatchState.OFFLINE:
            self._router.drop()
            return timers.at(Timer.CHECK)
        self._follow_hints()
        if timers.is_due(Timer.REARM):
            timers.cancel(Timer.REARM)
            self._feed.lost(mounts)
            self._scan_afresh()
        if self._feed.check(mounts):
            self._scan_afresh()
        if timers.is_due(Timer.SCAN):
            self.scan()
        if self.files.take_overflow(room=0.5):
            timers.bring_forward(Timer.SCAN, self._pace.early_scan(self.clock()))
        return min(timers.next_due(), self.files.next_due(), self._feed.next_due())

    def _check(self) -> bool:
        """Check that the root is there, and act if that changed; return whether it is as before."""
        change = self._presence.check()
        seconds = CHECK_SECONDS if self._presence.online else AWAY_SECONDS
        self._timers.set(Timer.CHECK, self.clock() + seconds)
        if change is Change.RETURNED:
            self._go_online()
        elif change is Change.GONE:
            self._go_offline()
        self._presence.checked.set()
        return change is Change.NONE

    def _go_online(self) -> None:
        self._feed.disarm()
        self._scope.refresh()
        if self._listen:
            self._feed.arm(self._presence.mounts)
        self._scan_afresh()

    def _go_offline(self) -> None:
        """Stop listening; nothing in the root is touched, or forgotten."""
        self._feed.disarm()
        self.files.clear()
        self._router.drop()
        self._timers.cancel(Timer.REARM, Timer.DELETIONS)

    def _scan_afresh(self) -> None:
        self._reconciler.note_listening()
        self._timers.set(Timer.SCAN, self.clock())

    def _between_photos(self) -> bool:
        """Do what is due in the middle of a scan; return whether the scan goes on."""
        if self._timers.is_due(Timer.CHECK) and not self._check():
            return False
        return self._follow_hints() and not self.context.stop.is_set()

    def _follow_hints(self) -> bool:
        """Follow hints, look at files that are due; return whether the root is as before."""
        self._router.route(self._feed.hints())
        self.files.check_due()
        if not self._timers.is_due(Timer.DELETIONS):
            return True
        self._timers.cancel(Timer.DELETIONS)
        paths, folders = self._router.take_deleted()
        if len(paths) > SMALL_BATCH or len(folders) > SMALL_BATCH:
            self._timers.bring_forward(Timer.SCAN, self._pace.early_scan(self.clock()))
            return True
        deletions = self._reconciler.report_deleted(paths, folders)
        if deletions is Deletions.HELD:
            self._timers.bring_forward(Timer.SCAN, self.clock() + RECHECK_SECONDS)
        return deletions is not Deletions.ROOT_CHANGED

    def _log_recovery(self, seconds: float) -> None:
        log.info("%r: responding again, after %.0f seconds", self.root.path, seconds)
