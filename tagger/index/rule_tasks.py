"""The tasks of rules in the index: what is to be done, and was done, file by file.

A task that changes files is written down before it begins, with what becomes of each file, and the
photo's row follows in the same transaction; so a crash is made up for, see
:mod:`tagger.library.rules.transfer`.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from tagger.errors import StateError
from tagger.index.decision_sync import deciding
from tagger.index.row_writes import copy_decisions, path_of, set_stat
from tagger.index.shared_queries import SharedQueries
from tagger.index.store import Store
from tagger.records import FileStat
from tagger.system.files import former_path, parted_path
from tagger.text.parsing import parse_json

MOST_TOLD = 20
_FAILED = "(state = 'failed' OR (due_at IS NOT NULL AND tries > 0))"


class TaskFile(NamedTuple):
    """One file of a task: ``how`` is "move" or "copy", ``digest`` that of a copy, in hex."""

    source: str
    target: str
    how: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One action of one rule for one photo.

    ``path`` is the photo when the rule was met, ``target`` where it was copied or moved to.
    ``due_at`` is None when nothing is to be done any more; ``reason`` is why it failed last, or
    what is to be said of it. Times are seconds since the epoch.
    """

    id: int
    photo_id: int | None
    rule: str
    action: str
    state: str
    path: str
    target: str | None
    files: tuple[TaskFile, ...]
    tries: int
    made_at: float
    due_at: float | None
    reason: str

    @property
    def origin(self) -> str:
        """Where the photo was before it was copied or moved."""
        return next((one.source for one in self.files if one.target == self.target), self.path)


