"""Photos in an index that nobody has looked at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tagger.index.rows import SavedPhoto
from tagger.records import FileStat, PhotoFacts, Tag


def saved(inbox: Path, path: Path, number: int, tags: Iterable[Tag]) -> SavedPhoto:
    """Return a JPEG in ``inbox``, taken ``number`` (0 to 3) days before the fourth of May."""
    return SavedPhoto(
        path=str(path),
        root=str(inbox),
        stat=FileStat(number, number),
        sidecar=None,
        content_hash=bytes([number]) * 16,
        source_hash=bytes([number]) * 16,
        facts=PhotoFacts(format="JPEG", taken_at=f"2024-05-0{4 - number}T10:00:00"),
        tags=tuple(tags),
    )
