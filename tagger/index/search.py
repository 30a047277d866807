"""Readers of the index: they never write, and need neither numpy nor torch.

A reader may be another user than the daemon. SQLite then cannot make the files that a
WAL database needs (``attempt to write a readonly database``), and ``immutable=1`` would
answer without what is still in the WAL; so such a reader works on a private copy.
"""

from __future__ import annotations

import functools
import math
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tagger.errors import StateError
from tagger.index.database import index_path
from tagger.index.query import (
    EARTH_RADIUS_KM,
    STATES,
    Added,
    And,
    Near,
    Not,
    Or,
    Query,
    Sql,
    State,
    storable,
)
from tagger.index.records import Failure, PhotoRow, entry_of, fold, photo_row, tag_of
from tagger.photo import JournalEntry, Tag


@dataclass(frozen=True, slots=True)
class Found:
    """One photo with its tags."""

    row: PhotoRow
    tags: tuple[Tag, ...]


@contextmanager
def open_reader(state_dir: str) -> Iterator[Reader]:
    """Open the index of ``state_dir`` for reading.

    Raise StateError when there is none yet, or it cannot be read.
    """
    path = index_path(state_dir)
    if not os.path.exists(path):
        raise StateError(f"there is no index at {path} yet", "start the daemon with `tagger run`")
    with tempfile.TemporaryDirectory(prefix="tagger-read-") as scratch:
        try:
            db = _connect(path)
            try:
                db.execute("SELECT count(*) FROM migrations").fetchone()
            except sqlite3.OperationalError:
                db.close()
                db = _connect(_snapshot(path, scratch))
                db.execute("SELECT count(*) FROM migrations").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise StateError(
                f"cannot read the index {path}: {error}",
                "check its rights (the daemon's user must let you read the folder)",
            ) from error
        try:
            yield Reader(db)
        finally:
            db.close()


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(Path(path).as_uri() + "?mode=ro", uri=True, timeout=10)
    db.row_factory = sqlite3.Row
    _add_functions(db)
    return db


def _snapshot(path: str, folder: str) -> str:
    """Copy the database with its WAL until both are of one moment; return the copy's path."""
    copy = os.path.join(folder, "index.sqlite3")
    for _ in range(20):
        before = _version(path)
        for suffix in ("", "-wal"):
            if os.path.exists(path + suffix):
                shutil.copyfile(path + suffix, copy + suffix)
        if _version(path) == before:
            break
        time.sleep(0.05)
    return copy


def _version(path: str) -> list[tuple[int, int] | None]:
    versions: list[tuple[int, int] | None] = []
    for suffix in ("", "-wal"):
        try:
            st = os.stat(path + suffix)
            versions.append((st.st_size, st.st_mtime_ns))
        except FileNotFoundError:
            versions.append(None)
    return versions