class RuleTasks:
    """What is to be done, and was done, for photos that met rules. For any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def has_due(self, seconds: float = 0.0) -> bool:
        """Whether anything is to be done within so many seconds."""
        due = self.next_due()
        return due is not None and due <= seconds

    def next_task(self) -> Task | None:
        """Return the first task that is due."""
        found = _tasks(self._store, "due_at <= ? ORDER BY id LIMIT 1", self._store.now())
        return found[0] if found else None

    def next_due(self) -> float | None:
        """Return when the next task is due, in seconds from now; None without any."""
        rows = self._store.read(
            "SELECT min(due_at) AS due FROM rule_tasks WHERE due_at IS NOT NULL"
        )
        return None if rows[0]["due"] is None else max(0.0, rows[0]["due"] - self._store.now())

    def waiting(self) -> int:
        """Return how many tasks are to be done."""
        return self._store.number("SELECT count(*) FROM rule_tasks WHERE due_at IS NOT NULL")

    def interrupted(self) -> list[Task]:
        """Return the tasks that were begun and not ended."""
        return _tasks(self._store, "state IN ('begun', 'undoing') ORDER BY id")

    def tasks_of(self, path: str) -> list[Task]:
        """Return the tasks of the photo that is, or was last, called ``path``; the latest first.

        Of a copy it is the task that made it.
        """
        name = os.fsencode(path)
        rows = self._store.read(
            "SELECT id AS photo_id FROM photos WHERE path = ?1 AND id IN"
            " (SELECT photo_id FROM rule_tasks) UNION ALL SELECT * FROM"
            " (SELECT photo_id FROM rule_tasks WHERE (path = ?1 AND state != 'undone')"
            " OR (target = ?1 AND action = 'move_to') ORDER BY id DESC LIMIT 1) LIMIT 1",
            (name,),
        )
        photo_id = rows[0]["photo_id"] if rows else None
        return _tasks(self._store, "photo_id = ? OR target = ? ORDER BY id DESC", photo_id, name)

    def moved_to(self, photo_id: int) -> str | None:
        """Return where a photo was moved to by a rule, which has not been undone."""
        rows = self._store.read(
            "SELECT target FROM rule_tasks WHERE photo_id = ? AND action = 'move_to'"
            " AND target IS NOT NULL AND state = 'done' ORDER BY id DESC LIMIT 1",
            (photo_id,),
        )
        return os.fsdecode(rows[0]["target"]) if rows else None

    def is_moving(self, photo_id: int | None) -> bool:
        """Whether a task of a photo was begun and not ended."""
        return bool(
            self._store.read(
                "SELECT 1 FROM rule_tasks WHERE photo_id = ? AND state IN ('begun', 'undoing')",
                (photo_id,),
            )
        )

    def is_written(self, photo_id: int) -> bool:
        """Whether the tags of a photo are in its files, as far as they are to be."""
        rows = self._store.read(
            "SELECT keywords_hash IS NOT NULL AND size IS NOT NULL AS written FROM photos"
            " WHERE id = ? AND status IN ('tagged', 'untagged')",
            (photo_id,),
        )
        return not rows or bool(rows[0]["written"])

    def give_tag(self, task: Task, label: str) -> None:
        """Give a photo the tag of a rule, which is then due to be written."""
        with self._store.transaction() as db:
            db.execute("INSERT OR IGNORE INTO rule_tags VALUES (?, ?)", (task.photo_id, label))
            db.execute("UPDATE photos SET keywords_hash = NULL WHERE id = ?", (task.photo_id,))

    def add(self, photo_id: int, rule: str, action: str) -> Task:
        """Write down what is to be done with a photo by who asks for it, and not by the daemon.

        Raise StateError for a photo that is not in the index.
        """
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO rule_tasks (photo_id, rule, action, state, path, made_at)"
                " SELECT id, ?, ?, 'due', path, ? FROM photos WHERE id = ?"
                " ON CONFLICT (photo_id, rule, action) DO UPDATE SET state = 'due',"
                " path = excluded.path, target = NULL, files = '[]', tries = 0, due_at = NULL,"
                " ended_at = NULL, made_at = excluded.made_at, reason = ''",
                (rule, action, self._store.now(), photo_id),
            )
            where = "photo_id = ? AND rule = ? AND action = ?"
            found = _tasks(self._store, where, photo_id, rule, action)
        if not found:
            raise StateError(f"photo {photo_id} is not in the index", "try again")
        return found[0]

    def done_by(self, rule: str) -> list[Task]:
        """Return what was done by a rule and not undone, the latest first."""
        return _tasks(self._store, "rule = ? AND state = 'done' ORDER BY id DESC", rule)

    def end(self, task: Task, state: str = "done", reason: str = "") -> None:
        """Note that a task is done, or given up ("failed"), or "undone"."""
        with self._store.transaction() as db:
            _set(db, task.id, state=state, due_at=None, ended_at=self._store.now(), reason=reason)

    def postpone(self, task: Task, seconds: float, reason: str | None = None) -> None:
        """Let a task be done later; with a ``reason`` it was tried in vain."""
        with self._store.transaction() as db:
            tries = task.tries + (reason is not None)
            due = self._store.now() + seconds
            _set(db, task.id, state="due", due_at=due, tries=tries, reason=reason or task.reason)

    def retry(self) -> int:
        """Make all that failed, or waits for another try, due now; return how much."""
        with self._store.transaction() as db:
            return db.execute(
                f"UPDATE rule_tasks SET state = 'due', due_at = 0, tries = 0 WHERE {_FAILED}"  # noqa: S608
            ).rowcount

    def resume(self, action: str) -> None:
        """Make what waits, and was never tried, due now: what it waits for may be there."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE rule_tasks SET due_at = 0"
                " WHERE action = ? AND tries = 0 AND due_at IS NOT NULL",
                (action,),
            )

    # Files that are copied or moved

    def begin(self, task: Task, target: str, files: Sequence[TaskFile], root: str | None) -> Task:
        """Write down, before any file changes, what is about to become of a photo's files.

        Return the task so.

        ``target`` is the photo's new path. When it is moved its row is there at once: in the
        watched folder ``root``, or, without one, remembered until it is found again.
        """
        with self._store.transaction() as db:
            _set(
                db,
                task.id,
                state="begun",
                due_at=None,
                target=os.fsencode(target),
                files=json.dumps(files),
            )
            if task.action == "move_to" and task.photo_id is not None:
                names = {one.source: one.target for one in files}
                self._relocate(db, task.photo_id, target, root, names)
        return replace(task, state="begun", due_at=None, target=target, files=tuple(files))

    def begin_undo(self, task: Task, root: str | None) -> None:
        """Write down that what a task did is being undone; the row of a moved photo goes back."""
        with self._store.transaction() as db:
            _set(db, task.id, state="undoing", due_at=None)
            self._put_back(db, task, root)

    def with_files(self, task: Task, files: Sequence[TaskFile]) -> Task:
        """Note that these are the files of a task; return it so."""
        with self._store.transaction() as db:
            _set(db, task.id, files=json.dumps(files))
        return replace(task, files=tuple(files))

    def settle(
        self,
        task: Task,
        state: str,
        files: Sequence[TaskFile],
        seen: tuple[FileStat, FileStat | None] | None = None,
        reason: str = "",
    ) -> None:
        """Note that what was begun is "done", or "undone".

        ``seen`` is how a moved photo, and its sidecars, are there now, in a watched folder.
        """
        with self._store.transaction() as db:
            _set(
                db,
                task.id,
                state=state,
                due_at=None,
                ended_at=self._store.now(),
                files=json.dumps(files),
                reason=reason,
            )
            if seen is not None and task.photo_id is not None:
                set_stat(db, task.photo_id, *seen)
                _bring_back(db, task.photo_id)

    def give_up(self, task: Task, seconds: float | None, reason: str, root: str | None) -> None:
        """Note that what was begun was not done at all: it is tried again in ``seconds``, or never.

        The row of a photo that was to be moved is where it was, in the watched folder ``root``.
        """
        now = self._store.now()
        with self._store.transaction() as db:
            self._put_back(db, task, root)
            if task.action == "move_to" and task.photo_id is not None:
                _bring_back(db, task.photo_id)
            _set(
                db,
                task.id,
                state="failed" if seconds is None else "due",
                due_at=None if seconds is None else now + seconds,
                ended_at=now if seconds is None else None,
                target=None,
                files="[]",
                tries=task.tries + 1,
                reason=reason,
            )

    def task(self, task_id: int) -> Task | None:
        """Return a task as it is now; None when it was forgotten."""
        found = _tasks(self._store, "id = ?", task_id)
        return found[0] if found else None

    def _put_back(self, db: sqlite3.Connection, task: Task, root: str | None) -> None:
        """Let the row of a photo that was moved be where it came from."""
        if task.action == "move_to" and task.photo_id is not None:
            names = {one.target: one.source for one in task.files}
            self._relocate(db, task.photo_id, task.origin, root, names)

    def _relocate(
        self,
        db: sqlite3.Connection,
        photo_id: int,
        path: str,
        root: str | None,
        names: Mapping[str, str],
    ) -> None:
        """Let the row of a photo, and its journal, follow to ``path``."""
        row = db.execute("SELECT * FROM photos WHERE id = ?", (photo_id,)).fetchone()
        if row is None:
            return
        if root is None:  # it leaves; by its bytes it is known again
            old = former_path(path_of(db, photo_id))  # it has left already, if a crash came between
            path = parted_path(old, row["content_hash"] or row["source_hash"] or b"")
        with deciding(db, os.path.dirname(self._store.path), [os.fsdecode(row["path"]), path]):
            for other in db.execute(
                "SELECT id FROM photos WHERE path = ? AND id != ?", (os.fsencode(path), photo_id)
            ).fetchall():
                copy_decisions(db, other["id"], photo_id)
                db.execute("DELETE FROM photos WHERE id = ?", (other["id"],))
            if root is None:
                db.execute(
                    "UPDATE photos SET path = ?, status = 'missing', missing_at = ? WHERE id = ?",
                    (os.fsencode(path), self._store.now(), photo_id),
                )
                return
            db.execute(
                "UPDATE photos SET path = ?, root = ?, missing_at = NULL WHERE id = ?",
                (os.fsencode(path), os.fsencode(root), photo_id),
            )
            _bring_back(db, photo_id)
            for entry in db.execute(
                "SELECT id, file FROM journal WHERE photo_id = ?", (photo_id,)
            ).fetchall():
                file = names.get(os.fsdecode(entry["file"]))
                if file is not None:
                    db.execute(
                        "UPDATE journal SET file = ? WHERE id = ?", (os.fsencode(file), entry["id"])
                    )


