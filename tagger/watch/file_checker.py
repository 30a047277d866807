"""Decides about single files: delivers those that are finished and not known yet."""

from __future__ import annotations

import errno
import logging
import math
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import replace

from tagger.records import Candidate, FileStat
from tagger.system.files import leads_out, no_descriptors, sidecar_stats
from tagger.system.mounts import Mount
from tagger.system.path_spelling import spelled
from tagger.watch.completeness import take_look
from tagger.watch.context import RootContext
from tagger.watch.deletions import DeletionGuard
from tagger.watch.delivery import SENT_LIMIT, SENT_SECONDS, Delivery
from tagger.watch.postponed import MissingSidecars, PostponedPaths
from tagger.watch.root_presence import Presence
from tagger.watch.stability import Completeness, Look, StabilityTracker
from tagger.watch.walk import Seen

log = logging.getLogger(__name__)

REMOTE_CLOCK_SECONDS = 3600.0
"""How far off the clock of a file server may be."""
MAX_COMPLAINTS = 1000
"""How many errors are remembered, so that each is logged once."""

Stats = Sequence[os.stat_result]


class FileChecker:
    """Decides about the files of one root, and delivers them. One thread owns it.

    ``settling`` are those that are not finished yet; how many, any thread may ask.
    """

    def __init__(self, context: RootContext, presence: Presence, guard: DeletionGuard) -> None:
        settings = context.settings
        self._context, self._presence = context, presence
        self.settling = StabilityTracker(settings.settle_seconds)
        self.delivery = Delivery(context, guard)
        self._later = PostponedPaths(max(1.0, settings.settle_seconds))
        self._missing_sidecars = MissingSidecars()
        self._overflowed = False
        self._clock_offset = settings.wall() - settings.clock()
        self._written: dict[str, None] = {}
        self._complaints: set[tuple[str, int]] = set()

    def is_current(self, path: str, st: os.stat_result, sidecars: Stats) -> bool:
        """Whether the index knows the photo, and its sidecars, as they are. Thread-safe."""
        return self._context.known.is_current(
            path, self._stat(path, st), self._together(path, sidecars)
        )

    def check_seen(self, photo: Seen) -> bool:
        """Look at a photo that a walk has seen; return whether it is new."""
        path = photo.path
        self._context.stall.reset()
        try:
            current = self.is_current(path, photo.stat, photo.sidecars)
        except sqlite3.Error:
            raise
        except Exception:  # noqa: BLE001 - logged; one photo stops no other
            self._log_unexpected(path)
            return False
        if current:
            self.settling.forget(path)
            return False
        now = self._context.settings.clock()
        if path in self.settling or self._missing_sidecars.holds(path, now):
            return False
        self.check(path)
        return True

    def check(self, path: str, *, written: bool = False) -> None:
        """Look at one file; deliver it when it is finished and not known.

        ``written``: another program wrote to it, so it may be new though it looks as before. An
        unexpected error is logged and concerns this file only. Raise sqlite3.Error when the
        index cannot be read, OSError when no file descriptor is left.
        """
        try:
            self._check(path, written)
        except sqlite3.Error:
            raise
        except Exception as error:
            if no_descriptors(error):
                raise
            self.settling.forget(path)
            self._log_unexpected(path)

    def check_due(self) -> None:
        now = self._context.settings.clock()
        while (path := self._later.pop(now)) is not None:
            self.check(path)
        for path in self._missing_sidecars.take(now):
            self.check(path)
        if now >= self.settling.next_due():
            for path in self.settling.due(now):
                if self._context.stop.is_set():
                    return
                self.check(path)

    def next_due(self) -> float:
        parts = (self._later, self._missing_sidecars, self.settling)
        return min(part.next_due() for part in parts)

    def take_overflow(self, *, room: float = 1.0) -> bool:
        """Return whether a scan must find files for which there was no room, and forget that.

        False while more than that share of the ``room`` is taken.
        """
        if not self._overflowed or len(self.settling) > room * self.settling.limit:
            return False
        self._overflowed = False
        return True

    def postpone(self, path: str) -> None:
        """Look at ``path`` when we are surely done with it: our own writes are events too."""
        self._later.put(path, self._context.settings.clock())

    def note_missing_sidecar(self, path: str) -> None:
        """Look at ``path``, whose sidecar is gone, when nothing is deleted any more."""
        self._missing_sidecars.put(path, self._context.settings.clock())

    def note_deletion(self) -> None:
        self._missing_sidecars.note_deletion(self._context.settings.clock())

    def clear(self) -> None:
        self.settling.clear()
        self._later.clear()
        self._missing_sidecars.clear()
        self.delivery.forget_all()
        self._written.clear()

    def log_unreadable(self, path: str, error: OSError) -> None:
        """Log, once for each cause, that ``path`` cannot be read."""
        if self._is_first(path, error.errno or 0):
            log.warning("cannot look at %r (%s); its photos stay as they are", path, error.strerror)

    def _log_unexpected(self, path: str) -> None:
        """Log, once for each file, an unexpected error."""
        if self._is_first(path, -1):
            log.exception("unexpected error with %s", path)

    def _is_first(self, path: str, code: int) -> bool:
        if (path, code) in self._complaints or len(self._complaints) >= MAX_COMPLAINTS:
            return False
        self._complaints.add((path, code))
        return True

    def _check(self, path: str, written: bool) -> None:
        self._context.stall.reset()
        # Events give the name that a program used; where case is ignored, the disk has another.
        path, given = spelled(path, self._context.root.path), path
        if given != path:
            self.settling.forget(given)
        if written and len(self._written) < SENT_LIMIT:
            self._written[path] = None
        try:
            if leads_out(path, self._context.root.path):
                raise OSError(errno.ELOOP, "a folder above it is a link", path)
            mount = self._presence.mount_of(path, os.lstat(path))
            look = self._look(path, mount)
        except OSError as error:
            if no_descriptors(error):
                raise
            self.settling.forget(path)
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                self.log_unreadable(path, error)
            return
        sidecar = self._together(path, sidecar_stats(path))
        if mount.keeps_ctime:
            self._written.pop(path, None)
        rewritten = path in self._written
        if self._context.known.is_current(path, look.stat, sidecar) and not rewritten:
            self.settling.forget(path)
            return
        candidate = Candidate(path, self._context.root.path, look.stat, sidecar, rewritten)
        self._settle(candidate, look)

    def _look(self, path: str, mount: Mount) -> Look:
        wall, clock = self._context.settings.wall, self._context.settings.clock
        # Once the time of day was put forward, files of before look older than they are.
        jumped = max(0.0, wall() - clock() - self._clock_offset)
        trust_times = jumped + (REMOTE_CLOCK_SECONDS if mount.remote else 0.0)
        root = self._context.root.path
        return take_look(path, root, mount, wall=wall(), trust_times=trust_times)

    def _settle(self, candidate: Candidate, look: Look) -> None:
        """Deliver a candidate if it is finished, else wait for that."""
        path, now = candidate.path, self._context.settings.clock()
        settle_seconds = self._context.settings.settle_seconds
        within = settle_seconds if candidate.rewritten else SENT_SECONDS
        if self.delivery.is_repeated(candidate, now, within):
            self.settling.forget(path)
            return  # the index does not know of it yet
        if self.delivery.age(path, now) < settle_seconds:
            # Written again and again: not each version is worth the work.
            look = replace(look, completeness=Completeness.UNKNOWN)
        due = self.settling.look(path, look, now)
        if due is None:
            if self.delivery.deliver(candidate):
                self._written.pop(path, None)
        elif due == math.inf:
            self._overflowed = True

    def _together(self, path: str, sidecars: Stats) -> FileStat | None:
        return FileStat.together([self._stat(path, found) for found in sidecars])

    def _stat(self, path: str, st: os.stat_result) -> FileStat:
        return self._presence.mount_of(path, st).version(st)
