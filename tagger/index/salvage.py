"""A damaged index: found out at the start, set aside, and what can be read of it kept.

SQLite's own check reads the whole file, so it is done when the last run did not end in
order, and otherwise once a week. The new index is filled from the old one, table by table;
every photo is then looked at again, so that what could not be read comes from the files.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence

from tagger.errors import StateError
from tagger.index.connection import index_path
from tagger.index.decision_sync import recall
from tagger.index.kept_twice import move_aside
from tagger.index.store import Store
from tagger.index.taught_store import recall as recall_taught

log = logging.getLogger(__name__)

CHECKED_NAME = "index.checked"
CHECK_SECONDS = 7 * 86400.0
_TABLES = {
    "photos": "id",
    "names": "id",
    "tags": "name_id, photo_id",
    "predictions": "photo_id",
    "failures": "photo_id",
    "journal": "id",
    "tombstones": "photo_id, label",
    "meta": "key",
    # Which photos are new is not kept: one whose row is lost would be taken for it.
    "rule_tags": "photo_id, label",
    "rule_tasks": "id",
    "taught_labels": "label",
    "taught_examples": "label, content_hash",
    "taught_features": "content_hash, model_id",
}
"""What is kept, and by which columns each table is ordered on the disk."""
_CHUNK = 500


def open_sound(state_dir: str) -> Store:
    """Open the index for writing; when it is damaged, make a new one and keep what can be read.

    For whoever holds the lock of ``state_dir``. Raise StateError when it cannot be opened for
    another reason.
    """
    problem = find_damage(state_dir)
    old = set_aside(state_dir) if problem is not None else ""
    store = Store(state_dir)
    try:
        kept = salvage(store, old) if problem is not None else 0
        with store.transaction() as db:
            decided = recall(db, state_dir, time.time(), lost=problem is not None)
            recall_taught(db, state_dir, lost=problem is not None)
        if decided:
            log.info("%d decisions of the user were put into the index again", decided)
        if problem is None:
            if dropped := store.drop_remembered():
                log.info("%d rows of photos that were not found again are dropped", dropped)
            return store
        store.set_meta("rebuild", problem)
    except BaseException:
        store.close()
        raise
    log.error(
        "the index was damaged (%s): it is kept as %s, and a new one is built; %d photos of it"
        " could be read, and all photos are looked at again",
        problem,
        old,
        kept,
    )
    return store


def take_up(store: Store) -> str:
    """Open the index anew that was deleted or replaced while it was open; return what to say.

    What was deleted is put back as it was; what is there instead is used, or set aside if it is
    no sound index. What the user decided holds in any case. For whoever holds the lock, while
    nothing else uses the index. Raise StateError when there can be none.
    """
    state_dir = os.path.dirname(store.path)
    if store.put_back():
        store.open_again()
        said = "the index was deleted while it was in use; it was put back as it was"
        problem = None
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(state_dir, CHECKED_NAME))
        problem = find_damage(state_dir)
        old = set_aside(state_dir) if problem is not None else ""
        store.open_again()
        if problem is not None:
            salvage(store, old)
            store.set_meta("rebuild", problem)
        said = "the index, or its log, was replaced while it was in use; what is there now is used"
    with store.transaction() as db:
        recall(db, state_dir, time.time(), lost=True)
        recall_taught(db, state_dir)
    log.error("%s", said)
    return said


def find_damage(state_dir: str, *, now: float | None = None) -> str | None:
    """Return what is wrong with the index, None when it is sound or there is none.

    Only looks if there is a reason to, see above. Raise StateError when the disk fails.
    """
    path = index_path(state_dir)
    if not os.path.exists(path):
        return None
    now = time.time() if now is None else now
    unclean = os.path.exists(path + "-wal")
    try:
        connected = sqlite3.connect(path, isolation_level=None, timeout=30)
        with contextlib.closing(connected) as db:
            db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not unclean and 0 <= now - _checked_at(state_dir) < CHECK_SECONDS:
                return None
            found = [str(row[0]) for row in db.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError as error:  # locked, no rights, or a failing disk
        raise StateError(
            f"cannot open the index {path}: {error}", "check the disk and the rights of the file"
        ) from error
    except sqlite3.DatabaseError as error:
        return str(error)
    if found != ["ok"]:
        return "; ".join(" ".join(line.split()) for line in found)[:300]
    _note_checked(state_dir, now)
    return None


def _checked_at(state_dir: str) -> float:
    try:
        return os.stat(os.path.join(state_dir, CHECKED_NAME)).st_mtime
    except OSError:
        return -CHECK_SECONDS


def _note_checked(state_dir: str, now: float) -> None:
    path = os.path.join(state_dir, CHECKED_NAME)
    try:
        with open(path, "w", encoding="ascii"):
            pass
        os.utime(path, (now, now))
    except OSError as error:
        log.debug("cannot note the check of the index: %s", error)


def set_aside(state_dir: str) -> str:
    """Rename the index, with its WAL, to ``index.damaged-<time>.sqlite3``; return the new path.

    Raise StateError when it cannot be renamed.
    """
    path = index_path(state_dir)
    try:
        return move_aside(path)
    except OSError as error:
        raise StateError(
            f"the index {path} is damaged and cannot be set aside: {error.strerror}",
            "check the disk and the rights of the folder, or move the file away",
        ) from error


def salvage(store: Store, old: str) -> int:
    """Copy what can be read of the index ``old`` into the new, empty ``store``.

    Every photo is marked to be looked at again. Return how many were found.
    """
    try:
        source = sqlite3.connect(old, isolation_level=None)
    except sqlite3.Error:
        return 0
    with contextlib.closing(source):
        for table, order in _TABLES.items():
            _copy(store, source, table, order)
    return store.look_at_all_again()


def _copy(store: Store, source: sqlite3.Connection, table: str, order: str) -> None:
    """Copy a table from its beginning to the damage, and from its end to the damage."""
    with store.transaction() as db:
        wanted = [row["name"] for row in db.execute(f"PRAGMA table_info({table})")]
    backwards = ", ".join(f"{column} DESC" for column in order.split(", "))
    for direction in (order, backwards):
        try:
            sql = f"SELECT * FROM {table} ORDER BY {direction}"  # noqa: S608 - our own names
            cursor = source.execute(sql)
            there = [column[0] for column in cursor.description]
        except sqlite3.DatabaseError as error:
            log.warning("table %s of the old index cannot be read: %s", table, error)
            continue
        if there != wanted:
            return  # of an older schema: it comes from the files
        places = ", ".join("?" * len(wanted))
        add = f"INSERT OR IGNORE INTO {table} VALUES ({places})"  # noqa: S608 - our own names
        try:
            for rows in _chunks(cursor):
                with store.transaction() as db:
                    for row in rows:
                        _insert(db, add, row)
            return
        except sqlite3.DatabaseError as error:
            log.warning("table %s of the old index is damaged: %s", table, error)


def _insert(db: sqlite3.Connection, sql: str, row: Sequence[object]) -> None:
    try:
        db.execute(sql, row)
    except sqlite3.IntegrityError as error:  # it belongs to a row that could not be read
        log.debug("a row of the old index is passed over: %s", error)


def _chunks(cursor: sqlite3.Cursor) -> Iterator[list[Sequence[object]]]:
    """Yield rows by the hundreds; what was read before the damage comes before the error."""
    rows: list[Sequence[object]] = []
    try:
        for row in cursor:
            rows.append(row)
            if len(rows) >= _CHUNK:
                yield rows
                rows = []
    finally:
        if rows:
            yield rows
