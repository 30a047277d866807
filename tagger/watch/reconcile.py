"""Compares a root with the index: finds what is new by a walk, and reports what is gone."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain

from tagger.system.files import is_absent
from tagger.system.paths import is_inside
from tagger.watch.context import RootContext
from tagger.watch.deletions import DeletionGuard, away
from tagger.watch.file_checker import FileChecker
from tagger.watch.root_presence import Presence
from tagger.watch.root_scope import RootScope
from tagger.watch.walk import WalkReport

MISSED_SECONDS = 10.0
"""A file that no event reported for this long casts doubt on the events."""


class Deletions(enum.Enum):
    """What became of photos that are gone."""

    REPORTED = "reported, or there were none"
    HELD = "held back: they are too many at once"
    ROOT_CHANGED = "not reported: the root went away, or is another one"


@dataclass(slots=True)
class ScanReport:
    """What a scan of a root has found.

    ``complete`` is false when it was stopped, or the root changed meanwhile. ``seen`` counts
    photos, ``missed`` new ones that events should have reported. ``ended`` is by the watch's
    clock, ``ended_wall`` the time of day; ``cost`` is how many seconds it took without what the
    sink made it wait. ``stalled``: the disk did not answer for a while.
    """

    complete: bool = False
    seen: int = 0
    folders: int = 0
    missed: int = 0
    ended: float = -math.inf
    ended_wall: float | None = None
    cost: float = 0.0
    stalled: bool = False
    deletions: Deletions = Deletions.REPORTED


class Reconciler:
    """Compares one root with the index. One thread owns it.

    ``check_root`` checks the root and returns whether it is as before: it is called before
    anything is reported as gone, for were the disk away, everything would look deleted.
    """

    def __init__(
        self,
        context: RootContext,
        scope: RootScope,
        presence: Presence,
        files: FileChecker,
        guard: DeletionGuard,
        check_root: Callable[[], bool],
    ) -> None:
        self._context, self._scope, self._presence = context, scope, presence
        self._files, self._guard, self._check_root = files, guard, check_root
        self._listening_since = math.inf

    def note_listening(self) -> None:
        """Note that events are listened to from now on: they report later changes only."""
        self._listening_since = self._context.settings.wall()

    def run(self, between: Callable[[], bool]) -> ScanReport:
        """Look at everything in the root, and report what is gone.

        ``between`` is called after each photo; the scan ends when it returns False.
        """
        context, settings = self._context, self._context.settings
        self._scope.refresh()
        began, blocked, lost = settings.clock(), self._files.delivery.blocked, context.stall.lost
        report, walked, seen = ScanReport(), WalkReport(self._files.log_unreadable), set()
        missed_before = settings.wall() - MISSED_SECONDS
        for photo in self._scope.walk(context.root.path, walked):
            # Of a million paths only the hashes are kept.
            seen.add(hash(photo.path))
            if self._files.check_seen(photo) and (
                self._listening_since < photo.stat.st_ctime < missed_before
            ):
                report.missed += 1
            if not between():
                return report
        self._presence.note_crossings(walked.crossings)
        unseen = [path for path in self._scope.known(context.root.path) if hash(path) not in seen]
        report.deletions = self._report(self._absent(unseen, walked.unreadable))
        if report.deletions is Deletions.REPORTED:
            self._guard.nothing_held()
        context.stall.reset()
        report.complete = report.deletions is not Deletions.ROOT_CHANGED
        report.seen, report.folders = len(seen), walked.folders
        report.ended, report.ended_wall = settings.clock(), settings.wall()
        report.cost = report.ended - began - (self._files.delivery.blocked - blocked)
        report.stalled = context.stall.lost != lost
        return report

    def report_deleted(self, paths: Iterable[str], folders: Iterable[str]) -> Deletions:
        """Report which of the files, and of the known photos in ``folders``, are gone."""
        below = chain.from_iterable(self._scope.known(folder) for folder in folders)
        return self._report(self._absent(dict.fromkeys(chain(paths, below)), []))

    def _absent(self, paths: Iterable[str], unreadable: list[str]) -> list[str]:
        """Return which of ``paths`` are surely gone: not below what cannot be read, or is away."""
        hidden = [*unreadable, *away(self._presence.crossings)]
        absent = []
        for path in paths:
            self._context.stall.reset()
            if not any(is_inside(path, folder) for folder in hidden) and is_absent(
                path, self._context.root.path
            ):
                absent.append(path)
        return absent

    def _report(self, missing: list[str]) -> Deletions:
        if missing and not self._check_root():
            return Deletions.ROOT_CHANGED
        context = self._context
        gone = self._guard.judge(
            missing,
            lambda: sum(1 for _ in self._scope.known(context.root.path)),
            context.settings.clock(),
        )
        if gone is None:
            return Deletions.HELD
        for path in gone:
            self._files.delivery.forget(path)
        if gone and not context.stop.is_set():
            with context.stall.paused():
                context.sink.gone(gone, context.root.path)
        return Deletions.REPORTED
