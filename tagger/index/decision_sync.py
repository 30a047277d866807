"""Index and decisions kept together.

A decision is on the disk before the transaction of the index that it belongs to. The index
knows up to which number of the decisions it goes: what is newer is done again at the next start
(after a kill, or with a backup put back), and else the index is what counts. The decisions are
opened for a moment only, inside a transaction of the index, so that one process has them.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from tagger.index.decision_import import LINES_NAME, read_lines
from tagger.index.decision_store import DECISIONS_NAME, Decision, DecisionStore, salvage
from tagger.index.kept_twice import move_aside, number_in, put_meta, why

log = logging.getLogger(__name__)

READ_UP_TO, LATE = "decisions", "decisions_late"
"""In ``meta``: the number of the last decision that the index has; whether one was not written."""

_DECIDED = (
    "SELECT id, path, root, content_hash, source_hash, keep_out FROM photos WHERE"
    " (keep_out OR EXISTS (SELECT 1 FROM tombstones WHERE photo_id = id))"
)


@contextmanager
def open_decisions(state_dir: str, *, check: bool = False) -> Iterator[DecisionStore]:
    """Open the decisions of ``state_dir``, in a transaction of its index.

    A damaged database (``check``: all of it is read to find out), or one that may not be read,
    is set aside; what can be read of it is in the new one. What an older tagger has left is
    taken over. Raise OSError or sqlite3.Error when they cannot be used.
    """
    kept = None
    try:
        store = DecisionStore(state_dir, check=check)
    except sqlite3.DatabaseError as error:
        kept = _set_aside(os.path.join(state_dir, DECISIONS_NAME), error)
        store = DecisionStore(state_dir)
    with store:
        if kept is not None:
            store.take_over(kept)
        _take_over_lines(store, os.path.join(state_dir, LINES_NAME))
        yield store


def _set_aside(path: str, error: sqlite3.DatabaseError) -> list[tuple[int, Decision]]:
    """Set a damaged database aside; return what can be read of it. Raise any other error again."""
    readable = os.access(path, os.R_OK | os.W_OK)
    if type(error) is not sqlite3.DatabaseError and readable:
        raise error  # a full disk, another program that has it locked
    problem = str(error) if readable else "no right to read it"
    aside = move_aside(path)
    kept = salvage(aside)
    log.error(
        "%s was damaged (%s): it is kept as %s, and a new one is made from the index; %d"
        " decisions could be read in it",
        path,
        problem,
        aside,
        len(kept),
    )
    return kept


def _take_over_lines(store: DecisionStore, path: str) -> None:
    """Take over ``decisions.jsonl``, once; it is then kept as ``decisions.jsonl.old``."""
    if not os.path.lexists(path):
        return
    try:
        numbered = read_lines(path)
    except OSError as error:
        log.warning("%s cannot be read, its decisions are lost: %s", path, error.strerror)
        numbered = []
    store.take_over(numbered)
    os.replace(path, path + ".old")
    log.info("%d decisions of %s were taken over; it is kept as %s.old", len(numbered), path, path)


def decided(db: sqlite3.Connection, paths: Collection[str]) -> dict[str, Decision]:
    """Return what the index says is decided about the photos at ``paths``, where anything is."""
    found = {}
    for path in paths:
        row = db.execute(f"{_DECIDED} AND path = ?", (os.fsencode(path),)).fetchone()
        if row is not None:
            found[path] = _of_row(db, row)
    return found


@contextmanager
def deciding(db: sqlite3.Connection, state_dir: str, paths: Collection[str]) -> Iterator[None]:
    """Write down, at the end of the block, what it decided about the photos at ``paths``.

    To be used in a transaction of the index, ``db``. Decisions that cannot be written hold
    nothing up: that is made up for at the next start.
    """
    before = decided(db, paths)
    yield
    after = decided(db, paths)
    lifted = [Decision(one.path, one.root) for path, one in before.items() if path not in after]
    changed = [one for path, one in after.items() if one != before.get(path)]
    if lifted or changed:
        write_down(db, state_dir, [*lifted, *changed])


def write_down(db: sqlite3.Connection, state_dir: str, decisions: Sequence[Decision]) -> None:
    """Store what is decided from now on, before the transaction of ``db`` is committed."""
    known = number_in(db, READ_UP_TO)
    try:
        with open_decisions(state_dir) as store:
            before, last = store.put(decisions, known or 0)
    except (OSError, sqlite3.Error) as error:
        log.warning("%s cannot be written (%s): tried again later", DECISIONS_NAME, why(error))
        put_meta(db, LATE, 1)
        return
    if known is not None and known >= before:
        put_meta(db, READ_UP_TO, last)


def recall(db: sqlite3.Connection, state_dir: str, now: float, *, lost: bool = False) -> int:
    """Bring index and decisions together, in a transaction of ``db``; return what the index got.

    Decisions that the index does not know (all, if it was ``lost``) are put into it, and what
    the decisions lack is added. ``now`` is in seconds since the epoch.
    """
    known = None if lost else number_in(db, READ_UP_TO)
    late = db.execute("SELECT 1 FROM meta WHERE key = ?", (LATE,)).fetchone() is not None
    # What concerns the decisions may fail, what concerns the index may not: not in one block.
    try:
        with open_decisions(state_dir, check=True) as store:
            last = store.last_number()
            newer = store.after(known or 0)
            compare = known is None or late or last < known or not store.complete
            stored = store.after(0) if compare else []
    except (OSError, sqlite3.Error) as error:
        return _unusable(error)
    count = sum(_put(db, decision, now) for decision in newer)
    if compare:
        lacking = _lacking(db, {one.path: one for one in stored})
        try:
            with open_decisions(state_dir) as store:
                _, last = store.put(lacking, known or 0)
                store.set_complete()
        except (OSError, sqlite3.Error) as error:
            return _unusable(error, count)
        db.execute("DELETE FROM meta WHERE key = ?", (LATE,))
        if lacking:
            log.info("%d decisions were added to %s from the index", len(lacking), DECISIONS_NAME)
    if (last := max(last, known or 0)) != known:
        put_meta(db, READ_UP_TO, last)
    return count


def _unusable(error: OSError | sqlite3.Error, count: int = 0) -> int:
    log.warning("%s cannot be used: %s", DECISIONS_NAME, why(error))
    return count


def _lacking(db: sqlite3.Connection, stored: Mapping[str, Decision]) -> list[Decision]:
    """Return what the decisions are to say and do not."""
    here = {one.path: one for one in (_of_row(db, row) for row in db.execute(_DECIDED).fetchall())}
    lifted = [
        Decision(one.path, one.root) for path, one in stored.items() if one and path not in here
    ]
    return [*(one for path, one in here.items() if stored.get(path) != one), *lifted]


def _of_row(db: sqlite3.Connection, row: sqlite3.Row) -> Decision:
    return Decision(
        os.fsdecode(row["path"]),
        os.fsdecode(row["root"]),
        row["content_hash"] or b"",
        row["source_hash"] or b"",
        _removed(db, row["id"]),
        bool(row["keep_out"]),
    )


def _put(db: sqlite3.Connection, decision: Decision, now: float) -> bool:
    """Make a decision hold in the index; return whether it did not yet.

    A photo that the index does not know is missing until it is seen.
    """
    path = os.fsencode(decision.path)
    row = db.execute("SELECT id, keep_out FROM photos WHERE path = ?", (path,)).fetchone()
    if row is None:
        if not decision:
            return False
        photo_id = db.execute(
            "INSERT INTO photos (path, root, status, seen_at, missing_at, content_hash,"
            " source_hash) VALUES (?, ?, 'missing', ?, ?, ?, ?)",
            (
                path,
                os.fsencode(decision.root),
                now,
                now,
                decision.content_hash or None,
                decision.source_hash or None,
            ),
        ).lastrowid
    else:
        photo_id = row["id"]
        same = bool(row["keep_out"]) == decision.kept_out
        if same and _removed(db, row["id"]) == decision.removed:
            return False
    db.execute("DELETE FROM tombstones WHERE photo_id = ?", (photo_id,))
    db.executemany(
        "INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)",
        [(photo_id, label, now) for label in decision.removed],
    )
    # Its files are looked at again: they may not be as decided.
    db.execute(
        "UPDATE photos SET keep_out = ?, labels_hash = NULL, keywords_hash = NULL WHERE id = ?",
        (int(decision.kept_out), photo_id),
    )
    return True


def _removed(db: sqlite3.Connection, photo_id: int) -> tuple[str, ...]:
    rows = db.execute("SELECT label FROM tombstones WHERE photo_id = ? ORDER BY label", (photo_id,))
    return tuple(row["label"] for row in rows)