def _bring_back(db: sqlite3.Connection, photo_id: int) -> None:
    """Let a photo that was taken for missing be what it was."""
    db.execute(
        "UPDATE photos SET missing_at = NULL, status = CASE WHEN EXISTS (SELECT 1 FROM tags"
        " JOIN names ON names.id = name_id WHERE photo_id = photos.id AND source != 'user')"
        " THEN 'tagged' ELSE 'untagged' END WHERE id = ? AND status = 'missing'",
        (photo_id,),
    )


def _set(db: sqlite3.Connection, task_id: int, **values: object) -> None:
    columns = ", ".join(f"{name} = ?" for name in values)
    db.execute(f"UPDATE rule_tasks SET {columns} WHERE id = ?", (*values.values(), task_id))  # noqa: S608


def task_counts(index: SharedQueries) -> dict[str, dict[str, int]]:
    """Return, by rule, how many tasks there are of each state."""
    found: dict[str, dict[str, int]] = {}
    for row in index.read("SELECT rule, state, count(*) AS n FROM rule_tasks GROUP BY rule, state"):
        found.setdefault(row["rule"], {})[row["state"]] = row["n"]
    return found


def failed_tasks(index: SharedQueries) -> list[Task]:
    """Return the tasks that failed, or wait for another try, the latest MOST_TOLD first."""
    return _tasks(index, f"{_FAILED} ORDER BY id DESC LIMIT ?", MOST_TOLD)


def _tasks(index: SharedQueries, where: str, *values: object) -> list[Task]:
    rows = index.read(f"SELECT * FROM rule_tasks WHERE {where}", values)  # noqa: S608
    return list(map(_task_of, rows))


def _task_of(row: sqlite3.Row) -> Task:
    return Task(
        id=row["id"],
        photo_id=row["photo_id"],
        rule=row["rule"],
        action=row["action"],
        state=row["state"],
        path=os.fsdecode(row["path"]),
        target=None if row["target"] is None else os.fsdecode(row["target"]),
        files=tuple(TaskFile(*map(str, one)) for one in parse_json(row["files"])),
        tries=row["tries"],
        made_at=row["made_at"],
        due_at=row["due_at"],
        reason=row["reason"],
    )
