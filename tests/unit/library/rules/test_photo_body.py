"""What a webhook is told is what docs/rules.md says."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.library.rules.webhook import photo_body
from tagger.records import FileStat, PhotoFacts, Tag
from tests.conftest import PROJECT


def test_the_document_shows_all_of_it(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "rules.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^```json\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    shown = json.loads(block)
    facts = PhotoFacts("JPEG", 1920, 1080, 1, "2026-05-01T10:00:00", None, None, None)
    tags = (Tag("person", 0.97, ("person",)),)
    photo = SavedPhoto(
        shown["path"], "/photos", FileStat(1, 1), None, b"1", b"1", facts, (*tags, *tags)
    )
    with Store(str(tmp_path), clock=lambda: 1_777_622_404.0) as store:
        store.save([photo])
        row = store.photo(photo.path)
    assert row is not None
    body = photo_body("at the door", photo.path, row, tags)
    assert json.loads(json.dumps(body)) == shown
