"""Changes of single rows of the index, inside a transaction of the store."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Sequence
from operator import attrgetter

from tagger.index.folding import fold
from tagger.index.rows import (
    PREDICTED,
    SavedPhoto,
    StoredPrediction,
    entry_values,
    may_change_unseen,
    signed,
    sort_key,
    tag_values,
)
from tagger.records import FileStat, JournalEntry, Tag

_ADD_TAG = (
    "INSERT OR IGNORE INTO tags SELECT id, ?, ?, ?, ? FROM names"
    " WHERE source = ? AND path = ? AND label = ?"
)
_ENTRY = (
    "pending, written_at, target, file, added, tags, created, before, after, undo, reason, seen"
)


def path_of(db: sqlite3.Connection, photo_id: int) -> str:
    """Return the path of the photo with that id; "" when there is none."""
    row = db.execute("SELECT path FROM photos WHERE id = ?", (photo_id,)).fetchone()
    return os.fsdecode(row["path"]) if row is not None else ""


def part_row(
    db: sqlite3.Connection, row: sqlite3.Row, aside: bytes, *, inherit: bool, now: float
) -> None:
    """Do what :meth:`tagger.index.store.Store.part` says; ``aside`` is the new path of ``row``."""
    photo_id, path, root = row["id"], os.fsdecode(row["path"]), os.fsdecode(row["root"])
    for other in db.execute("SELECT id FROM photos WHERE path = ?", (aside,)).fetchall():
        copy_decisions(db, other["id"], photo_id)
        db.execute("DELETE FROM photos WHERE id = ?", (other["id"],))
    db.execute(
        "UPDATE photos SET path = ?, status = 'missing', missing_at = ? WHERE id = ?",
        (aside, now, photo_id),
    )
    new = touch(db, path, root, now)
    db.execute(
        f"INSERT INTO journal (photo_id, {_ENTRY}) SELECT ?, {_ENTRY} FROM journal"  # noqa: S608
        " WHERE photo_id = ? AND NOT pending",
        (new, photo_id),
    )
    if inherit:
        copy_decisions(db, photo_id, new)


def copy_decisions(db: sqlite3.Connection, source: int, target: int) -> None:
    """Let what is decided about the photo ``source``, and rules' tags, hold for ``target``, too."""
    db.execute(
        "INSERT OR IGNORE INTO tombstones SELECT ?, label, made_at FROM tombstones"
        " WHERE photo_id = ?",
        (target, source),
    )
    db.execute(
        "INSERT OR IGNORE INTO rule_tags SELECT ?, label FROM rule_tags WHERE photo_id = ?",
        (target, source),
    )
    db.execute(
        "UPDATE photos SET keep_out = max(keep_out, (SELECT keep_out FROM photos WHERE id = ?))"
        " WHERE id = ?",
        (source, target),
    )


def touch(db: sqlite3.Connection, path: str, root: str, now: float) -> int:
    """Return the id of the row of ``path``, made with status ``waiting`` if there is none."""
    row = db.execute("SELECT id FROM photos WHERE path = ?", (os.fsencode(path),)).fetchone()
    if row is not None:
        db.execute(
            "UPDATE photos SET status = 'waiting' WHERE id = ? AND status = 'missing'", (row["id"],)
        )
        return int(row["id"])
    made = db.execute(
        "INSERT INTO photos (path, root, status, seen_at) VALUES (?, ?, 'waiting', ?)",
        (os.fsencode(path), os.fsencode(root), now),
    )
    assert made.lastrowid is not None
    return made.lastrowid


def set_stat(
    db: sqlite3.Connection, photo_id: int, stat: FileStat, sidecar: FileStat | None
) -> None:
    """Write which version of a photo and its sidecar the row is about."""
    db.execute(
        "UPDATE photos SET size = ?, mtime_ns = ?, inode = ?, device = ?, ctime_ns = ?,"
        " sidecar_size = ?, sidecar_mtime_ns = ?, sidecar_inode = ?, sidecar_ctime_ns = ?"
        " WHERE id = ?",
        (
            stat.size,
            stat.mtime_ns,
            signed(stat.inode),
            signed(stat.device),
            stat.ctime_ns or None,
            sidecar.size if sidecar else None,
            sidecar.mtime_ns if sidecar else None,
            signed(sidecar.inode) if sidecar else None,
            (sidecar.ctime_ns or None) if sidecar else None,
            photo_id,
        ),
    )


