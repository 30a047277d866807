"""The features of the library's photos, as the index has them: all, a sample, their moments.

No photo is opened. But for the walk through all of them, ``SAMPLE`` are read at most, however large
the library is.
"""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator

from tagger.index.store import Store
from tagger.labels.personal.model import CHUNK
from tagger.labels.personal.moments import Moments
from tagger.labels.personal.stored_features import rows_of

log = logging.getLogger(__name__)

SAMPLE = 8192
"""Photos of the library that tell what is usual in it."""
LEAST_NEW = 0.01
"""The moments are brought up to date when the library has grown by such a share."""
MOST_GONE = 0.1
"""When so large a share of the photos they are of has gone, or come unseen, they are made anew."""
_TOGETHER = 500


def sample(store: Store, model_id: str, seed: int = 0, after: int = 0) -> list[bytes]:
    """Return the features of a random sample of what a network saw, of ids above ``after``."""
    last = store.read("SELECT coalesce(max(photo_id), 0) AS last FROM predictions")[0]["last"]
    if last - after <= 2 * SAMPLE:
        rows = store.read(
            "SELECT features FROM predictions WHERE model_id = ? AND photo_id > ?",
            (model_id, after),
        )
        blobs = [bytes(row["features"]) for row in rows]
        return random.Random(seed).sample(blobs, min(len(blobs), SAMPLE))  # noqa: S311
    picked = random.Random(seed).sample(range(after + 1, last + 1), 2 * SAMPLE)  # noqa: S311
    found: list[bytes] = []
    for at in range(0, len(picked), _TOGETHER):
        part = picked[at : at + _TOGETHER]
        rows = store.read(
            "SELECT features FROM predictions"
            " WHERE photo_id IN (SELECT value FROM json_each(?)) AND model_id = ?",
            (json.dumps(part), model_id),
        )
        found += [bytes(row["features"]) for row in rows]
        if len(found) >= SAMPLE:
            break
    return found[:SAMPLE]


def features(store: Store, model_id: str) -> Iterator[tuple[list[int], list[bytes]]]:
    """Yield ids and features of the photos that a network has seen, some thousand at a time."""
    last = 0
    while rows := store.read(
        "SELECT photo_id, model_id, features FROM predictions WHERE photo_id > ?"
        " ORDER BY photo_id LIMIT ?",
        (last, CHUNK),
    ):
        last = rows[-1]["photo_id"]
        own = [row for row in rows if row["model_id"] == model_id]
        if own:
            yield [row["photo_id"] for row in own], [bytes(row["features"]) for row in own]


def moments(store: Store, model_id: str) -> Moments | None:
    """Return the moments of the photos that a network has seen, as they were kept last."""
    return _kept(store, model_id)[0]


def _kept(store: Store, model_id: str) -> tuple[Moments | None, int]:
    """Return the moments that were kept, and the last photo that they are of."""
    rows = store.read(
        "SELECT moments, last_id FROM taught_statistics WHERE model_id = ?", (model_id,)
    )
    try:
        return (Moments.from_bytes(rows[0]["moments"]), rows[0]["last_id"]) if rows else (None, 0)
    except ValueError as error:  # they are made anew
        log.debug("statistics of %s: %s", model_id, error)
        return None, 0


def update_moments(store: Store, model_id: str) -> Moments | None:
    """Bring the moments up to date with what has come, and return them; None without any photo.

    Of many new photos a sample stands for all.
    """
    known, last = _kept(store, model_id)
    count = _count(store, model_id, 0)
    new = count
    if known is not None:
        new = _count(store, model_id, last)
        if abs(count - new - known.count) > MOST_GONE * known.count:
            known, last, new = None, 0, count
        elif new < max(1, LEAST_NEW * known.count):
            return known
    blobs = sample(store, model_id, after=last)
    sizes = [len(blob) for blob in blobs if blob]
    size = max(set(sizes), key=sizes.count) if sizes else 0
    blobs = [blob for blob in blobs if len(blob) == size]
    if not size or (known is not None and size != 2 * len(known.mean)):
        return known
    found = Moments.of(rows_of(blobs, size // 2)).standing_for(new)
    if known is not None:
        found = known.with_further(found)
    with store.transaction() as db:
        db.execute(
            "INSERT OR REPLACE INTO taught_statistics SELECT ?1, max(photo_id), ?2"
            " FROM predictions WHERE model_id = ?1",
            (model_id, found.to_bytes()),
        )
    return found


def _count(store: Store, model_id: str, after: int) -> int:
    rows = store.read(
        "SELECT count(*) AS n FROM predictions WHERE model_id = ? AND photo_id > ?",
        (model_id, after),
    )
    return int(rows[0]["n"])
