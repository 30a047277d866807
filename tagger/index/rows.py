"""The rows of the index as records."""

from __future__ import annotations

import json
import math
import os
import sqlite3
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

from tagger.index.folding import name_path
from tagger.records import FileStat, JournalEntry, PhotoFacts, Tag

Status = Literal["tagged", "untagged", "waiting", "failed", "missing"]
NOT_WRITABLE = "not writable"
"""As the ``keywords_hash`` of a photo: its keywords are to be written once its folder allows it."""


@dataclass(frozen=True, slots=True)
class StoredPrediction:
    """What the networks say of one photo, as kept: opaque bytes, so that reading needs no numpy.

    ``evidence`` is of all networks. ``scenes_id`` and ``detector_id`` are the model ids of those
    besides the first that looked at the photo, None where there was none; ``people`` is how
    many the detector saw. ``picture_hash`` is of the whole picture, empty where it has none (None:
    not made yet); ``thumbnail``, which is kept in a file of its own, is what it was made of.
    """

    model_id: str
    top: bytes
    evidence: bytes
    features: bytes
    crop_hash: bytes
    scenes_id: str | None = None
    detector_id: str | None = None
    people: int | None = None
    picture_hash: bytes | None = None
    thumbnail: bytes | None = None


PREDICTED = tuple(one.name for one in fields(StoredPrediction) if one.name != "thumbnail")
"""What of a StoredPrediction is in ``predictions``, in its order."""


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """What the index knows of one photo, without its tags."""

    id: int
    path: str
    root: str
    status: Status
    stat: FileStat | None
    sidecar: FileStat | None
    content_hash: bytes | None
    source_hash: bytes | None
    facts: PhotoFacts
    tagged_at: float | None
    labels_hash: str | None
    keywords_hash: str | None
    keep_out: bool
    note: str


@dataclass(frozen=True, slots=True)
class SavedPhoto:
    """Everything to be remembered of a photo that was handled.

    ``prediction`` None leaves the stored one; ``entries`` is the whole journal of the
    photo from now on; ``deleted`` are labels the user took away (new tombstones);
    ``kept_out`` says that it is to have no tags from now on. ``is_new``: which rules it meets is
    to be decided.
    """

    path: str
    root: str
    stat: FileStat
    sidecar: FileStat | None
    content_hash: bytes
    source_hash: bytes
    facts: PhotoFacts
    tags: tuple[Tag, ...]
    entries: tuple[JournalEntry, ...] = ()
    prediction: StoredPrediction | None = None
    deleted: tuple[str, ...] = ()
    kept_out: bool = False
    labels_hash: str = ""
    keywords_hash: str | None = ""
    note: str = ""
    is_new: bool = False

    @property
    def status(self) -> Status:
        """``tagged``, or ``untagged`` when neither the model nor a rule had anything to say."""
        return "tagged" if any(tag.ours for tag in self.tags) else "untagged"


COARSE_SECONDS = 2.5
TOP_KEPT = 50
"""How many raw classes are kept for display; the most that ``labels.top_k`` may ask for."""
_CLASS = struct.Struct("<Hf")  # class index, probability


def pack_top(classes: Iterable[tuple[int, float]]) -> bytes:
    """Return raw classes, as (index, probability), as :class:`StoredPrediction` keeps them."""
    return b"".join(_CLASS.pack(index, probability) for index, probability in classes)


def unpack_top(blob: bytes, count: int = TOP_KEPT) -> list[tuple[int, float]]:
    """Return the ``count`` most probable classes of what :func:`pack_top` made."""
    return [_CLASS.unpack_from(blob, at) for at in range(0, len(blob), _CLASS.size)][:count]


def sort_key(facts: PhotoFacts, stat: FileStat) -> str:
    """Return the moment a photo is sorted by: taken at, else its mtime as local time."""
    if facts.taken_at:
        return facts.taken_at
    seconds = min(max(stat.mtime_ns / 1e9, 0), 253_000_000_000)  # years 1970 to 9987
    return datetime.fromtimestamp(seconds).isoformat(timespec="seconds")


def may_change_unseen(stat: FileStat, now: float) -> bool:
    """Whether the file may have changed since, and look as before: it is read again soon.

    FAT tells times in steps of two seconds, other old file systems in whole ones.
    """
    return stat.mtime_ns % 10**9 == 0 and 0 <= now - stat.mtime_ns / 1e9 < COARSE_SECONDS


