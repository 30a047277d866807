"""Which photos belong together, as the index remembers it: pictures, series and stacks.

What is put into its questions besides values is one of KINDS, and this module's own text.
"""

# ruff: noqa: S608

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from tagger.index.folding import path_range

if TYPE_CHECKING:
    from tagger.index.shared_queries import SharedQueries
    from tagger.index.store import Store

Kind = Literal["picture", "series", "stack"]
T = TypeVar("T")
KINDS: tuple[Kind, ...] = ("picture", "series", "stack")
_THERE = "+p.status IN ('tagged', 'untagged')"
"""Not by the index of the states, in which nearly all photos are: "+" keeps from that."""
_COLUMNS = (
    "SELECT p.id, p.path, p.root, p.taken_at, p.camera, p.width, p.height, p.format, p.content_hash"
)
_SHOT = f"{_COLUMNS} FROM photos p"
_PICTURE = "SELECT r.photo_id, coalesce(r.picture_hash, x''), r.model_id, r.features"
ShotRow = tuple[int, str, str, str, str, int, int, str, bytes]
"""id, path, root, taken at, camera, width, height, format and digest; "" or 0: not known."""
_AT_ONCE = 500
_IDS = "(SELECT value FROM json_each(?))"


class PictureRow(NamedTuple):
    """What is compared of a photo: the hash of its picture, and its features."""

    id: int
    hash: bytes
    model_id: str
    features: bytes


