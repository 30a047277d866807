"""Photos that look alike: by the angle between the features that the network made of them.

What is nearest in :mod:`the file of features <tagger.duplicates.feature_file>` is compared by what
the index has, with the photos that are not in the file yet.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tagger.errors import StateError
from tagger.index.reader import Reader, open_reader
from tagger.index.store import Store
from tagger.system.state_dir import daemon_runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 60
"""Photos that can be asked for."""
USUAL = 12
LIKE, LIKE_LEAST = 500, 0.75
"""Of `like:` in a query: photos at most, and the cosine that they have at least."""
MANY = 4_096
"""Photos that are read for a question rather than added to the file first."""
CHANGED = 4_096
"""Of those that are to be compared so many are read for a question at most: a million of them took
4 s. The file has the others as they were when it was made."""

_CHUNK = 4096
_EXACT = 8
"""So many times as many as asked for are compared by their stored features."""


def most_alike(
    reader: Reader, state_dir: str | None, photo_id: int, limit: int
) -> list[tuple[int, float]]:
    """Return id and similarity (cosine, 1: the same) of the photos most like one, best first.

    Only of those that are there. With the file of features in ``state_dir`` a few of the nearest
    may be lost; without it (None) the features of all photos are read. Empty for a photo that no
    network has seen.
    """
    from tagger.duplicates.feature_file import FeatureFile
    from tagger.duplicates.vectors import direction_of

    own = reader.prediction(photo_id)
    wanted = None if own is None else direction_of(own.features)
    if own is None or wanted is None:
        return []
    file = FeatureFile(state_dir) if state_dir is not None else None
    head = file.head() if file is not None else None
    known = head is not None and (head.model_id, head.size) == (own.model_id, len(wanted))
    covered = head.covered if head is not None and known else 0
    count = limit * _EXACT + 1
    while True:
        # What is not in the file is read first: it may be in the file afterwards, and twice here.
        rest = itertools.chain(
            reader.features(own.model_id, covered),
            reader.waiting_features(own.model_id, covered, CHANGED),
        )
        near = {number for number, _ in _best(rest, wanted, count)}
        if file is not None and known:
            near.update(file.nearest(own.model_id, wanted, count))
        there = reader.groups.features(near - {photo_id})
        same = [(number, blob) for number, model_id, blob in there if model_id == own.model_id]
        found = _best(same, wanted, limit)
        if len(found) == limit or len(near) < count:
            return found
        count *= 4  # most of the nearest are not there: on a disk that is not


def make_file(state_dir: str) -> None:
    """Make the file of features, or add to it, when much is missing and no daemon does it.

    What cannot be written is done without.
    """
    from tagger.duplicates.feature_file import FeatureFile

    if daemon_runs(state_dir):
        return
    head = FeatureFile(state_dir).head()
    with open_reader(state_dir) as reader:
        if reader.newest_id() <= (0 if head is None else head.covered) + MANY:
            return
    from tagger.duplicates.thumbnails import ThumbnailStore
    from tagger.index.groups import GroupWriter
    from tagger.pipeline.picture_files import PictureFiles

    with contextlib.suppress(StateError, OSError), Store(state_dir) as store:
        files = PictureFiles(GroupWriter(store), state_dir, ThumbnailStore(state_dir))
        try:
            while files.catch_up():
                pass
        finally:
            files.close()


def _best(
    rows: Iterable[tuple[int, bytes]], wanted: NDArray[np.float32], count: int
) -> list[tuple[int, float]]:
    """Return id and cosine of the ``count`` rows that are nearest to a direction, best first."""
    from tagger.duplicates.vectors import lengths_of, rows_of

    best: dict[int, float] = {}
    left = iter(rows)
    while chunk := list(itertools.islice(left, _CHUNK)):
        ids, numbers = rows_of(chunk, len(wanted))
        scores = (numbers @ wanted / lengths_of(numbers)).tolist()
        best.update(zip(ids.tolist(), scores, strict=True))
        if len(best) > count:
            best = dict(heapq.nlargest(count, best.items(), key=_order))
    found = sorted(best.items(), key=_order, reverse=True)
    return [(number, min(1.0, score)) for number, score in found[:count]]


def _order(one: tuple[int, float]) -> tuple[float, int]:
    return one[1], -one[0]