def photo_row(row: sqlite3.Row) -> PhotoRow:
    """Return a row of ``photos`` as a record."""
    return PhotoRow(
        id=row["id"],
        path=os.fsdecode(row["path"]),
        root=os.fsdecode(row["root"]),
        status=row["status"],
        stat=file_stat(row["size"], row["mtime_ns"], row["inode"], row["device"], row["ctime_ns"]),
        sidecar=file_stat(
            row["sidecar_size"],
            row["sidecar_mtime_ns"],
            row["sidecar_inode"],
            0,
            row["sidecar_ctime_ns"],
        ),
        content_hash=row["content_hash"],
        source_hash=row["source_hash"],
        facts=PhotoFacts(
            format=row["format"] or "",
            width=row["width"],
            height=row["height"],
            orientation=row["orientation"] or 1,
            taken_at=row["taken_at"],
            camera=row["camera"],
            latitude=row["latitude"],
            longitude=row["longitude"],
            kinds=tuple(kind for kind in (row["kinds"] or "").split("|") if kind),
        ),
        tagged_at=row["tagged_at"],
        labels_hash=row["labels_hash"],
        keywords_hash=row["keywords_hash"],
        keep_out=bool(row["keep_out"]),
        note=row["note"],
    )


def file_stat(
    size: int | None,
    mtime_ns: int | None,
    inode: int | None,
    device: int | None,
    ctime_ns: int | None,
) -> FileStat | None:
    """Return the columns of a stat as a record; None where there is none."""
    if size is None or mtime_ns is None:
        return None
    # SQLite integers are signed; the kernel's are not.
    return FileStat(size, mtime_ns, (inode or 0) % 2**64, (device or 0) % 2**64, ctime_ns or 0)


def signed(number: int) -> int:
    """Return an unsigned 64-bit number as SQLite can hold it."""
    return number - 2**64 if 2**63 <= number < 2**64 else number


TAGS_OF_PHOTO = (
    "SELECT label, confidence, path, source FROM tags JOIN names ON names.id = name_id"
    " WHERE photo_id = ? ORDER BY position, word"
)


def tag_of(row: sqlite3.Row) -> Tag:
    """Return a row of ``tags`` with its name as a record."""
    path = name_path(row["path"], row["label"])
    return Tag(row["label"], row["confidence"], path, row["source"])


def entry_of(row: sqlite3.Row) -> JournalEntry:
    """Return a row of ``journal`` as a record."""
    return JournalEntry(
        target=row["target"],
        file=os.fsdecode(row["file"]),
        added={name: tuple(values) for name, values in json.loads(row["added"]).items()},
        tags=json.loads(row["tags"]),
        created=bool(row["created"]),
        before=row["before"],
        after=row["after"],
        undo=row["undo"],
        reason=row["reason"],
        seen={name: tuple(values) for name, values in json.loads(row["seen"]).items()},
    )


def entry_values(entry: JournalEntry) -> tuple[Any, ...]:
    """Return the columns of ``journal`` from ``target`` to ``seen``."""
    return (
        entry.target,
        os.fsencode(entry.file),
        json.dumps({name: list(values) for name, values in entry.added.items()}),
        json.dumps(dict(entry.tags)),
        int(entry.created),
        entry.before,
        entry.after,
        entry.undo,
        entry.reason,
        json.dumps({name: list(values) for name, values in entry.seen.items()}),
    )


def tag_values(tags: Sequence[Tag]) -> list[tuple[float, int, int]]:
    """Return the columns ``confidence``, ``position`` and ``alone`` of a photo's ``tags``."""
    carried = {(tag.source, tag.path) for tag in tags if tag.path[-1:] == (tag.label,)}
    return [
        (
            _share(tag.confidence),
            position,
            int(len(tag.path) > 1 and (tag.source, tag.path[:-1]) not in carried),
        )
        for position, tag in enumerate(tags)
    ]


def _share(confidence: float) -> float:
    """Return a confidence as a number from 0 to 1, whatever a file says."""
    if isinstance(confidence, int):  # of any length
        return float(min(max(confidence, 0), 1))
    number = float(confidence)
    return min(max(number, 0.0), 1.0) if not math.isnan(number) else 0.0
