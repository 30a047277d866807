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
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tagger.records import THUMBNAIL_SIDE

log = logging.getLogger(__name__)

NAME = "pictures.sqlite3"
LEVELS = 15
"""Grey values are kept as 0…15, from the darkest of the picture to the brightest."""
PACKED_BYTES = THUMBNAIL_SIDE * THUMBNAIL_SIDE // 2


def packed(thumbnail: NDArray[np.uint8]) -> bytes:
    """Return a thumbnail uint8 (S, S) in four bits a pixel."""
    grey = thumbnail.astype(np.float32)
    low = grey.min()
    levels = np.rint((grey - low) * (LEVELS / max(float(grey.max() - low), 1.0)))
    flat = levels.astype(np.uint8).reshape(-1, 2)
    found: bytes = (flat[:, 0] << 4 | flat[:, 1]).astype(np.uint8).tobytes()
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

    def add(self, pictures: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep thumbnails, as (picture hash, packed), that are not kept yet."""
        new = [(key, pixels) for key, pixels in pictures if key and len(pixels) == PACKED_BYTES]
        if not new:
            return
        try:
            db = self._opened()
            with db:
                db.executemany("INSERT OR IGNORE INTO thumbnails VALUES (?, ?)", new)
        except sqlite3.Error as error:
            self._failed(error)

    def get(self, hashes: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return those of the thumbnails of these pictures that are kept."""
        found: dict[bytes, bytes] = {}
        try:
            db = self._opened()
            for key in set(hashes):
                row = db.execute("SELECT pixels FROM thumbnails WHERE hash = ?", (key,)).fetchone()
                if row is not None and len(row[0]) == PACKED_BYTES:
                    found[key] = row[0]
        except sqlite3.Error as error:
            self._failed(error)
        return found

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):
                db.close()

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = db = sqlite3.connect(self._path, timeout=5, check_same_thread=False)
            # It can be made again: nothing waits for the disk.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = OFF")
            db.execute(
                "CREATE TABLE IF NOT EXISTS thumbnails"
                " (hash BLOB PRIMARY KEY, pixels BLOB NOT NULL)"
            )
        return self._db

    def _failed(self, error: sqlite3.Error) -> None:
        log.debug("the thumbnails in %s cannot be used: %s", self._path, error)
        self.close()
        if type(error) is sqlite3.DatabaseError:  # damaged, or no database: it is made anew
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    os.unlink(self._path + suffix)
