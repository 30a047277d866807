"""The overlap of the stages: one batch is decoded, the one before classified, the next written."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from tagger.index.store import Store
from tagger.pipeline.outcome import Skipped, Tagged, Unchanged
from tests.support.pipelines import candidate, opened, through


class Troubled(Store):
    """A store that waits, or fails, when photos are to be saved."""

    def __init__(self, state_dir):
        super().__init__(state_dir)
        self.asked: set[str] = set()
        self.wait_for, self.begun = "", threading.Event()
        self.error: Exception | None = None

    def photo(self, path):
        if self.wait_for and path.endswith(self.wait_for):
            self.begun.set()
        return super().photo(path)

    def save(self, photos):
        if self.wait_for and not self.begun.wait(60):
            raise TimeoutError(f"{self.wait_for} is not begun while others are written")
        if self.error is not None:
            raise self.error
        super().save(photos)


@pytest.fixture
def photos(home, scenes):
    made = []
    for name, scene in zip("abcd", scenes, strict=False):
        made.append(home.inbox / f"{name}.jpg")
        shutil.copy2(scene, made[-1])
    return [candidate(photo) for photo in made]


def names(outcomes):
    return [Path(one.path).stem for one in outcomes]


def test_each_call_takes_each_batch_one_stage_further(home, photos):
    a, b, c, _ = photos
    with opened(home) as (pipeline, _):
        assert pipeline.is_idle and pipeline.roots == frozenset()
        assert pipeline.advance([a]) == []
        assert pipeline.in_work == 1 and pipeline.roots == {str(home.inbox)}
        assert pipeline.advance([b]) == []
        assert pipeline.in_work == 2 and not pipeline.is_idle
        assert names(pipeline.advance([c])) == ["a"]
        assert names(pipeline.drain()) == ["b"]
        assert names(pipeline.drain()) == ["c"]
        assert pipeline.is_idle and pipeline.in_work == 0


def test_a_batch_is_begun_while_another_is_written(home, photos):
    with opened(home, Troubled) as (pipeline, context):
        context.store.wait_for = "c.jpg"
        outcomes = [one for photo in photos for one in pipeline.advance([photo])]
        context.store.wait_for = ""
        outcomes += through(pipeline, ())
    assert names(outcomes) == ["a", "b", "c", "d"]
    assert all(isinstance(one, Tagged) for one in outcomes)


def test_what_is_on_its_way_is_not_begun_twice(home, photos):
    a, b, *_ = photos
    with opened(home) as (pipeline, _):
        outcomes = pipeline.advance([a, b, a])
        assert pipeline.in_work == 2 and not pipeline.is_idle
        outcomes += through(pipeline, ())
    assert names(outcomes) == ["a", "b", "a"]
    assert isinstance(outcomes[-1], Unchanged)


def test_nothing_is_begun_while_it_is_drained(home, photos):
    a, b, *_ = photos
    with opened(home) as (pipeline, _):
        pipeline.advance([a, a])
        pipeline.drain()
        assert names(pipeline.drain()) == ["a"]
        assert pipeline.in_work == 0 and not pipeline.is_idle, "one is deferred"
        assert names(through(pipeline, [b])) == ["a", "b"]


def test_what_is_dropped_is_done_when_it_is_found_again(home, photos):
    with opened(home) as (pipeline, _):
        for photo in photos[:3]:
            pipeline.advance([photo, photo])
        pipeline.forget()
        assert pipeline.is_idle and pipeline.roots == frozenset()
        found = {type(one): one.path for one in through(pipeline, photos)}
        assert set(found) == {Tagged, Unchanged}


def test_an_index_that_cannot_be_written_ends_a_step_and_no_outcome_is_lost(home, photos):
    a, b, c, d = photos
    with opened(home, Troubled) as (pipeline, context):
        through(pipeline, [d])
        context.store.error = sqlite3.OperationalError("disk is full")
        pipeline.advance([a])
        pipeline.advance([b])
        with pytest.raises(sqlite3.OperationalError):
            pipeline.advance([c, d])
        pipeline.forget()
        context.store.error = None
        outcomes = through(pipeline, [a, b, c])
    assert names(outcomes[:1]) == ["d"] and isinstance(outcomes[0], Unchanged)
    assert names(outcomes[1:]) == ["a", "b", "c"]


def test_what_is_gone_before_it_was_handled_waits_no_longer(home, photos):
    """As one that a rule, interrupted by a kill, moves on while the networks are loaded."""
    with opened(home) as (pipeline, context):
        context.store.mark_waiting((one.path, one.root) for one in photos[:2])
        Path(photos[0].path).unlink()
        [outcome] = through(pipeline, photos[:1])
        assert isinstance(outcome, Skipped)
        counts = context.store.counts()
    assert (counts["waiting"], counts["missing"]) == (1, 0)
