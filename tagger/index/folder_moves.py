"""Rows whose photos have another path because the config names their folder in another way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from tagger.index.row_writes import copy_decisions


def move_rows(
    db: sqlite3.Connection, photos: Iterable[bytes], old: bytes, new: bytes, root: bytes
) -> None:
    """Give photos, by their paths, ``root`` and a path that begins with ``new`` instead of ``old``.

    Their journals name the files there. A row that has the new path already is about the same
    file: of the two the one that is not missing stays, with what was decided about either and
    the journal of both.
    """
    for path in photos:
        row = db.execute("SELECT id FROM photos WHERE path = ?", (path,)).fetchone()
        if row is None:
            continue  # forgotten meanwhile
        kept, moved = row["id"], new + path[len(old) :]
        other = db.execute("SELECT id, status FROM photos WHERE path = ?", (moved,)).fetchone()
        if other is not None:
            dropped = other["id"]
            if other["status"] != "missing":
                kept, dropped = dropped, kept
            copy_decisions(db, dropped, kept)
            db.execute("UPDATE journal SET photo_id = ? WHERE photo_id = ?", (kept, dropped))
            db.execute("DELETE FROM photos WHERE id = ?", (dropped,))
        db.execute("UPDATE photos SET path = ?, root = ? WHERE id = ?", (moved, root, kept))
        _move_journal(db, kept, old, new)


def _move_journal(db: sqlite3.Connection, photo_id: int, old: bytes, new: bytes) -> None:
    """Let the journal of a photo name the files below ``new``; the latest about each file stays."""
    files: set[tuple[bytes, int]] = set()
    entries = db.execute(
        "SELECT id, file, pending FROM journal WHERE photo_id = ?"
        " ORDER BY written_at DESC, id DESC",
        (photo_id,),
    )
    for entry in entries.fetchall():
        file = entry["file"]
        if file.startswith(old):
            file = new + file[len(old) :]
        if (file, entry["pending"]) in files:
            db.execute("DELETE FROM journal WHERE id = ?", (entry["id"],))
            continue
        files.add((file, entry["pending"]))
        db.execute("UPDATE journal SET file = ? WHERE id = ?", (file, entry["id"]))
