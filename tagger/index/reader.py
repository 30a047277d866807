"""Readers of the index: they never write, and need neither numpy nor torch.

Whole rows' records are imported by the methods that give them, because ``tagger query``
starts at every call and mostly wants paths.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tagger.errors import IndexNotReadyError, StateError
from tagger.index.conditions import Query
from tagger.index.connection import index_path
from tagger.index.folding import fold
from tagger.index.query_runner import QueryRunner
from tagger.index.read_connection import check_steps, connect, snapshot, steps_of
from tagger.index.shared_queries import SharedQueries
from tagger.text.unicode import well_formed

if TYPE_CHECKING:
    from tagger.index.groups import Groups
    from tagger.index.rows import PhotoRow
    from tagger.records import Failure, Tag

STEPS = 50_000
"""Instructions of SQLite, some milliseconds, after which it is asked whether to go on."""


class Found(NamedTuple):
    """One photo with its tags."""

    row: PhotoRow
    tags: tuple[Tag, ...]


@contextmanager
def open_reader(state_dir: str, *, stop: Callable[[], bool] | None = None) -> Iterator[Reader]:
    """Open the index of ``state_dir`` for reading.

    ``stop`` is asked again and again while a question takes time; when it says so that ends with
    sqlite3.OperationalError.

    Raise IndexNotReadyError when there is none yet, or one of an older tagger; StateError when
    it cannot be read.
    """
    path = index_path(state_dir)
    if not os.path.exists(path):
        raise IndexNotReadyError(
            f"there is no index at {path} yet", "start the daemon with `tagger run`"
        )
    with ExitStack() as scratch:
        try:
            db = connect(path)
            try:
                steps = steps_of(db)
            except sqlite3.OperationalError:
                db.close()
                import tempfile

                folder = tempfile.TemporaryDirectory(prefix="tagger-read-")
                db = connect(snapshot(path, scratch.enter_context(folder)))
                steps = steps_of(db)
        except (sqlite3.Error, OSError) as error:
            raise StateError(
                f"cannot read the index {path}: {error}",
                "check its rights (the daemon's user must let you read the folder)",
            ) from error
        try:
            check_steps(steps, path)
            if stop is not None:
                db.set_progress_handler(stop, STEPS)
            yield Reader(db)
        finally:
            db.close()


class Reader(SharedQueries):
    """An open index, to be asked."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._finder = QueryRunner(db)

    def backup(self, target: str, *, replace: bool = False) -> int:
        """Copy the index to the file ``target``; see :func:`tagger.index.backup.back_up`."""
        from tagger.index.backup import back_up

        return back_up(self._db, target, replace=replace)

    def read(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return what a SELECT finds."""
        return self._db.execute(sql, values).fetchall()

    def find(self, query: Query, *, limit: int | None = None) -> Iterator[Found]:
        """Yield the photos that ``query`` finds with their tags, newest first."""
        from tagger.index.rows import photo_row

        # Only what is sorted by goes through the sorting; whole rows would be 300 bytes each.
        for found in self._finder.find("p.id", query, limit):
            rows = self._db.execute("SELECT * FROM photos WHERE id = ?", (found["id"],))
            yield Found(photo_row(rows.fetchone()), self.tags(found["id"]))

    def find_paths(self, query: Query, *, limit: int | None = None) -> Iterator[str]:
        """Yield the paths of what :meth:`find` yields, several times as fast."""
        for row in self._finder.find("p.path", query, limit):
            yield os.fsdecode(row["path"])

    def count(self, query: Query) -> int:
        """Return how many photos ``query`` finds."""
        return self._finder.count(query)

    def matching(self, query: Query, photo_ids: Collection[int]) -> set[int]:
        """Return which of a few photos, by their ids, ``query`` finds."""
        return self._finder.among(query, photo_ids)

    def has_word(self, word: str) -> bool:
        """Whether a photo has a label that reads like ``word`` when folded."""
        rows = self._db.execute(
            "SELECT 1 FROM names WHERE word = ?"
            " AND EXISTS (SELECT 1 FROM tags WHERE name_id = names.id) LIMIT 1",
            (well_formed(fold(word)),),
        )
        return rows.fetchone() is not None

    def features(self, model_id: str, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield id and stored features of the photos that a model classified, by id.

        Those with an id above ``after``; they are read as they are asked for.
        """
        yield from self._db.execute(
            "SELECT photo_id, features FROM predictions WHERE photo_id > ? AND model_id = ?"
            " ORDER BY photo_id",
            (after, model_id),
        )

    def waiting_features(self, model_id: str, upto: int, limit: int) -> Iterator[tuple[int, bytes]]:
        """Yield what :meth:`features` does of photos up to an id that are to be compared.

        The first ``limit`` by id at most: those that changed come before those that are new.
        """
        yield from self._db.execute(
            "SELECT p.id, r.features FROM photos p CROSS JOIN predictions r ON r.photo_id = p.id"
            " WHERE p.grouped IS NULL AND p.id <= ? AND r.model_id = ? ORDER BY p.id LIMIT ?",
            (upto, model_id, limit),
        )

    def states_after(self, photo_id: int, limit: int) -> list[tuple[int, str]]:
        """Return id and status of the next photos by id."""
        return self._states("id > ?", (photo_id, limit))

    def states_of(self, photo_ids: Iterable[int]) -> list[tuple[int, str]]:
        """Return id and status of these photos, by id."""
        return self._states(
            "id IN (SELECT value FROM json_each(?))", (json.dumps([*photo_ids]), -1)
        )

    def _states(self, where: str, values: tuple[object, ...]) -> list[tuple[int, str]]:
        sql = f"SELECT id, status FROM photos WHERE {where} ORDER BY id LIMIT ?"  # noqa: S608
        return [(row["id"], row["status"]) for row in self._db.execute(sql, values)]

    def carried(self, source: str) -> list[str]:
        """Return the labels of one source that photos have."""
        rows = self._db.execute(
            "SELECT DISTINCT label FROM names WHERE source = ?"
            " AND EXISTS (SELECT 1 FROM tags WHERE name_id = names.id) ORDER BY label",
            (source,),
        )
        return [row["label"] for row in rows]

    @property
    def groups(self) -> Groups:
        """Which photos belong together."""
        from tagger.index.groups import Groups

        return Groups(self)

    def failures(self) -> list[Failure]:
        """Return the photos that could not be handled, the latest first."""
        from tagger.records import Failure

        rows = self._db.execute(
            "SELECT path, kind, reason, tries, first_at, last_at, retry_at FROM failures"
            " JOIN photos ON id = photo_id WHERE status = 'failed' ORDER BY last_at DESC, path"
        )
        return [Failure(os.fsdecode(path), *what) for path, *what in rows]

    def tree_counts(self, paths: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
        """Return how many photos carry each label of a tree, or anything below it.

        ``paths`` has each label's way from the root down to itself.
        """
        from tagger.index.counts import tree_counts

        return tree_counts(self._db, paths)

    def user_labels(self) -> list[tuple[str, int]]:
        """Return the user's own keywords with their number of photos, most used first."""
        rows = self._db.execute(
            "SELECT min(label) AS label, count(DISTINCT photo_id) AS n FROM names"
            " JOIN tags ON name_id = names.id JOIN photos ON photos.id = photo_id"
            " WHERE source = 'user' AND status != 'missing'"
            " GROUP BY word ORDER BY n DESC, label"
        )
        return [(row["label"], row["n"]) for row in rows]

    def paths(self, status: str | None = None) -> list[str]:
        """Return the paths of all photos, or those with one status."""
        rows = self._db.execute(
            "SELECT path FROM photos WHERE ?1 IS NULL OR status = ?1 ORDER BY path", (status,)
        )
        return [os.fsdecode(row["path"]) for row in rows]
