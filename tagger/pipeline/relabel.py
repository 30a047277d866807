"""Chooses the tags of all photos anew from the stored predictions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from tagger.index.rows import PhotoRow
from tagger.labels.evidence import Evidence
from tagger.pipeline.context import Context
from tagger.pipeline.photo_lock import photo_locks
from tagger.pipeline.rebuild import CHUNK
from tagger.pipeline.tagging import Tagging
from tagger.pipeline.write_options import keywords_hash, write_options
from tagger.records import Candidate, Tag, same_network

log = logging.getLogger(__name__)


def relabel(
    context: Context,
    tagging: Tagging,
    handle: Callable[[list[Candidate]], None],
    *,
    subjects: str | None = None,
) -> int:
    """Choose again, from stored predictions, the tags that come from other settings.

    Only what the network with the model id ``subjects`` said counts, if one is given: what other
    ones saw may be of other classes, and is to be looked at anew. No photo is decoded. Where only
    the index is concerned it is changed at once, many photos in a transaction; photos whose written
    keywords differ go to ``handle``.
    Return how many photos were looked at.
    """
    store, seen, last = context.store, 0, 0
    while not context.stop.is_set():
        rows = store.stale(tagging.labels_hash, last, CHUNK)
        if not rows:
            break
        with photo_locks(context.config.state_dir) as locks:
            busy = [row.path for row in rows if not locks.take(row.path, 0.0)]
            # As they are now that nobody else changes them.
            free = [
                row
                for row in store.stale(tagging.labels_hash, last, CHUNK)
                if row.id <= rows[-1].id and row.path not in busy
            ]
            rewrite = _relabel(context, tagging, free, subjects)
        last = rows[-1].id
        # A changed keywords_hash is no change of the file: say that it is due.
        if due := [*busy, *(candidate.path for candidate in rewrite)]:
            store.forget_keywords(due)
        if rewrite:
            handle(rewrite)
        seen += len(rows)
    return seen


def _relabel(
    context: Context, tagging: Tagging, rows: Sequence[PhotoRow], subjects: str | None
) -> list[Candidate]:
    """Change the index where it alone is concerned; return the other photos."""
    store, config = context.store, context.config
    rewrite: list[Candidate] = []
    only_index: list[tuple[int, tuple[Tag, ...] | None]] = []
    for row in rows:
        stored = store.prediction(row.id)
        if stored is None or not same_network(stored.model_id, subjects or stored.model_id):
            continue
        stones = store.tombstones(row.id) | tagging.companions.tombstones(row.id)
        try:
            evidence = Evidence.from_bytes(stored.evidence)
        except ValueError as error:
            log.warning("%s is classified again: %s", row.path, error)
            store.forget_version([row.path])
            continue
        chosen = tagging.chooser.choose(evidence, row.facts.kinds)
        chosen = tagging.taught.added(chosen, stored, evidence)
        chosen = tagging.companions.added(row.id, chosen, tagging.chooser)
        chosen = tagging.with_rules(chosen, (row.id,))
        tags = () if row.keep_out else tagging.without(stones, chosen)
        root = config.root_of(row.path)
        options = write_options(config, root, row.path)
        wanted = keywords_hash(tagging.chooser.keywords(tags), options)
        if wanted != row.keywords_hash and root and row.stat:
            if context.health.is_online(row.path):  # otherwise another time
                rewrite.append(Candidate(row.path, row.root, row.stat, row.sidecar))
            continue
        old = tuple(tag for tag in store.tags(row.id) if tag.ours)
        only_index.append((row.id, None if old == tags else tags))
    if only_index:
        store.relabel_many(only_index, tagging.labels_hash)
    return rewrite
