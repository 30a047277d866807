"""Fills a lost index from the tags in the files."""

from __future__ import annotations

import itertools
import logging
import os
import time
from collections.abc import Callable, Sequence

from tagger.config.schema import WatchRoot
from tagger.index.connection import concerns_index
from tagger.index.store import Store
from tagger.metadata.read import read_tags
from tagger.records import Tag
from tagger.system.paths import is_inside
from tagger.watch.walk import WalkReport, WalkRules, walk

log = logging.getLogger(__name__)

CHUNK = 256


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
        photos = walk(WalkRules(root, inside), root.path, WalkReport())
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
        found = read_tags(path, root)
    except Exception:  # it has none then, until it is classified
        log.exception("the tags in the files of %s cannot be read", path)
        return ()
    return tuple(
        Tag(keyword[-1], 1.0, keyword, "user")
        if confidence is None
        else Tag(keyword[-1], confidence, keyword, "model")
        for keyword, confidence in found
    )
