"""Readers of the index: they never write, and need neither numpy nor torch.

Whole rows' records are imported by the methods that give them, because ``tagger query``
starts at every call and mostly wants paths.

A reader may be another user than the daemon. SQLite then cannot make the files that a
WAL database needs (``attempt to write a readonly database``), and ``immutable=1`` would
answer without what is still in the WAL; so such a reader works on a private copy.
"""

from __future__ import annotations

import functools
import json
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from tagger.errors import IndexNotReadyError, StateError
from tagger.filenames import same_letters
from tagger.index.conditions import EARTH_RADIUS_KM, And, Query, Taken
from tagger.index.database import index_path
from tagger.index.migrations import MIGRATIONS
from tagger.index.plan import Planner, by_id, needed, one_by_one, statement
from tagger.index.storable import Connection
from tagger.index.words import fold, storable

if TYPE_CHECKING:
    from tagger.index.records import Failure, PhotoRow, StoredPrediction
    from tagger.photo import JournalEntry, Tag

PAGE = 5_000
"""The most photos that are looked for among the newest ones first."""
WINDOW = 50_000
"""How many of the newest photos are walked through for them; some 2 µs each."""


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
            db = _connect(path)
            try:
                steps = _steps(db)
            except sqlite3.OperationalError:
                db.close()
                import tempfile

                folder = tempfile.TemporaryDirectory(prefix="tagger-read-")
                db = _connect(_snapshot(path, scratch.enter_context(folder)))
                steps = _steps(db)
        except (sqlite3.Error, OSError) as error:
            raise StateError(
                f"cannot read the index {path}: {error}",
                "check its rights (the daemon's user must let you read the folder)",
            ) from error
        try:
            _check_steps(steps, path)
            if stop is not None:
                db.set_progress_handler(stop, STEPS)
            yield Reader(db)
        finally:
            db.close()


def _connect(path: str) -> sqlite3.Connection:
    # As pathlib's as_uri() has it, which is slow to import; "?", "#" and "%" mean something.
    escaped = "".join(f"%{byte:02x}" for byte in os.fsencode(os.path.abspath(path)))
    db = sqlite3.connect(f"file:{escaped}?mode=ro", uri=True, timeout=10, factory=Connection)
    db.row_factory = sqlite3.Row
    _add_functions(db)
    return db


def _steps(db: sqlite3.Connection) -> set[str]:
    return {row["name"] for row in db.execute("SELECT name FROM migrations")}


def _check_steps(steps: set[str], path: str) -> None:
    """Raise StateError if the index does not have the schema that we know."""
    known = {name for name, _ in MIGRATIONS}
    if steps - known:
        raise StateError(
            f"the index {path} was written by a newer tagger ({max(steps - known)})",
            "use that version",
        )
    if known - steps:
        raise IndexNotReadyError(
            f"the index {path} was written by an older tagger",
            "start the daemon (`tagger run`), or wait if it is starting: it brings it up to date",
        )


def _snapshot(path: str, folder: str) -> str:
    """Copy the database with its WAL until both are of one moment; return the copy's path."""
    import shutil

    copy = os.path.join(folder, "index.sqlite3")
    for _ in range(20):
        before = _version(path)
        for suffix in ("", "-wal"):
            if os.path.exists(path + suffix):
                shutil.copyfile(path + suffix, copy + suffix)
        if _version(path) == before:
            break
        time.sleep(0.05)
    return copy


def _version(path: str) -> list[tuple[int, int] | None]:
    versions: list[tuple[int, int] | None] = []
    for suffix in ("", "-wal"):
        try:
            st = os.stat(path + suffix)
            versions.append((st.st_size, st.st_mtime_ns))
        except FileNotFoundError:
            versions.append(None)
    return versions


