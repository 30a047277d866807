"""One batch of photos from candidate to outcome.

``intake`` looks a batch up, hashes it and gives the new photos to the decoding processes;
``recogniser`` classifies; :meth:`Pipeline.write` chooses, writes and remembers. All three can be
at work at once, each on a batch of its own.

The order that makes a crash harmless: sidecar or photo written beside the old one and
fsynced, then the intention committed to the index, then the rename, then the row.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from tagger.index.store import Store
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.records import Candidate, Outcome

if TYPE_CHECKING:
    from tagger.pipeline.job import Job, Recognised
import errno
import os
import time
from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tagger import __version__
from tagger.config.schema import Config
from tagger.errors import (
    MetadataError,
    PhotoVanishedError,
    TaggerError,
    WriteFailedError,
)
from tagger.index.connection import concerns_index
from tagger.index.rows import NOT_WRITABLE, PhotoRow, SavedPhoto, StoredPrediction
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Evidence
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepare import prepare
from tagger.metadata.prepared_write import PreparedWrite
from tagger.metadata.read import read_keywords, read_taken_at
from tagger.metadata.recovery import recover
from tagger.metadata.safe_write.folder_capabilities import REFUSED
from tagger.metadata.tag_owner import TagOwner, still_held
from tagger.pipeline.failures import refused, unforeseen
from tagger.pipeline.inference import InferenceStage
from tagger.pipeline.intake import Intake, knows_content
from tagger.pipeline.job import Job, Recognised
from tagger.pipeline.photo_lock import PhotoLocks, photo_locks
from tagger.records import Keyword, Skipped, Tag, Tagged, WriteReceipt
from tagger.system.files import is_absent, is_writable, no_descriptors
from tagger.system.logs import Once

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.decode.pool import DecodePool
from tagger.pipeline.serial_executor import SerialExecutor
from tagger.pipeline.write_options import _digest, keywords_hash, write_options

log = logging.getLogger(__name__)

CANNOT_WRITE_HERE = REFUSED | {errno.ENAMETOOLONG}
LOCK_SECONDS = 2.0
"""So long a batch waits for photos that are being changed by a command, or on the page."""


class _WaitsError(TaggerError):
    """The photo waits until its disk can be written to again."""


@dataclass(frozen=True, slots=True)
class _Decided:
    """What the user decided: labels not to be given, and whether none is to be.

    ``own`` is what of it was said of this very photo, not of another with its bytes.
    """

    stones: frozenset[str]
    keep_out: bool
    own: tuple[frozenset[str], bool]


@dataclass(slots=True, eq=False)
class ReadyPhoto:
    """A job whose tags are chosen and whose write is prepared (None: index only)."""

    job: Job
    saved: SavedPhoto
    write: PreparedWrite | None
    decided: _Decided


class Pipeline:
    """The stages, wired. Used by one thread; ``stop`` asks them to return early.

    ``online`` says whether the watched folder of a path can be trusted to be there,
    ``refusing`` which ones refuse (None: what they refuse is each photo's failure).
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        engine: Engine,
        pool: DecodePool,
        chooser: Chooser,
        *,
        online: Callable[[str], bool] = lambda path: True,
        stop: Callable[[], bool] = lambda: False,
        refusing: BlockedRoots | None = None,
    ) -> None:
        self.config = config
        self.store = store
        self.engine = engine
        self.pool = pool
        self.chooser = chooser
        self.online = online
        self.stop = stop
        self._refusing = refusing
        options = write_options(config, None)
        self.labels_hash = _digest(chooser.config_hash, repr(options))
        self.recogniser = InferenceStage(store, engine, pool, stop, refusing)
        self.intake = Intake(config, store, pool, online=online, stop=stop, refusing=refusing)
        self._once = Once(log)

    def use(self, engine: Engine) -> None:
        """Classify with another engine of the same network from now on."""
        self.engine = engine
        self.recogniser = InferenceStage(self.store, engine, self.pool, self.stop, self._refusing)

    def finish(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Classify ``jobs``, write and remember their tags; return their outcomes.

        Jobs not reached before ``stop`` says so have no outcome and leave no trace.
        """
        try:
            recognised, outcomes = self.recogniser.run(jobs)
            return outcomes + self.write(recognised)
        finally:
            self.intake.done(jobs)

    def write(self, recognised: Sequence[Recognised]) -> list[Outcome]:
        """Choose the tags of photos, write and remember them; return the outcomes.

        May run in another thread than the rest, one call at a time.
        """
        with photo_locks(self.config.state_dir) as locks:
            return self._write(recognised, locks)

    def _write(self, recognised: Sequence[Recognised], locks: PhotoLocks) -> list[Outcome]:
        ready: list[ReadyPhoto] = []
        outcomes: list[Outcome] = []
        patience = LOCK_SECONDS  # for all together
        for one in recognised:
            if self.stop():
                break
            started = time.monotonic()
            if not locks.take(one.job.candidate.path, max(patience, 0.0)):
                outcomes.append(self._busy(one.job.candidate))
                continue
            patience -= time.monotonic() - started
            try:
                self._refresh(one.job)
                ready.append(self._prepare(one))
            except PhotoVanishedError as error:
                outcomes.append(Skipped(one.job.candidate.path, str(error)))
            except _WaitsError as waits:
                outcomes.append(Skipped(one.job.candidate.path, str(waits)))
            except TaggerError as error:
                outcomes.append(self._refused(one.job.candidate, error))
            except Exception as error:  # noqa: BLE001 - one photo stops no other
                outcomes.append(self._unforeseen(one.job, error))
        return outcomes + self._commit(ready)

    def _busy(self, candidate: Candidate) -> Outcome:
        """Let a photo that somebody else is changing be looked at again in a minute."""
        self.store.forget_keywords([candidate.path])
        return Skipped(candidate.path, "it is being changed by a command, or on the page")

    def _refresh(self, job: Job) -> None:
        """Take notice of what was decided about a photo, and written, since it was begun."""
        if job.row is None or job.moved:
            return
        row = self.store.photo(job.candidate.path)
        if row is None or row.id != job.row.id:
            return
        job.renewed = row.stat is None and job.row.stat is not None  # `tagger retry`
        job.row, job.previous = row, self.store.entries(row.id)

    def _prepare(self, one: Recognised) -> ReadyPhoto:
        """Return the photo with its tags chosen and its write prepared."""
        job, prediction = one.job, one.prediction
        started = time.perf_counter()
        self._part(one)
        decided = self._decided(job)
        stones, (own_stones, own_keep_out) = decided.stones, decided.own
        tags = self._choose(prediction, stones)
        keywords = () if decided.keep_out else self.chooser.keywords(tags)
        root = self.config.root_of(job.candidate.path)
        options = write_options(self.config, root, job.candidate.path)
        saved = SavedPhoto(
            path=job.candidate.path,
            root=job.candidate.root,
            stat=job.candidate.stat,
            sidecar=job.candidate.sidecar,
            content_hash=job.digest,
            source_hash=self._source_hash(one),
            facts=one.facts,
            tags=() if decided.keep_out else tags,
            entries=job.previous,
            prediction=prediction if job.row is None or job.source is not job.row else None,
            # Of its own decisions none is made again: the user may be lifting them just now.
            deleted=tuple(sorted(stones - own_stones)),
            kept_out=decided.keep_out and not own_keep_out,
            labels_hash=self.labels_hash,
            keywords_hash=keywords_hash(keywords, options),
        )
        write: PreparedWrite | None = None
        try:
            write = self._prepare_write(one, keywords, options, stones)
        except MetadataError as error:
            saved = self._index_only(job, saved, error)
            own = read_keywords(job.candidate.path, job.candidate.root)
            saved = replace(saved, tags=saved.tags + _user_tags(own))
            taken_at = read_taken_at(job.candidate.path, job.candidate.root)
        else:
            taken_at = write.taken_at
            if write.deleted:
                tags = tuple(tag for tag in saved.tags if tag.label not in write.deleted)
                saved = replace(saved, tags=tags, deleted=saved.deleted + write.deleted)
            users = _user_tags(write.user_keywords)
            saved = replace(saved, tags=saved.tags + users, note=write.reason)
            if write.waits:
                saved = replace(saved, keywords_hash=None)  # asked again in a minute
        if taken_at is not None:
            saved = replace(saved, facts=replace(saved.facts, taken_at=taken_at))
        job.milliseconds["write"] = _ms(started)
        return ReadyPhoto(job, saved, write, decided)

    def _index_only(self, job: Job, saved: SavedPhoto, error: MetadataError) -> SavedPhoto:
        """Return what to remember of a photo whose tags cannot be written.

        Raise _WaitsError when its disk refuses everything, ``error`` when it is not of a kind
        that stays.
        """
        if not _only_index(error) or no_descriptors(error):
            raise error
        candidate = job.candidate
        if self._refusing is not None and self._refusing.park(candidate, error):
            raise _WaitsError(str(error)) from error
        if job.moved:
            saved = replace(saved, entries=still_held(job.previous, candidate.root))
        folder = os.path.dirname(candidate.path)
        self._once.warn("write", folder, f"{error}; tags go to the index only")
        saved = replace(saved, note=f"index only: {error.message}")
        if not is_writable(folder):
            saved = replace(saved, keywords_hash=NOT_WRITABLE)
        return saved

    def _prepare_write(
        self,
        one: Recognised,
        keywords: tuple[Keyword, ...],
        options: WriteOptions,
        stones: frozenset[str],
    ) -> PreparedWrite:
        return prepare(
            one.job.candidate,
            keywords,
            options,
            Provenance(one.prediction.model_id, f"tagger {__version__}", self._source_hash(one)),
            previous=one.job.previous,
            tombstones=stones,
            digest=one.job.digest,
            same_picture=one.same_picture,
            patient=True,
            whose=whose(one.job.digest, one.job.row, one.job.source, job=one.job),
        )

    def _decided(self, job: Job) -> _Decided:
        """Return what the user decided about a photo.

        What was decided about the same picture holds for a new copy, and for one that moved
        while nobody looked.
        """
        row, store = job.row, self.store
        own = (store.tombstones(row.id), row.keep_out) if row else (frozenset[str](), False)
        stones, keep_out = own
        if row is None or row.tagged_at is None:
            for other in store.decided(job.digest):
                stones |= store.tombstones(other.id)
                if other.keep_out and self.online(other.path):
                    keep_out |= is_absent(other.path, other.root)
        return _Decided(stones, keep_out, own)

    def _is_late(self, item: ReadyPhoto) -> bool:
        """Whether the user has decided something about a photo since its tags were chosen."""
        row = self.store.photo(item.saved.path)
        if row is None:
            return False
        return (self.store.tombstones(row.id), row.keep_out) != item.decided.own

    def _source_hash(self, one: Recognised) -> bytes:
        """Return the digest of the photo before we ever wrote to it."""
        known = one.job.source or (one.job.row if one.same_picture else None)
        if known is not None and known.source_hash is not None:
            return known.source_hash
        # After a crash between the write and the row only the journal knows.
        for entry in (*one.job.previous, *one.job.others):
            if entry.file == one.job.candidate.path and entry.after == one.job.digest:
                return entry.before
        return one.job.digest

    def _part(self, one: Recognised) -> None:
        """When another picture has taken a photo's name, remember that one apart.

        What the user decided about it holds for this one, too: it may be the same, edited. But
        not when it was gone before.
        """
        job, path = one.job, one.job.candidate.path
        if job.row is not None and job.digest in (job.row.content_hash, job.row.source_hash):
            one.same_picture = True
        if job.row is None or job.source is not None or one.same_picture:
            return
        row = self.store.photo(path)
        if row is not None and row.id == job.row.id and knows_content(row):
            gone = row.status == "missing" and row.tagged_at is not None
            self.store.part(row.id, inherit=not gone)
            row = self.store.photo(path)
        if row is None or row.tagged_at is None:
            job.others, job.previous = job.previous, ()
        job.row = row

    def _choose(self, stored: StoredPrediction, stones: frozenset[str]) -> tuple[Tag, ...]:
        chosen = self.chooser.choose(Evidence.from_bytes(stored.evidence))
        return tuple(tag for tag in chosen if tag.label not in stones)

    def _commit(self, ready: Sequence[ReadyPhoto]) -> list[Outcome]:
        """Make the prepared writes visible and remember everything."""
        started = time.perf_counter()
        outcomes: list[Outcome] = []
        done: list[ReadyPhoto] = []
        waiting = list(ready)
        intended: list[ReadyPhoto] = []
        try:
            with_intents = [r for r in ready if r.write is not None and r.write.intents]
            intended = self._each(self._intend, with_intents, outcomes)
            waiting = [r for r in ready if r not in with_intents or r in intended]
            for item in [r for r in ready if r not in waiting]:
                self._discard(item)
            while waiting:
                item = waiting.pop(0)
                try:
                    receipt = item.write.commit() if item.write is not None else None
                except PhotoVanishedError as error:
                    outcomes.append(Skipped(item.saved.path, str(error)))
                except TaggerError as error:
                    outcome = self._not_committed(item, error)
                    if outcome is not None:
                        outcomes.append(outcome)
                    else:
                        done.append(item)
                except Exception as error:  # noqa: BLE001 - one photo stops no other
                    self._discard(item)
                    outcomes.append(
                        unforeseen(self.store, self._refusing, item.job.candidate, error)
                    )
                else:
                    if receipt is not None:
                        item.saved = _with_receipt(item.saved, receipt)
                    done.append(item)
        finally:
            for item in waiting:
                self._discard(item)
        done = self._each(self._save, done, outcomes)
        if intended:
            self._drop_intents({item.saved.path for item in intended if item not in done})
        share = _ms(started) / max(len(done), 1)
        for item in done:
            item.job.milliseconds["commit"] = share
            outcomes.append(self._tagged(item))
        return outcomes

    def _each(
        self,
        do: Callable[[Sequence[ReadyPhoto]], None],
        items: Sequence[ReadyPhoto],
        outcomes: list[Outcome],
    ) -> list[ReadyPhoto]:
        """Do something, one transaction, for all of ``items``; return those it worked for.

        When it does not work for all, each is tried alone: one photo must never stop the others.
        """
        try:
            if items:
                do(items)
        except Exception as error:
            if concerns_index(error):
                raise
            if len(items) > 1:
                return [one for item in items for one in self._each(do, [item], outcomes)]
            outcomes.append(self._unforeseen(items[0].job, error))
            return []
        return list(items)

    def _intend(self, items: Sequence[ReadyPhoto]) -> None:
        self.store.intend(
            [(r.saved.path, r.saved.root, r.write.intents) for r in items if r.write is not None]
        )

    def _save(self, items: Sequence[ReadyPhoto]) -> None:
        # `tagger untag` may have been quicker than the batch.
        late = [item.saved.path for item in items if self._is_late(item)]
        self.store.save([item.saved for item in items])
        self.store.forget_keywords(late)
        if renewed := [item.saved.path for item in items if item.job.renewed]:
            self.store.forget_version(renewed)

    def _discard(self, item: ReadyPhoto) -> None:
        """Give up a write that was prepared."""
        if item.write is None:
            return
        try:
            item.write.discard()
        except Exception:  # what is left is removed at the next start
            log.exception("what was prepared for %s cannot be removed", item.saved.path)

    def _not_committed(self, item: ReadyPhoto, error: TaggerError) -> Outcome | None:
        """Return what became of a photo whose write failed; None: its tags go to the index."""
        changed = item.write is not None and item.write.changed
        if changed or not isinstance(error, MetadataError):
            return self._refused(item.job.candidate, error)
        try:
            item.saved = self._index_only(item.job, item.saved, error)
        except _WaitsError as waits:
            return Skipped(item.saved.path, str(waits))
        except TaggerError:
            return self._refused(item.job.candidate, error)
        return None

    def _refused(self, candidate: Candidate, error: TaggerError) -> Outcome:
        return refused(self.store, self._refusing, candidate, error)

    def _unforeseen(self, job: Job, error: Exception) -> Outcome:
        return unforeseen(self.store, self._refusing, job.candidate, error)

    def _drop_intents(self, failed: Set[str]) -> None:
        """Forget what was about to be written to these photos but was not."""
        for journal_id, path, entry in self.store.pending() if failed else ():
            row = self.store.photo(path) if path in failed else None
            if row is not None:
                happened = recover(entry, row.root) == "after"
                self.store.settle_pending(journal_id, happened=happened)

    def _tagged(self, item: ReadyPhoto) -> Tagged:
        tags = tuple(tag for tag in item.saved.tags if tag.source == "model")
        outcome = Tagged(item.saved.path, tags, item.job.how, item.job.milliseconds)
        said = ", ".join(f"{tag.label} {tag.confidence:.2f}" for tag in tags) or "nothing to say"
        times = ", ".join(f"{name} {ms:.0f}" for name, ms in outcome.milliseconds.items())
        log.info(
            "%s %s: %s (ms: %s)",
            outcome.how,
            outcome.path,
            said,
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


def whose(digest: bytes, *rows: PhotoRow | None, job: Job | None = None) -> TagOwner:
    """Return what is known of the files at a photo's name."""
    known = [digest for row in rows if row for digest in (row.content_hash, row.source_hash)]
    digests = frozenset(filter(None, [digest, *known]))
    return TagOwner(job.others, digests, job.moved) if job is not None else TagOwner((), digests)


def _ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _user_tags(keywords: Iterable[tuple[str, ...]]) -> tuple[Tag, ...]:
    return tuple(Tag(path[-1], 1.0, path, "user") for path in keywords if path)


def _only_index(error: MetadataError) -> bool:
    cause = error.__cause__
    return not isinstance(error, WriteFailedError) or (
        isinstance(cause, OSError) and cause.errno in CANNOT_WRITE_HERE
    )


def _with_receipt(saved: SavedPhoto, receipt: WriteReceipt) -> SavedPhoto:
    # A photo not written to is remembered as it was when its bytes were read: whoever changed it
    # since, and put its date back, is seen by the next look.
    return replace(
        saved,
        stat=receipt.stat if receipt.content_hash else saved.stat,
        sidecar=receipt.sidecar,
        entries=receipt.entries,
        content_hash=receipt.content_hash or saved.content_hash,
    )


class WriterStage:
    """The batch that is being written, in a thread of its own.

    ``busy`` is the number of photos in it.
    """

    def __init__(self, hand: SerialExecutor, pipeline: Pipeline) -> None:
        self.busy = 0
        self._hand = hand
        self._pipeline = pipeline
        self._jobs: list[Job] = []
        self._future: Future[list[Outcome]] | None = None

    def start(self, jobs: list[Job], recognised: list[Recognised]) -> None:
        """Begin to write what was recognised of ``jobs``; :meth:`result` ends it."""
        if jobs:
            self._jobs, self.busy = jobs, len(jobs)
            self._future = self._hand.submit(self._pipeline.write, recognised)

    def result(self) -> list[Outcome]:
        """Wait for the end of it and return the outcomes; raise what ended it."""
        future, self._future, self.busy = self._future, None, 0
        try:
            return future.result() if future is not None else []
        finally:
            self._pipeline.intake.done(self._jobs)
            self._jobs = []

    def forget(self) -> None:
        """Wait for the end of it, whatever comes of it."""
        if self._future is not None:
            wait([self._future])
        self._future, self._jobs, self.busy = None, [], 0
