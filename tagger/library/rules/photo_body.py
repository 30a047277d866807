"""What a webhook is told of a photo, as the documented JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tagger.index.rows import PhotoRow
from tagger.library.serialize import facts_json, moment, tags_json
from tagger.records import Tag

VERSION = 1


def photo_body(rule: str, path: str, row: PhotoRow, tags: Sequence[Tag]) -> dict[str, Any]:
    """Return the body that says which ``rule`` the photo at ``path`` has met."""
    return {
        "version": VERSION,
        "rule": rule,
        "path": path,
        "labels": list(dict.fromkeys(tag.label for tag in tags)),
        "tags": tags_json(tags),
        **facts_json(row.facts),
        "tagged_at": moment(row.tagged_at),
    }
