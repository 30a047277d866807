"""What the daemon and the readers both ask of the index.

Whole rows' records are imported by the methods that give them, because ``tagger query``
starts at every call and mostly wants paths.
"""

from __future__ import annotations

import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tagger.index.conditions import REMEMBERED, STATES

if TYPE_CHECKING:
    from tagger.index.rows import PhotoRow, StoredPrediction
    from tagger.records import JournalEntry, Tag


class SharedQueries(ABC):
    """An index that can be asked: the daemon's, or a reader's."""

    @abstractmethod
    def read(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return what a SELECT finds."""

    def number(self, sql: str, values: Sequence[object] = ()) -> int:
        """Return the one number that a SELECT finds."""
        return int(self.read(sql, values)[0][0])

    def photo(self, path: str) -> PhotoRow | None:
        """Return the row of the photo at ``path``."""
        return self._photo("SELECT * FROM photos WHERE path = ?", os.fsencode(path))

    def photo_of(self, photo_id: int) -> PhotoRow | None:
        """Return the row of the photo with that id."""
        return self._photo("SELECT * FROM photos WHERE id = ?", photo_id)

    def _photo(self, sql: str, value: object) -> PhotoRow | None:
        from tagger.index.rows import photo_row

        rows = self.read(sql, (value,))
        return photo_row(rows[0]) if rows else None

    def newest_id(self) -> int:
        """Return the id of the photo that was seen first last; 0 without any."""
        return self.number("SELECT coalesce(max(id), 0) FROM photos")

    def tags(self, photo_id: int) -> tuple[Tag, ...]:
        """Return the tags of a photo in the order they were chosen."""
        from tagger.index.rows import TAGS_OF_PHOTO, tag_of

        return tuple(map(tag_of, self.read(TAGS_OF_PHOTO, (photo_id,))))

    def prediction(self, photo_id: int) -> StoredPrediction | None:
        """Return what the model said of a photo."""
        from tagger.index.rows import PREDICTED, StoredPrediction

        sql = f"SELECT {', '.join(PREDICTED)} FROM predictions WHERE photo_id = ?"  # noqa: S608
        rows = self.read(sql, (photo_id,))
        return StoredPrediction(*rows[0]) if rows else None

    def tombstones(self, photo_id: int) -> frozenset[str]:
        """Return the labels that must never be written to a photo again."""
        rows = self.read("SELECT label FROM tombstones WHERE photo_id = ?", (photo_id,))
        return frozenset(row["label"] for row in rows)

    def journal(self, photo_id: int) -> list[tuple[JournalEntry, float]]:
        """Return what we have in which files for a photo, and when it was written."""
        from tagger.index.rows import entry_of

        rows = self.read("SELECT * FROM journal WHERE photo_id = ? ORDER BY id", (photo_id,))
        return [(entry_of(row), row["written_at"]) for row in rows]

    def counts(self) -> dict[str, int]:
        """Return how many photos there are of each status."""
        rows = self.read(
            "SELECT status, count(*) FROM photos GROUP BY status UNION ALL"  # noqa: S608
            f" SELECT 'remembered', count(*) FROM photos WHERE {REMEMBERED}"
        )
        found = dict.fromkeys(STATES, 0)
        found.update((row[0], row[1]) for row in rows)
        found["missing"] -= found.pop("remembered")
        return found
