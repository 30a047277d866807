"""How many photos there are under each label of a tree, without looking at each photo.

Most photos carry everything above a label too, so that the number of its own tags is the
answer. The others are few and known: tags that are ``alone``, the user's own keywords, and
tags of another tree than the one asked for. Only they are followed photo by photo.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping

from tagger.index.folding import fold, name_path


def tree_counts(db: sqlite3.Connection, paths: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Return how many photos carry each label or anything below it; missing ones left out.

    ``paths`` has each label's way in the tree from the root down to itself. Labels that no
    photo has are left out.
    """
    by_word = {fold(label): label for label in paths}
    own: dict[str, int] = {}
    strange: dict[int, str] = {}
    for number, word, source, path, said in db.execute(
        "SELECT id, word, source, path, label FROM names"
    ):
        label = by_word.get(word)
        if label is None:
            continue
        if source == "model" and said == label and name_path(path, said) == paths[label]:
            own[label] = number
        else:
            strange[number] = label
    others = _others(db, {number: label for label, number in own.items()}, strange, paths)
    sizes = _sizes(db)
    counts = {}
    for label in paths:
        number = own.get(label)
        count = sizes.get(number, 0) if number is not None else 0
        count += _without(db, number, others.get(label, set()))
        if count:
            counts[label] = count
    return counts


def _sizes(db: sqlite3.Connection) -> dict[int, int]:
    """Return for each name the number of photos that carry it and are not missing."""
    sizes = dict(map(tuple, db.execute("SELECT name_id, count(*) FROM tags GROUP BY name_id")))
    for number, gone in db.execute(
        "SELECT name_id, count(*) FROM photos CROSS JOIN tags ON photo_id = photos.id"
        " WHERE status = 'missing' GROUP BY name_id"
    ):
        sizes[number] -= gone
    return sizes


def _others(
    db: sqlite3.Connection,
    own: Mapping[int, str],
    strange: Mapping[int, str],
    paths: Mapping[str, tuple[str, ...]],
) -> dict[str, set[int]]:
    """Return for each label photos that count for it without (surely) having its own tag."""
    found: dict[str, set[int]] = {}
    for condition, values, labels in (
        ("alone", (), own),
        ("name_id IN (SELECT value FROM json_each(?))", (json.dumps([*strange]),), strange),
    ):
        for number, photo in db.execute(
            "SELECT name_id, photo_id FROM tags CROSS JOIN photos ON photos.id = photo_id"  # noqa: S608
            f" WHERE {condition} AND status != 'missing'",
            values,
        ):
            for label in paths[labels[number]] if number in labels else ():
                found.setdefault(label, set()).add(photo)
    return found


def _without(db: sqlite3.Connection, number: int | None, photos: set[int]) -> int:
    """Return how many of the photos do not carry the name."""
    if number is None or not photos:
        return len(photos)
    row = db.execute(
        "SELECT count(*) FROM json_each(?) WHERE NOT EXISTS"
        " (SELECT 1 FROM tags WHERE name_id = ? AND photo_id = value)",
        (json.dumps([*photos]), number),
    ).fetchone()
    return int(row[0])
