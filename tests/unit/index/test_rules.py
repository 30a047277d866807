"""New photos and the tasks of rules, in the index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.index import rule_photos
from tagger.index.conditions import Label
from tagger.index.reader import open_reader
from tagger.index.rows import SavedPhoto
from tagger.index.rule_photos import RulePhotos
from tagger.index.rule_tasks import RuleTasks, Task, failed_tasks, task_counts
from tagger.index.salvage import salvage, set_aside
from tagger.index.store import Store
from tagger.records import Tag
from tagger.system.files import former_path
from tests.unit.index.conftest import FakeClock

Make = Callable[..., SavedPhoto]
ROOT = "/photos"


def photo_id(store: Store, path: str) -> int:
    row = store.photo(path)
    assert row is not None
    return row.id


def test_new_is_what_is_first_seen_after_the_folder_was_looked_through(
    store: Store, clock: FakeClock, make_photo: Make
) -> None:
    photos = RulePhotos(store)
    assert not photos.is_new("/photos/a.jpg", ROOT, None), "the first look is not done"
    store.mark_waiting([("/photos/early.jpg", ROOT)])
    clock.now += 1
    photos.note_scanned(ROOT)
    clock.now += 1
    photos.note_scanned(ROOT)  # the first time counts
    store.mark_waiting([("/photos/late.jpg", ROOT)])
    assert photos.is_new("/photos/a.jpg", ROOT, None)
    assert not photos.is_new("/photos/early.jpg", ROOT, store.photo("/photos/early.jpg"))
    assert photos.is_new("/photos/late.jpg", ROOT, store.photo("/photos/late.jpg"))
    assert not photos.is_new("/other/a.jpg", "/other", None)
    store.save([make_photo("/photos/late.jpg")])
    task = decided(store, "/photos/late.jpg", "copy_to")
    RuleTasks(store).begin(task, "/photos/copies/late.jpg", [], ROOT)
    assert not photos.is_new("/photos/copies/late.jpg", ROOT, None), "a rule has put it there"


def decided(store: Store, path: str, *actions: str) -> Task:
    one = photo_id(store, path)
    RulePhotos(store).decide([one], {one: [("r", action) for action in actions]})
    task = RuleTasks(store).next_task()
    assert task is not None
    return task


def test_a_rule_is_decided_once(store: Store, make_photo: Make) -> None:
    photos, tasks = RulePhotos(store), RuleTasks(store)
    store.save([replace(make_photo("/photos/a.jpg"), is_new=True), make_photo("/photos/b.jpg")])
    [new] = photos.new_photos()
    assert new.photo_id == photo_id(store, "/photos/a.jpg")
    assert photos.decide([new.photo_id], {new.photo_id: [("r", "tag"), ("r", "run")]}) == 2
    assert photos.new_photos() == []
    assert photos.decide([new.photo_id], {new.photo_id: [("r", "tag"), ("s", "run")]}) == 1
    task = tasks.next_task()
    assert task is not None
    assert (task.rule, task.action, task.path) == ("r", "tag", "/photos/a.jpg")
    tasks.end(task)
    assert photos.decide([new.photo_id], {new.photo_id: [("r", "tag")]}) == 0
    assert task_counts(store) == {"r": {"done": 1, "due": 1}, "s": {"due": 1}}


def test_tasks_wait_and_are_tried_again(store: Store, clock: FakeClock, make_photo: Make) -> None:
    tasks = RuleTasks(store)
    store.save([make_photo("/photos/a.jpg")])
    task = decided(store, "/photos/a.jpg", "webhook")
    tasks.postpone(task, 60, "nobody there")
    assert tasks.next_task() is None
    assert (tasks.next_due(), tasks.has_due(59), tasks.has_due(60)) == (60, False, True)
    clock.now += 61
    again = tasks.next_task()
    assert again is not None
    assert (again.tries, again.reason) == (1, "nobody there")
    tasks.end(again, "failed", "given up")
    assert [one.reason for one in failed_tasks(store)] == ["given up"]
    assert tasks.retry() == 1
    last = tasks.next_task()
    assert last is not None
    assert last.tries == 0
    tasks.end(last)


def test_what_waits_has_a_bound(
    store: Store, make_photo: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rule_photos, "MOST_WAITING", 2)
    store.save([make_photo("/photos/a.jpg")])
    decided(store, "/photos/a.jpg", "webhook", "run")
    one = photo_id(store, "/photos/a.jpg")
    RulePhotos(store).decide([one], {one: [("s", "webhook"), ("s", "move_to")]})
    states = {(t.rule, t.action): t.state for t in RuleTasks(store).tasks_of("/photos/a.jpg")}
    assert states[("s", "webhook")] == "failed"
    assert states[("s", "move_to")] == "due", "what changes files is never dropped"


def test_a_rules_tag_is_a_tag_that_stays(store: Store, state_dir: Path, make_photo: Make) -> None:
    """Also in an index that came from an older tagger, whose table knew two sources only."""
    given = Tag("trip", 1.0, ("trip",), "rule")
    saved = make_photo("/photos/a.jpg", "dog")
    store.save([replace(saved, tags=(*saved.tags, given))])
    one = photo_id(store, "/photos/a.jpg")
    assert RulePhotos(store).tags_of([one]) == ("trip",)
    store.save([saved])
    assert RulePhotos(store).tags_of([one]) == ("trip",), "it is chosen again each time"
    store.relabel_many([(one, (given,))], "hash")
    assert [tag.label for tag in store.tags(one)] == ["trip"]
    row = store.photo("/photos/a.jpg")
    assert row is not None
    assert row.status == "tagged"
    with open_reader(str(state_dir)) as reader:
        query = Label(frozenset({"trip"}))
        assert reader.matching(query, [one, 99]) == {one}
        assert reader.matching(Label(frozenset({"dog"})), [one]) == set()
    assert store.read("PRAGMA quick_check")[0][0] == "ok"


def test_a_damaged_index_knows_no_folder_as_looked_through(
    state_dir: Path, make_photo: Make
) -> None:
    with Store(str(state_dir)) as store:
        store.save([make_photo("/photos/a.jpg")])
        RulePhotos(store).note_scanned(ROOT)
        decided(store, "/photos/a.jpg", "run")
    old = set_aside(str(state_dir))
    with Store(str(state_dir)) as new:
        salvage(new, old)
        assert RulePhotos(new).scanned() == set()
        assert task_counts(new) == {"r": {"due": 1}}


def test_a_move_that_is_begun_again_remembers_where_the_photo_was(
    store: Store, make_photo: Make
) -> None:
    """A kill between the two: the name that it is remembered by was made of itself."""
    store.save([make_photo("/photos/a.jpg", content_hash=b"digest")])
    task, row = decided(store, "/photos/a.jpg", "move_to"), store.photo("/photos/a.jpg")
    assert row is not None
    tasks = RuleTasks(store)
    for _ in range(2):
        task = tasks.begin(task, "/elsewhere/a.jpg", [], None)
        [twin] = store.same_content(b"digest")
        assert twin.id == row.id and twin.path != "/photos/a.jpg"
        assert former_path(twin.path) == "/photos/a.jpg"
