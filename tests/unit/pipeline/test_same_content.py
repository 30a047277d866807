"""Photos with the bytes of a known one: whose row they take, and when they take none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tagger.errors import PhotoVanishedError
from tagger.index.rule_tasks import RuleTasks
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


def test_a_photo_that_a_rule_is_moving_is_left_to_the_rule(home: Home, scenes: list[Path]) -> None:
    """Killed between its files, its sidecar was there already: it got a new one, which was left."""
    photo = home.inbox / "a.jpg"
    shutil.copy2(scenes[0], photo)
    home.once()
    with opened(home) as (pipeline, context):
        row = context.store.photo(str(photo))
        assert row is not None and row.content_hash is not None
        tasks = RuleTasks(context.store)
        task = tasks.add(row.id, "all", "move_to")
        task = tasks.begin(task, str(home.folder / "elsewhere" / "a.jpg"), [], None)
        before = sorted(home.inbox.iterdir())
        pipeline.advance([candidate(photo)])
        for _ in range(3):
            assert pipeline.advance(()) == []
        assert sorted(home.inbox.iterdir()) == before
        assert context.store.photo(str(photo)) is None

        tasks.give_up(task, None, "its disk is full", str(home.inbox))
        while not pipeline.is_idle:
            pipeline.advance(())
        assert context.store.photo(str(photo)) is not None
