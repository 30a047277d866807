"""What a hint means: which file, folder or root is looked at, and when."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from itertools import chain

from tagger.system.files import is_absent
from tagger.system.path_spelling import ignores_case, spelled
from tagger.system.paths import is_inside, is_photo_name, is_sidecar_name, photos_of_sidecar
from tagger.watch.context import RootContext
from tagger.watch.events import Hint, HintQueue, Kind
from tagger.watch.file_checker import FileChecker
from tagger.watch.root_scope import RootScope
from tagger.watch.timers import ScanPace, Timer, Timers
from tagger.watch.walk import WalkReport

log = logging.getLogger(__name__)

REARM_DELAY = 1.0
"""How long after lost events they are listened to anew."""
FOUND_FIRST_SECONDS = 1.0
"""So much longer than a file needs to settle it is waited with deletions: a renamed file is found
at its new place first."""


class HintRouter:
    """Follows the hints of one root. :meth:`request` and :meth:`rescan` are thread-safe."""

    def __init__(
        self,
        context: RootContext,
        scope: RootScope,
        files: FileChecker,
        timers: Timers,
        pace: ScanPace,
        wake: threading.Event,
    ) -> None:
        self._context, self._scope, self._files = context, scope, files
        self._timers, self._pace = timers, pace
        self._requests = HintQueue(wake)
        self._gone_files: dict[str, None] = {}
        self._gone_folders: dict[str, None] = {}

    # Asked from other threads

    def request(self, path: str) -> None:
        """Have the photo, sidecar or folder ``path`` looked at, even if nothing changed."""
        if is_photo_name(path):
            kind = Kind.REQUESTED
        else:
            kind = Kind.SIDECAR if is_sidecar_name(path) else Kind.TREE
        self._requests.put(Hint(kind, path))

    def rescan(self) -> None:
        self._requests.put(Hint(Kind.SCAN))

    # Called by the thread of the root

    def drop(self) -> None:
        """Forget what was requested, and what is said to be deleted: the root is not there."""
        self._requests.take()
        self.take_deleted()

    def take_deleted(self) -> tuple[list[str], list[str]]:
        """Return the files and the folders to be looked for, in their order, and forget them."""
        taken = list(self._gone_files), list(self._gone_folders)
        self._gone_files, self._gone_folders = {}, {}
        return taken

    def route(self, events: Iterable[Hint]) -> None:
        """Follow ``events``, and what was requested."""
        folders: list[str] = []
        for hint in chain(events, self._requests.take()):
            if self._context.stop.is_set():
                return
            self._follow(hint.kind, hint.path, folders)
        if folders:
            self._walk(folders)

    def _follow(self, kind: Kind, path: str, folders: list[str]) -> None:
        """Follow one hint; a folder to be walked is added to ``folders``."""
        rules, now = self._scope.rules, self._context.settings.clock()
        match kind:
            case Kind.LOOK if rules.wants(path):
                self._look(path)
            case Kind.REQUESTED:
                self._files.delivery.forget(path)
                if rules.wants(path):
                    self._look(path)
                self._note_deleted(path)
            case Kind.LATER if rules.wants(path):
                self._files.postpone(path)
            case Kind.SIDECAR:
                self._look_at_photos_of(path)
            case Kind.TREE if rules.wants_folder(path):
                folders.append(path)
            case Kind.VANISHED:
                self._note_deleted(path)
            case Kind.TREE_VANISHED if is_inside(self._context.root.path, path):
                self._timers.set(Timer.CHECK, now)
            case Kind.TREE_VANISHED:
                self._note_deleted(path, folder=True)
            case Kind.SCAN:
                self._files.delivery.forget_all()  # what was delivered may have been dropped
                self._timers.set(Timer.SCAN, now)
            case Kind.DOUBT:
                self._timers.bring_forward(Timer.SCAN, self._pace.early_scan(now))
            case Kind.LOST:
                log.info("events of %r were lost; all of it is scanned", self._context.root.path)
                self._timers.bring_forward(Timer.REARM, now + REARM_DELAY)
            case _:
                pass  # of no interest to this root

    def _look(self, path: str) -> None:
        self._files.check(path, written=True)
        if ignores_case(path):
            # It may have replaced a file of another spelling, which no event reports.
            self._put_deleted(os.path.dirname(path), folder=True)

    def _look_at_photos_of(self, sidecar: str) -> None:
        gone = is_absent(sidecar)
        for photo in photos_of_sidecar(sidecar):
            if self._scope.rules.wants(photo) and not is_absent(photo):
                path = spelled(photo, self._context.root.path)
                if gone:
                    self._files.note_missing_sidecar(path)
                else:
                    self._files.postpone(path)

    def _note_deleted(self, path: str, *, folder: bool = False) -> None:
        if not self._scope.rules.owns(path):
            return
        self._files.note_deletion()
        if folder or is_absent(path, self._context.root.path):
            self._files.delivery.forget(path, folder=folder)
        self._put_deleted(path, folder=folder)

    def _put_deleted(self, path: str, *, folder: bool) -> None:
        (self._gone_folders if folder else self._gone_files)[path] = None
        settings = self._context.settings
        due = settings.clock() + settings.settle_seconds + FOUND_FIRST_SECONDS
        self._timers.bring_forward(Timer.DELETIONS, due)

    def _walk(self, folders: list[str]) -> None:
        """Look at all photos in ``folders``, each once."""
        done = None
        for folder in sorted(folders):
            if done is not None and is_inside(folder, done):
                continue
            done = folder
            for photo in self._scope.walk(folder, WalkReport(self._files.log_unreadable)):
                if self._context.stop.is_set():
                    return
                self._files.check_seen(photo)
