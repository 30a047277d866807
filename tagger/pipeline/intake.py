"""Which work a candidate needs: none, a decode, or only another look at its tags.

A photo whose bytes are known costs no inference: it was touched, moved, copied, or
only its sidecar changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from tagger.errors import ImageTooLargeError, PhotoError, PhotoVanishedError
from tagger.index.rows import PhotoRow
from tagger.metadata.recovery import recover
from tagger.pipeline.context import Context
from tagger.pipeline.failures import refused, unforeseen, vanished
from tagger.pipeline.job import COMPLETED, Job
from tagger.pipeline.outcome import Outcome, Skipped, Unchanged
from tagger.pipeline.photo_lock import WAIT_SECONDS
from tagger.pipeline.same_content import LARGEST, SameContentFinder
from tagger.records import Candidate, FileStat, JournalEntry
from tagger.system.files import hash_file, photo_stat, sidecar_stat
from tagger.system.paths import sidecar_paths

MOST = 32
"""Photos that are begun at a time; a decoded one takes a megabyte."""
REST_SECONDS = 0.5
"""How long to rest when all photos there are wait for a disk."""


class Intake:
    """Turns candidates into jobs. Used by one thread.

    A candidate is deferred, to be offered again once the batches on their way are finished, when
    the same photo, or a twin of one, is being handled, or its disk refuses. ``look`` has the photo
    of a job looked at.
    """

    def __init__(self, context: Context, look: Callable[[Job], None]) -> None:
        self._context, self._store = context, context.store
        self._look = look
        self._twins = SameContentFinder(context)
        self._deferred: list[Candidate] = []
        self._busy: dict[str, bytes] = {}
        self._behind: dict[bytes, list[Candidate]] = {}
        self._held: dict[str, float] = {}
        self._touched: list[tuple[str, FileStat, FileStat | None]] = []

    @property
    def has_deferred(self) -> bool:
        return bool(self._deferred)

    def take_deferred(self) -> list[Candidate]:
        deferred, self._deferred = self._deferred, []
        return deferred

    def begin(self, candidates: Iterable[Candidate]) -> tuple[list[Job], list[Outcome]]:
        """Begin ``candidates``; return the jobs, and the outcomes that are known already."""
        jobs: list[Job] = []
        outcomes: list[Outcome] = []
        blocked = 0
        for candidate in candidates:
            if self._context.stop.is_set():
                break
            if self._context.health.is_blocked(candidate.root):
                self._deferred.append(candidate)
                blocked += 1
                continue
            if candidate.path in self._busy or len(jobs) >= MOST:
                self._deferred.append(candidate)
                continue
            try:
                found = self._begin(candidate)
            except PhotoVanishedError as error:
                outcomes.append(vanished(self._context, candidate, error))
            except PhotoError as error:
                outcomes.append(refused(self._context, candidate, error))
            except Exception as error:  # noqa: BLE001 - one photo stops no other
                outcomes.append(unforeseen(self._context, candidate, error))
            else:
                if isinstance(found, Job):
                    self._busy[candidate.path] = found.digest
                    jobs.append(found)
                elif found is not None:
                    outcomes.append(found)
        touched, self._touched = self._touched, []
        if touched:
            self._store.remember_stats(touched)
        self._deferred += self._context.health.parked()
        if blocked and not self._busy and not outcomes and not self._context.stop.is_set():
            time.sleep(REST_SECONDS)
        return jobs, outcomes

    def done(self, jobs: Iterable[Job]) -> None:
        """Note that ``jobs`` are no longer on their way."""
        for job in jobs:
            self._busy.pop(job.candidate.path, None)
            self._deferred += self._behind.pop(job.digest, ())
            if job.future is not None:
                job.future.cancel()
        self._deferred += self._context.health.parked()

    def forget(self) -> None:
        """Drop everything that is on its way; it is found again by the next scan."""
        self._busy.clear()
        self._behind.clear()
        self._deferred += self._context.health.parked()
        self._deferred.clear()
        self._held.clear()

    def _begin(self, candidate: Candidate) -> Job | Outcome | None:
        path = candidate.path
        if not self._context.health.is_online(path):
            return Skipped(path, "its folder is offline")  # a disk that is away may hold us up
        if not photo_stat(path).same_version(candidate.stat):
            return Skipped(path, "it is still changing")  # the watcher sees the change too
        row = self._store.photo(path)
        if row is None:
            return self._hashed(candidate, None, ())
        candidate = replace(candidate, sidecar=sidecar_stat(path))
        current = self._store.is_current(path, candidate.stat, candidate.sidecar)
        if current and candidate.incomplete and row.content_hash:
            job = Job(candidate, row.content_hash, row, how=COMPLETED)
            job.previous = self._store.entries(row.id)
            self._look(job)
            return job
        if current and not candidate.rewritten:
            return Unchanged(path)
        previous = self._store.entries(row.id)
        untouched = row.stat and candidate.stat.untouched(row.stat)
        if row.content_hash and untouched and not candidate.rewritten:
            if self._sidecar_as_before(candidate, row, previous):
                return Unchanged(path)
            if (stored := self._store.prediction(row.id)) is not None:
                known = Job(candidate, row.content_hash, row, row, "known", previous=previous)
                known.stored = stored
                return known
        return self._hashed(candidate, row, previous)

    def _hashed(
        self, candidate: Candidate, row: PhotoRow | None, previous: tuple[JournalEntry, ...]
    ) -> Job | Outcome | None:
        """Read all of a photo; return the job that its bytes make of it."""
        path = candidate.path
        started = time.perf_counter()
        if candidate.stat.size > LARGEST:
            raise ImageTooLargeError(f"{path} is larger than 4 GB", "make it smaller, if it is one")
        digest = hash_file(path, candidate.root, candidate.stat, self._context.stop.is_set)
        if row and digest == row.content_hash and self._as_before(candidate, row, previous):
            return Unchanged(path)
        job = Job(candidate, digest, row, previous=previous)
        job.milliseconds["hash"] = (time.perf_counter() - started) * 1000
        if digest in self._busy.values():
            # Its twin is being classified right now; afterwards that costs nothing.
            self._behind.setdefault(digest, []).append(candidate)
            return None
        if not self._twins.find(job):
            return self._defer_held(candidate)
        self._held.pop(path, None)
        if job.source is None:
            self._look(job)
        return job

    def _defer_held(self, candidate: Candidate) -> Outcome | None:
        """Defer a photo that somebody else is changing, but not for ever."""
        now = time.monotonic()
        if now - self._held.setdefault(candidate.path, now) < WAIT_SECONDS:
            self._deferred.append(candidate)
            return None
        del self._held[candidate.path]
        return Skipped(candidate.path, "it is being changed by a command, or on the page")

    def _as_before(
        self, candidate: Candidate, row: PhotoRow, previous: Sequence[JournalEntry]
    ) -> bool:
        """Whether a photo that has the bytes of its ``row`` was only touched; that is noted.

        Its rights, links or place may have changed, or its date was put back after a change
        that changed nothing.
        """
        if row.stat is None or not candidate.stat.same_version(row.stat):
            return False
        known = candidate.stat._replace(ctime_ns=row.stat.ctime_ns)
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
        known = candidate.stat._replace(ctime_ns=row.stat.ctime_ns)
        if not self._store.is_current(row.path, known, before):
            return False
        there = [one for one in sidecar_paths(row.path) if os.path.lexists(one)]
        ours = [entry for entry in previous if [entry.file] == there]
        if not ours or recover(ours[0], row.root) != "after":
            return False
        self._touched.append((row.path, candidate.stat, now))
        return True
