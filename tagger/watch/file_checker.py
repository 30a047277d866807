"""Looks at single files: delivers those that are finished and not known yet."""

from __future__ import annotations

import errno
import logging
import math
import os
import sqlite3
import threading
from collections.abc import Sequence
from dataclasses import replace

from tagger.config.schema import WatchRoot
from tagger.paths import is_inside
from tagger.records import Candidate, FileStat
from tagger.system.files import leads_out, no_descriptors
from tagger.system.path_spelling import spelled
from tagger.watch.completeness import take_look
from tagger.watch.deletions import DeletionGuard
from tagger.watch.interfaces import CandidateSink, Clock, KnownPhotos
from tagger.watch.root_presence import Presence
from tagger.watch.stability import Completeness, StabilityTracker
from tagger.watch.stall_timer import StallTimer
from tagger.watch.walk import sidecar_stats

log = logging.getLogger(__name__)

REMOTE_CLOCK_SECONDS = 3600.0
"""How far off the clock of a file server may be."""
SENT_SECONDS = 60.0
"""For how long the same version of a file is not delivered again, unless asked for."""
SENT_LIMIT = 5000
"""How many delivered files are remembered for that."""
MAX_COMPLAINTS = 1000
QUIET_SECONDS = 10.0
"""For how long nothing is to be deleted before a sidecar that is gone is written again."""
BEREFT_SECONDS = 300.0
"""If deleting never ends, a scan writes such sidecars again after so long."""
MAX_BEREFT = 20_000

Stats = Sequence[os.stat_result]


