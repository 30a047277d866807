"""The last stage: a batch is tagged, written and remembered, in a thread of its own."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, wait

from tagger.duplicates.thumbnails import ThumbnailStore
from tagger.errors import MetadataError, PhotoVanishedError, TaggerError
from tagger.pipeline.commit import commit
from tagger.pipeline.context import Context
from tagger.pipeline.failures import refused, unforeseen, vanished
from tagger.pipeline.job import Job, Recognised
from tagger.pipeline.outcome import Outcome, Skipped, Tagged
from tagger.pipeline.photo_lock import PhotoLocks, photo_locks
from tagger.pipeline.serial_executor import SerialExecutor
from tagger.pipeline.tagging import TaggedJob, Tagging, WaitsError

log = logging.getLogger(__name__)

LOCK_SECONDS = 2.0
"""So long a batch waits for photos that are being changed by a command, or on the page."""


class WriterStage:
    """Writes one batch at a time. ``jobs`` are those that are being written."""

    def __init__(self, context: Context, tagging: Tagging) -> None:
        self.jobs: Sequence[Job] = ()
        self._context, self._tagging = context, tagging
        self._thumbnails = ThumbnailStore(context.config.state_dir)
        self._executor = SerialExecutor("write")
        self._future: Future[list[Outcome]] | None = None

    def start(self, jobs: Sequence[Job], recognised: Sequence[Recognised]) -> None:
        """Begin to write what was recognised of ``jobs``; :meth:`result` ends it."""
        if jobs:
            self.jobs = jobs
            self._future = self._executor.submit(self._write, recognised)

    def result(self) -> list[Outcome]:
        """Wait for the end of the batch and return its outcomes; raise what ended it."""
        future, self._future = self._future, None
        try:
            return future.result() if future is not None else []
        finally:
            self.jobs = ()

    def forget(self) -> None:
        """Wait for the end of the batch, whatever comes of it."""
        if self._future is not None:
            wait([self._future])
        self._future, self.jobs = None, ()

    def close(self) -> None:
        """End the thread, when the batch is written."""
        self._executor.close()
        self._thumbnails.close()

    def _write(self, recognised: Sequence[Recognised]) -> list[Outcome]:
        ready: list[TaggedJob] = []
        outcomes: list[Outcome] = []
        with photo_locks(self._context.config.state_dir) as locks:
            try:
                self._prepare(recognised, locks, ready, outcomes)
            except BaseException:
                for one in ready:
                    one.discard()
                raise
            return outcomes + self._committed(ready)

    def _prepare(
        self,
        recognised: Sequence[Recognised],
        locks: PhotoLocks,
        ready: list[TaggedJob],
        outcomes: list[Outcome],
    ) -> None:
        """Hold the photos, choose their tags and prepare their writes."""
        patience = LOCK_SECONDS  # for all together
        for one in recognised:
            if self._context.stop.is_set():
                break
            candidate, started = one.job.candidate, time.monotonic()
            if not locks.take(candidate.path, max(patience, 0.0)):
                self._context.store.forget_keywords([candidate.path])  # due in a minute
                outcomes.append(
                    Skipped(candidate.path, "it is being changed by a command, or on the page")
                )
                continue
            patience -= time.monotonic() - started
            try:
                ready.append(self._tagging.prepare(one))
            except Exception as error:  # noqa: BLE001 - one photo stops no other
                outcomes.append(self._failure(one.job, error))

    def _committed(self, ready: Sequence[TaggedJob]) -> list[Outcome]:
        """Make the prepared writes visible and remember everything."""
        started = time.perf_counter()
        outcomes: list[Outcome] = []

        def failed(one: TaggedJob, error: Exception) -> bool:
            changed = one.write is not None and one.write.changed
            if isinstance(error, MetadataError) and not changed:
                try:
                    one.saved = self._tagging.index_only(one.job, one.saved, error)
                except TaggerError as why:
                    error = why
                else:
                    return True
            outcomes.append(self._failure(one.job, error))
            return False

        done = commit(self._context.store, ready, failed)
        if deleted := [one.saved.path for one in done if one.saved.deleted]:
            store = self._context.store
            rows = [row for path in deleted if (row := store.photo(path)) is not None]
            self._tagging.companions.make_due(row.id for row in rows)
        predictions = [one.saved.prediction for one in done if one.saved.prediction]
        self._thumbnails.add(
            (one.picture_hash, one.thumbnail)
            for one in predictions
            if one.picture_hash and one.thumbnail
        )
        if renewed := [one.saved.path for one in done if one.job.renewed]:
            self._context.store.forget_version(renewed)
        share = (time.perf_counter() - started) * 1000 / max(len(done), 1)
        for one in done:
            one.job.milliseconds["commit"] = share
            outcomes.append(_reported(one))
        return outcomes

    def _failure(self, job: Job, error: Exception) -> Outcome:
        if isinstance(error, PhotoVanishedError):
            return vanished(self._context, job.candidate, error)
        if isinstance(error, WaitsError):
            return Skipped(job.candidate.path, str(error))
        if isinstance(error, TaggerError):
            return refused(self._context, job.candidate, error)
        return unforeseen(self._context, job.candidate, error)


def _reported(one: TaggedJob) -> Tagged:
    """Return the outcome of a photo that is remembered; it is logged."""
    tags = tuple(tag for tag in one.saved.tags if tag.ours)
    outcome = Tagged(one.saved.path, tags, one.job.how, one.job.milliseconds)
    chosen = ", ".join(f"{tag.label} {tag.confidence:.2f}" for tag in tags) or "nothing to say"
    times = ", ".join(f"{name} {ms:.0f}" for name, ms in outcome.milliseconds.items())
    log.info(
        "%s %s: %s (ms: %s)",
        outcome.how,
        outcome.path,
        chosen,
        times,
        extra={
            "event": "photo",
            "path": outcome.path,
            "how": outcome.how,
            "tags": {tag.label: round(tag.confidence, 4) for tag in tags},
            "ms": {name: round(ms, 1) for name, ms in outcome.milliseconds.items()},
        },
    )
    return outcome
