"""Chooses the tags of all photos anew from the stored predictions."""

from __future__ import annotations

import logging
from collections.abc import Callable

from tagger.labels.evidence import Evidence
from tagger.pipeline.pipeline import Pipeline
from tagger.pipeline.rebuild import CHUNK
from tagger.pipeline.write_options import keywords_hash, write_options
from tagger.records import Candidate, Tag

log = logging.getLogger(__name__)


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
