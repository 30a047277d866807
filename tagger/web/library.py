"""The JSON of a photo on the page."""

from __future__ import annotations

from typing import Any

from tagger.index.reader import Found, Reader
from tagger.labels.vocabulary import Vocabulary
from tagger.library.serialize import facts_json, photo_json, tags_json


def gallery_photo_json(found: Found) -> dict[str, Any]:
    """Return what a gallery shows of a photo."""
    row = found.row
    return {
        "id": row.id,
        "path": row.path,
        "status": row.status,
        "tags": tags_json(found.tags),
        **facts_json(row.facts),
        "thumbnail": f"/photos/{row.id}/thumbnail",
    }


def page_photo_json(reader: Reader, found: Found, known: Vocabulary, top_k: int) -> dict[str, Any]:
    """Return all that ``tagger show --json`` has, with the id and the addresses of pictures."""
    row = found.row
    return photo_json(reader, row, found.tags, known, top_k) | {
        "id": row.id,
        "thumbnail": f"/photos/{row.id}/thumbnail",
        "view": f"/photos/{row.id}/view",
    }
