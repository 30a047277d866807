"""Photos with the bytes of a known one: whose row they take, and when they take none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tagger.errors import PhotoVanishedError
from tagger.pipeline.job import Job
from tagger.pipeline.same_content import SameContentFinder
from tests.conftest import Home
from tests.support.pipelines import candidate, opened


def test_a_row_does_not_follow_a_photo_that_has_been_moved_on(
    home: Home, scenes: list[Path]
) -> None:
    """As by a rule that held the photo while it was read: the row would stay as missing."""
    first, second = home.inbox / "a.jpg", home.inbox / "b.jpg"
    shutil.copy2(scenes[0], first)
    home.once()
    os.rename(first, second)
    with opened(home) as (_, context):
        row = context.store.photo(str(first))
        assert row is not None and row.content_hash is not None
        job = Job(candidate(second), row.content_hash, None)
        os.rename(second, home.folder / "elsewhere.jpg")
        finder = SameContentFinder(context)
        with pytest.raises(PhotoVanishedError):
            finder.find(job)
        assert context.store.photo(str(first)) == row
        assert context.store.photo(str(second)) is None

        shutil.copy(scenes[1], second)  # another photo has the name now: it is looked at again
        assert not finder.find(job)
        assert context.store.photo(str(first)) == row

        os.replace(home.folder / "elsewhere.jpg", second)
        job = Job(candidate(second), row.content_hash, None)
        assert finder.find(job) and job.how == "moved"
        assert context.store.photo(str(first)) is None
