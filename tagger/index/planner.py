"""How a query is best asked of an index of this content: by sizes that are quick to know.

SQLite's own planner knows averages only, and one label is on half of the photos, another on ten.
``bench/query_planner.py`` compares the two. The planner replaces each label of a query by a node of
its own, which says how it is looked for: gathered, or seen to photo by photo.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from tagger.index.conditions import (
    STATES,
    Added,
    And,
    Below,
    Comparison,
    Label,
    Near,
    Not,
    Or,
    Query,
    Source,
    Sql,
    State,
    compared,
    rewritten,
    walk,
)
from tagger.index.folding import name_path

RARE = 5_000
"""Fewer tags than that are gathered at once, some 5 µs each."""

_NAMES = "(SELECT value FROM json_each(?))"


class Gathered(NamedTuple):
    """A label whose photos are all gathered first: for one that few photos have.

    ``names`` are the ids of its words, ``covered`` further ones whose photos have one of
    ``names`` too, unless the tag is ``alone``; with those there is no bound.
    """

    names: tuple[int, ...]
    covered: tuple[int, ...]
    comparison: Comparison
    bound: float

    @property
    def is_plain(self) -> bool:
        """Whether every tag of one of the names will do, whatever its confidence."""
        return self.comparison == ">=" and self.bound <= 0

    @property
    def asks_for_more(self) -> bool:
        """Whether photos need a tag, not the lack of a confident one."""
        return self.comparison in (">", ">=")

    def sql(self) -> Sql:
        names = json.dumps(self.names)
        if self.covered:
            return (
                f"p.id IN (SELECT photo_id FROM tags WHERE name_id IN {_NAMES} UNION ALL"  # noqa: S608
                f" SELECT photo_id FROM tags WHERE alone AND name_id IN {_NAMES})",
                (names, json.dumps(self.covered)),
            )

        def having(comparison: str) -> str:
            tested = f"name_id IN {_NAMES} AND confidence {comparison} ?"
            return f"p.id IN (SELECT photo_id FROM tags WHERE {tested})"  # noqa: S608

        return compared(having, names, self.comparison, self.bound)

    def seen_to(self) -> SeenTo:
        """Return the same condition for a walk through few photos."""
        return SeenTo(self.names + self.covered, self.comparison, self.bound)


class SeenTo(NamedTuple):
    """A label that is looked for among the tags of each photo: for a walk through few photos."""

    names: tuple[int, ...]
    comparison: Comparison
    bound: float

    def sql(self) -> Sql:
        def having(comparison: str) -> str:
            # "+": not each name is looked for, but the photo's few are seen
            tested = f"+name_id IN {_NAMES} AND confidence {comparison} ?"
            return f"EXISTS (SELECT 1 FROM tags WHERE photo_id = p.id AND {tested})"  # noqa: S608

        return compared(having, json.dumps(self.names), self.comparison, self.bound)


def statement(query: Query) -> Sql:
    """Return the condition for photos that ``query`` finds.

    What is missing, failed or waiting is left out, except in states that it asks for.
    """
    return And((query, State(_allowed(query)))).sql()


def needed(query: Query) -> Iterator[Query]:
    """Yield conditions that every photo meets which meets ``query``."""
    if isinstance(query, And):
        for part in query.parts:
            yield from needed(part)
    else:
        yield query


def one_by_one(query: Query) -> Query:
    """Return ``query``, in which names were looked up, for a walk through few photos."""
    return rewritten(query, lambda one: one.seen_to() if isinstance(one, Gathered) else one)


def by_id(query: Query) -> bool:
    """Whether ``query``, with names looked up, needs no more of a photo than id and status."""
    return all(
        isinstance(n, And | Or | Not | Gathered | SeenTo | Source | State) for n in walk(query)
    )


class Planner:
    """Knows how common labels are in the index behind ``db``."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def looked_up(self, query: Query) -> Query:
        """Return ``query`` with the names that its labels have in this index, all gathered."""
        return rewritten(query, lambda one: self._gathered(one) if isinstance(one, Label) else one)

    def _gathered(self, label: Label) -> Gathered:
        rows = self._db.execute(
            f"SELECT id, source, path, label FROM names WHERE word IN {_NAMES}",  # noqa: S608
            (json.dumps(sorted(label.words)),),
        ).fetchall()
        names = {row["id"]: (row["source"], name_path(row["path"], row["label"])) for row in rows}
        covered: list[int] = []
        if label.comparison == ">=" and label.bound <= 0:
            own = {names[row["id"]] for row in rows if names[row["id"]][1][-1] == row["label"]}
            covered = [one for one, (source, path) in names.items() if (source, path[:-1]) in own]
        below = set(covered)
        heads = tuple(one for one in names if one not in below)
        return Gathered(heads, tuple(covered), label.comparison, label.bound)

    def is_rare(self, query: Query) -> bool:
        """Whether it is plain that few photos meet ``query``, or few of the newest ones."""
        for part in needed(query):
            if isinstance(part, Near | Added | Below):
                return True
            if isinstance(part, State) and not {"tagged", "untagged"} & {*part.states}:
                return True
            if isinstance(part, Gathered) and part.asks_for_more:
                few = self._number(
                    f"SELECT count(*) FROM (SELECT 1 FROM tags WHERE name_id IN {_NAMES} LIMIT ?)",  # noqa: S608
                    (json.dumps(part.names + part.covered), RARE),
                )
                if few < RARE:
                    return True
        return False

    def driven(self, query: Query) -> Query:
        """Return ``query`` so that its rarest label is gathered, and what it gives looked at.

        Gathering a label takes 0.3 µs for each photo, looking at a photo's tags 1.5 µs.
        """
        sizes = {
            part: self._size(part)
            for part in needed(query)
            if isinstance(part, Gathered) and part.asks_for_more
        }
        if not sizes:
            return query
        rarest = min(sizes, key=lambda part: sizes[part])

        def planned(node: Query) -> Query:
            if not isinstance(node, Gathered) or node == rarest:
                return node
            size = sizes.get(node)
            common = 5 * sizes[rarest] < (self._size(node) if size is None else size)
            return node.seen_to() if common else node

        return rewritten(query, planned)

    def for_count(self, query: Query) -> tuple[str, str, tuple[object, ...]]:
        """Return table, condition and values for counting what ``query`` finds."""
        where, values = statement(self.driven(query))
        if not by_id(query) or self.is_rare(query):
            return "photos p", where, values
        # Going through all of a small index is faster than to many rows of the table.
        return "photos p INDEXED BY photos_status", where.replace("+p.status", "p.status"), values

    def count_of_label(self, query: Query) -> int | None:
        """Return the answer if ``query`` is a label, or the lack of one; None if it is not."""
        parts = list(needed(query))
        part = parts[0] if len(parts) == 1 else None
        label = part.part if isinstance(part, Not) else part
        if not isinstance(label, Gathered) or not label.is_plain:
            return None
        allowed = _allowed(query)
        count = self._carrying(label)
        others = [state for state in STATES if state not in allowed]
        # Not by State, which leaves out rows that only remember: their tags were counted too.
        where, values = label.seen_to().sql()
        count -= self._number(
            f"SELECT count(*) FROM photos p WHERE p.status IN {_NAMES} AND {where}",  # noqa: S608
            (json.dumps(others), *values),
        )
        if not isinstance(part, Not):
            return count
        where, values = State(allowed).sql()
        where = where.removeprefix("+")
        return self._number(f"SELECT count(*) FROM photos p WHERE {where}", values) - count  # noqa: S608

    def _carrying(self, label: Gathered) -> int:
        """Return how many photos have the label, whatever their state."""
        rows = self._db.execute(
            f"SELECT name_id, count(*) FROM tags WHERE name_id IN {_NAMES} GROUP BY name_id",  # noqa: S608
            (json.dumps(label.names),),
        )
        sizes: dict[int, int] = dict(map(tuple, rows))
        most = max(sizes, key=lambda name: sizes[name], default=-1)
        more = self._number(
            "SELECT count(*) FROM (SELECT photo_id FROM tags WHERE"  # noqa: S608
            f" name_id IN {_NAMES} UNION SELECT photo_id FROM tags WHERE alone AND name_id IN"
            f" {_NAMES}) more WHERE NOT EXISTS (SELECT 1 FROM tags other"
            " WHERE other.name_id = ? AND other.photo_id = more.photo_id)",
            (json.dumps([one for one in sizes if one != most]), json.dumps(label.covered), most),
        )
        return sizes.get(most, 0) + more

    def _size(self, label: Gathered) -> int:
        return self._number(
            f"SELECT count(*) FROM tags WHERE name_id IN {_NAMES}",  # noqa: S608
            (json.dumps(label.names),),
        )

    def _number(self, sql: str, values: tuple[object, ...]) -> int:
        return int(self._db.execute(sql, values).fetchone()[0])


def _allowed(query: Query) -> tuple[str, ...]:
    asked = {state for node in walk(query) if isinstance(node, State) for state in node.states}
    return tuple(s for s in STATES if s in asked or s in ("tagged", "untagged"))
