"""What the index knows: the questions that the daemon asks while it works."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from tagger.errors import PhotoForbiddenError
from tagger.index.connection import Database
from tagger.index.folding import path_range
from tagger.index.rows import NOT_WRITABLE, PhotoRow, entry_of, file_stat, photo_row
from tagger.records import FileStat, JournalEntry, same_network
from tagger.system.files import is_readable, is_writable
from tagger.system.paths import is_inside
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

MAX_BACKOFF = 86400.0
"""Seconds between two tries; a longer wait means that the clock was put back."""

LEARN_AT_ONCE = 2_000
"""So many ctimes of an older index are remembered in one transaction…"""
LEARN_SECONDS = 5.0
"""…or as many as came in so long."""

_FORBIDDEN = PhotoForbiddenError.__name__
_VERSION = (
    "SELECT status IN ('missing', 'waiting'), size, mtime_ns, inode, ctime_ns, sidecar_size,"
    " sidecar_mtime_ns, sidecar_inode, sidecar_ctime_ns, keywords_hash, kind, retry_at"
    " FROM photos LEFT JOIN failures ON photo_id = id WHERE path = ?"
)


class Wanted(NamedTuple):
    """What all photos are to have: a look of these networks, by model id, where one is named.

    In fp32 or in int8 is the same, but what those with the ids ``refused`` said, of subjects too,
    does not count. With ``picture`` also a hash of their picture.
    """

    scenes: str | None = None
    detector: str | None = None
    subjects: str | None = None
    refused: Collection[str] = ()
    picture: bool = False


class Lookup(Database):
    """The index, to be asked."""

    def __init__(self, state_dir: str, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(state_dir, clock=clock)
        self._learnt: list[tuple[str, FileStat, FileStat | None]] = []
        self._learnt_at = time.monotonic()

    def close(self) -> None:
        """Close as :meth:`Database.close`, with all that was learnt in passing."""
        if not self._closed:
            self.write_learnt()
        super().close()

    def is_current(self, path: str, stat: FileStat, sidecar: FileStat | None) -> bool:
        """Whether nothing is to be done for this version of the photo and its sidecar."""
        # Asked for every photo of a rescan: no more is read than is needed.
        with self._lock:
            # Bytes are storable as they are.
            found = sqlite3.Connection.execute(self._db, _VERSION, (os.fsencode(path),))
            row = found.fetchone()
        if row is None:
            return False
        undone, size, mtime_ns, inode, ctime, *beside, kept, failed, due = row
        if undone:
            return False
        known = file_stat(size, mtime_ns, inode, 0, ctime)
        if known is None or not stat.untouched(known):
            return False
        if failed is not None:
            if failed == _FORBIDDEN and is_readable(path):
                return False
            return due is None or 0 < due - self.now() <= MAX_BACKOFF
        if kept is None:
            return False  # other tags are to be written
        if kept == NOT_WRITABLE and is_writable(os.path.dirname(path)):
            return False
        size, mtime_ns, inode, beside_ctime = beside
        known_beside = file_stat(size, mtime_ns, inode, 0, beside_ctime)
        if known_beside is None or sidecar is None:
            current = known_beside is sidecar
        else:
            current = sidecar.untouched(known_beside)
        if current and ctime is None and stat.ctime_ns:
            self._learn(path, stat, sidecar)
        return current

    def _learn(self, path: str, stat: FileStat, sidecar: FileStat | None) -> None:
        """Remember, soon, the ctimes of a photo of whose row they are not known."""
        with self._lock:
            self._learnt.append((path, stat, sidecar))
            now = time.monotonic()
            if len(self._learnt) < LEARN_AT_ONCE and now - self._learnt_at < LEARN_SECONDS:
                return
            self._learnt_at = now
        self.write_learnt()

    def write_learnt(self) -> None:
        """Write what was learnt in passing; what cannot be written is learnt again."""
        with self._lock:
            learnt, self._learnt = self._learnt, []
        try:
            if learnt:
                self.remember_stats(learnt)
        except sqlite3.Error as error:
            log.debug("%d ctimes are not remembered: %s", len(learnt), error)

    def remember_stats(self, photos: Sequence[tuple[str, FileStat, FileStat | None]]) -> None:
        """Remember the ctimes of photos and sidecars whose bytes are known to be as before.

        What has become another version meanwhile is left alone.
        """
        with self.transaction() as db:
            for path, stat, sidecar in photos:
                name = os.fsencode(path)
                db.execute(
                    "UPDATE photos SET ctime_ns = ? WHERE path = ? AND size = ? AND mtime_ns = ?",
                    (stat.ctime_ns, name, stat.size, stat.mtime_ns),
                )
                if sidecar is not None:
                    db.execute(
                        "UPDATE photos SET sidecar_ctime_ns = ? WHERE path = ?"
                        " AND sidecar_size = ? AND sidecar_mtime_ns = ?",
                        (sidecar.ctime_ns, name, sidecar.size, sidecar.mtime_ns),
                    )

    def known_under(self, root: str) -> Iterator[str]:
        """Yield the path of every photo under the folder ``root`` that is not missing."""
        prefix = os.fsencode(root.rstrip(os.sep) + os.sep)
        for row in self.read(
            "SELECT path FROM photos WHERE path >= ? AND path < ? AND status != 'missing'",
            path_range(prefix),
        ):
            yield os.fsdecode(row["path"])

    def roots(self) -> list[str]:
        """Return the watched folders, past and present, that photos were found in."""
        rows = self.read("SELECT DISTINCT root FROM photos")
        found = {os.fsdecode(row["root"]) for row in rows}
        # One inside another is covered by it.
        return sorted(r for r in found if not any(r != o and is_inside(r, o) for o in found))

    def same_content(self, digest: bytes) -> list[PhotoRow]:
        """Return the classified photos whose bytes are, or were at first, these."""
        rows = self.read(
            "SELECT p.* FROM photos p JOIN predictions r ON r.photo_id = p.id"
            " WHERE p.content_hash = ? OR p.source_hash = ? ORDER BY p.id LIMIT 50",
            (digest, digest),
        )
        return [photo_row(row) for row in rows]

    def decided(self, digest: bytes) -> list[PhotoRow]:
        """Return the photos of these bytes about which the user has decided something."""
        rows = self.read(
            "SELECT * FROM photos WHERE (content_hash = ? OR source_hash = ?) AND"
            " (keep_out OR EXISTS (SELECT 1 FROM tombstones WHERE photo_id = id)) LIMIT 50",
            (digest, digest),
        )
        return [photo_row(row) for row in rows]

    def entries(self, photo_id: int) -> tuple[JournalEntry, ...]:
        """Return what we have in which files for a photo."""
        return tuple(entry for entry, _ in self.journal(photo_id))

    def classified(self) -> int:
        """Return how many photos were classified and are there."""
        return self.number("SELECT count(*) FROM photos WHERE status IN ('tagged', 'untagged')")

    def sample_paths(self, limit: int = 1000) -> list[str]:
        """Return the paths of so many classified photos at most, in random order."""
        rows = self.read(
            "SELECT path FROM photos WHERE status IN ('tagged', 'untagged')"
            " ORDER BY random() LIMIT ?",
            (limit,),
        )
        return [os.fsdecode(row["path"]) for row in rows]

    def meta(self, key: str) -> str | None:
        """Return a remembered setting."""
        rows = self.read("SELECT value FROM meta WHERE key = ?", (key,))
        return str(rows[0]["value"]) if rows else None

    def meta_texts(self, key: str) -> tuple[str, ...] | None:
        """Return a remembered list of texts; None: there is none that can be read."""
        try:
            return tuple(map(str, parse_json(self.meta(key) or "null")))
        except (ValueError, TypeError):
            return None

    def set_meta(self, key: str, value: str) -> None:
        """Remember a setting."""
        with self.transaction() as db:
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def stale(self, labels_hash: str, after_id: int, limit: int) -> list[PhotoRow]:
        """Return classified photos whose tags come from another vocabulary or settings."""
        rows = self.read(
            "SELECT p.* FROM photos p JOIN predictions r ON r.photo_id = p.id"
            " WHERE p.id > ? AND p.labels_hash IS NOT ? AND p.status IN ('tagged', 'untagged')"
            " ORDER BY p.id LIMIT ?",
            (after_id, labels_hash, limit),
        )
        return [photo_row(row) for row in rows]

    def lacking(self, after_id: int, limit: int, wanted: Wanted) -> list[PhotoRow]:
        """Return classified photos that lack something ``wanted``, by id, those above one."""
        found: dict[int, PhotoRow] = {}
        for column, seen_by in self._others(wanted):
            rows = self.read(
                "SELECT p.* FROM predictions r CROSS JOIN photos p ON p.id = r.photo_id"  # noqa: S608
                f" WHERE r.{column} IS ? AND r.photo_id > ?"
                " AND p.status IN ('tagged', 'untagged') ORDER BY r.photo_id LIMIT ?",
                (seen_by, after_id, limit),
            )
            found.update((row["id"], photo_row(row)) for row in rows)
        return [found[photo_id] for photo_id in sorted(found)[:limit]]

    def count_lacking(self, wanted: Wanted) -> int:
        """Return how many photos :meth:`lacking` gives in all."""
        others = self._others(wanted)
        ids = " UNION ".join(
            f"SELECT photo_id FROM predictions WHERE {column} IS ?"  # noqa: S608
            for column, _ in others
        )
        if not ids:
            return 0
        return self.number(
            f"SELECT count(*) FROM ({ids}) CROSS JOIN photos p ON p.id = photo_id"  # noqa: S608
            " WHERE p.status IN ('tagged', 'untagged')",
            tuple(seen_by for _, seen_by in others),
        )

    def _others(self, wanted: Wanted) -> list[tuple[str, str | None]]:
        """Return by column all that it says but the network asked for; few steps in its index."""
        found: list[tuple[str, str | None]] = [("model_id", one) for one in wanted.refused]
        if wanted.picture:
            found.append(("picture_hash", None))
        for column, network in (
            ("model_id", wanted.subjects),
            ("scenes_id", wanted.scenes),
            ("detector_id", wanted.detector),
        ):
            if network is None:
                continue
            seen_by: str | None = ""
            if column != "model_id":  # every photo was seen by one of subjects
                found.append((column, None))
            while seen_by is not None:
                [row] = self.read(
                    f"SELECT min({column}) AS least FROM predictions WHERE {column} > ?",  # noqa: S608
                    (seen_by,),
                )
                seen_by = row["least"]
                if seen_by is not None and (
                    seen_by in wanted.refused or not same_network(seen_by, network)
                ):
                    found.append((column, seen_by))
        return found

    def due(
        self, limit: int = 1000, *, online: Callable[[str], bool] = lambda path: True
    ) -> list[str]:
        """Return so many photos, at most, that are to be looked at again: failures whose time
        has come or that may be read now, and what the user asked for.

        Whether one may be read is asked of its disk only if ``online`` says that it is there.
        """
        forbidden = self.read(
            "SELECT path FROM failures JOIN photos ON id = photo_id"
            " WHERE kind = ? AND status = 'failed' ORDER BY retry_at LIMIT ?",
            (_FORBIDDEN, limit),
        )
        paths = (os.fsdecode(row["path"]) for row in forbidden)
        readable = [path for path in paths if online(path) and is_readable(path)]
        rows = self.read(
            "SELECT path FROM failures CROSS JOIN photos ON id = photo_id"
            " WHERE (retry_at <= ? OR retry_at > ? OR (retry_at IS NULL AND size IS NULL))"
            " AND status NOT IN ('missing', 'waiting')"
            " UNION ALL"
            " SELECT path FROM photos WHERE (size IS NULL OR keywords_hash IS NULL)"
            " AND status NOT IN ('missing', 'waiting')"
            " AND NOT EXISTS (SELECT 1 FROM failures WHERE photo_id = id) LIMIT ?",
            (now := self.now(), now + MAX_BACKOFF, limit),
        )
        return list(dict.fromkeys([*readable, *(os.fsdecode(row["path"]) for row in rows)]))

    def pending(self) -> list[tuple[int, str, JournalEntry]]:
        """Return (journal id, photo path, entry) of writes that a crash left unconfirmed."""
        rows = self.read(
            "SELECT j.*, p.path FROM journal j JOIN photos p ON p.id = photo_id WHERE pending"
        )
        found = []
        for row in rows:
            path = os.fsdecode(row["path"])
            try:
                found.append((row["id"], path, entry_of(row)))
            except (ValueError, TypeError, AttributeError) as error:
                log.warning(
                    "what was to be written for %s is damaged in the index: %s", path, error
                )
        return found
