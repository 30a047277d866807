"""What is told of the tasks of rules, by whoever can read the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Protocol

from tagger.index.rule_tasks import Task, task_of


class Readable(Protocol):
    """An index that can be asked: the daemon's, or a reader's."""

    def read(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return what a SELECT finds."""


def task_counts(index: Readable) -> dict[str, dict[str, int]]:
    """Return, by rule, how many tasks there are of each state."""
    found: dict[str, dict[str, int]] = {}
    for row in index.read("SELECT rule, state, count(*) AS n FROM rule_tasks GROUP BY rule, state"):
        found.setdefault(row["rule"], {})[row["state"]] = row["n"]
    return found


def failed_tasks(index: Readable, limit: int = 20) -> list[Task]:
    """Return the tasks that failed, or wait for another try, the latest first."""
    rows = index.read(
        "SELECT * FROM rule_tasks WHERE state = 'failed' OR (due_at IS NOT NULL AND tries > 0)"
        " ORDER BY id DESC LIMIT ?",
        (limit,),
    )
    return list(map(task_of, rows))
