"""The user's decisions, kept a second time: a database beside the index that outlives it.

Tags come back from the files when an index is lost. That one was taken away, or that a photo is
to have none, is nowhere else. ``decisions.sqlite3`` has one row for each photo about which
something was decided, also after it was lifted again. Rows are numbered in the order of their
changes. See :mod:`tagger.index.decision_sync` for how index and decisions are kept together.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self

from tagger.index.kept_twice import open_beside
from tagger.index.sql_values import read_text
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

DECISIONS_NAME = "decisions.sqlite3"

_TABLE = (
    "CREATE TABLE IF NOT EXISTS decisions ("
    " path BLOB PRIMARY KEY,"
    " number INTEGER NOT NULL,"  # of the change, counted over all photos
    " root BLOB NOT NULL,"
    " content_hash BLOB NOT NULL,"
    " source_hash BLOB NOT NULL,"
    " removed TEXT NOT NULL,"  # JSON array of labels
    " kept_out INTEGER NOT NULL"
    ") WITHOUT ROWID"
)
_INDEX = "CREATE INDEX IF NOT EXISTS decisions_number ON decisions (number)"
_COLUMNS = "path, number, root, content_hash, source_hash, removed, kept_out"
_KINDS = (bytes, int, bytes, bytes, bytes, str, object)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about the photo ``path``, found in the folder ``root``.

    ``removed`` are labels never to be written to it again, ``kept_out`` says that it gets no
    tags at all. The digests, of its bytes as they were left and before anything was
    written to it, tell it when it has another path. Without either, all was lifted.
    """

    path: str
    root: str
    content_hash: bytes = b""
    source_hash: bytes = b""
    removed: tuple[str, ...] = ()
    kept_out: bool = False

    def __bool__(self) -> bool:
        return self.kept_out or bool(self.removed)


class DecisionStore:
    """``decisions.sqlite3`` of a state directory, opened. Use it as a context manager.

    What :meth:`put` returned from survives a power cut. Opening makes the file if there is none,
    and with ``check`` reads all of it. Raise OSError or sqlite3.Error when it cannot be used;
    sqlite3.DatabaseError itself, no subclass, when it is damaged.
    """

    def __init__(self, state_dir: str, *, check: bool = False) -> None:
        self.path = os.path.join(state_dir, DECISIONS_NAME)
        self._db = open_beside(self.path, _prepare_checked if check else _prepare)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Leave a plain file without WAL behind, unless another process has it open."""
        self._db.close()

    @property
    def complete(self) -> bool:
        """Whether it was compared with the index since it was made."""
        return bool(self._db.execute("PRAGMA user_version").fetchone()[0])

    def set_complete(self) -> None:
        """Note that it has all that the index knows."""
        if not self.complete:
            self._db.execute("PRAGMA user_version=1")

    def last_number(self) -> int:
        """Return the number of the last change; 0 without any."""
        return int(self._db.execute("SELECT coalesce(max(number), 0) FROM decisions").fetchone()[0])

    def after(self, number: int) -> list[Decision]:
        """Return the decisions changed after that one, in the order of their changes."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM decisions WHERE number > ? ORDER BY number",  # noqa: S608
            (number,),
        )
        return [decision for _, decision in _read(rows, self.path)]

    def put(self, decisions: Iterable[Decision], after: int = 0) -> tuple[int, int]:
        """Store decisions, in one transaction; return the last number before and now.

        They are numbered from ``after`` on at least.
        """
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            before = self.last_number()
            numbered = list(enumerate(decisions, max(before, after) + 1))
            self._insert(numbered)
        return before, numbered[-1][0] if numbered else before

    def take_over(self, numbered: Sequence[tuple[int, Decision]]) -> None:
        """Store decisions that have their numbers; of two about a photo the later one stays."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._insert(numbered)
            self._db.execute("PRAGMA user_version=0")

    def _insert(self, numbered: Iterable[tuple[int, Decision]]) -> None:
        self._db.executemany(
            f"INSERT INTO decisions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
            " ON CONFLICT (path) DO UPDATE SET number = excluded.number, root = excluded.root,"
            " content_hash = excluded.content_hash, source_hash = excluded.source_hash,"
            " removed = excluded.removed, kept_out = excluded.kept_out"
            " WHERE excluded.number >= number",
            [
                (
                    os.fsencode(one.path),
                    number,
                    os.fsencode(one.root),
                    one.content_hash,
                    one.source_hash,
                    json.dumps(one.removed),
                    one.kept_out,
                )
                for number, one in numbered
            ],
        )


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode=WAL")
    db.execute(_TABLE)
    columns = [row[1] for row in db.execute("PRAGMA table_info(decisions)")]
    if columns != _COLUMNS.split(", "):
        raise sqlite3.DatabaseError("it is a database of something else")
    db.execute(_INDEX)


def _prepare_checked(db: sqlite3.Connection) -> None:
    _prepare(db)
    found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError(" ".join(str(found).split())[:200])


def salvage(path: str) -> list[tuple[int, Decision]]:
    """Return what can be read, with its numbers, of the damaged database ``path``.

    It is read from the beginning to the damage, and from the end to it.
    """
    found: dict[int, Decision] = {}
    for direction in ("ASC", "DESC"):
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                db.text_factory = read_text
                rows = db.execute(f"SELECT {_COLUMNS} FROM decisions ORDER BY path {direction}")  # noqa: S608
                for number, decision in _read(rows, path):
                    found[number] = decision
        except sqlite3.Error as error:
            log.debug("not all of %s can be read: %s", path, error)
    return sorted(found.items())


def _read(rows: Iterable[Sequence[Any]], path: str) -> Iterator[tuple[int, Decision]]:
    """Yield number and decision of the sound ``rows``."""
    damaged = 0
    for row in rows:
        try:
            yield _decision(row)
        except (ValueError, TypeError) as error:
            damaged += 1
            log.debug("a row of %s: %s", path, error)
    if damaged:
        log.warning("%d decisions in %s are damaged and passed over", damaged, path)


def _decision(row: Sequence[Any]) -> tuple[int, Decision]:
    if not all(map(isinstance, row, _KINDS)):
        raise TypeError("a value is of another kind")
    path, number, root, content_hash, source_hash, removed, kept_out = row
    labels = parse_json(removed)
    if not isinstance(labels, list):
        raise TypeError("the labels are no list")
    names, labels = (os.fsdecode(path), os.fsdecode(root)), tuple(map(str, labels))
    return number, Decision(*names, content_hash, source_hash, labels, bool(kept_out))
