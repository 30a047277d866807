"""An index of so many made-up photos, filled table by table, in minutes for a million.

Five tags each: a class of ImageNet with everything above it in the tree, then a second one;
how often a class comes falls as in photo libraries, by Zipf's law. Eight years of photos
lie in a folder for each month, a holiday in one of each twelve; three cameras.
"""

from __future__ import annotations

import json
import random
import sqlite3
from array import array
from collections.abc import Iterator
from datetime import datetime, timedelta

from tagger.index.connection import index_path
from tagger.index.folding import fold
from tagger.index.store import Store
from tagger.labels.vocabulary import load_vocabulary

TAGS = 5
ROOT = "/photos"
LEAF = "pug"  # the one that is searched for; one photo in 250 has it
CAMERAS = ("Pixel 7", "NIKON D750", "iPhone 13")
_ROW = (
    "INSERT INTO photos (id, path, root, status, size, mtime_ns, inode, device, content_hash,"
    " source_hash, format, width, height, orientation, taken_at, camera, latitude, longitude,"
    " sort_at, seen_at, tagged_at, labels_hash, keywords_hash) VALUES"
    " (?, ?, ?, ?, ?, ?, ?, 1, ?, ?, 'JPEG', 4000, 3000, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def fill(state_dir: str, photos: int, seed: int = 0) -> int:
    """Make the index of ``state_dir`` with ``photos`` rows; return the number of tags."""
    Store(state_dir).close()
    db = sqlite3.connect(index_path(state_dir), isolation_level=None)
    try:
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA journal_mode=OFF")
        db.execute("PRAGMA cache_size=-200000")
        later = db.execute(
            "SELECT type, name, sql FROM sqlite_master"
            " WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
        ).fetchall()
        db.execute("BEGIN")
        for kind, name, _ in later:  # made at the end, in one go
            db.execute(f"DROP {kind} {name}")
        db.executemany(_ROW, _photo_rows(photos, random.Random(seed)))
        total = 0
        for name, rows in _tags_by_name(photos, random.Random(seed + 1)):
            names = "INSERT INTO names (word, source, label, path) VALUES (?, 'model', ?, ?)"
            made = db.execute(names, name).lastrowid
            total += db.executemany(
                "INSERT INTO tags (name_id, photo_id, confidence, position, alone)"
                f" VALUES ({made}, ?, ?, 0, ?)",
                rows,
            ).rowcount
        for _, _, sql in later:
            db.execute(sql)
        db.execute("COMMIT")
    finally:
        db.close()
    return total


def _photo_rows(photos: int, rng: random.Random) -> Iterator[tuple[object, ...]]:
    start, span = datetime(2016, 1, 1), timedelta(days=8 * 365)
    for number in range(photos):
        taken = start + span * (number / photos)
        folder = f"{taken:%Y}/{taken:%m} {'holiday' if taken.month == 7 else 'at home'}"
        moment = taken.isoformat(timespec="seconds")
        digest = rng.randbytes(16)
        yield (
            number + 1,
            f"{ROOT}/{folder}/IMG_{number:07}.jpg".encode(),
            ROOT.encode(),
            "tagged",
            4_000_000 + number,
            int(taken.timestamp() * 1e9),
            number,
            digest,
            digest,
            moment,
            CAMERAS[rng.randrange(3)],
            rng.uniform(-60, 60),
            rng.uniform(-180, 180),
            moment,
            taken.timestamp() + 60,
            taken.timestamp() + 61,
            "0" * 32,
            "0" * 32,
        )


def _tags_by_name(
    photos: int, rng: random.Random
) -> Iterator[tuple[tuple[str, str, str], Iterator[tuple[int, float, int]]]]:
    """Yield word, label and path of each label, and the tags of the photos that carry it."""
    known = load_vocabulary()
    leaves = [label for label, node in known.nodes.items() if node.classes]
    rng.shuffle(leaves)
    leaves.remove(LEAF)
    leaves.insert(30, LEAF)
    weights = [1 / (rank + 10) for rank in range(len(leaves))]
    carried: dict[str, tuple[array[int], array[float], array[int]]] = {}
    first, second = (rng.choices(leaves, weights, k=photos) for _ in range(2))
    chains = {leaf: known.path(leaf)[::-1] for leaf in leaves}
    for number, pair in enumerate(zip(first, second, strict=True), 1):
        # Of the second the top only, where there is no room: it is less sure. One photo in
        # a hundred has a label without the one above.
        chain = list(dict.fromkeys(chains[pair[0]] + chains[pair[1]][::-1]))[:TAGS]
        if number % 100 == 0 and len(chains[pair[0]]) > 1:
            del chain[1]
        for label in chain:
            ids, confidences, alone = carried.setdefault(
                label, (array("q"), array("d"), array("b"))
            )
            parent = known.nodes[label].parent
            ids.append(number)
            confidences.append(rng.uniform(0.3, 1))
            alone.append(parent is not None and parent not in chain)
    for label in sorted(carried):
        path = json.dumps(known.path(label), ensure_ascii=False)
        yield (fold(label), label, path), zip(*carried[label], strict=True)
