"""The tables of taught labels, which the index and ``taught.sqlite3`` both have.

What is kept of an example is what no other place has: whose photo, what the user said of it, and
its features by network, so that it teaches on when the photo is gone.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from tagger.index.sql_values import uri_of

if TYPE_CHECKING:
    from tagger.records import Example, TaughtLabel

TAUGHT_NAME = "taught.sqlite3"
"""The file in the state directory."""
TABLES = """
CREATE TABLE taught_labels (
    label TEXT PRIMARY KEY,
    path TEXT NOT NULL,       -- JSON array, from the root of the hierarchy down
    synonyms TEXT NOT NULL,   -- JSON array
    made_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE taught_examples (
    label TEXT NOT NULL,
    content_hash BLOB NOT NULL,  -- of the photo before anything was written to it
    path BLOB NOT NULL,
    positive INTEGER,            -- NULL: the user did not say
    origin TEXT NOT NULL,
    occasion TEXT NOT NULL,
    made_at REAL NOT NULL,
    PRIMARY KEY (label, content_hash)
) WITHOUT ROWID;
CREATE TABLE taught_features (
    content_hash BLOB NOT NULL,
    model_id TEXT NOT NULL,
    features BLOB NOT NULL,      -- float16, little-endian
    PRIMARY KEY (content_hash, model_id)
) WITHOUT ROWID;
"""
NAMES = ("taught_labels", "taught_examples", "taught_features")

Statement = tuple[str, Sequence[object]]


def add_label(label: TaughtLabel) -> Statement:
    """Return what adds a label, or gives it another place and other synonyms."""
    return (
        "INSERT INTO taught_labels VALUES (?, ?, ?, ?) ON CONFLICT (label) DO UPDATE SET"
        " path = excluded.path, synonyms = excluded.synonyms",
        (
            label.label,
            json.dumps(label.path, ensure_ascii=False),
            json.dumps(label.synonyms, ensure_ascii=False),
            time.time(),
        ),
    )


def add_examples(examples: Iterable[Example], model_id: str) -> list[Statement]:
    """Return what adds examples, with their features of a network; a later word counts."""
    found: list[Statement] = []
    for one in examples:
        found.append(
            (
                "INSERT OR REPLACE INTO taught_examples VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    one.label,
                    one.content_hash,
                    os.fsencode(one.path),
                    one.positive,
                    one.origin,
                    one.occasion,
                    time.time(),
                ),
            )
        )
        if one.features:
            found.append(add_features(one.content_hash, model_id, one.features))
    return found


def add_features(content_hash: bytes, model_id: str, features: bytes) -> Statement:
    """Return what notes the features of a photo."""
    return (
        "INSERT OR REPLACE INTO taught_features VALUES (?, ?, ?)",
        (content_hash, model_id, features),
    )


_ORPHANS = (
    "DELETE FROM taught_features WHERE content_hash NOT IN"
    " (SELECT content_hash FROM taught_examples)"
)


def drop_example(label: str, content_hash: bytes) -> list[Statement]:
    """Return what forgets one example."""
    return [
        ("DELETE FROM taught_examples WHERE (label, content_hash) = (?, ?)", (label, content_hash)),
        (_ORPHANS, ()),
    ]


def drop_label(label: str) -> list[Statement]:
    """Return what forgets a label with its examples."""
    return [
        ("DELETE FROM taught_labels WHERE label = ?", (label,)),
        ("DELETE FROM taught_examples WHERE label = ?", (label,)),
        (_ORPHANS, ()),
    ]


def rename_label(old: TaughtLabel, new: TaughtLabel) -> list[Statement]:
    """Return what gives a label another name, or place, and keeps its examples."""
    statements = [add_label(new)]
    if old.label != new.label:
        statements += [
            ("DELETE FROM taught_labels WHERE label = ?", (old.label,)),
            ("UPDATE taught_examples SET label = ? WHERE label = ?", (new.label, old.label)),
        ]
    return statements


def labels(db: sqlite3.Connection) -> tuple[TaughtLabel, ...]:
    """Return all labels, by name."""
    from tagger.records import TaughtLabel  # no query needs it: each start would pay for it

    rows = db.execute("SELECT path, synonyms FROM taught_labels ORDER BY label").fetchall()
    return tuple(TaughtLabel(tuple(json.loads(row[0])), tuple(json.loads(row[1]))) for row in rows)


def examples(db: sqlite3.Connection, model_id: str = "", label: str | None = None) -> list[Example]:
    """Return the examples, of one label or all, with the features of a network if it has seen them.

    In the order in which they were given.
    """
    from tagger.records import Example

    rows = db.execute(
        "SELECT e.label, e.content_hash, e.path, positive, origin, occasion, features"
        " FROM taught_examples e LEFT JOIN taught_features f"
        " ON f.content_hash = e.content_hash AND model_id = ?"
        " WHERE ?2 IS NULL OR label = ?2 ORDER BY e.made_at, e.content_hash",
        (model_id, label),
    ).fetchall()
    return [
        Example(
            row[0],
            bytes(row[1]),
            os.fsdecode(row[2]),
            None if row[3] is None else bool(row[3]),
            row[4],
            row[5],
            bytes(row[6] or b""),
        )
        for row in rows
    ]


def model_ids(db: sqlite3.Connection) -> list[str]:
    """Return the networks that have seen an example."""
    rows = db.execute("SELECT DISTINCT model_id FROM taught_features ORDER BY model_id")
    return [row[0] for row in rows.fetchall()]


def taught_labels(state_dir: str) -> tuple[TaughtLabel, ...]:
    """Return the taught labels, from the file alone: for whoever may have no index.

    What cannot be read is as if there were none; the daemon says why.
    """
    path = os.path.join(state_dir, TAUGHT_NAME)
    if not os.path.exists(path):
        return ()
    try:
        with closing(sqlite3.connect(uri_of(path), uri=True)) as db:
            return labels(db)
    except (sqlite3.Error, ValueError) as error:
        import logging

        logging.getLogger(__name__).debug("%s cannot be read: %s", path, error)
        return ()