class Reader:
    """An open index, to be asked."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def find(self, query: Query, *, limit: int | None = None) -> Iterator[Found]:
        """Yield the photos that ``query`` finds with their tags, newest first."""
        # Only what is sorted by goes through the sorting; whole rows would be 300 bytes each.
        for found in self._find("p.id", query, limit):
            rows = self._db.execute("SELECT * FROM photos WHERE id = ?", (found["id"],))
            yield Found(photo_row(rows.fetchone()), self.tags(found["id"]))

    def find_paths(self, query: Query, *, limit: int | None = None) -> Iterator[str]:
        """Yield the paths of what :meth:`find` yields, several times as fast."""
        for row in self._find("p.path", query, limit):
            yield os.fsdecode(row["path"])

    def count(self, query: Query) -> int:
        """Return how many photos ``query`` finds."""
        where, values = statement(query)
        sql = f"SELECT count(*) FROM photos p WHERE {where}"  # noqa: S608
        return int(self._db.execute(sql, values).fetchone()[0])

    def has_word(self, word: str) -> bool:
        """Whether a photo has a label that reads like ``word`` when folded."""
        rows = self._db.execute(
            "SELECT 1 FROM tags WHERE word = ? LIMIT 1", (storable(fold(word)),)
        )
        return rows.fetchone() is not None

    def _find(self, column: str, query: Query, limit: int | None) -> Iterator[sqlite3.Row]:
        where, values = statement(query)
        # By its index the first few are found at once. But for all of them, or for some that
        # are rare, jumping about in the table takes several times as long as reading it in
        # order and sorting; "+" says so.
        rare = any(isinstance(node, Near | Added) for node in _walk(query))
        order = "p.sort_at" if limit and not rare else "+p.sort_at"
        return self._db.execute(
            f"SELECT {column} FROM photos p WHERE {where}"  # noqa: S608
            f" ORDER BY {order} DESC, p.path LIMIT ?",
            (*values, limit or -1),
        )

    def photo(self, path: str) -> PhotoRow | None:
        """Return the row of the photo at ``path``."""
        rows = self._db.execute("SELECT * FROM photos WHERE path = ?", (os.fsencode(path),))
        row = rows.fetchone()
        return photo_row(row) if row else None

    def tags(self, photo_id: int) -> tuple[Tag, ...]:
        """Return the tags of a photo in the order they were chosen."""
        rows = self._db.execute(
            "SELECT * FROM tags WHERE photo_id = ? ORDER BY position", (photo_id,)
        )
        return tuple(tag_of(row) for row in rows)

    def top(self, photo_id: int) -> tuple[str, bytes] | None:
        """Return the model's id and the stored most probable classes of a photo."""
        row = self._db.execute(
            "SELECT model_id, top FROM predictions WHERE photo_id = ?", (photo_id,)
        ).fetchone()
        return (row["model_id"], row["top"]) if row else None

    def journal(self, photo_id: int) -> list[tuple[JournalEntry, float]]:
        """Return what we have in which files for a photo, and when it was written."""
        rows = self._db.execute("SELECT * FROM journal WHERE photo_id = ? ORDER BY id", (photo_id,))
        return [(entry_of(row), row["written_at"]) for row in rows]

    def tombstones(self, photo_id: int) -> list[str]:
        """Return the labels that are never written to a photo again."""
        rows = self._db.execute(
            "SELECT label FROM tombstones WHERE photo_id = ? ORDER BY label", (photo_id,)
        )
        return [row["label"] for row in rows]

    def failures(self) -> list[Failure]:
        """Return the photos that could not be handled, the latest first."""
        rows = self._db.execute(
            "SELECT p.path, f.* FROM failures f JOIN photos p ON p.id = f.photo_id"
            " WHERE p.status = 'failed' ORDER BY f.last_at DESC, p.path"
        )
        return [
            Failure(
                os.fsdecode(row["path"]),
                row["kind"],
                row["reason"],
                row["tries"],
                row["first_at"],
                row["last_at"],
                row["retry_at"],
            )
            for row in rows
        ]

    def counts(self) -> dict[str, int]:
        """Return how many photos there are of each status."""
        counts = dict.fromkeys(("tagged", "untagged", "waiting", "failed", "missing"), 0)
        for row in self._db.execute("SELECT status, count(*) AS n FROM photos GROUP BY status"):
            counts[row["status"]] = row["n"]
        return counts

    def photos_by_word(self) -> Mapping[str, set[int]]:
        """Return, for each folded label in use, the ids of the photos that carry it."""
        found: dict[str, set[int]] = {}
        for row in self._db.execute(
            "SELECT t.word, t.photo_id FROM tags t JOIN photos p ON p.id = t.photo_id"
            " WHERE p.status != 'missing'"
        ):
            found.setdefault(row["word"], set()).add(row["photo_id"])
        return found

    def user_labels(self) -> list[tuple[str, int]]:
        """Return the user's own keywords with their number of photos, most used first."""
        rows = self._db.execute(
            "SELECT min(label) AS label, count(DISTINCT photo_id) AS n FROM tags"
            " JOIN photos ON photos.id = photo_id WHERE source = 'user' AND status != 'missing'"
            " GROUP BY word ORDER BY n DESC, label"
        )
        return [(row["label"], row["n"]) for row in rows]

    def paths(self, status: str | None = None) -> list[str]:
        """Return the paths of all photos, or those with one status."""
        rows = self._db.execute(
            "SELECT path FROM photos WHERE ?1 IS NULL OR status = ?1 ORDER BY path", (status,)
        )
        return [os.fsdecode(row["path"]) for row in rows]


def statement(query: Query) -> Sql:
    """Return the condition for photos that ``query`` finds.

    What is missing, failed or waiting is left out, except in states that it asks for.
    """
    asked = {state for node in _walk(query) if isinstance(node, State) for state in node.states}
    allowed = tuple(s for s in STATES if s in asked or s in ("tagged", "untagged"))
    return And((query, State(allowed))).sql()


def _walk(query: Query) -> Iterator[Query]:
    yield query
    parts = query.parts if isinstance(query, And | Or) else ()
    for part in (query.part,) if isinstance(query, Not) else parts:
        yield from _walk(part)


def _add_functions(db: sqlite3.Connection) -> None:
    """Give a connection the functions that the conditions of queries use."""
    # Thousands of photos share a folder, all of them a few cameras.
    folder = functools.lru_cache(100_000)(lambda path: fold(os.fsdecode(path)))
    text = functools.lru_cache(10_000)(fold)

    def in_folder(path: bytes, fragment: str) -> bool:
        return fragment in folder(path[: path.rfind(b"/") + 1])

    def has_text(value: str | None, fragment: str) -> bool:
        return value is not None and fragment in text(value)

    db.create_function("in_folder", 2, in_folder, deterministic=True)
    db.create_function("has_text", 2, has_text, deterministic=True)
    db.create_function("distance_km", 4, distance_km, deterministic=True)


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance of two places in degrees, by the haversine formula.

    (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984.)
    """
    a, b = math.radians(lat1), math.radians(lat2)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))
