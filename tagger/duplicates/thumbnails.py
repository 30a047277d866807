"""Thumbnails of pictures, by which two with similar hashes are compared, as they are kept.

They are in a file of its own beside the index, under the hash of the picture: 2 KB each, of a
library of 100,000 photos 200 MB. The index would grow by half with them, and a copy or backup
of it does not need them: they are made again whenever a photo is opened.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from tagger.records import THUMBNAIL_SIDE

log = logging.getLogger(__name__)

NAME = "pictures.sqlite3"
LEVELS = 15
"""Grey values are kept as 0…15, from the darkest of the picture to the brightest."""
PACKED_BYTES = THUMBNAIL_SIDE * THUMBNAIL_SIDE // 2
VIEW_SIDE = 8
VIEW_BYTES = VIEW_SIDE * VIEW_SIDE
_BESIDE = ("-wal", "-shm", "-journal")
"""How the names of the files end that SQLite has beside an open one."""
_AT_ONCE = 500
_PAGE = 16_384
"""Seven thumbnails fit in; of pages of 4 KB, half of each would be empty."""


def packed(thumbnail: NDArray[np.uint8]) -> bytes:
    """Return a thumbnail uint8 (S, S) in four bits a pixel."""
    grey = thumbnail.astype(np.float32)
    low = grey.min()
    levels = np.rint((grey - low) * (LEVELS / max(float(grey.max() - low), 1.0)))
    flat = levels.astype(np.uint8).reshape(-1, 2)
    found: bytes = (flat[:, 0] << 4 | flat[:, 1]).astype(np.uint8).tobytes()
    return found


def coarse_views(kept: Iterable[bytes]) -> NDArray[np.uint8]:
    """Return the means of 8 x 8 parts of thumbnails that :func:`packed` made, uint8 (N, 64)."""
    flat = np.frombuffer(b"".join(kept), np.uint8)
    sums = (flat >> 4) + (flat & 15)  # of two pixels
    side = THUMBNAIL_SIDE // VIEW_SIDE
    parts = sums.reshape(-1, VIEW_SIDE, side, VIEW_SIDE, side // 2)
    means = parts.sum((2, 4), dtype=np.float32) * (255 / LEVELS / side**2)
    found: NDArray[np.uint8] = np.rint(means).astype(np.uint8).reshape(-1, VIEW_BYTES)
    return found


def unpacked(kept: Iterable[bytes]) -> NDArray[np.float32]:
    """Return thumbnails (N, S, S) of what :func:`packed` made, their grey values 0…255."""
    flat = np.frombuffer(b"".join(kept), np.uint8)
    levels = np.stack([flat >> 4, flat & 15], axis=-1)
    return levels.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE).astype(np.float32) * (255 / LEVELS)


class ThumbnailStore:
    """The thumbnails in a state directory. What cannot be written is done without.

    For one thread. Raise nothing: without it, pictures are compared by their hashes alone.
    """

    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, NAME)
        self._db: sqlite3.Connection | None = None

    def recover(self) -> None:
        """Take in what a process that was killed has left beside the file."""
        if any(os.path.exists(self._path + suffix) for suffix in _BESIDE):
            try:
                self._opened().execute("SELECT count(*) FROM sqlite_master").fetchone()
            except sqlite3.Error as error:
                self._failed(error)
            self.close()

    def add(self, pictures: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep thumbnails, as (picture hash, packed), that are not kept yet."""
        new = [(key, pixels) for key, pixels in pictures if key and len(pixels) == PACKED_BYTES]
        if not new:
            return
        try:
            db = self._opened()
            with db:
                db.executemany("INSERT OR IGNORE INTO thumbnails VALUES (?, ?)", new)
                _add_views(db, new)
        except sqlite3.Error as error:
            self._failed(error)

    def get(self, hashes: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return those of the thumbnails of these pictures that are kept."""
        return self._found("thumbnails", hashes, PACKED_BYTES)

    def views(self, hashes: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the :func:`coarse_views` of those of these pictures that are kept."""
        return self._found("views", hashes, VIEW_BYTES)

    def begin_sweep(self) -> None:
        """Begin to find the thumbnails that are not used any more: none is marked as used yet."""
        try:
            db = self._opened()
            db.execute("DROP TABLE IF EXISTS temp.used")
            db.execute("CREATE TEMP TABLE used (hash BLOB PRIMARY KEY) WITHOUT ROWID")
        except sqlite3.Error as error:
            self._failed(error)

    def mark(self, hashes: Iterable[bytes]) -> bool:
        """Mark thumbnails as used; return whether a sweep goes on, else it is to begin anew."""
        try:
            db = self._opened()
            with db:
                rows = [(key,) for key in hashes if key]
                db.executemany("INSERT OR IGNORE INTO temp.used VALUES (?)", rows)
        except sqlite3.Error as error:  # it was closed meanwhile: what is used is not known
            self._failed(error)
            return False
        return True

    def sweep(self, limit: int) -> int:
        """Forget so many thumbnails, at most, that are not marked as used; return how many.

        The file gets shorter by them.
        """
        try:
            db = self._opened()
            rows = db.execute(
                "SELECT hash FROM views WHERE hash NOT IN (SELECT hash FROM temp.used) LIMIT ?",
                (limit,),
            ).fetchall()
            with db:
                db.executemany("DELETE FROM thumbnails WHERE hash = ?", rows)
                db.executemany("DELETE FROM views WHERE hash = ?", rows)
            if rows:
                db.executescript("PRAGMA incremental_vacuum")
            else:
                db.execute("DROP TABLE temp.used")
        except sqlite3.Error as error:
            self._failed(error)
            return 0
        return len(rows)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _found(self, table: str, hashes: Iterable[bytes], size: int) -> dict[bytes, bytes]:
        wanted = list(set(hashes))
        found: dict[bytes, bytes] = {}
        column = "view" if table == "views" else "pixels"
        try:
            db = self._opened()
            for first in range(0, len(wanted), _AT_ONCE):
                part = wanted[first : first + _AT_ONCE]
                places = ",".join("?" * len(part))
                found.update(
                    db.execute(
                        f"SELECT hash, {column} FROM {table} WHERE hash IN ({places})",  # noqa: S608
                        part,
                    )
                )
        except sqlite3.Error as error:
            self._failed(error)
        return {key: kept for key, kept in found.items() if len(kept) == size}

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = db = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
            db.execute(f"PRAGMA page_size = {_PAGE}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            # It can be made again: nothing waits for the disk.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            db.execute(
                "CREATE TABLE IF NOT EXISTS thumbnails"
                " (hash BLOB PRIMARY KEY, pixels BLOB NOT NULL)"
            )
            if not db.execute("PRAGMA table_info (views)").fetchall():
                with db:
                    db.execute(
                        "CREATE TABLE views (hash BLOB PRIMARY KEY, view BLOB NOT NULL)"
                        " WITHOUT ROWID"
                    )
                    kept = db.execute("SELECT hash, pixels FROM thumbnails")
                    while some := kept.fetchmany(_AT_ONCE):
                        _add_views(db, some)
        return self._db

    def _failed(self, error: sqlite3.Error) -> None:
        log.debug("the thumbnails in %s cannot be used: %s", self._path, error)
        self.close()
        if type(error) is sqlite3.DatabaseError:  # damaged, or no database: it is made anew
            for suffix in ("", *_BESIDE):
                with contextlib.suppress(OSError):
                    os.unlink(self._path + suffix)


def _add_views(db: sqlite3.Connection, pictures: Sequence[tuple[bytes, bytes]]) -> None:
    sound = [one for one in pictures if len(one[1]) == PACKED_BYTES]
    made = coarse_views(pixels for _, pixels in sound)
    rows = [(key, view.tobytes()) for (key, _), view in zip(sound, made, strict=True)]
    db.executemany("INSERT OR IGNORE INTO views VALUES (?, ?)", rows)
