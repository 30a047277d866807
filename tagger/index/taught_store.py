"""Taught labels, kept twice: in the index, and in a database beside it that outlives it.

``taught.sqlite3`` has what the user said, all of it, whatever becomes of the index; the index has
it for `tagger backup`, and to find the photos. Changes are numbered. Each is in the file, on the
disk, before the transaction of the index that it belongs to; where the two differ (after a kill, or
with a backup put back) the higher number counts.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TypeVar

from tagger.errors import StateError
from tagger.index import taught_tables as tables
from tagger.index.kept_twice import move_aside, number_in, open_beside, put_meta, why
from tagger.index.migrations import split_statements
from tagger.index.store import Store
from tagger.index.taught_tables import TAUGHT_NAME

log = logging.getLogger(__name__)

NUMBER = "taught"
"""In ``meta`` of the index: the number of the last change that it has."""

T = TypeVar("T")


def ask(store: Store, question: Callable[[sqlite3.Connection], T]) -> T:
    """Return the answer to one of :mod:`tagger.index.taught_tables`'s questions."""
    with store.asking() as db:
        return question(db)


def number(store: Store) -> int:
    """Return the number of the last change."""
    return ask(store, _number_in)


def record(store: Store, statements: Sequence[tables.Statement]) -> None:
    """Make changes, all or none. Raise StateError when they cannot be kept."""
    state_dir = os.path.dirname(store.path)
    with store.transaction() as db:
        try:
            with _opened(state_dir) as file:
                _bring_together(db, file)
                new = _number_in(db) + 1
                file.execute("BEGIN IMMEDIATE")
                for sql, values in statements:
                    file.execute(sql, values)
                file.execute(f"PRAGMA user_version={new}")
                file.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            raise StateError(
                f"cannot write {os.path.join(state_dir, TAUGHT_NAME)}: {why(error)}",
                "free some space, or check its rights; then teach it again",
            ) from error
        for sql, values in statements:
            db.execute(sql, values)
        put_meta(db, NUMBER, new)


def recall(db: sqlite3.Connection, state_dir: str, *, lost: bool = False) -> None:
    """Bring index and file together, in a transaction of ``db``; what cannot be is logged.

    ``lost``: the index may have lost some of what its number says.
    """
    path = os.path.join(state_dir, TAUGHT_NAME)
    if not os.path.lexists(path) and not _number_in(db):
        return
    try:
        with _opened(state_dir) as file:
            _bring_together(db, file, lost=lost)
    except (OSError, sqlite3.Error) as error:
        log.warning("%s cannot be used: %s", path, why(error))


@contextmanager
def _opened(state_dir: str) -> Iterator[sqlite3.Connection]:
    """Open the file, made if there is none; a damaged one is set aside.

    Not in WAL mode, so that others may read it whatever their rights.
    """
    path = os.path.join(state_dir, TAUGHT_NAME)
    try:
        db = open_beside(path, _prepare)
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:
            raise  # a full disk, another program that has it locked
        aside = move_aside(path)
        log.error("%s was damaged (%s): kept as %s; made anew from the index", path, error, aside)
        db = open_beside(path, _prepare)
    with closing(db):
        yield db


def _prepare(db: sqlite3.Connection) -> None:
    there = db.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
    if not there[0]:
        db.execute("BEGIN IMMEDIATE")
        for statement in split_statements(tables.TABLES):
            db.execute(statement)
        db.execute("COMMIT")
    if db.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("it is damaged")


def _bring_together(
    db: sqlite3.Connection, file: sqlite3.Connection, *, lost: bool = False
) -> None:
    """Copy what is newer to the other one."""
    known, kept = _number_in(db), int(file.execute("PRAGMA user_version").fetchone()[0])
    if kept > known or (lost and kept and kept == known):
        _copy(file, db)
        put_meta(db, NUMBER, kept)
        log.info("taught labels were put into the index again from %s", TAUGHT_NAME)
    elif known > kept:
        file.execute("BEGIN IMMEDIATE")
        _copy(db, file)
        file.execute(f"PRAGMA user_version={known}")
        file.execute("COMMIT")


def _copy(source: sqlite3.Connection, target: sqlite3.Connection) -> None:
    for table in tables.NAMES:
        target.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
        rows = source.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
        if rows:
            places = ", ".join("?" * len(tuple(rows[0])))
            target.executemany(
                f"INSERT INTO {table} VALUES ({places})",  # noqa: S608
                [tuple(row) for row in rows],
            )


def _number_in(db: sqlite3.Connection) -> int:
    return number_in(db, NUMBER) or 0
