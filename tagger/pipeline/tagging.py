"""From what the model said of a photo to its tags and keywords, prepared to be written."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from tagger import __version__
from tagger.errors import MetadataError, TaggerError, WriteFailedError
from tagger.index.folding import fold
from tagger.index.rows import NOT_WRITABLE, PhotoRow, SavedPhoto
from tagger.index.rule_photos import RulePhotos
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Evidence
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepare import prepare
from tagger.metadata.prepared_write import PreparedWrite
from tagger.metadata.read import read_keywords, read_tags, read_taken_at
from tagger.metadata.safe_write.folder_capabilities import REFUSED
from tagger.metadata.tag_owner import TagOwner, still_held
from tagger.metadata.xmp.packet import clean
from tagger.pipeline.commit import Decision, ReadyPhoto
from tagger.pipeline.companions import Companions
from tagger.pipeline.context import Context
from tagger.pipeline.job import Job, Recognised
from tagger.pipeline.same_content import knows_content
from tagger.pipeline.taught_tags import TaughtTags
from tagger.pipeline.write_options import digest_of, keywords_hash, write_options
from tagger.records import OVERWRITTEN, Candidate, Keyword, Tag
from tagger.system.files import is_absent, is_writable, no_descriptors
from tagger.system.logs import Once

log = logging.getLogger(__name__)

CANNOT_WRITE_HERE = REFUSED | {errno.ENAMETOOLONG}


class WaitsError(TaggerError):
    """The photo waits until its disk can be written to again."""


@dataclass(slots=True, eq=False, kw_only=True)
class TaggedJob(ReadyPhoto):
    """A job whose tags are chosen and whose write is prepared."""

    job: Job


class Tagging:
    """Chooses the tags of photos, and prepares their writes. Used by one thread.

    ``labels_hash`` is a digest of all that the choice depends on besides the photo.
    """

    def __init__(self, context: Context, chooser: Chooser) -> None:
        self.chooser = chooser
        stacks = context.config.labels.stacks
        self.labels_hash = digest_of(
            chooser.config_hash, repr(write_options(context.config, None)), *["stacks"] * stacks
        )
        self.companions = Companions(context.store, stacks)
        self._context = context
        self.taught = TaughtTags(context.store.read, context.config, chooser)
        self._rules = RulePhotos(context.store)
        self._words = [clean(rule.tag) for rule in context.config.rules if rule.tag]
        # Rules that are in no config now give no tags any more, but those they have given stay.
        self._has_rules = bool(context.config.rules) or self._rules.has_any()
        self._once = Once(log)

    def prepare(self, one: Recognised) -> TaggedJob:
        """Return the photo with its tags chosen and its write prepared.

        Raise WaitsError when its disk refuses, other TaggerErrors when it cannot be tagged.
        """
        job, prediction = one.job, one.prediction
        started = time.perf_counter()
        self._refresh(job)
        is_new = self._is_new(job)
        self._part(one)
        (stones, keep_out), own = self._decided(job)
        own_stones, own_keep_out = own
        tags = self._choose(one, stones)
        keywords = () if keep_out else self.chooser.keywords(tags)
        config = self._context.config
        options = write_options(config, config.root_of(job.candidate.path), job.candidate.path)
        saved = SavedPhoto(
            path=job.candidate.path,
            root=job.candidate.root,
            stat=job.candidate.stat,
            sidecar=job.candidate.sidecar,
            content_hash=job.digest,
            source_hash=_source_hash(one),
            facts=one.facts,
            tags=() if keep_out else tags,
            entries=job.previous,
            prediction=prediction if job.row is None or job.source is not job.row else None,
            # Of its own decisions none is made again: the user may be lifting them just now.
            deleted=tuple(sorted(stones - own_stones)),
            kept_out=keep_out and not own_keep_out,
            labels_hash=self.labels_hash,
            keywords_hash=keywords_hash(keywords, options),
            is_new=is_new,
        )
        write: PreparedWrite | None = None
        try:
            write = _prepare_write(one, keywords, options, stones)
        except MetadataError as error:
            saved = self.index_only(job, saved, error)
            users = read_keywords(job.candidate.path, job.candidate.root)
            saved = replace(saved, tags=saved.tags + _user_tags(users))
            taken_at = read_taken_at(job.candidate.path, job.candidate.root)
        else:
            taken_at = write.taken_at
            if write.deleted:
                tags = tuple(tag for tag in saved.tags if tag.label not in write.deleted)
                saved = replace(saved, tags=tags, deleted=saved.deleted + write.deleted)
            user_tags = _user_tags(write.user_keywords)
            saved = replace(saved, tags=saved.tags + user_tags, note=write.reason)
            if write.reason == OVERWRITTEN:
                folder = os.path.dirname(saved.path)
                self._once.warn("overwritten", folder, f"{saved.path}: {OVERWRITTEN}")
            if write.waits:
                saved = replace(saved, keywords_hash=None)  # asked again in a minute
        if taken_at is not None:
            saved = replace(saved, facts=replace(saved.facts, taken_at=taken_at))
        job.milliseconds["write"] = (time.perf_counter() - started) * 1000
        return TaggedJob(saved, write, own, job=job)

    def index_only(self, job: Job, saved: SavedPhoto, error: MetadataError) -> SavedPhoto:
        """Return what to remember of a photo whose tags cannot be written.

        Raise WaitsError when its disk refuses everything, ``error`` when it is not of a kind
        that stays.
        """
        if not _only_index(error) or no_descriptors(error):
            raise error
        candidate = job.candidate
        if self._context.health.park(candidate, error):
            raise WaitsError(str(error)) from error
        if job.moved:
            saved = replace(saved, entries=still_held(job.previous, candidate.root))
        folder = os.path.dirname(candidate.path)
        self._once.warn("write", folder, f"{error}; tags go to the index only")
        saved = replace(saved, note=f"index only: {error.message}")
        if not is_writable(folder):
            saved = replace(saved, keywords_hash=NOT_WRITABLE)
        return saved

    def _refresh(self, job: Job) -> None:
        """Take notice of what was decided about a photo, and written, since it was begun."""
        if job.row is None or job.how == "copied":
            return
        row = self._context.store.photo(job.candidate.path)
        if row is None or row.id != job.row.id:
            return
        job.renewed = row.stat is None and job.row.stat is not None  # `tagger retry`
        if job.source is job.row and row.stat is not None:
            job.source = row  # its prediction is stored already
        job.row, job.previous = row, self._context.store.entries(row.id)

    def _decided(self, job: Job) -> tuple[Decision, Decision]:
        """Return what the user decided, and what of it about this very photo.

        What was decided about the same picture holds for a new copy, and for one that moved
        while nobody looked.
        """
        row, store = job.row, self._context.store
        own = (store.tombstones(row.id), row.keep_out) if row else (frozenset[str](), False)
        stones, keep_out = own
        if row is None or row.tagged_at is None:
            for other in store.decided(job.digest):
                stones |= store.tombstones(other.id)
                if other.keep_out and self._context.health.is_online(other.path):
                    keep_out |= is_absent(other.path, other.root)
        if row is not None:
            stones |= self.companions.tombstones(row.id)
        return (stones, keep_out), own

    def _part(self, one: Recognised) -> None:
        """When another picture has taken a photo's name, remember that one apart.

        What the user decided about it holds for this one, too: it may be the same, edited. But
        not when it was gone before.
        """
        job, path, store = one.job, one.job.candidate.path, self._context.store
        if job.row is not None and job.digest in (job.row.content_hash, job.row.source_hash):
            one.same_picture = True
        if job.row is None or job.source is not None or one.same_picture:
            return
        row = store.photo(path)
        if row is not None and row.id == job.row.id and knows_content(row):
            gone = row.status == "missing" and row.tagged_at is not None
            store.part(row.id, inherit=not gone)
            row = store.photo(path)
        if row is None or row.tagged_at is None:
            job.others, job.previous = job.previous, ()
        job.row = row

    def _choose(self, one: Recognised, stones: frozenset[str]) -> tuple[Tag, ...]:
        evidence = Evidence.from_bytes(one.prediction.evidence)
        if evidence.subjects is not None and evidence.class_count != self.chooser.class_count:
            # Of a network with other classes, which is about to be looked at anew.
            evidence = replace(evidence, subjects=None)
        chosen = self.chooser.choose(evidence, one.facts.kinds)
        chosen = self.taught.added(chosen, one.prediction, evidence)
        if one.job.row is not None:
            chosen = self.companions.added(one.job.row.id, chosen, self.chooser)
        job = one.job
        rows = {row.id for row in (job.row, job.source) if row is not None}
        is_first = job.row is None or job.row.tagged_at is None
        kept = self._kept_in_files(job.candidate) if is_first and self._words else ()
        return self.without(stones, self.with_rules(chosen, rows, kept))

    def _kept_in_files(self, candidate: Candidate) -> tuple[str, ...]:
        """Return the rules' words that we once wrote to a photo of which the index knows nothing.

        As when it was lost: the rule is not followed again.
        """
        said = read_tags(candidate.path, candidate.root)
        ours = {path[-1] for path, confidence in said if confidence is not None}
        return tuple(word for word in self._words if word in ours)

    def with_rules(
        self, chosen: tuple[Tag, ...], rows: Collection[int], kept: Sequence[str] = ()
    ) -> tuple[Tag, ...]:
        """Return tags with those that rules gave to a photo, by the ids ``rows``, and ``kept``."""
        if not self._has_rules or (not rows and not kept):
            return chosen
        words = {fold(tag.label) for tag in chosen}
        labels = dict.fromkeys((*self._rules.tags_of(rows), *kept))
        given = (label for label in labels if fold(label) not in words)
        return (*chosen, *(Tag(label, 1.0, (label,), "rule") for label in given))

    @staticmethod
    def without(stones: Collection[str], tags: Iterable[Tag]) -> tuple[Tag, ...]:
        return tuple(tag for tag in tags if tag.label not in stones)

    def _is_new(self, job: Job) -> bool:
        """Whether a photo is new to the rules of the config, of which nothing was known yet."""
        row = job.row
        known = row is not None and (row.tagged_at is not None or knows_content(row))
        if known or not self._context.config.rules:
            return False
        return self._rules.is_new(job.candidate.path, job.candidate.root, row)


def whose(digest: bytes, *rows: PhotoRow | None, job: Job | None = None) -> TagOwner:
    """Return what is known of the files at a photo's name."""
    known = [digest for row in rows if row for digest in (row.content_hash, row.source_hash)]
    digests = frozenset(filter(None, [digest, *known]))
    return TagOwner(job.others, digests, job.moved) if job is not None else TagOwner((), digests)


