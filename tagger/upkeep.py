"""What the daemon does besides new photos: repair after a crash, and relabelling."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Sequence

from tagger.config.schema import WatchRoot
from tagger.index.database import concerns_index
from tagger.index.store import Store
from tagger.labels.evidence import Evidence
from tagger.metadata.reading import read_tags, recover
from tagger.metadata.temporary import clean_strays
from tagger.paths import is_inside
from tagger.pipeline import Pipeline, keywords_hash, write_options
from tagger.records import Candidate, JournalEntry, Tag
from tagger.watch.scan import Rules, WalkReport, walk

log = logging.getLogger(__name__)

CHUNK = 256

Pending = tuple[int, str, JournalEntry]
"""A write that was not confirmed: its number in the journal, the photo, and what it is."""


def repair(store: Store, pending: Sequence[Pending]) -> None:
    """Find out what became of writes that a crash left unconfirmed; make the journal say so.

    Temporary files next to them are removed.
    """
    folders = set()
    for journal_id, path, entry in pending:
        try:
            row = store.photo(path)
            root = row.root if row is not None else os.path.dirname(path)
            folders.add((os.path.dirname(entry.file), root))
            state = recover(entry, root)
            # A file that somebody else changed since still holds our values: the journal keeps
            # them, so that they are told from the user's own.
            store.settle_pending(journal_id, happened=state in ("after", "foreign"))
        except Exception:  # the next start tries it again; all else goes on
            log.exception("it cannot be found out what a crash left of %s", path)
        else:
            log.info("after a crash: %s of %s is as %s our write", entry.file, path, state)
    for folder, root in folders:
        try:
            clean_strays(folder, root)
        except Exception:
            log.exception("what a crash left in %s cannot be removed", folder)


def rebuild(store: Store, roots: Sequence[WatchRoot], stop: Callable[[], bool]) -> int:
    """Fill an index that was lost from the tags in sidecars and photos, without decoding any.

    The photos are found by their tags at once, and classified again later. Return how many
    photos were taken in.
    """
    count = 0
    for root in roots:
        inside = frozenset(
            os.path.relpath(other.path, root.path)
            for other in roots
            if other is not root and is_inside(other.path, root.path)
        )
        photos = walk(Rules(root, inside), root.path, WalkReport(), lambda path, error: None)
        while not stop() and (chunk := list(itertools.islice(photos, CHUNK))):
            rows = ((seen.path, store.photo(seen.path)) for seen in chunk)
            unknown = [path for path, row in rows if row is None or row.status == "missing"]
            count += _adopt(
                store, [(path, root.path, _tags_in_files(path, root.path)) for path in unknown]
            )
    return count


def _adopt(store: Store, photos: Sequence[tuple[str, str, tuple[Tag, ...]]]) -> int:
    """Take photos into the index; one whose tags cannot be stored costs no other its own."""
    try:
        return store.adopt(photos)
    except Exception as error:
        if concerns_index(error):
            raise
        if len(photos) > 1:
            return sum(_adopt(store, [one]) for one in photos)
        log.exception("the tags in the files of %s cannot be taken in", photos[0][0])
        return 0


def fill(store: Store, roots: Sequence[WatchRoot], stop: Callable[[], bool]) -> None:
    """Call :func:`rebuild`, and note when that is done; what fails is logged."""
    started = time.monotonic()
    try:
        count = rebuild(store, roots, stop)
    except Exception:  # photos are tagged in any case
        log.exception("the index could not be filled from the tags in files")
        return
    took = time.monotonic() - started
    log.info("%d photos were taken in by the tags in their files, in %.1f s", count, took)
    if not stop():
        store.set_meta("rebuild", "")


def _tags_in_files(path: str, root: str) -> tuple[Tag, ...]:
    try:
        return _read_tags(path, root)
    except Exception:  # it has none then, until it is classified
        log.exception("the tags in the files of %s cannot be read", path)
        return ()


def _read_tags(path: str, root: str) -> tuple[Tag, ...]:
    return tuple(
        Tag(keyword[-1], 1.0, keyword, "user")
        if confidence is None
        else Tag(keyword[-1], confidence, keyword, "model")
        for keyword, confidence in read_tags(path, root)
    )


def relabel(pipeline: Pipeline, handle: Callable[[list[Candidate]], None]) -> int:
    """Choose again, from stored predictions, the tags that come from other settings.

    No photo is decoded. Where only the index is concerned it is changed at once, many
    photos in a transaction; photos whose written keywords differ go to ``handle``.
    Return how many photos were looked at.
    """
    store, seen, last = pipeline.store, 0, 0
    while not pipeline.stop():
        rows = store.stale(pipeline.labels_hash, last, CHUNK)
        if not rows:
            break
        last = rows[-1].id
        only_index: list[tuple[int, tuple[Tag, ...] | None]] = []
        rewrite: list[Candidate] = []
        for row in rows:
            stored = store.prediction(row.id)
            if stored is None:
                continue
            stones = store.tombstones(row.id)
            try:
                evidence = Evidence.from_bytes(stored.evidence)
            except ValueError as error:
                log.warning("%s is classified again: %s", row.path, error)
                store.forget_version([row.path])
                continue
            chosen = pipeline.chooser.choose(evidence)
            tags = () if row.keep_out else tuple(t for t in chosen if t.label not in stones)
            root = pipeline.config.root_of(row.path)
            wanted = keywords_hash(
                pipeline.chooser.keywords(tags),
                write_options(pipeline.config, root, row.path),
            )
            if wanted != row.keywords_hash and root and row.stat:
                if pipeline.online(row.path):  # otherwise another time
                    rewrite.append(Candidate(row.path, row.root, row.stat, row.sidecar))
                continue
            old = tuple(tag for tag in store.tags(row.id) if tag.source == "model")
            only_index.append((row.id, None if old == tags else tags))
        store.relabel_many(only_index, pipeline.labels_hash)
        if rewrite:
            # A changed keywords_hash is no change of the file: say that it is due.
            store.forget_keywords([candidate.path for candidate in rewrite])
            handle(rewrite)
        seen += len(rows)
    return seen
