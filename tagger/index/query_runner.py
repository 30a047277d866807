"""Finding and counting the photos that meet a query."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Collection, Iterator

from tagger.index.conditions import And, Query, Taken
from tagger.index.planner import Planner, by_id, needed, one_by_one, statement

PAGE = 5_000
"""The most photos that are looked for among the newest ones first."""
WINDOW = 5_000
"""How many photos are walked through for them at first, some 2 µs each; then twice as many…"""
MOST_BY_ID = 50_000
"""…until so many, where the index alone tells, and is then walked through in one go…"""
SHARE = 8
"""…else until one in so many of all photos: they need not be in the order of their dates on the
disk, and reading all in their order there takes less time then."""


class QueryRunner:
    """Asks the index behind ``db``, by the quickest way that its sizes allow."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._planner = Planner(db)

    def count(self, query: Query) -> int:
        """Return how many photos ``query`` finds."""
        query = self._planner.looked_up(query)
        number = self._planner.count_of_label(query)
        if number is not None:
            return number
        table, where, values = self._planner.for_count(query)
        sql = f"SELECT count(*) FROM {table} WHERE {where}"  # noqa: S608
        return int(self._db.execute(sql, values).fetchone()[0])

    def among(self, query: Query, photo_ids: Collection[int]) -> set[int]:
        """Return which of a few photos ``query`` finds."""
        where, values = statement(one_by_one(self._planner.looked_up(query)))
        rows = self._db.execute(
            "SELECT p.id FROM photos p WHERE p.id IN (SELECT value FROM json_each(?))"  # noqa: S608
            f" AND {where}",
            (json.dumps(list(photo_ids)), *values),
        )
        return {row["id"] for row in rows}

    def find(self, column: str, query: Query, limit: int | None) -> Iterator[sqlite3.Row]:
        """Yield ``column`` of the photos that ``query`` finds, newest first.

        Those of one moment are in the order of their paths.
        """
        query = self._planner.looked_up(query)
        newest: list[sqlite3.Row] = []
        before = None
        # "+": jumping about in the table by the index takes several times as long as reading
        # it in order and sorting.
        table, order = "photos p", "+p.sort_at"
        if limit and limit <= PAGE and not self._planner.is_rare(query):
            small = by_id(query)  # the index tells all that is asked, and is small
            most = MOST_BY_ID if small else self._newest_id() // SHARE
            newest, before = self._walk(column, query, limit, most)
            if before is None:
                return iter(newest)
            if small:
                table, order = "photos p INDEXED BY photos_sort", "p.sort_at"
        where, values = statement(self._planner.driven(query))
        if before is not None:
            where += " AND (p.sort_at < ? OR p.sort_at IS NULL)"
            values = (*values, before)
        older = self._db.execute(
            f"SELECT {column} FROM {table} WHERE {where}"  # noqa: S608
            f" ORDER BY {order} DESC, p.path LIMIT ?",
            (*values, limit - len(newest) if limit else -1),
        )
        return itertools.chain(newest, older)

    def _walk(
        self, column: str, query: Query, limit: int, most: int
    ) -> tuple[list[sqlite3.Row], str | None]:
        """Return the first ``limit`` found among some ``most`` of the newest photos.

        And the moment before which others may follow; None: that is all. Where many photos meet
        the query, a walk from the newest on soon has enough of them; gathering them all to sort
        them would take as long as there are many.
        """
        among, among_values = And(
            tuple(part for part in needed(query) if isinstance(part, Taken))
        ).sql()
        where, values = statement(one_by_one(query))
        found: list[sqlite3.Row] = []
        before: str | None = None
        walked, window = 0, WINDOW
        while not walked or walked < most:
            older, moment = ("", ()) if before is None else (" AND p.sort_at < ?", (before,))
            end = self._db.execute(
                f"SELECT sort_at FROM photos p WHERE {among}{older}"  # noqa: S608
                " ORDER BY sort_at DESC LIMIT 1 OFFSET ?",
                (*among_values, *moment, window),
            ).fetchone()
            since = end["sort_at"] if end is not None else None
            if since is None and before is not None:
                break  # the rest, and what has no moment, in one go
            newer, from_moment = ("", ()) if since is None else (" AND p.sort_at >= ?", (since,))
            found += self._db.execute(
                f"SELECT {column} FROM photos p INDEXED BY photos_sort"  # noqa: S608
                f" WHERE {where}{older}{newer} ORDER BY p.sort_at DESC, p.path LIMIT ?",
                (*values, *moment, *from_moment, limit - len(found)),
            ).fetchall()
            if len(found) == limit or since is None:
                return found, None
            before = since
            walked += window
            window *= 2
        return found, before

    def _newest_id(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM photos").fetchone()[0])
