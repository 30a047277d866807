"""Readers of the index: they never write, and need neither numpy nor torch.

A reader may be another user than the daemon. SQLite then cannot make the files that a
WAL database needs (``attempt to write a readonly database``), and ``immutable=1`` would
answer without what is still in the WAL; so such a reader works on a private copy.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tagger.errors import StateError
from tagger.index.database import index_path
from tagger.index.records import Failure, PhotoRow, entry_of, photo_row, tag_of
from tagger.photo import JournalEntry, Tag


@dataclass(frozen=True, slots=True)
class Filters:
    """What a search asks for besides labels.

    ``minimum`` is the least confidence (0…1) of each label; ``since`` and ``until`` are
    ISO dates or moments, both inclusive, of the photo's local time; ``folder`` an
    absolute path.
    """

    minimum: float = 0.0
    since: str | None = None
    until: str | None = None
    folder: str | None = None
    limit: int | None = None


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

    def find(self, terms: Sequence[Collection[str]], filters: Filters) -> Iterator[Found]:
        """Yield the photos that have, for each of ``terms``, one of its folded words.

        Newest first. Photos that are missing are left out.
        """
        where, values = _conditions(terms, filters)
        sql = f"SELECT p.* FROM photos p WHERE {where} ORDER BY p.sort_at DESC, p.path"  # noqa: S608
        if filters.limit is not None:
            sql, values = sql + " LIMIT ?", [*values, filters.limit]
        for row in self._db.execute(sql, values):
            yield Found(photo_row(row), self.tags(row["id"]))

    def count(self, terms: Sequence[Collection[str]], filters: Filters) -> int:
        """Return how many photos :meth:`find` would yield without a limit."""
        where, values = _conditions(terms, filters)
        sql = f"SELECT count(*) FROM photos p WHERE {where}"  # noqa: S608
        return int(self._db.execute(sql, values).fetchone()[0])

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


def _conditions(terms: Sequence[Collection[str]], filters: Filters) -> tuple[str, list[Any]]:
    where, values = ["p.status IN ('tagged', 'untagged')"], []  # type: tuple[list[str], list[Any]]
    for words in terms:
        marks = ", ".join("?" * len(words))
        where.append(
            f"p.id IN (SELECT photo_id FROM tags WHERE word IN ({marks}) AND confidence >= ?)"  # noqa: S608
        )
        values += [*words, filters.minimum]
    if filters.since:
        where.append("p.sort_at >= ?")
        values.append(filters.since)
    if filters.until:
        where.append("p.sort_at < ?")
        values.append(filters.until + "~")  # "~" sorts after digits, "T" and ":"
    if filters.folder:
        prefix = os.fsencode(filters.folder.rstrip(os.sep) + os.sep)
        where.append("p.path >= ? AND p.path < ?")
        values += [prefix, prefix[:-1] + bytes([prefix[-1] + 1])]
    return " AND ".join(where), values
