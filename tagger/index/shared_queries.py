"""What the daemon and the readers both ask of the index, each on a connection of its own.

Whole rows' records are imported by the functions that give them, because ``tagger query``
starts at every call and mostly wants paths.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from tagger.index.conditions import REMEMBERED

if TYPE_CHECKING:
    from tagger.index.rows import PhotoRow, StoredPrediction
    from tagger.records import JournalEntry, Tag


def photo(db: sqlite3.Connection, path: str) -> PhotoRow | None:
    """Return the row of the photo at ``path``."""
    from tagger.index.rows import photo_row

    row = db.execute("SELECT * FROM photos WHERE path = ?", (os.fsencode(path),)).fetchone()
    return photo_row(row) if row is not None else None


def tags(db: sqlite3.Connection, photo_id: int) -> tuple[Tag, ...]:
    """Return the tags of a photo in the order they were chosen."""
    from tagger.index.rows import TAGS_OF_PHOTO, tag_of

    return tuple(map(tag_of, db.execute(TAGS_OF_PHOTO, (photo_id,)).fetchall()))


def prediction(db: sqlite3.Connection, photo_id: int) -> StoredPrediction | None:
    """Return what the model said of a photo."""
    from tagger.index.rows import prediction_of

    row = db.execute("SELECT * FROM predictions WHERE photo_id = ?", (photo_id,)).fetchone()
    return prediction_of(row) if row is not None else None


def tombstones(db: sqlite3.Connection, photo_id: int) -> list[str]:
    """Return the labels that must never be written to a photo again, by name."""
    rows = db.execute("SELECT label FROM tombstones WHERE photo_id = ? ORDER BY label", (photo_id,))
    return [row["label"] for row in rows]


def journal(db: sqlite3.Connection, photo_id: int) -> list[tuple[JournalEntry, float]]:
    """Return what we have in which files for a photo, and when it was written."""
    from tagger.index.rows import entry_of

    rows = db.execute("SELECT * FROM journal WHERE photo_id = ? ORDER BY id", (photo_id,))
    return [(entry_of(row), row["written_at"]) for row in rows.fetchall()]


def counts(db: sqlite3.Connection) -> dict[str, int]:
    """Return how many photos there are of each status."""
    found = dict.fromkeys(("tagged", "untagged", "waiting", "failed", "missing"), 0)
    found.update(db.execute("SELECT status, count(*) FROM photos GROUP BY status").fetchall())
    if found["missing"]:
        hidden = db.execute(f"SELECT count(*) FROM photos WHERE {REMEMBERED}").fetchone()  # noqa: S608
        found["missing"] -= hidden[0]
    return found
