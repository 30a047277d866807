"""The user's decisions, kept a second time: a database beside the index that outlives it.

Tags come back from the files when an index is lost. That one was taken away, or that a photo is
to have none, is nowhere else. ``decisions.sqlite3`` has one row for each photo about which
something was decided, also after it was lifted again. Rows are numbered in the order of their
changes. See :mod:`tagger.index.decision_sync` for how index and decisions are kept together.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sqlite3
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Self

from tagger.index.sql_values import Connection, read_text
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

DECISIONS_NAME = "decisions.sqlite3"
TIMEOUT = 5.0
"""Seconds to wait for another program that has the database locked."""

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

    WAL with ``synchronous=FULL``: what :meth:`put` returned from survives a power cut. Opening
    makes the file if there is none. Raise OSError or sqlite3.Error when it cannot be used;
    sqlite3.DatabaseError itself, no subclass, when it is damaged.
    """

    def __init__(self, state_dir: str) -> None:
        self.path = os.path.join(state_dir, DECISIONS_NAME)
        try:
            # Never followed, waited for or changed: whatever else has that name.
            if not stat.S_ISREG(os.lstat(self.path).st_mode):
                raise OSError(errno.EINVAL, "it is no regular file", self.path)
        except FileNotFoundError:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(self.path, flags, 0o640))  # SQLite would let everybody read it
        self._db = sqlite3.connect(
            self.path, isolation_level=None, timeout=TIMEOUT, factory=Connection
        )
        try:
            self._db.text_factory = read_text
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_TABLE)
            columns = [row[1] for row in self._db.execute("PRAGMA table_info(decisions)")]
            if columns != _COLUMNS.split(", "):
                raise sqlite3.DatabaseError("it is a database of something else")
            self._db.execute(_INDEX)
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave a plain file without WAL behind, unless another process has it open."""
        self._db.close()

    def check(self) -> None:
        """Raise sqlite3.DatabaseError when the file is damaged; all of it is read."""
        found = self._db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(" ".join(str(found).split())[:200])

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
        before = self._begin()
        try:
            last = max(before, after)
            numbered = [(last + n, one) for n, one in enumerate(decisions, 1)]
            self._insert(numbered)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise
        return before, numbered[-1][0] if numbered else before

    def take_over(self, numbered: Sequence[tuple[int, Decision]]) -> None:
        """Store decisions that have their numbers; of two about a photo the later one stays."""
        self._begin()
        try:
            self._insert(numbered)
            self._db.execute("PRAGMA user_version=0")
            self._db.execute("COMMIT")
        except BaseException:
            self._db.rollback()
            raise

    def _begin(self) -> int:
        self._db.execute("BEGIN IMMEDIATE")
        return self.last_number()

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


def set_aside(state_dir: str) -> str:
    """Rename the database to ``decisions.damaged-<time>.sqlite3``; return the new path.

    Raise OSError when it cannot be renamed.
    """
    path = os.path.join(state_dir, DECISIONS_NAME)
    new = os.path.join(state_dir, f"decisions.damaged-{time.strftime('%Y%m%d-%H%M%S')}.sqlite3")
    for suffix in ("-wal", "-shm", ""):
        if os.path.lexists(path + suffix):
            os.replace(path + suffix, new + suffix)
    return new


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


def _read(rows: Iterable[Sequence[object]], path: str) -> Iterator[tuple[int, Decision]]:
    """Yield number and decision of the sound ``rows``."""
    damaged = 0
    for row in rows:
        try:
            yield _decision(*row)
        except (ValueError, TypeError) as error:
            damaged += 1
            log.debug("a row of %s: %s", path, error)
    if damaged:
        log.warning("%d decisions in %s are damaged and passed over", damaged, path)


def _decision(
    path: object,
    number: object,
    root: object,
    content_hash: object,
    source_hash: object,
    removed: object,
    kept_out: object,
) -> tuple[int, Decision]:
    if not (
        isinstance(path, bytes)
        and isinstance(number, int)
        and isinstance(root, bytes)
        and isinstance(content_hash, bytes)
        and isinstance(source_hash, bytes)
        and isinstance(removed, str)
    ):
        raise TypeError("a value is of another kind")
    labels = parse_json(removed)
    if not isinstance(labels, list):
        raise TypeError("the labels are no list")
    names = os.fsdecode(path), os.fsdecode(root)
    labels = tuple(map(str, labels))
    return number, Decision(*names, content_hash, source_hash, labels, bool(kept_out))