def save_row(db: sqlite3.Connection, photo_id: int, photo: SavedPhoto, now: float) -> None:
    """Write the columns of ``photos`` for a photo that was handled."""
    set_stat(db, photo_id, photo.stat, photo.sidecar)
    facts = photo.facts
    racy = may_change_unseen(photo.stat, now)
    db.execute(
        "UPDATE photos SET root = ?, status = ?, content_hash = ?, source_hash = ?, format = ?,"
        " width = ?, height = ?, orientation = ?, taken_at = ?, camera = ?, latitude = ?,"
        " longitude = ?, kinds = ?, sort_at = ?, tagged_at = ?, missing_at = NULL, labels_hash = ?,"
        " keywords_hash = ?, note = ?, keep_out = keep_out OR ?, grouped = NULL WHERE id = ?",
        (
            os.fsencode(photo.root),
            photo.status,
            None if racy else photo.content_hash,
            photo.source_hash,
            facts.format,
            facts.width,
            facts.height,
            facts.orientation,
            facts.taken_at,
            facts.camera,
            facts.latitude,
            facts.longitude,
            f"|{'|'.join(facts.kinds)}|",
            sort_key(facts, photo.stat),
            now,
            photo.labels_hash,
            None if racy else photo.keywords_hash,
            photo.note,
            photo.kept_out,
            photo_id,
        ),
    )


def save_prediction(db: sqlite3.Connection, photo_id: int, prediction: StoredPrediction) -> None:
    """Write what the networks say of a photo."""
    places = ", ".join("?" * len(PREDICTED))
    db.execute(
        f"INSERT OR REPLACE INTO predictions (photo_id, {', '.join(PREDICTED)})"  # noqa: S608
        f" VALUES (?, {places})",
        (photo_id, *attrgetter(*PREDICTED)(prediction)),
    )


def add_tags(db: sqlite3.Connection, photo_id: int, tags: Sequence[Tag]) -> None:
    """Add tags to a photo, and their names where they are new."""
    names = [(tag.source, json.dumps(tag.path, ensure_ascii=False), tag.label) for tag in tags]
    rows = [
        (photo_id, *values, *name) for values, name in zip(tag_values(tags), names, strict=True)
    ]
    if db.executemany(_ADD_TAG, rows).rowcount == len(rows):
        return
    # A name that no photo had yet, once for each of them (or a tag that is given twice).
    db.executemany(
        "INSERT OR IGNORE INTO names (word, source, path, label) VALUES (?, ?, ?, ?)",
        [(fold(tag.label), *name) for tag, name in zip(tags, names, strict=True)],
    )
    db.executemany(_ADD_TAG, rows)


def replace_journal(
    db: sqlite3.Connection, photo_id: int, entries: Sequence[JournalEntry], now: float
) -> None:
    """Make ``entries`` the journal of a photo; one that stays keeps its time."""
    times = {
        (row["file"], row["after"]): row["written_at"]
        for row in db.execute("SELECT * FROM journal WHERE photo_id = ?", (photo_id,))
    }
    db.execute("DELETE FROM journal WHERE photo_id = ?", (photo_id,))
    for entry in entries:
        written_at = times.get((os.fsencode(entry.file), entry.after), now)
        add_entry(db, photo_id, entry, written_at)


def add_entry(
    db: sqlite3.Connection,
    photo_id: int,
    entry: JournalEntry,
    written_at: float,
    *,
    pending: bool = False,
) -> None:
    """Add to the journal of a photo."""
    values = (photo_id, pending, written_at, *entry_values(entry))
    places = ", ".join("?" * len(values))
    db.execute(f"INSERT INTO journal (photo_id, {_ENTRY}) VALUES ({places})", values)  # noqa: S608
