"""Which photos belong together, as the index remembers it: pictures, series and stacks.

What is put into its questions besides values is one of KINDS, and this module's own text.
"""

# ruff: noqa: S608

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from tagger.index.store import Store

Kind = Literal["picture", "series", "stack"]
KINDS: tuple[Kind, ...] = ("picture", "series", "stack")
_THERE = "+p.status IN ('tagged', 'untagged')"
"""Not by the index of the states, in which nearly all photos are: "+" keeps from that."""
_SHOT = (
    "SELECT p.id, p.path, p.root, p.taken_at, p.camera, p.width, p.height, p.format,"
    " p.content_hash FROM photos p"
)
ShotRow = tuple[int, str, str, str, str, int, int, str, bytes]
"""id, path, root, taken at, camera, width, height, format and digest; "" or 0: not known."""
_AT_ONCE = 500


class PictureRow(NamedTuple):
    """What is compared of a photo: the hash of its picture, and its features."""

    id: int
    hash: bytes
    model_id: str
    features: bytes


Read = Callable[[str, tuple[object, ...]], list[sqlite3.Row]]


class Groups:
    """The groups in an index, to be read; ``read`` asks it."""

    def __init__(self, read: Read) -> None:
        self._rows = read

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
        return int(self._rows(sql, ())[0][0])

    def count_unhashed(self) -> int:
        """Return how many photos have no hash of their picture yet."""
        sql = (
            "SELECT count(*) FROM predictions r CROSS JOIN photos p ON p.id = r.photo_id"
            f" WHERE r.picture_hash IS NULL AND {_THERE}"
        )
        return int(self._rows(sql, ())[0][0])

    def same_bytes(self, ids: Iterable[int]) -> list[tuple[int, int]]:
        """Return pairs of photos with the same bytes, the first of them among ``ids``."""
        found: list[tuple[int, int]] = []
        for part in _parts(ids):
            rows = self._rows(
                "SELECT o.id, p.id FROM photos o CROSS JOIN photos p"
                " ON p.content_hash = o.content_hash"
                " WHERE o.id IN (SELECT value FROM json_each(?)) AND p.id != o.id"
                f" AND o.content_hash != x'' AND {_THERE}",
                (json.dumps(part),),
            )
            found += [(row[0], row[1]) for row in rows]
        return found

    def every(self, kind: Kind) -> dict[int, list[int]]:
        """Return all groups of a kind with two photos that are there, or more, by number."""
        found: dict[int, list[int]] = {}
        rows = self._rows(
            f"SELECT g.{kind}, p.id FROM groups g JOIN photos p ON p.id = g.photo_id"
            f" WHERE g.{kind} IS NOT NULL AND {_THERE} ORDER BY g.{kind}, p.id",
            (),
        )
        for group, photo_id in rows:
            found.setdefault(group, []).append(photo_id)
        return {group: ids for group, ids in found.items() if len(ids) > 1}

    def pictures(self, ids: Iterable[int]) -> list[PictureRow]:
        """Return what is compared of photos."""
        found = []
        for part in _parts(ids):
            rows = self._rows(
                "SELECT photo_id, picture_hash, model_id, features FROM predictions"
                " WHERE photo_id IN (SELECT value FROM json_each(?))",
                (json.dumps(part),),
            )
            found += [PictureRow(row[0], row[1] or b"", row[2], row[3] or b"") for row in rows]
        return found

    def all_pictures(self, after: int, limit: int) -> list[PictureRow]:
        """Return what is compared of the next photos by id that were compared, and are there."""
        rows = self._rows(
            "SELECT r.photo_id, r.picture_hash, r.model_id, r.features FROM predictions r"
            f" CROSS JOIN photos p ON p.id = r.photo_id WHERE r.photo_id > ? AND {_THERE}"
            " AND p.grouped ORDER BY r.photo_id LIMIT ?",
            (after, limit),
        )
        return [PictureRow(row[0], row[1] or b"", row[2], row[3] or b"") for row in rows]

    def shots(self, ids: Iterable[int]) -> dict[int, ShotRow]:
        """Return what is known of the files of photos, those that are there."""
        found: dict[int, ShotRow] = {}
        for part in _parts(ids):
            rows = self._rows(
                f"{_SHOT} WHERE p.id IN (SELECT value FROM json_each(?)) AND {_THERE}",
                (json.dumps(part),),
            )
            found.update((row["id"], _shot(row)) for row in rows)
        return found

    def shots_between(self, camera: str, since: str, until: str, limit: int) -> list[ShotRow]:
        """Return what a camera took from one moment to another, by time."""
        rows = self._rows(
            f"{_SHOT} WHERE p.sort_at BETWEEN ? AND ? AND p.camera = ? AND p.taken_at IS NOT NULL"
            f" AND {_THERE} ORDER BY p.sort_at, p.path LIMIT ?",
            (since, until, camera, limit),
        )
        return [_shot(row) for row in rows]

    def shots_named(self, beginning: str) -> list[ShotRow]:
        """Return the photos whose path begins so; by path."""
        start = os.fsencode(beginning)
        rows = self._rows(
            f"{_SHOT} WHERE p.path >= ? AND p.path < ? AND {_THERE} ORDER BY p.path LIMIT 200",
            (start, start[:-1] + bytes([start[-1] + 1]) if start[-1] < 255 else start + b"\xff"),
        )
        return [_shot(row) for row in rows]

    def of(self, ids: Iterable[int]) -> dict[int, dict[Kind, int]]:
        """Return the groups that photos are in, by kind."""
        found: dict[int, dict[Kind, int]] = {}
        for part in _parts(ids):
            rows = self._rows(
                "SELECT photo_id, picture, series, stack FROM groups"
                " WHERE photo_id IN (SELECT value FROM json_each(?))",
                (json.dumps(part),),
            )
            for row in rows:
                found[row["photo_id"]] = {k: row[k] for k in KINDS if row[k] is not None}
        return found

    def kept(self, ids: Iterable[int]) -> set[int]:
        """Return those of the photos that the user chose to keep of their picture."""
        found: set[int] = set()
        for part in _parts(ids):
            rows = self._rows(
                "SELECT photo_id FROM groups WHERE kept"
                " AND photo_id IN (SELECT value FROM json_each(?))",
                (json.dumps(part),),
            )
            found |= {row["photo_id"] for row in rows}
        return found

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
        super().__init__(store.read)
        self._store = store

    def save(self, kind: Kind, groups: Mapping[int, int | None]) -> None:
        """Write in which group of a kind photos are from now on, by id; None: in none."""
        if not groups:
            return
        with self._store.transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO groups (photo_id)"  # not of a photo that is gone
                " SELECT id FROM photos WHERE id = ?",
                [(one,) for one, group in groups.items() if group is not None],
            )
            db.executemany(
                f"UPDATE groups SET {kind} = ? WHERE photo_id = ?",
                [(group, one) for one, group in groups.items()],
            )

    def keep(self, photo_id: int) -> bool:
        """Note that a photo is the one to keep of its picture; return whether it has copies."""
        with self._store.transaction() as db:
            db.execute(
                "UPDATE groups SET kept = NULL WHERE picture ="
                " (SELECT picture FROM groups WHERE photo_id = ?)",
                (photo_id,),
            )
            return (
                db.execute(
                    "UPDATE groups SET kept = 1 WHERE photo_id = ? AND picture IS NOT NULL",
                    (photo_id,),
                ).rowcount
                > 0
            )

    def compared(self, ids: Iterable[int]) -> None:
        """Note that photos were compared with all others."""
        with self._store.transaction() as db:
            db.executemany("UPDATE photos SET grouped = 1 WHERE id = ?", [(one,) for one in ids])
            db.execute(
                "DELETE FROM groups WHERE picture IS NULL AND series IS NULL AND stack IS NULL"
            )


def _parts(ids: Iterable[int]) -> Iterator[list[int]]:
    every = [*ids]
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
