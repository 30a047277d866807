"""The watch over one root: every step of it, driven from outside by a clock."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from tagger.config.schema import WatchRoot
from tagger.paths import is_inside, is_photo_name, is_sidecar_name, photos_of_sidecar
from tagger.system.files import is_absent
from tagger.system.path_spelling import ignores_case, spelled
from tagger.watch.deletions import DeletionGuard, PendingDeletions, away
from tagger.watch.event_feed import EventFeed
from tagger.watch.events import EventSourceFactory, Hint, HintQueue, Kind, WatchdogSource
from tagger.watch.file_checker import FileChecker
from tagger.watch.interfaces import CandidateSink, Clock, KnownPhotos, RootClaims, RootStatus
from tagger.watch.root_identity import RootMemory
from tagger.watch.root_presence import Presence
from tagger.watch.stall_timer import StallTimer
from tagger.watch.walk import Seen, WalkReport, WalkRules, walk

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""How often a root is checked for being there."""
AWAY_SECONDS = 2.0
"""How often one is looked for that is not."""
POLL_SECONDS = 1.0
"""The shortest time between two scans of a polled root."""
SCAN_SHARE = 20.0
"""A polled root rests for this many times as long as its last scan took."""
RECHECK_SECONDS = 30.0
"""When a suspected wave of deletions is looked at again."""
MISSED_SECONDS = 10.0
"""A file that no event told of for this long casts doubt on the events."""
SMALL_BATCH = 20
"""More vanished files than this are left to a full scan."""
AGAIN_SECONDS = 10.0
"""So long after a disk that was silent has answered, all of it is looked at again."""
NO_ANSWER = "its disk does not answer; is the machine that has it away?"


@dataclass(frozen=True, slots=True)
class Settings:
    """What all roots share. ``wall`` is the time of day, in seconds since the epoch."""

    settle_seconds: float = 2.0
    rescan_seconds: float = 300.0
    clock: Clock = time.monotonic
    wall: Clock = time.time
    source: EventSourceFactory = WatchdogSource
    claims: RootClaims | None = None


class Layout(Protocol):
    """How the roots lie among each other."""

    def inside(self, root: WatchRoot) -> frozenset[str]:
        """Return the folders below ``root``, relative to it, that are roots of their own."""
        ...

    def twin(self, root: WatchRoot) -> str | None:
        """Return an earlier root that is the same folder, if there is one."""
        ...


