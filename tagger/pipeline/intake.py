"""Which work a candidate needs: none, a decode, or only another look at its tags.

A photo whose bytes are known costs no inference: it was touched, moved, copied, or
only its sidecar changed.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tagger.config.schema import Config
from tagger.errors import ImageTooLargeError, PhotoError, PhotoVanishedError
from tagger.index.rows import PhotoRow
from tagger.index.store import Store
from tagger.metadata.recovery import recover
from tagger.paths import moved_file, sidecar_paths
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.records import (
    Candidate,
    FileStat,
    JournalEntry,
    Outcome,
    Skipped,
    Unchanged,
)
from tagger.system.beneath import move
from tagger.system.files import (
    former_path,
    hash_file,
    is_absent,
    photo_stat,
    sidecar_stat,
)
from tagger.system.logs import Once
from tagger.watch.root_owner import writers_of

if TYPE_CHECKING:
    from tagger.decode.pool import DecodePool

from tagger.pipeline.failures import refused, unforeseen
from tagger.pipeline.job import Job

log = logging.getLogger(__name__)

LARGEST = 4 << 30
"""Bytes of a file. A sparse one of terabytes is quickly made, and takes hours to be read."""
MOST = 32
"""Photos that are begun at a time; a decoded one takes half a megabyte."""
REST_SECONDS = 0.5
"""How long to rest when all photos there are wait for a disk."""


class Intake:
    """Turns candidates into jobs. Used by one thread.

    ``online`` says whether the watched folder of a path can be trusted to be there,
    ``refusing`` which ones refuse (None: what they refuse is each photo's failure).
    ``deferred`` holds candidates to be offered again once the batches on their way are
    finished: the same photo, or a twin of one, is being handled, or its disk refuses.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        pool: DecodePool,
        *,
        online: Callable[[str], bool],
        stop: Callable[[], bool],
        refusing: BlockedRoots | None = None,
    ) -> None:
        self.deferred: list[Candidate] = []
        self._config = config
        self._store = store
        self._pool = pool
        self._online = online
        self._stop = stop
        self._refusing = refusing
        self._busy: dict[str, bytes] = {}
        self._touched: list[tuple[str, FileStat, FileStat | None]] = []
        self._once = Once(log)

    def begin(self, candidates: Iterable[Candidate]) -> tuple[list[Job], list[Outcome]]:
        """Look up and hash ``candidates``; start decoding the new ones.

        Return the jobs, and the outcomes that are known already.
        """
        jobs: list[Job] = []
        outcomes: list[Outcome] = []
        held = 0
        for candidate in candidates:
            if self._stop():
                break
            if self._refusing is not None and self._refusing.holds(candidate.root):
                self.deferred.append(candidate)
                held += 1
                continue
            if candidate.path in self._busy or len(jobs) >= MOST:
                self.deferred.append(candidate)
                continue
            try:
                found = self._begin(candidate)
            except PhotoVanishedError as error:
                outcomes.append(Skipped(candidate.path, str(error)))
            except PhotoError as error:
                outcomes.append(refused(self._store, self._refusing, candidate, error))
            except Exception as error:  # noqa: BLE001 - one photo stops no other
                outcomes.append(unforeseen(self._store, self._refusing, candidate, error))
            else:
                if isinstance(found, Job):
                    self._busy[candidate.path] = found.digest
                    jobs.append(found)
                elif found is not None:
                    outcomes.append(found)
        touched, self._touched = self._touched, []
        if touched:
            self._store.remember_stats(touched)
        self._take_parked()
        if held and not self._busy and not outcomes and not self._stop():
            time.sleep(REST_SECONDS)
        return jobs, outcomes

    def done(self, jobs: Iterable[Job]) -> None:
        """Note that ``jobs`` are no longer on their way."""
        for job in jobs:
            self._busy.pop(job.candidate.path, None)
            if job.future is not None:
                job.future.cancel()
        self._take_parked()

    def forget(self) -> None:
        """Drop everything that is on its way; it is found again by the next scan."""
        self._busy.clear()
        self._take_parked()
        self.deferred.clear()

    def _take_parked(self) -> None:
        if self._refusing is not None:
            self.deferred += self._refusing.parked()

    def _begin(self, candidate: Candidate) -> Job | Outcome | None:
        path = candidate.path
        if not self._online(path):
            return Skipped(path, "its folder is offline")  # a disk that is away may hold us up
        if not photo_stat(path).same_version(candidate.stat):
            return Skipped(path, "it is still changing")  # the watcher sees the change too
        candidate = replace(candidate, sidecar=sidecar_stat(path))
        current = self._store.is_current(path, candidate.stat, candidate.sidecar)
        if current and not candidate.rewritten:
            return Unchanged(path)
        row = self._store.photo(path)
        previous = self._store.entries(row.id) if row else ()
        untouched = row and row.stat and candidate.stat.untouched(row.stat)
        if row and row.content_hash and untouched and not candidate.rewritten:
            if self._sidecar_as_before(candidate, row, previous):
                return Unchanged(path)
            job = Job(candidate, row.content_hash, row, row, "known", previous=previous)
            if self._store.prediction(row.id) is not None:
                return job
        started = time.perf_counter()
        if candidate.stat.size > LARGEST:
            raise ImageTooLargeError(f"{path} is larger than 4 GB", "make it smaller, if it is one")
        digest = hash_file(path, candidate.root, candidate.stat, self._stop)
        if row and digest == row.content_hash and self._as_before(candidate, row, previous):
            return Unchanged(path)
        job = Job(candidate, digest, row, previous=previous)
        job.milliseconds["hash"] = (time.perf_counter() - started) * 1000
        if digest in self._busy.values():
            # Its twin is being classified right now; afterwards that costs nothing.
            self.deferred.append(candidate)
            return None
        self._find_twin(job)
        if job.source is None:
            job.future = self._pool.submit(path, root=candidate.root)
        return job

    def _as_before(
        self, candidate: Candidate, row: PhotoRow, previous: Sequence[JournalEntry]
    ) -> bool:
        """Whether a photo that has the bytes of its ``row`` was only touched; that is noted.

        Its rights, links or place may have changed, or its date was put back after a change
        that changed nothing.
        """
        if row.stat is None or not candidate.stat.same_version(row.stat):
            return False
        known = replace(candidate.stat, ctime_ns=row.stat.ctime_ns)
        if not self._store.is_current(row.path, known, candidate.sidecar):
            return self._sidecar_as_before(candidate, row, previous)
        self._touched.append((row.path, candidate.stat, candidate.sidecar))
        return True

    def _sidecar_as_before(
        self, candidate: Candidate, row: PhotoRow, previous: Sequence[JournalEntry]
    ) -> bool:
        """Whether there is nothing to do but to note that our sidecar was touched."""
        now, before = candidate.sidecar, row.sidecar
        if row.stat is None or now is None or before is None or not now.same_version(before):
            return False
        if now.untouched(before):
            return False  # something else is to be done
        known = replace(candidate.stat, ctime_ns=row.stat.ctime_ns)
        if not self._store.is_current(row.path, known, before):
            return False
        there = [one for one in sidecar_paths(row.path) if os.path.lexists(one)]
        ours = [entry for entry in previous if [entry.file] == there]
        if not ours or recover(ours[0], row.root) != "after":
            return False
        self._touched.append((row.path, candidate.stat, now))
        return True

    def _find_twin(self, job: Job) -> None:
        """Find a photo with the same bytes: itself touched, moved here, or a copy."""
        path = job.candidate.path
        twins = self._store.same_content(job.digest)
        own = [twin for twin in twins if twin.path == path]
        if own:
            job.source, job.how = own[0], "known"
            return
        if not twins:
            return
        if job.row is not None and job.digest in (job.row.content_hash, job.row.source_hash):
            job.source, job.how = twins[0], "copied"  # it is to be classified again
            return
        left = next((twin for twin in twins if self._has_left(twin)), None)
        job.others = job.previous
        if job.row is not None and knows_content(job.row):
            self._store.part(job.row.id, inherit=False)
            job.row = self._store.photo(path)
        job.previous, job.moved = (), True
        if left is not None:
            self._move(job, left)
            return
        job.source, job.how = twins[0], "copied"
        job.previous = tuple(
            replace(entry, file=moved_file(entry.file, former_path(twins[0].path), path))
            for entry in self._store.entries(twins[0].id)
            if entry.target != "embed" or entry.after == job.digest
        )

    def _has_left(self, twin: PhotoRow) -> bool:
        """Whether a photo is surely no longer at its path: nothing is, or another known one."""
        if not self._online(twin.path):
            return False
        if is_absent(twin.path, twin.root):
            return True
        try:
            now = photo_stat(twin.path)
            if (twin.stat is not None and now.same_version(twin.stat)) or now.size > LARGEST:
                return False
            digest = hash_file(twin.path, twin.root, now, self._stop)
        except PhotoError:
            return False
        if digest in (twin.content_hash, twin.source_hash):
            return False
        return any(other.path != twin.path for other in self._store.same_content(digest))

    def _move(self, job: Job, old: PhotoRow) -> None:
        """Let the row of ``old`` follow its photo, and our own sidecar with it."""
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
        root = self._config.root_of(path)
        may_write = self._config.write.target != "none" and not (root and root.read_only)
        if may_write and root is not None:
            writers = writers_of(self._config.state_dir)
            may_write = not writers.foreign(os.path.dirname(path), root.path)
        return may_write and entry.created and recover(entry, old.root) == "after"


def knows_content(row: PhotoRow) -> bool:
    """Whether it is known which photo was at a path."""
    return row.content_hash is not None