class FileChecker:
    """Decides about the files of one root, and delivers to ``sink``.

    ``settling`` holds the unfinished ones; ``overfull`` is set when it had no room, so
    that a scan must find the rest. ``blocked`` counts the seconds spent in the sink. One
    thread owns it; after ``stop`` is set nothing is delivered.
    """

    def __init__(
        self,
        root: WatchRoot,
        known: KnownPhotos,
        sink: CandidateSink,
        presence: Presence,
        departures: DeletionGuard,
        pulse: StallTimer,
        *,
        settle_seconds: float,
        clock: Clock,
        wall: Clock,
    ) -> None:
        self.settling = StabilityTracker(settle_seconds)
        self.overfull = False
        self.blocked = 0.0
        self.stop = threading.Event()
        self._root, self._known, self._sink = root, known, sink
        self._presence, self._departures, self._pulse = presence, departures, pulse
        self._clock, self._wall = clock, wall
        self._apart = wall() - clock()
        self._later: dict[str, float] = {}
        self._bereft: dict[str, float] = {}
        self._departed = -math.inf
        self._sent: dict[str, tuple[float, Candidate]] = {}
        self._written: dict[str, None] = {}
        self._complaints: set[tuple[str, int]] = set()

    def is_current(self, path: str, st: os.stat_result, sidecars: Stats) -> bool:
        """Whether the index knows the photo, and its sidecars, as they are. Thread-safe."""
        return self._known.is_current(path, self._stat(path, st), self._together(path, sidecars))

    def meet(self, path: str, st: os.stat_result, sidecars: Stats) -> bool:
        """Look at a photo met on a walk; return whether it is new."""
        self._pulse.beat()
        try:
            current = self.is_current(path, st, sidecars)
        except sqlite3.Error:
            raise
        except Exception:  # noqa: BLE001 - logged; one photo stops no other
            self._unforeseen(path)
            return False
        if current:
            self.settling.forget(path)
            return False
        if path in self.settling:
            return False
        if self._clock() - self._bereft.get(path, -math.inf) < BEREFT_SECONDS:
            return False
        self.examine(path)
        return True

    def examine(self, path: str, *, written: bool = False) -> None:
        """Look at one file; deliver it when it is finished and not known.

        ``written``: another program wrote to it, so that it may be new though it looks as before.
        What nobody foresaw costs this file only. Raise sqlite3.Error when the index cannot be
        asked.
        """
        try:
            self._examine(path, written)
        except sqlite3.Error:
            raise
        except Exception as error:
            if no_descriptors(error):
                raise
            self.settling.forget(path)
            self._unforeseen(path)

    def _unforeseen(self, path: str) -> None:
        """Log, once for each file, an error that nobody foresaw."""
        if (path, -1) not in self._complaints and len(self._complaints) < MAX_COMPLAINTS:
            self._complaints.add((path, -1))
            log.exception("unexpected error with %s", path)

    def _examine(self, path: str, written: bool) -> None:
        self._pulse.beat()
        # Events tell the name that a program used; where case is ignored, the disk has another.
        path, told = spelled(path, self._root.path), path
        if told != path:
            self.settling.forget(told)
        if written and len(self._written) < SENT_LIMIT:
            self._written[path] = None
        try:
            if leads_out(path, self._root.path):
                raise OSError(errno.ELOOP, "a folder above it is a link", path)
            mount = self._presence.mount_of(path, os.lstat(path))
            # Once the time of day was put forward, files of before look older than they are.
            jumped = max(0.0, self._wall() - self._clock() - self._apart)
            look = take_look(
                path,
                self._root.path,
                wall=self._wall(),
                trust_times=jumped + (REMOTE_CLOCK_SECONDS if mount.remote else 0.0),
                trust_lease=not mount.remote,
                stable_inodes=mount.stable_inodes,
                keeps_ctime=mount.keeps_ctime,
            )
        except OSError as error:
            if no_descriptors(error):
                raise
            self.settling.forget(path)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                self.complain(path, error)
            return
        sidecar = self._together(path, sidecar_stats(path))
        if mount.keeps_ctime:
            self._written.pop(path, None)
        rewritten = path in self._written
        if self._known.is_current(path, look.stat, sidecar) and not rewritten:
            self.settling.forget(path)
            return
        now = self._clock()
        candidate = Candidate(path, self._root.path, look.stat, sidecar, rewritten)
        sent_at, sent = self._sent.get(path, (-math.inf, None))
        again = self.settling.settle_seconds if rewritten else SENT_SECONDS
        if sent == candidate and now - sent_at < again:
            self.settling.forget(path)
            return  # told already; the index does not know of it yet
        if now - sent_at < self.settling.settle_seconds:
            # Written again and again: not each version is worth the work.
            look = replace(look, completeness=Completeness.UNKNOWN)
        due = self.settling.look(path, look, now)
        if due is None:
            self._deliver(candidate)
        elif due == math.inf:
            self.overfull = True

    def put_off(self, path: str) -> None:
        """Look at ``path`` when we are surely done with it: our own writes are events too."""
        self._later.pop(path, None)
        self._later[path] = self._clock() + max(1.0, self.settling.settle_seconds)

    def bereave(self, path: str) -> None:
        """Look at ``path``, whose sidecar is gone, when no more is being deleted.

        Whoever deletes a folder takes sidecar and photo in any order, and wants none back.
        """
        self._departed = self._clock()
        if len(self._bereft) < MAX_BEREFT:
            self._bereft.setdefault(path, self._departed)

    def departed(self) -> None:
        """Note that something was deleted just now."""
        self._departed = self._clock()

    def ask_again(self, path: str | None = None) -> None:
        """Deliver ``path`` (None: all) again even if that version was delivered just now."""
        if path is None:
            self._sent.clear()
        else:
            self._sent.pop(path, None)

    def left(self, path: str, *, tree: bool = False) -> None:
        """Note that ``path``, a photo or folder, is away: if it comes back it is told again."""
        for one in [one for one in self._sent if is_inside(one, path)] if tree else [path]:
            self._sent.pop(one, None)

    def work(self) -> None:
        """Look at all files whose time has come."""
        now = self._clock()
        while self._later and next(iter(self._later.values())) <= now:
            path = next(iter(self._later))
            del self._later[path]
            self.examine(path)
        if self._bereft and now >= self._departed + QUIET_SECONDS:
            paths, self._bereft = self._bereft, {}
            for path in paths:
                self.examine(path)
        if now >= self.settling.next_due():
            for path in self.settling.due(now):
                if self.stop.is_set():
                    return
                self.examine(path)

    def next_due(self) -> float:
        """Return when :meth:`work` has something to do."""
        quiet = self._departed + QUIET_SECONDS if self._bereft else math.inf
        return min(next(iter(self._later.values()), math.inf), quiet, self.settling.next_due())

    def clear(self) -> None:
        """Forget all files that are waited for."""
        self.settling.clear()
        self._later.clear()
        self._bereft.clear()
        self._sent.clear()
        self._written.clear()

    def complain(self, path: str, error: OSError) -> None:
        """Log, once for each cause, that ``path`` cannot be looked at."""
        cause = (path, error.errno or 0)
        if cause not in self._complaints and len(self._complaints) < MAX_COMPLAINTS:
            self._complaints.add(cause)
            log.warning("cannot look at %r (%s); its photos stay as they are", path, error.strerror)

    def _together(self, path: str, sidecars: Stats) -> FileStat | None:
        return FileStat.together([self._stat(path, one) for one in sidecars])

    def _stat(self, path: str, st: os.stat_result) -> FileStat:
        mount = self._presence.mount_of(path, st)
        return FileStat.of(st, stable_inodes=mount.stable_inodes, keeps_ctime=mount.keeps_ctime)

    def _deliver(self, candidate: Candidate) -> None:
        if self.stop.is_set():
            return
        self._departures.back(candidate.path)
        began = self._clock()
        with self._pulse.resting():
            self._sink.found(candidate)
        ended = self._clock()
        self.blocked += ended - began
        self._sent.pop(candidate.path, None)
        self._written.pop(candidate.path, None)
        oldest = next(iter(self._sent), None)
        while oldest is not None and (
            len(self._sent) >= SENT_LIMIT or self._sent[oldest][0] < ended - SENT_SECONDS
        ):
            del self._sent[oldest]
            oldest = next(iter(self._sent), None)
        self._sent[candidate.path] = (ended, candidate)