def _prepare_write(
    one: Recognised,
    keywords: tuple[Keyword, ...],
    options: WriteOptions,
    stones: frozenset[str],
) -> PreparedWrite:
    return prepare(
        one.job.candidate,
        keywords,
        options,
        Provenance(one.prediction.model_id, f"tagger {__version__}", _source_hash(one)),
        previous=one.job.previous,
        tombstones=stones,
        digest=one.job.digest,
        same_picture=one.same_picture,
        patient=True,
        whose=whose(one.job.digest, one.job.row, one.job.source, job=one.job),
    )


def _source_hash(one: Recognised) -> bytes:
    """Return the digest of the photo before we ever wrote to it."""
    known = one.job.source or (one.job.row if one.same_picture else None)
    if known is not None and known.source_hash is not None:
        return known.source_hash
    # After a crash between the write and the row only the journal knows.
    for entry in (*one.job.previous, *one.job.others):
        if entry.file == one.job.candidate.path and entry.after == one.job.digest:
            return entry.before
    return one.job.digest


def _user_tags(keywords: Iterable[tuple[str, ...]]) -> tuple[Tag, ...]:
    return tuple(Tag(path[-1], 1.0, path, "user") for path in keywords if path)


def _only_index(error: MetadataError) -> bool:
    cause = error.__cause__
    return not isinstance(error, WriteFailedError) or (
        isinstance(cause, OSError) and cause.errno in CANNOT_WRITE_HERE
    )
