"""Photos with the bytes of a known one: it was touched, it moved, or it is a copy."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

from tagger.errors import PhotoError
from tagger.index.rows import PhotoRow
from tagger.index.rule_tasks import RuleTasks
from tagger.metadata.recovery import recover
from tagger.pipeline.context import Context
from tagger.pipeline.job import Job
from tagger.pipeline.photo_lock import photo_locks
from tagger.records import JournalEntry
from tagger.system.files import former_path, hash_file, is_absent, photo_stat, sidecar_stat
from tagger.system.logs import Once
from tagger.system.open_beneath import move
from tagger.system.paths import moved_file
from tagger.watch.root_owner import writers_of

log = logging.getLogger(__name__)

LARGEST = 4 << 30
"""Bytes of a file. A sparse one of terabytes is quickly made, and takes hours to be read."""
LOCK_SECONDS = 1.0
"""How long a moved photo waits for whoever is changing the one at its old name, or its new."""


class SameContentFinder:
    """Finds, for a job, the row whose prediction serves. Used by one thread."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._rules = RuleTasks(context.store)
        self._once = Once(log)

    def find(self, job: Job) -> bool:
        """Find a photo with the bytes of ``job``: itself touched, moved here, or a copy.

        Return False when the photo, or the one that it was, is being changed by somebody else, or
        by a rule: it is to be offered again. Raise PhotoVanishedError when it has been moved on
        meanwhile.
        """
        path = job.candidate.path
        twins = self._store.same_content(job.digest)
        own = [twin for twin in twins if twin.path == path]
        if own:
            job.source, job.how = own[0], "known"
            return True
        if not twins:
            return True
        if job.row is not None and job.digest in (job.row.content_hash, job.row.source_hash):
            job.source, job.how = twins[0], "copied"  # it is to be classified again
            return True
        left = next((twin for twin in twins if self._has_left(twin)), None)
        if left is not None and self._rules.is_moving(left.id):
            return False  # a kill came between its files: the rule goes on with all of them
        if left is None and (job.row is None or not knows_content(job.row)):
            self._copy(job, twins[0])
            return True
        # Rows change places now, and sidecars their names: nobody else may be at these photos.
        names = {path} if left is None else {path, left.path, former_path(left.path)}
        with photo_locks(self._context.config.state_dir) as locks:
            if not all(locks.take(name, LOCK_SECONDS) for name in sorted(names)):
                return False
            # A rule that held them may have moved it on: no row goes where no photo is.
            if not photo_stat(path).same_version(job.candidate.stat):
                return False
            return self._take_name(job, left or twins[0], moved=left is not None)

    def _take_name(self, job: Job, twin: PhotoRow, *, moved: bool) -> bool:
        """Give ``job`` the name that another photo had, and what is known of its ``twin``.

        Return False when the rows have changed since they were read.
        """
        path = job.candidate.path
        row, old = self._store.photo(path), self._store.photo(twin.path)
        if (row and row.id) != (job.row and job.row.id) or old is None or old.id != twin.id:
            return False
        job.row = row
        job.previous = self._store.entries(row.id) if row is not None else ()
        if row is not None and knows_content(row):
            self._store.part(row.id, inherit=False)
            job.row = self._store.photo(path)
        if moved:
            self._move(job, old)
        else:
            self._copy(job, old)
        return True

    def _copy(self, job: Job, twin: PhotoRow) -> None:
        """Let ``job`` be a copy of its ``twin``, whose sidecars may have been copied with it."""
        job.others, job.moved = job.previous, True
        job.source, job.how = twin, "copied"
        job.previous = tuple(
            replace(entry, file=moved_file(entry.file, former_path(twin.path), job.candidate.path))
            for entry in self._store.entries(twin.id)
            if entry.target != "embed" or entry.after == job.digest
        )

    def _has_left(self, twin: PhotoRow) -> bool:
        """Whether a photo is surely no longer at its path: nothing is, or another known one."""
        if not self._context.health.is_online(twin.path):
            return False
        if is_absent(twin.path, twin.root):
            return True
        try:
            now = photo_stat(twin.path)
            if (twin.stat is not None and now.same_version(twin.stat)) or now.size > LARGEST:
                return False
            digest = hash_file(twin.path, twin.root, now, self._context.stop.is_set)
        except PhotoError:
            return False
        if digest in (twin.content_hash, twin.source_hash):
            return False
        return any(other.path != twin.path for other in self._store.same_content(digest))

    def _move(self, job: Job, old: PhotoRow) -> None:
        """Let the row of ``old`` follow its photo, and our own sidecar with it."""
        job.others, job.moved = job.previous, True
        path, origin = job.candidate.path, former_path(old.path)
        entries, behind = list[JournalEntry](), list[JournalEntry]()
        vacant = is_absent(origin)
        for entry in self._store.entries(old.id):
            file = moved_file(entry.file, origin, path)
            stays = file != entry.file and os.path.lexists(entry.file)
            if stays and vacant and self._owns(entry, old, path):
                if os.path.lexists(file):
                    entries.append(entry)  # a sidecar of nobody's: what is ours in it goes
                    stays = False
                else:
                    stays = not self._rename((old.root, entry.file), (job.candidate.root, file))
            if stays and entry.target != "embed":
                behind.append(entry)
            if os.path.lexists(file):
                entries.append(replace(entry, file=file))
        self._store.move(old.id, path, job.candidate.root, entries)
        if behind:
            self._store.leave_behind(origin, old.root, behind)
        job.row = job.source = self._store.photo(path)
        job.how, job.previous = "moved", tuple(entries)
        job.candidate = replace(job.candidate, sidecar=sidecar_stat(path))

    def _rename(self, old: tuple[str, str], new: tuple[str, str]) -> bool:
        """Let a sidecar, both as (root, file), follow its photo; return whether it does."""
        try:
            move(old, new)
        except OSError as error:
            self._once.warn(
                "move",
                os.path.dirname(new[1]),
                f"cannot move the sidecar {old[1]} to {new[1]}: "
                f"{error.strerror}; a new one is written",
            )
            return False
        return True

    def _owns(self, entry: JournalEntry, old: PhotoRow, path: str) -> bool:
        """Whether a sidecar is ours alone, as we left it, and may follow its photo to ``path``."""
        config = self._context.config
        root = config.root_of(path)
        may_write = config.write.target != "none" and not (root and root.read_only)
        if may_write and root is not None:
            writers = writers_of(config.state_dir)
            may_write = not writers.foreign(os.path.dirname(path), root.path)
        return may_write and entry.created and recover(entry, old.root) == "after"


def knows_content(row: PhotoRow) -> bool:
    """Whether it is known which photo was at a path."""
    return row.content_hash is not None