class RootWatcher:
    """Watches one root. One thread calls :meth:`step`; the others only leave hints."""

    def __init__(
        self,
        root: WatchRoot,
        known: KnownPhotos,
        sink: CandidateSink,
        memory: RootMemory,
        settings: Settings,
        layout: Layout,
    ) -> None:
        self.root = root
        self.wake = threading.Event()
        self.stop = threading.Event()
        self.clock = settings.clock
        self.trouble = ""
        self.departures = DeletionGuard(root.path)
        self._known, self._sink, self._set, self._layout = known, sink, settings, layout
        self._pulse = StallTimer(settings.clock)
        self._presence = Presence(root, memory, self._knows_any, self._twin, settings.claims)
        self.files = FileChecker(
            root,
            known,
            sink,
            self._presence,
            self.departures,
            self._pulse,
            settle_seconds=settings.settle_seconds,
            clock=settings.clock,
            wall=settings.wall,
        )
        self._feed = EventFeed(root, settings.source, self.wake, settings.clock)
        self._outside = HintQueue(self.wake)
        self._rules = WalkRules(root)
        self._listen = True
        self._vanished = PendingDeletions()
        self._rearm_at = self._scan_at = math.inf
        self._check_at = self._scan_ended = -math.inf
        self._scan_cost = 0.0
        self._again = AGAIN_SECONDS
        self._armed_wall = math.inf
        self._epoch = 0
        self._pumping = False
        self._last_scan: float | None = None
        self._seen = 0

    # -- asked from other threads

    def hint(self, path: str) -> None:
        """Look at the photo, sidecar or folder ``path`` again, even if nothing changed."""
        if is_photo_name(path):
            self.files.ask_again(path)
            self._outside.put(Hint(Kind.LOOK, path))
            self._outside.put(Hint(Kind.VANISHED, path))
        else:
            kind = Kind.SIDECAR if is_sidecar_name(path) else Kind.TREE
            self._outside.put(Hint(kind, path))

    def rescan(self) -> None:
        """Scan everything now."""
        self._outside.put(Hint(Kind.SCAN))

    def accept(self) -> None:
        """Take the folder as it is now, though it looks like another one."""
        self._presence.accept()
        self.rescan()

    @property
    def silent(self) -> bool:
        """Whether its disk does not answer, so that the thread that owns the root waits."""
        return self._pulse.silent

    def status(self) -> RootStatus:
        """Return how the root fares."""
        presence, silent = self._presence, self.silent
        foreign = presence.foreign if presence.online and not silent else ""
        reason = NO_ANSWER if silent else self.trouble or presence.reason or self._feed.reason
        return RootStatus(
            self.root.path,
            "offline" if silent else presence.state,
            self._feed.mode,
            "; ".join(filter(None, (reason, foreign))),
            self._last_scan,
            len(self.files.settling),
            self._seen,
            self.departures.held,
            foreign,
        )

    def survey(self, stop: threading.Event) -> int:
        """Count the photos of the root, if it is there, that the index does not know as they are.

        Reads the index and folders only, so it may run beside a scan.
        """
        if not self._presence.online or self.silent:
            return 0
        rules = WalkRules(self.root, self._layout.inside(self.root))
        count = 0
        for photo in walk(rules, self.root.path, WalkReport(), lambda path, error: None):
            if stop.is_set():
                break
            count += not self.files.is_current(photo.path, photo.stat, photo.sidecars)
        return count

    # -- driven by the one thread that owns this root

    def begin(self, stop: threading.Event, *, listen: bool) -> None:
        """Start afresh: with events (``listen``), or for a single scan."""
        self.stop = self.files.stop = stop
        self._listen = listen
        # A single scan gets no second look at what seems to be a wave of deletions.
        self.departures.patient = listen
        self._presence.forget()
        self._check_at = -math.inf

    def step(self) -> float:
        """Do all that is due now; return when there is more to do (seconds of the clock)."""
        lost = self._pulse.lost
        with self._pulse.asking():
            due = self._step()
        if self._pulse.lost == lost or not self._presence.online:
            return due
        # What was delivered while its disk was silent may have been passed over. Should it be
        # silent in each scan, they come less and less often.
        self.files.ask_again()
        self._scan_at = min(self._scan_at, self.clock() + self._again)
        self._again = min(2 * self._again, max(AGAIN_SECONDS, self._set.rescan_seconds))
        return min(due, self._scan_at)

    def _step(self) -> float:
        if self.clock() >= self._check_at:
            self.check()
        if not self._presence.online:
            self._outside.take()
            return self._check_at
        self._pump()
        if self.clock() >= self._rearm_at:
            self._rearm_at = math.inf
            with self._pulse.resting():
                self._feed.lost(self._presence.mounts)
            self._watched_anew()
        with self._pulse.resting():
            anew = self._feed.check(self._presence.mounts)
        if anew:
            self._watched_anew()
        if self.clock() >= self._scan_at:
            self.scan()
        settling = self.files.settling
        if self.files.overfull and len(settling) < settling.limit // 2:
            self.files.overfull = False
            self._scan_soon(self.clock())
        return min(
            self._check_at,
            self._scan_at,
            self._rearm_at,
            self._vanished.due,
            self.files.next_due(),
            self._feed.next_due(),
        )

    def ask(self, do: Callable[[], None]) -> None:
        """Call ``do``, a part of a single run, which asks the disk."""
        with self._pulse.asking():
            do()

    def close(self) -> None:
        """Stop listening to events."""
        self._feed.disarm()

    def check(self) -> bool:
        """Check that the root is there, and act when that has changed; return whether it is."""
        changed, online = self._presence.check(), self._presence.online
        self._check_at = self.clock() + (CHECK_SECONDS if online else AWAY_SECONDS)
        if not changed:
            return online
        self._epoch += 1
        self._feed.disarm()
        if self._presence.online:
            self._rules = self._make_rules()
            if self._listen:
                # This looks into all folders, and may have to wait for the other roots' turn.
                with self._pulse.resting():
                    self._feed.arm(self._presence.mounts)
            self._watched_anew()
        else:
            # Nothing under it is touched, or forgotten.
            self.files.clear()
            self._vanished.take()
            self._rearm_at = math.inf
        return self._presence.online

    def scan(self) -> None:
        """Look at everything below the root, and report what is gone."""
        self._scan_at = math.inf
        if not self.check():
            return  # another disk may have come over it a moment ago
        clock, epoch = self.clock, self._epoch
        self._scan_at = math.inf
        self._rules = self._make_rules()
        began, blocked, lost = clock(), self.files.blocked, self._pulse.lost
        report, seen, missed = WalkReport(), set(), 0
        doubtful = self._set.wall() - MISSED_SECONDS
        for photo in self._walk(self.root.path, report):
            seen.add(hash(photo.path))
            new = self.files.meet(photo.path, photo.stat, photo.sidecars)
            missed += new and self._armed_wall < photo.stat.st_ctime < doubtful
            if clock() >= self._check_at:
                self.check()
            self._pump()
            if self.stop.is_set() or epoch != self._epoch:
                return
        self._presence.crossed(report.crossings, forget=self.departures.released)
        self._reconcile(seen, report.unreadable)
        self._pulse.beat()
        ended = clock()
        self._scan_cost = ended - began - (self.files.blocked - blocked)
        if self._pulse.lost == lost:
            self._again = AGAIN_SECONDS
        else:  # that it was silent for hours tells nothing of the next scan
            self._scan_cost = min(self._scan_cost, self._set.rescan_seconds)
        self._scan_ended = ended
        self._last_scan, self._seen = self._set.wall(), len(seen)
        self._feed.too_many_folders(report.folders)
        with self._pulse.resting():
            self._feed.prove(doubt=missed > 0)
        self._scan_at = min(self._scan_at, ended + self._pause())

    # -- the steps

    def _make_rules(self) -> WalkRules:
        with self._pulse.resting():  # it waits for other disks
            return WalkRules(self.root, self._layout.inside(self.root))

    def _twin(self) -> str | None:
        with self._pulse.resting():
            return self._layout.twin(self.root)

    def _walk(self, top: str, report: WalkReport) -> Iterator[Seen]:
        return walk(self._rules, top, report, self.files.complain, self._pulse.beat)

    def _watched_anew(self) -> None:
        # Events only tell of what changes from now on.
        self._armed_wall = self._set.wall()
        self._scan_at = self.clock()

    def _pause(self) -> float:
        rescan = max(self._set.rescan_seconds, self._scan_cost)
        if self._feed.mode == "events":
            return rescan
        return min(max(POLL_SECONDS, SCAN_SHARE * self._scan_cost), rescan)

    def _scan_soon(self, now: float) -> None:
        rest = min(SCAN_SHARE * self._scan_cost, self._set.rescan_seconds)
        self._scan_at = min(self._scan_at, max(now + 1.0, self._scan_ended + rest))

    def _pump(self) -> None:
        """Follow hints and settle files; in the middle of a scan as well."""
        if self._pumping:
            return
        self._pumping = True
        try:
            self._follow()
            self.files.work()
            if self.clock() >= self._vanished.due:
                self._report_vanished()
        finally:
            self._pumping = False

    def _follow(self) -> None:
        now = self.clock()
        trees: list[str] = []
        for hint in chain(self._feed.hints(), self._outside.take()):
            path = hint.path
            if self.stop.is_set():
                return
            match hint.kind:
                case Kind.LOOK if self._rules.wants(path):
                    self.files.examine(path, written=True)
                    if ignores_case(path):
                        # It may have replaced one of another spelling, of which no event tells.
                        due = now + self._set.settle_seconds + 1.0
                        self._vanished.note(os.path.dirname(path), due, tree=True)
                case Kind.LATER if self._rules.wants(path):
                    self.files.put_off(path)
                case Kind.SIDECAR:
                    look = self.files.bereave if is_absent(path) else self.files.put_off
                    for photo in photos_of_sidecar(path):
                        if self._rules.wants(photo) and not is_absent(photo):
                            look(spelled(photo, self.root.path))
                case Kind.TREE if self._rules.wants_folder(path):
                    trees.append(path)
                case Kind.VANISHED:
                    self._note_vanished(path, now)
                case Kind.TREE_VANISHED if is_inside(self.root.path, path):
                    self._check_at = now
                case Kind.TREE_VANISHED:
                    self._note_vanished(path, now, tree=True)
                case Kind.SCAN:
                    self.files.ask_again()  # what was delivered may have been dropped
                    self._scan_at = now
                case Kind.DOUBT:
                    self._scan_soon(now)
                case Kind.LOST:
                    log.info("events of %r were lost; everything is looked at", self.root.path)
                    self._rearm_at = min(self._rearm_at, now + 1.0)
                case _:
                    pass  # of no interest to this root
        self._scan_trees(trees)

    def _scan_trees(self, trees: list[str]) -> None:
        done = None
        for tree in sorted(trees):
            if done is not None and is_inside(tree, done):
                continue
            done = tree
            for photo in self._walk(tree, WalkReport()):
                if self.stop.is_set():
                    return
                self.files.meet(photo.path, photo.stat, photo.sidecars)

    # -- what is gone

    def _known_here(self, top: str) -> Iterable[str]:
        return (path for path in self._known.known_under(top) if self._rules.owns(path))

    def _knows_any(self) -> bool:
        return any(True for _ in self._known_here(self.root.path))

    def _note_vanished(self, path: str, now: float, *, tree: bool = False) -> None:
        if self._rules.owns(path):
            self.files.departed()
            if tree or is_absent(path, self.root.path):
                self.files.left(path, tree=tree)
            # Later than its new place is found, if it was only renamed.
            self._vanished.note(path, now + self._set.settle_seconds + 1.0, tree=tree)

    def _report_vanished(self) -> None:
        paths, trees = self._vanished.take()
        if len(paths) > SMALL_BATCH or len(trees) > SMALL_BATCH:
            self._scan_soon(self.clock())
            return
        below = chain.from_iterable(self._known_here(tree) for tree in trees)
        self._report(self._absent(dict.fromkeys(chain(paths, below)), []))

    def _reconcile(self, seen: set[int], unreadable: list[str]) -> None:
        unseen = [p for p in self._known_here(self.root.path) if hash(p) not in seen]
        if self._report(self._absent(unseen, unreadable)):
            self.departures.nothing_held()

    def _absent(self, paths: Iterable[str], unreadable: list[str]) -> list[str]:
        hidden = [*unreadable, *away(self._presence.crossings)]
        absent = []
        for path in paths:
            self._pulse.beat()
            if not any(is_inside(path, folder) for folder in hidden) and is_absent(
                path, self.root.path
            ):
                absent.append(path)
        return absent

    def _report(self, missing: list[str]) -> bool:
        """Report what is ``missing``; return False when it is held back."""
        epoch = self._epoch
        # Only now: had the disk gone meanwhile, everything would look deleted.
        if missing and (not self.check() or epoch != self._epoch):
            return False
        fresh = self.departures.judge(
            missing, lambda: sum(1 for _ in self._known_here(self.root.path)), self.clock()
        )
        if fresh is None:
            self._scan_at = min(self._scan_at, self.clock() + RECHECK_SECONDS)
            return False
        for path in fresh:
            self.files.left(path)
        if fresh and not self.stop.is_set():
            with self._pulse.resting():
                self._sink.gone(fresh, self.root.path)
        return True
