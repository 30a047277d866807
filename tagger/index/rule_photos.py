"""New photos in the index, which rules they met, and the tags that rules gave.

A photo is new when it is first seen after its folder was looked through once. Which rules it meets
is decided once; each of their actions is then one of :mod:`tagger.index.rule_tasks`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tagger.index.rows import PhotoRow
from tagger.index.store import Store

MOST_WAITING = 10_000
"""Programs and webhooks that may wait; what is more is given up at once."""
_OUTSIDE = ("run", "webhook")


@dataclass(frozen=True, slots=True)
class NewPhoto:
    """A photo about which no rule was decided; ``lacks`` are networks that have not seen it."""

    photo_id: int
    found_at: float
    lacks: frozenset[str]


class RulePhotos:
    """Which photos are new, and what rules gave them. For any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note_scanned(self, root: str) -> None:
        """Note that the folder ``root`` has been looked through, if that is not known yet."""
        with self._store.transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO rule_roots VALUES (?, ?)",
                (os.fsencode(root), self._store.now()),
            )

    def scanned(self) -> set[str]:
        """Return the folders that were looked through once."""
        return {os.fsdecode(row["root"]) for row in self._store.read("SELECT root FROM rule_roots")}

    def is_new(self, path: str, root: str, row: PhotoRow | None) -> bool:
        """Whether a photo is new that is being tagged for the first time; ``row`` is what is known.

        What a rule has put somewhere is not.
        """
        found = self._store.read(
            "SELECT scanned_at < coalesce((SELECT seen_at FROM photos WHERE id = ?), 1e18) AS new"
            " FROM rule_roots WHERE root = ?",
            (row.id if row else None, os.fsencode(root)),
        )
        if not found or not found[0]["new"]:
            return False
        return not self._store.read(
            "SELECT 1 FROM rule_tasks WHERE target = ? LIMIT 1", (os.fsencode(path),)
        )

    def new_photos(self, after: int = 0, limit: int = 256) -> list[NewPhoto]:
        """Return photos that were tagged and about which nothing is decided, by id."""
        rows = self._store.read(
            "SELECT n.photo_id, n.found_at, r.scenes_id, r.detector_id FROM rule_photos n"
            " JOIN photos p ON p.id = n.photo_id LEFT JOIN predictions r ON r.photo_id = p.id"
            " WHERE n.photo_id > ? AND p.status IN ('tagged', 'untagged')"
            " ORDER BY n.photo_id LIMIT ?",
            (after, limit),
        )
        return [
            NewPhoto(
                row["photo_id"],
                row["found_at"],
                frozenset(kind for kind in ("scenes", "detector") if row[f"{kind}_id"] is None),
            )
            for row in rows
        ]

    def decide(self, photo_ids: Iterable[int], met: Mapping[int, Sequence[tuple[str, str]]]) -> int:
        """Note what is to be done for photos, as (rule, action), in this order; return how much.

        What was decided before is not decided again.
        """
        now, made = self._store.now(), 0
        with self._store.transaction() as db:
            waiting = self._store.number("SELECT count(*) FROM rule_tasks WHERE due_at IS NOT NULL")
            for photo_id in photo_ids:
                for rule, action in met.get(photo_id, ()):
                    full = action in _OUTSIDE and waiting >= MOST_WAITING
                    made += db.execute(
                        "INSERT OR IGNORE INTO rule_tasks (photo_id, rule, action, state, path,"
                        " made_at, due_at, ended_at, reason)"
                        " SELECT id, ?, ?, ?, path, ?, ?, ?, ? FROM photos WHERE id = ?",
                        (
                            rule,
                            action,
                            "failed" if full else "due",
                            now,
                            None if full else now,
                            now if full else None,
                            f"more than {MOST_WAITING:,} wait already" if full else "",
                            photo_id,
                        ),
                    ).rowcount
                    waiting += not full
                db.execute("DELETE FROM rule_photos WHERE photo_id = ?", (photo_id,))
        return made

    def has_any(self) -> bool:
        """Whether rules have given a tag to any photo, or something was or is to be done by any."""
        return bool(
            self._store.read("SELECT 1 FROM rule_tags UNION ALL SELECT 1 FROM rule_tasks LIMIT 1")
        )

    def tags_of(self, photo_ids: Iterable[int]) -> tuple[str, ...]:
        """Return the labels that rules have given to photos, each once."""
        rows = self._store.read(
            "SELECT DISTINCT label FROM rule_tags WHERE photo_id IN"
            " (SELECT value FROM json_each(?)) ORDER BY label",
            (json.dumps(list(photo_ids)),),
        )
        return tuple(row["label"] for row in rows)