class Reader:
    """An open index, to be asked."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._planner = Planner(db)

    def backup(self, target: str, *, replace: bool = False) -> int:
        """Copy the index to the file ``target``; see :func:`tagger.index.backup.back_up`."""
        from tagger.index.backup import back_up

        return back_up(self._db, target, replace=replace)

    def find(self, query: Query, *, limit: int | None = None) -> Iterator[Found]:
        """Yield the photos that ``query`` finds with their tags, newest first."""
        from tagger.index.records import photo_row

        # Only what is sorted by goes through the sorting; whole rows would be 300 bytes each.
        for found in self._find("p.id", query, limit):
            rows = self._db.execute("SELECT * FROM photos WHERE id = ?", (found["id"],))
            yield Found(photo_row(rows.fetchone()), self.tags(found["id"]))

    def find_paths(self, query: Query, *, limit: int | None = None) -> Iterator[str]:
        """Yield the paths of what :meth:`find` yields, several times as fast."""
        for row in self._find("p.path", query, limit):
            yield os.fsdecode(row["path"])

    def count(self, query: Query) -> int:
        """Return how many photos ``query`` finds."""
        query = self._planner.looked_up(query)
        number = self._planner.count_of_label(query)
        if number is not None:
            return number
        table, where, values = self._planner.for_count(query)
        sql = f"SELECT count(*) FROM {table} WHERE {where}"  # noqa: S608
        return int(self._db.execute(sql, values).fetchone()[0])

    def has_word(self, word: str) -> bool:
        """Whether a photo has a label that reads like ``word`` when folded."""
        rows = self._db.execute(
            "SELECT 1 FROM names WHERE word = ?"
            " AND EXISTS (SELECT 1 FROM tags WHERE name_id = names.id) LIMIT 1",
            (storable(fold(word)),),
        )
        return rows.fetchone() is not None

    def _find(self, column: str, query: Query, limit: int | None) -> Iterator[sqlite3.Row]:
        query = self._planner.looked_up(query)
        # "+": jumping about in the table by the index takes several times as long as reading
        # it in order and sorting.
        table, order = "photos p", "+p.sort_at"
        if limit and limit <= PAGE and not self._planner.is_rare(query):
            rows = self._newest(column, query, limit)
            if rows is not None:
                return iter(rows)
            if by_id(query):  # the index tells all that is asked, and is small
                table, order = "photos p INDEXED BY photos_sort", "p.sort_at"
        where, values = statement(self._planner.driven(query))
        return self._db.execute(
            f"SELECT {column} FROM {table} WHERE {where}"  # noqa: S608
            f" ORDER BY {order} DESC, p.path LIMIT ?",
            (*values, limit or -1),
        )

    def _newest(self, column: str, query: Query, limit: int) -> list[sqlite3.Row] | None:
        """Return the first ``limit`` found if they are among the newest photos, else None.

        Where many photos meet the query, a walk from the newest on soon has enough of them;
        gathering them all to sort them would take as long as there are many.
        """
        taken = And(tuple(part for part in needed(query) if isinstance(part, Taken)))
        where, values = taken.sql()
        end = self._db.execute(
            f"SELECT sort_at FROM photos p WHERE {where}"  # noqa: S608
            " ORDER BY sort_at DESC LIMIT 1 OFFSET ?",
            (*values, WINDOW),
        ).fetchone()
        since = end["sort_at"] if end else None
        where, values = statement(And((one_by_one(query), Taken(since, None))))
        rows = self._db.execute(
            f"SELECT {column} FROM photos p INDEXED BY photos_sort WHERE {where}"  # noqa: S608
            " ORDER BY p.sort_at DESC, p.path LIMIT ?",
            (*values, limit),
        ).fetchall()
        return rows if len(rows) == limit or end is None else None

    def photo(self, path: str) -> PhotoRow | None:
        """Return the row of the photo at ``path``."""
        from tagger.index.records import photo_row

        rows = self._db.execute("SELECT * FROM photos WHERE path = ?", (os.fsencode(path),))
        row = rows.fetchone()
        return photo_row(row) if row else None

    def tags(self, photo_id: int) -> tuple[Tag, ...]:
        """Return the tags of a photo in the order they were chosen."""
        from tagger.index.records import TAGS_OF_PHOTO, tag_of

        rows = self._db.execute(TAGS_OF_PHOTO, (photo_id,))
        return tuple(tag_of(row) for row in rows)

    def top(self, photo_id: int) -> tuple[str, bytes] | None:
        """Return the model's id and the stored most probable classes of a photo."""
        row = self._db.execute(
            "SELECT model_id, top FROM predictions WHERE photo_id = ?", (photo_id,)
        ).fetchone()
        return (row["model_id"], row["top"]) if row else None

    def prediction(self, photo_id: int) -> StoredPrediction | None:
        """Return what the model said of a photo."""
        from tagger.index.records import prediction_of

        rows = self._db.execute("SELECT * FROM predictions WHERE photo_id = ?", (photo_id,))
        row = rows.fetchone()
        return prediction_of(row) if row else None

    def features(self, model_id: str, after: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield id and stored features of the photos that a model classified, by id.

        Those with an id above ``after``; they are read as they are asked for.
        """
        yield from self._db.execute(
            "SELECT photo_id, features FROM predictions WHERE photo_id > ? AND model_id = ?"
            " ORDER BY photo_id",
            (after, model_id),
        )

    def newest_id(self) -> int:
        """Return the id of the photo that was seen first last; 0 without any."""
        return int(self._db.execute("SELECT coalesce(max(id), 0) FROM photos").fetchone()[0])

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

    def journal(self, photo_id: int) -> list[tuple[JournalEntry, float]]:
        """Return what we have in which files for a photo, and when it was written."""
        from tagger.index.records import entry_of

        rows = self._db.execute("SELECT * FROM journal WHERE photo_id = ? ORDER BY id", (photo_id,))
        return [(entry_of(row), row["written_at"]) for row in rows]

    def tombstones(self, photo_id: int) -> list[str]:
        """Return the labels that are never written to a photo again."""
        rows = self._db.execute(
            "SELECT label FROM tombstones WHERE photo_id = ? ORDER BY label", (photo_id,)
        )
        return [row["label"] for row in rows]

    def failures(self) -> list[Failure]:
        """Return the photos that could not be handled, the latest first."""
        from tagger.index.records import Failure

        rows = self._db.execute(
            "SELECT p.path, f.* FROM failures f JOIN photos p ON p.id = f.photo_id"
            " WHERE p.status = 'failed' ORDER BY f.last_at DESC, p.path"
        )
        return [
            Failure(
                os.fsdecode(row["path"]),
                row["kind"],
                row["reason"],
                row["tries"],
                row["first_at"],
                row["last_at"],
                row["retry_at"],
            )
            for row in rows
        ]

    def counts(self) -> dict[str, int]:
        """Return how many photos there are of each status."""
        from tagger.index.tally import status_counts

        return status_counts(self._db)

    def tree_counts(self, paths: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
        """Return how many photos carry each label of a tree, or anything below it.

        ``paths`` has each label's way from the root down to itself.
        """
        from tagger.index.tally import tree_counts

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


def _add_functions(db: sqlite3.Connection) -> None:
    """Give a connection the functions that the conditions of queries use."""
    # Thousands of photos share a folder, all of them a few cameras.
    folder = functools.lru_cache(100_000)(lambda path: fold(os.fsdecode(path)))
    text = functools.lru_cache(10_000)(fold)
    letters = functools.lru_cache(100_000)(
        # What is not UTF-8 stays apart from every name that is.
        lambda path: same_letters(path.decode("utf-8", "backslashreplace"))
    )

    def in_folder(path: bytes, fragment: str) -> bool:
        return fragment in folder(path[: path.rfind(b"/") + 1])

    def below(path: bytes, prefix: str) -> bool:
        return letters(path[: path.rfind(b"/") + 1]).startswith(prefix)

    def has_text(value: str | None, fragment: str) -> bool:
        return value is not None and fragment in text(value)

    db.create_function("in_folder", 2, in_folder, deterministic=True)
    db.create_function("below", 2, below, deterministic=True)
    db.create_function("has_text", 2, has_text, deterministic=True)
    db.create_function("distance_km", 4, distance_km, deterministic=True)


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance of two places in degrees, by the haversine formula.

    (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984.)
    """
    a, b = math.radians(lat1), math.radians(lat2)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))