class Groups:
    """The groups in an index, to be read."""

    def __init__(self, index: SharedQueries) -> None:
        self._index, self._rows = index, index.read

    def _rows_of(self, sql: str, ids: Iterable[int]) -> Iterator[sqlite3.Row]:
        """Yield what a SELECT finds that has ``_IDS`` once, for _AT_ONCE photos at a time."""
        for part in _parts(ids):
            yield from self._rows(sql, (json.dumps(part),))

    def waiting(self, limit: int) -> list[int]:
        """Return so many photos, at most, that have not been compared with the others yet."""
        rows = self._rows(
            f"SELECT id FROM photos p WHERE grouped IS NULL AND {_THERE} ORDER BY id LIMIT ?",
            (limit,),
        )
        return [row["id"] for row in rows]

    def count_waiting(self) -> int:
        """Return how many photos :meth:`waiting` gives in all."""
        sql = f"SELECT count(*) FROM photos p WHERE grouped IS NULL AND {_THERE}"
        return self._index.number(sql)

    def count_unhashed(self) -> int:
        """Return how many photos have no hash of their picture yet."""
        return self._index.number(
            "SELECT count(*) FROM predictions r CROSS JOIN photos p ON p.id = r.photo_id"
            f" WHERE r.picture_hash IS NULL AND {_THERE}"
        )

    def firsts(self, digests: Iterable[bytes]) -> dict[bytes, int]:
        """Return the first photo with the same bytes, by their digest, of those that are there."""
        found: dict[bytes, int] = {}
        for part in _parts(digests):
            rows = self._rows(
                f"WITH wanted (digest) AS (VALUES {', '.join(['(?)'] * len(part))})"
                " SELECT digest, (SELECT min(p.id) FROM photos p WHERE p.content_hash = digest"
                f" AND {_THERE}) FROM wanted",
                part,
            )
            found.update((row[0], row[1]) for row in rows if row[1] is not None)
        return found

    def every(self, kind: Kind) -> dict[int, list[int]]:
        """Return all groups of a kind with two photos that are there, or more, by number."""
        found: dict[int, list[int]] = {}
        rows = self._rows(
            f"SELECT g.{kind}, p.id FROM groups g JOIN photos p ON p.id = g.photo_id"
            f" WHERE g.{kind} IS NOT NULL AND {_THERE} ORDER BY g.{kind}, p.id"
        )
        for group, photo_id in rows:
            found.setdefault(group, []).append(photo_id)
        return {group: ids for group, ids in found.items() if len(ids) > 1}

    def pictures(self, ids: Iterable[int]) -> list[PictureRow]:
        """Return what is compared of photos."""
        sql = f"{_PICTURE} FROM predictions r WHERE r.photo_id IN {_IDS}"
        return list(map(PictureRow._make, self._rows_of(sql, ids)))

    def features(self, ids: Iterable[int]) -> list[tuple[int, str, bytes]]:
        """Return id, model and features of those of the photos that are there."""
        sql = (
            "SELECT p.id, r.model_id, r.features FROM photos p"
            f" CROSS JOIN predictions r ON r.photo_id = p.id WHERE p.id IN {_IDS} AND {_THERE}"
        )
        return list(map(tuple, self._rows_of(sql, ids)))

    def features_after(self, model_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return id and features of the next photos by id that a model classified."""
        rows = self._rows(
            "SELECT photo_id, features FROM predictions WHERE photo_id > ? AND model_id = ?"
            " ORDER BY photo_id LIMIT ?",
            (after, model_id, limit),
        )
        return list(map(tuple, rows))

    def newest_model(self) -> str:
        """Return which model classified the newest photo that was classified; "" for none."""
        rows = self._rows("SELECT model_id FROM predictions ORDER BY photo_id DESC LIMIT 1")
        return rows[0][0] if rows else ""

    def newest(self) -> int:
        """Return the highest id of a photo; 0 without any."""
        return self._index.newest_id()

    def count(self) -> int:
        """Return of how many photos there is a row."""
        return self._index.number("SELECT count(*) FROM photos")

    def hashes_after(self, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return id and hash of the next photos by id, whether they are there or not."""
        rows = self._rows(
            "SELECT photo_id, picture_hash FROM predictions WHERE photo_id > ?"
            " ORDER BY photo_id LIMIT ?",
            (after, limit),
        )
        return [(row[0], row[1] or b"") for row in rows]

    def all_pictures(self, after: int, limit: int) -> list[PictureRow]:
        """Return what is compared of the next photos by id that were compared, and are there."""
        rows = self._rows(
            f"{_PICTURE} FROM predictions r CROSS JOIN photos p ON p.id = r.photo_id"
            f" WHERE r.photo_id > ? AND {_THERE} AND p.grouped ORDER BY r.photo_id LIMIT ?",
            (after, limit),
        )
        return list(map(PictureRow._make, rows))

    def shots(self, ids: Iterable[int]) -> dict[int, ShotRow]:
        """Return what is known of the files of photos, those that are there."""
        rows = self._rows_of(f"{_SHOT} WHERE p.id IN {_IDS} AND {_THERE}", ids)
        return {row["id"]: _shot(row) for row in rows}

    def shots_of(self, kind: Kind, group: int) -> list[ShotRow]:
        """Return what is known of the files of one group, those that are there."""
        rows = self._rows(
            f"{_COLUMNS} FROM groups g CROSS JOIN photos p ON p.id = g.photo_id"
            f" WHERE g.{kind} = ? AND {_THERE}",
            (group,),
        )
        return [_shot(row) for row in rows]

    def shots_between(self, camera: str, since: str, until: str, limit: int) -> list[ShotRow]:
        """Return what a camera took from one moment to another, by time."""
        rows = self._rows(
            f"{_SHOT} WHERE p.sort_at BETWEEN ? AND ? AND p.camera = ? AND p.taken_at IS NOT NULL"
            f" AND {_THERE} ORDER BY p.sort_at, p.path LIMIT ?",
            (since, until, camera, limit),
        )
        return [_shot(row) for row in rows]

    def shots_beside(self, photo_id: int, until: str, limit: int, *, back: bool) -> list[ShotRow]:
        """Return what the camera of a photo took next after it, or before it, up to a moment.

        In the order in which the index has those of one moment, so that none is read in vain.
        """
        beyond, end, order = ("<", ">=", "DESC") if back else (">", "<=", "ASC")
        rows = self._rows(
            f"{_COLUMNS} FROM photos o CROSS JOIN photos p"
            f" ON (p.sort_at, p.status, p.id) {beyond} (o.sort_at, o.status, o.id)"
            f" WHERE o.id = ? AND p.sort_at {end} ? AND p.camera = o.camera"
            f" AND p.taken_at IS NOT NULL AND {_THERE}"
            f" ORDER BY p.sort_at {order}, p.status {order}, p.id {order} LIMIT ?",
            (photo_id, until, limit),
        )
        return [_shot(row) for row in rows]

    def shots_named(self, beginnings: Iterable[str]) -> list[ShotRow]:
        """Return the photos whose path begins so, and goes on with something else than a digit."""
        found: list[ShotRow] = []
        for part in _parts(map(os.fsencode, beginnings)):
            rows = self._rows(
                f"WITH wanted (low, high) AS (VALUES {', '.join(['(?, ?)'] * len(part))})"
                f" {_COLUMNS} FROM wanted CROSS JOIN photos p ON p.path >= low AND p.path < high"
                " WHERE substr(p.path, length(low) + 1, 1) NOT BETWEEN x'30' AND x'39'"
                f" AND {_THERE}",
                tuple(value for one in part for value in path_range(one)),
            )
            found += [_shot(row) for row in rows]
        return found

    def of(self, ids: Iterable[int]) -> dict[int, dict[Kind, int]]:
        """Return the groups that photos are in, by kind."""
        rows = self._rows_of(f"SELECT * FROM groups WHERE photo_id IN {_IDS}", ids)
        return {
            row["photo_id"]: {kind: row[kind] for kind in KINDS if row[kind] is not None}
            for row in rows
        }

    def numbers(self, kind: Kind, ids: Iterable[int]) -> dict[int, int | None]:
        """Return the group of a kind that photos are in, None for none, of those that are there."""
        sql = (
            f"SELECT p.id, g.{kind} FROM photos p LEFT JOIN groups g ON g.photo_id = p.id"
            f" WHERE p.id IN {_IDS} AND {_THERE}"
        )
        return {row[0]: row[1] for row in self._rows_of(sql, ids)}

    def kept(self, ids: Iterable[int]) -> set[int]:
        """Return those of the photos that the user chose to keep of their picture."""
        rows = self._rows_of(f"SELECT photo_id FROM groups WHERE kept AND photo_id IN {_IDS}", ids)
        return {row["photo_id"] for row in rows}

    def members(self, kind: Kind, group: int) -> set[int]:
        """Return the photos of one group, those that are there."""
        rows = self._rows(
            f"SELECT p.id FROM groups g JOIN photos p ON p.id = g.photo_id"
            f" WHERE g.{kind} = ? AND {_THERE}",
            (group,),
        )
        return {row["id"] for row in rows}


class GroupWriter(Groups):
    """The groups in the daemon's index, to be read and written."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._store = store

    def save(self, kind: Kind, groups: Mapping[int, int | None], moved: Mapping[int, int]) -> None:
        """Write in which group of a kind photos are from now on, by id; None: in none.

        Before that groups are ``moved`` as a whole, to other numbers.
        """
        if not groups and not moved:
            return
        with self._store.transaction() as db:
            db.executemany(
                f"UPDATE groups SET {kind} = ? WHERE {kind} = ?",
                [(number, former) for former, number in moved.items()],
            )
            db.executemany(
                "INSERT OR IGNORE INTO groups (photo_id)"  # not of a photo that is gone
                " SELECT id FROM photos WHERE id = ?",
                [(one,) for one, group in groups.items() if group is not None],
            )
            db.executemany(
                f"UPDATE groups SET {kind} = ? WHERE photo_id = ?",
                [(group, one) for one, group in groups.items()],
            )
            db.executemany(
                "DELETE FROM groups WHERE photo_id = ?"
                " AND picture IS NULL AND series IS NULL AND stack IS NULL",
                [(one,) for one, group in groups.items() if group is None],
            )

    def leave(self, kind: Kind, ids: Iterable[int]) -> None:
        """Give those groups another number whose number is one of ``ids``, which may leave them."""
        for part in _parts(ids):
            leaving = json.dumps(part)
            rows = self._rows(
                f"SELECT {kind}, min(photo_id) FROM groups"
                f" WHERE {kind} IN {_IDS} AND photo_id NOT IN {_IDS} GROUP BY {kind}",
                (leaving, leaving),
            )
            if rows:
                with self._store.transaction() as db:
                    db.executemany(
                        f"UPDATE groups SET {kind} = ? WHERE {kind} = ?",
                        [(number, former) for former, number in rows],
                    )

    def keep(self, photo_id: int) -> bool:
        """Note that a photo is the one to keep of its picture; return whether it has copies."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE groups SET kept = NULL WHERE picture ="
                " (SELECT picture FROM groups WHERE photo_id = ?)",
                (photo_id,),
            )
            kept = db.execute(
                "UPDATE groups SET kept = 1 WHERE photo_id = ? AND picture IS NOT NULL",
                (photo_id,),
            )
            return kept.rowcount > 0

    def compared(self, ids: Iterable[int]) -> None:
        """Note that photos were compared with all others."""
        with self._store.transaction() as db:
            db.executemany("UPDATE photos SET grouped = 1 WHERE id = ?", [(one,) for one in ids])


def _parts(some: Iterable[T]) -> Iterator[list[T]]:
    every = [*some]
    for first in range(0, len(every), _AT_ONCE):
        yield every[first : first + _AT_ONCE]


def _shot(row: sqlite3.Row) -> ShotRow:
    return (
        row["id"],
        os.fsdecode(row["path"]),
        os.fsdecode(row["root"]),
        row["taken_at"] or "",
        row["camera"] or "",
        row["width"] or 0,
        row["height"] or 0,
        row["format"] or "",
        row["content_hash"] or b"",
    )
