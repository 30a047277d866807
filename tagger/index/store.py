"""The one writer of the index: everything that changes it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from tagger.index.conditions import PARTED, REMEMBERED
from tagger.index.decision_sync import deciding
from tagger.index.folder_moves import move_rows
from tagger.index.folding import path_range
from tagger.index.lookup import MAX_BACKOFF, Lookup
from tagger.index.row_writes import (
    add_entry,
    add_tags,
    part_row,
    path_of,
    replace_journal,
    save_prediction,
    save_row,
    set_stat,
    touch,
)
from tagger.index.rows import SavedPhoto, sort_key
from tagger.records import Failure, FileStat, JournalEntry, PhotoFacts, Tag
from tagger.system.files import parted_path

FIRST_BACKOFF = 60.0
MOVED_AT_ONCE = 500
"""Photos that get another path in one transaction."""
REMEMBERED_SECONDS = 90 * 86400.0
"""For how long a photo is recognised that lost its name to another."""
CRASHES_UNTIL_QUARANTINE = 3


class Store(Lookup):
    """The index, opened for writing. Close it, or use it as a context manager."""

    @contextmanager
    def _deciding(self, *photos: int | str) -> Iterator[sqlite3.Connection]:
        """A transaction that may change what is decided about photos, given by id or path."""
        with self.transaction() as db:
            paths = [one if isinstance(one, str) else path_of(db, one) for one in photos]
            with deciding(db, os.path.dirname(self.path), paths):
                yield db

    def mark_waiting(self, photos: Iterable[tuple[str, str]]) -> None:
        """Note photos, as (path, root), that were found but cannot be classified yet."""
        with self.transaction() as db:
            for path, root in photos:
                touch(db, path, root, self.now())

    def save(self, photos: Sequence[SavedPhoto]) -> None:
        """Remember handled photos, in one transaction; their pending writes are confirmed."""
        now = self.now()
        # A label that was taken out with another program is decided here, too, and what is
        # decided about a photo goes with its new bytes.
        with self._deciding(*(photo.path for photo in photos)) as db:
            for photo in photos:
                photo_id = touch(db, photo.path, photo.root, now)
                save_row(db, photo_id, photo, now)
                db.execute("DELETE FROM tags WHERE photo_id = ?", (photo_id,))
                add_tags(db, photo_id, photo.tags)
                db.execute("DELETE FROM failures WHERE photo_id = ?", (photo_id,))
                replace_journal(db, photo_id, photo.entries, now)
                db.executemany(
                    "INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)",
                    [(photo_id, label, now) for label in photo.deleted],
                )
                if photo.prediction is not None:
                    save_prediction(db, photo_id, photo.prediction)
                db.executemany(
                    "INSERT OR IGNORE INTO rule_tags VALUES (?, ?)",
                    [(photo_id, tag.label) for tag in photo.tags if tag.source == "rule"],
                )
                if photo.is_new:
                    db.execute("INSERT OR IGNORE INTO rule_photos VALUES (?, ?)", (photo_id, now))

    def relabel_many(
        self, photos: Iterable[tuple[int, Sequence[Tag] | None]], labels_hash: str
    ) -> None:
        """Replace our tags of photos, keeping the user's; None: the tags stay as they are.

        In one transaction; files are not concerned.
        """
        with self.transaction() as db:
            for photo_id, tags in photos:
                if tags is not None:
                    db.execute(
                        "DELETE FROM tags WHERE photo_id = ?"
                        " AND (SELECT source FROM names WHERE id = name_id) != 'user'",
                        (photo_id,),
                    )
                    add_tags(db, photo_id, tags)
                    db.execute(
                        "UPDATE photos SET status = ? WHERE id = ?",
                        ("tagged" if tags else "untagged", photo_id),
                    )
                db.execute(
                    "UPDATE photos SET labels_hash = ? WHERE id = ?", (labels_hash, photo_id)
                )

    def fail(
        self,
        path: str,
        root: str,
        stat: FileStat,
        sidecar: FileStat | None,
        *,
        kind: str,
        reason: str,
        permanent: bool,
    ) -> Failure:
        """Note that a photo could not be handled; return the row with its next try.

        The wait doubles with each try, from a minute to a day. What kills its decoding
        process three times is left alone until it changes.
        """
        now = self.now()
        with self.transaction() as db:
            photo_id = touch(db, path, root, now)
            old = db.execute(
                "SELECT f.*, p.size, p.mtime_ns FROM failures f JOIN photos p ON p.id = photo_id"
                " WHERE photo_id = ?",
                (photo_id,),
            ).fetchone()
            same = old is not None and (old["size"], old["mtime_ns"]) == (stat.size, stat.mtime_ns)
            tries = old["tries"] + 1 if same else 1
            if kind == "DecoderCrashedError" and tries >= CRASHES_UNTIL_QUARANTINE:
                permanent = True
            wait = min(FIRST_BACKOFF * 2.0 ** min(tries - 1, 30), MAX_BACKOFF)
            failure = Failure(
                path,
                kind,
                reason,
                tries,
                old["first_at"] if same else now,
                now,
                None if permanent else now + wait,
            )
            set_stat(db, photo_id, stat, sidecar)
            # What was known belongs to another version of the file, or is doubtful.
            db.execute(
                "UPDATE photos SET status = 'failed', content_hash = NULL, sort_at ="
                " coalesce(sort_at, ?) WHERE id = ?",
                (sort_key(PhotoFacts(), stat), photo_id),
            )
            db.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?, ?)",
                (photo_id, kind, reason, tries, failure.first_at, now, failure.retry_at),
            )
        return failure

    def mark_missing(self, paths: Iterable[str]) -> None:
        """Note that photos are gone; their rows stay, in case they come back or moved."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE photos SET status = 'missing', missing_at = ? WHERE path = ?"
                " AND status != 'missing'",
                [(self.now(), os.fsencode(path)) for path in paths],
            )

    def move(self, photo_id: int, path: str, root: str, entries: Sequence[JournalEntry]) -> None:
        """Note that a photo has a new path, and where its journal's files are now."""
        with self._deciding(photo_id, path) as db:
            db.execute(
                "DELETE FROM photos WHERE path = ? AND id != ?", (os.fsencode(path), photo_id)
            )
            db.execute(
                "UPDATE photos SET path = ?, root = ?, missing_at = NULL, grouped = NULL"
                " WHERE id = ?",
                (os.fsencode(path), os.fsencode(root), photo_id),
            )
            replace_journal(db, photo_id, entries, self.now())

    def move_folder(self, old: str, new: str, root: str) -> int:
        """Give all photos in the folder ``old`` their path in ``new``, the same folder of ``root``.

        Return how many there were. They keep what was decided about them and their journals.
        """
        before, after = (os.fsencode(os.path.join(folder, "")) for folder in (old, new))
        paths = [
            row["path"]
            for row in self.read(
                "SELECT path FROM photos WHERE path >= ? AND path < ?", path_range(before)
            )
        ]
        for first in range(0, len(paths), MOVED_AT_ONCE):  # others write in between
            part = paths[first : first + MOVED_AT_ONCE]
            moved = [after + path[len(before) :] for path in part]
            with self._deciding(*map(os.fsdecode, (*part, *moved))) as db:
                move_rows(db, part, before, after, os.fsencode(root))
        return len(paths)

    def drop_remembered(self) -> int:
        """Forget rows of no photo (see REMEMBERED) after REMEMBERED_SECONDS; return how many.

        Kept are those with a decision of the user, and those that know what of ours is in a file
        beside the name of a photo that moved away: without them it could not be taken out.
        """
        with self.transaction() as db:
            return db.execute(
                f"DELETE FROM photos WHERE {REMEMBERED} AND missing_at < ? AND NOT keep_out"  # noqa: S608
                " AND NOT EXISTS (SELECT 1 FROM tombstones WHERE photo_id = photos.id)"
                f" AND ({PARTED}"
                " OR NOT EXISTS (SELECT 1 FROM journal WHERE photo_id = photos.id))",
                (self.now() - REMEMBERED_SECONDS,),
            ).rowcount

    def leave_behind(self, path: str, root: str, entries: Sequence[JournalEntry]) -> None:
        """Remember what of ours is in files beside ``path``, from where a photo has moved away."""
        now = self.now()
        with self.transaction() as db:
            if db.execute("SELECT 1 FROM photos WHERE path = ?", (os.fsencode(path),)).fetchone():
                return  # another photo has the name, and its files
            photo_id = touch(db, path, root, now)
            db.execute(
                "UPDATE photos SET status = 'missing', missing_at = ? WHERE id = ?", (now, photo_id)
            )
            replace_journal(db, photo_id, entries, now)

    def part(self, photo_id: int, *, inherit: bool) -> None:
        """Let another photo have the path of one, which is remembered until it is found again.

        What is decided about it stays with it, and (``inherit``) holds for the other one, too.
        The new row at the path knows what is in the files beside it.
        """
        now = self.now()
        with self.transaction() as db:
            row = db.execute("SELECT * FROM photos WHERE id = ?", (photo_id,)).fetchone()
            path = os.fsdecode(row["path"])
            parted = parted_path(path, row["content_hash"] or row["source_hash"] or b"")
            with deciding(db, os.path.dirname(self.path), [path, parted]):
                part_row(db, row, os.fsencode(parted), inherit=inherit, now=now)

    def keep_out(self, photo_id: int, wanted: bool) -> None:
        """Note whether the user wants none of our tags in a photo."""
        with self._deciding(photo_id) as db:
            db.execute("UPDATE photos SET keep_out = ? WHERE id = ?", (int(wanted), photo_id))

    def set_tombstones(self, photo_id: int, labels: Iterable[str]) -> None:
        """Note labels that must never be written to a photo again."""
        with self._deciding(photo_id) as db:
            db.executemany(
                "INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)",
                [(photo_id, label, self.now()) for label in labels],
            )

    def lift_tombstones(self, photo_id: int, labels: Iterable[str]) -> None:
        """Forget tombstones; the labels come back with the next relabelling."""
        with self._deciding(photo_id) as db:
            db.executemany(
                "DELETE FROM tombstones WHERE photo_id = ? AND label = ?",
                [(photo_id, label) for label in labels],
            )
            db.execute(
                "UPDATE photos SET labels_hash = NULL, keywords_hash = NULL WHERE id = ?",
                (photo_id,),
            )

    def forget_entries(self, photo_id: int, reason: str, lost: str) -> None:
        """Forget what the journal says of files of a photo for this ``reason``.

        Of those that still hold some of our tags, which is told by the others being named as
        ``lost``, only that is forgotten.
        """
        where = f"$.{lost}"
        with self.transaction() as db:
            db.execute(
                "UPDATE journal SET reason = '', seen = json_remove(seen, ?)"
                " WHERE photo_id = ? AND reason = ? AND json_type(seen, ?) IS NOT NULL",
                (where, photo_id, reason, where),
            )
            db.execute("DELETE FROM journal WHERE photo_id = ? AND reason = ?", (photo_id, reason))

    def retry(self, paths: Iterable[str] | None = None) -> int:
        """Make failures (all, or these paths) due at once, whatever their reason."""
        with self.transaction() as db:
            if paths is None:
                return db.execute("UPDATE failures SET retry_at = 0").rowcount
            return sum(
                db.execute(
                    "UPDATE failures SET retry_at = 0 WHERE photo_id ="
                    " (SELECT id FROM photos WHERE path = ?)",
                    (os.fsencode(path),),
                ).rowcount
                for path in paths
            )

    def forget_keywords(self, paths: Iterable[str]) -> None:
        """Note that other tags are to be written to these photos."""
        with self.transaction() as db:
            db.executemany(
                "UPDATE photos SET keywords_hash = NULL WHERE path = ?",
                [(os.fsencode(path),) for path in paths],
            )

    def write_anew(self, folder: str, reason: str) -> int:
        """Make the tags of all photos in ``folder`` due to be written; return how many there are.

        ``reason`` is what the journal says of their files from now on: another tagger may have
        written to them.
        """
        ends = path_range(os.fsencode(folder.rstrip(os.sep) + os.sep))
        with self.transaction() as db:
            db.execute(
                "UPDATE journal SET reason = ? WHERE photo_id IN"
                " (SELECT id FROM photos WHERE path >= ? AND path < ?)",
                (reason, *ends),
            )
            return db.execute(
                "UPDATE photos SET keywords_hash = NULL WHERE path >= ? AND path < ?"
                " AND status != 'missing'",
                ends,
            ).rowcount

    def forget_version(self, paths: Sequence[str]) -> int:
        """Make photos due for another classification, as if they were new; return how many."""
        with self.transaction() as db:
            db.executemany(
                "DELETE FROM predictions WHERE photo_id = (SELECT id FROM photos WHERE path = ?)",
                [(os.fsencode(path),) for path in paths],
            )
            return sum(
                db.execute(
                    "UPDATE photos SET size = NULL, keywords_hash = NULL"
                    " WHERE path = ? AND status != 'missing'",
                    (os.fsencode(path),),
                ).rowcount
                for path in paths
            )

    def look_at_all_again(self) -> int:
        """Make every photo due for another look at its files; return how many there are."""
        with self.transaction() as db:
            db.execute("UPDATE photos SET keywords_hash = NULL WHERE keywords_hash IS NOT NULL")
            return int(db.execute("SELECT count(*) FROM photos").fetchone()[0])

    def adopt(self, photos: Iterable[tuple[str, str, Sequence[Tag]]]) -> int:
        """Remember the tags found in files of photos, as (path, root, tags), not known yet.

        They can be searched for at once, and are still due to be classified. Return how many
        were new.
        """
        count = 0
        now = self.now()
        with self.transaction() as db:
            for path, root, tags in photos:
                if tags and not self.read(
                    "SELECT 1 FROM photos WHERE path = ? AND status != 'missing'",
                    (os.fsencode(path),),
                ):
                    photo_id = touch(db, path, root, now)
                    db.execute("UPDATE photos SET status = 'tagged' WHERE id = ?", (photo_id,))
                    add_tags(db, photo_id, tags)
                    count += 1
        return count

    # Writes in progress

    def intend(self, writes: Sequence[tuple[str, str, Sequence[JournalEntry]]]) -> None:
        """Write down, before any rename, what is about to be in which file.

        ``writes`` holds (path, root, entries). A crash between the rename and
        :meth:`save` can then be undone all the same.
        """
        now = self.now()
        with self.transaction() as db:
            for path, root, entries in writes:
                photo_id = touch(db, path, root, now)
                for entry in entries:
                    add_entry(db, photo_id, entry, now, pending=True)

    def settle_pending(self, journal_id: int, *, happened: bool) -> None:
        """Confirm or drop one of :meth:`pending`; a confirmed one replaces its file's older."""
        with self.transaction() as db:
            if happened:
                db.execute(
                    "DELETE FROM journal WHERE NOT pending AND (photo_id, file) ="
                    " (SELECT photo_id, file FROM journal WHERE id = ?)",
                    (journal_id,),
                )
                db.execute("UPDATE journal SET pending = 0 WHERE id = ?", (journal_id,))
            else:
                db.execute("DELETE FROM journal WHERE id = ?", (journal_id,))
