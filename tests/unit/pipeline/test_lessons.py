"""What is learned from the index alone: which photos change, and when it is learned anew."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tagger.config.schema import Config
from tagger.index import taught_tables as tables
from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.index.taught_store import ask, record
from tagger.labels.evidence import Evidence
from tagger.pipeline.examples import UnseenExamples, known_example
from tagger.pipeline.lessons import Lessons, lesson, walk
from tagger.pipeline.taught_tags import TaughtTags
from tagger.records import Example, Tag, TaughtLabel
from tests.conftest import PROJECT
from tests.support.taught import Subjects, saved_with_features

MIMI = TaughtLabel(("animal", "cat", "Mimi"))
EACH, COUNT = 12, 30


class Likely:
    """A chooser that says how likely any label is on a photo."""

    def __init__(self, probability: float = 0.9) -> None:
        self.value = probability

    def probability(self, evidence: Evidence, label: str) -> float:
        return self.value


def saved(number: int, features: bytes, model_id: str = "net", **changes: object) -> SavedPhoto:
    return replace(saved_with_features(number, features, model_id), **changes)  # type: ignore[arg-type]


@pytest.fixture
def subjects():
    return Subjects(count=COUNT)


@pytest.fixture
def store(tmp_path, subjects):
    rows = subjects.photos([n for n in range(COUNT) for _ in range(EACH)])
    with Store(str(tmp_path)) as opened:
        opened.save([saved(n, row.tobytes()) for n, row in enumerate(rows)])
        yield opened


@pytest.fixture
def make(store):
    """Return a function that makes lessons, and what tags photos by them."""

    def made(probability=0.9, stop=lambda: False):
        tags = TaughtTags(store.read, Config(), Likely(probability))
        return Lessons(store, 0.95, tags, stop), tags

    return made


def teach(store, numbers, label=MIMI, positive=True):
    found = [
        known_example(store, f"/p/{n:04}.jpg", label.label, positive, "given") for n in numbers
    ]
    statements = [tables.add_label(label)]
    for one, model_id in found:
        statements += tables.add_examples([one], model_id)
    record(store, statements)


def numbers(paths):
    return {int(path[3:7]) for path in paths}


def test_photos_that_show_it_are_due_and_no_others(store, make):
    lessons, tags = make()
    assert lessons.update() == []
    assert not lessons.is_due()
    teach(store, [0, 1, 2, 3])
    assert lessons.is_due()
    due = numbers(lessons.update())
    assert {0, 1, 2, 3} < due <= set(range(EACH))
    assert numbers(store.due()) == due
    assert not lessons.is_due()
    for number in sorted(due):
        stored = store.prediction(store.photo(f"/p/{number:04}.jpg").id)
        assert [tag.label for tag in tags.tags(stored, None)] == ["Mimi", "cat", "animal"]


def test_only_what_differs_is_due(store, make):
    teach(store, [0, 1, 2, 3])
    due = numbers(make()[0].update())
    given = (Tag("Mimi", 0.9, MIMI.path, "taught"),)
    store.save([replace(saved(n, b"", tags=given), prediction=None) for n in sorted(due)])
    record(store, [tables.add_label(MIMI)])  # nothing new, but another number
    assert numbers(make()[0].update()) == set()
    teach(store, [EACH + 1], positive=False)  # which nobody took for it
    assert numbers(make()[0].update()) == set()
    record(store, tables.rename_label(MIMI, TaughtLabel(("Mimi",))))
    assert numbers(make()[0].update()) == due


def test_forgetting_takes_it_from_all_photos(store, make):
    teach(store, [0, 1, 2, 3])
    make()[0].update()
    store.save([replace(saved(0, b"", tags=(Tag("Mimi", 0.9, MIMI.path, "taught"),)),
                        prediction=None)])  # fmt: skip
    record(store, tables.drop_label("Mimi"))
    lessons, tags = make()
    assert numbers(lessons.update()) == {0}
    assert tags.models == {}
    assert store.read("SELECT * FROM taught_models") == []


def test_a_tombstone_and_a_photo_that_is_kept_out_are_left_alone(store, make):
    teach(store, [0, 1, 2, 3])
    everything = numbers(make()[0].update())
    store.look_at_all_again()
    with store.transaction() as db:
        db.execute("DELETE FROM taught_models")
        db.execute("UPDATE photos SET keywords_hash = 'written'")
    first, second = sorted(everything - {0, 1, 2, 3})[:2]
    store.set_tombstones(store.photo(f"/p/{first:04}.jpg").id, ["Mimi"])
    store.keep_out(store.photo(f"/p/{second:04}.jpg").id, True)
    assert numbers(make()[0].update()) == everything - {first, second}


def test_another_network_looks_at_the_examples_again(store, make, subjects):
    teach(store, [0, 1, 2, 3])
    make()[0].update()
    other = Subjects(count=COUNT, noise=0.2)
    rows = other.photos([n for n in range(COUNT) for _ in range(EACH)])
    files = {}
    for number, row in enumerate(rows):
        if number >= 4:  # the examples' own photos are gone from the library
            store.save([saved(number, row.tobytes(), "other")])
        files[f"/p/{number:04}.jpg"] = row.tobytes()
    store.mark_missing([f"/p/{n:04}.jpg" for n in range(4)])
    unseen = UnseenExamples(store)
    unseen._is_same = lambda one: True  # the photos are not on a disk here
    looked = []

    def look(paths):
        looked.extend(paths)
        return {path: files[path] for path in paths}

    assert unseen.update("other", look)
    assert numbers(looked) == {0, 1, 2, 3}
    assert not unseen.update("other", look)
    due = numbers(make()[0].update())
    assert due
    assert due <= set(range(EACH))
    examples = ask(store, lambda db: tables.examples(db, "other"))
    assert all(one.features for one in examples)
    assert all(one.features for one in ask(store, lambda db: tables.examples(db, "net")))


def test_an_example_that_is_gone_is_given_up_until_the_next_start(store):
    record(store, [tables.add_label(MIMI)])
    record(store, tables.add_examples([Example("Mimi", b"9" * 16, "/p/none.jpg", True)], ""))
    unseen = UnseenExamples(store)
    assert unseen.update("net", lambda paths: {})
    assert not unseen.update("net", lambda paths: {})


def test_a_stop_learns_nothing_by_halves(store, make):
    teach(store, [0, 1, 2, 3])
    lessons, tags = make(stop=lambda: True)
    assert lessons.update() == []
    assert lessons.is_due()
    assert tags.models == {}
    assert numbers(make()[0].update()) >= {0, 1, 2, 3}


def test_it_is_learned_anew_when_the_library_has_grown(store, make, subjects):
    teach(store, [0, 1, 2, 3])
    lessons, _ = make()
    lessons.update()
    more = subjects.photos([0] * EACH * 20)
    store.save([saved(5000 + n, row.tobytes()) for n, row in enumerate(more)])
    assert not lessons.is_due()
    assert lessons.is_due(sizes=True)
    lessons.update()
    assert not lessons.is_due(sizes=True)


def test_the_label_above_is_a_gate_only_where_examples_pass_it(store, make):
    teach(store, [0, 1, 2, 3])
    lessons, tags = make(0.9)
    lessons.update()
    [fit] = tags.models["net"].fits
    assert fit.gate == "cat"
    tags._chooser.value = 0.05
    stored = store.prediction(store.photo("/p/0006.jpg").id)
    assert tags.tags(stored, None) == ()
    assert tags.tags(store.prediction(1), None)  # what the user said holds
    with store.transaction() as db:
        db.execute("DELETE FROM taught_models")
    lessons, tags = make(0.05)
    lessons.update()
    assert tags.models["net"].fits[0].gate == ""


def test_what_is_usual_is_learned_anew_only_when_the_library_has_grown(store, make, subjects):
    def come(first, count):
        rows = subjects.photos([n % COUNT for n in range(count)])
        store.save([saved(first + n, row.tobytes()) for n, row in enumerate(rows)])

    teach(store, [0, 1, 2, 3])
    lessons, tags = make()
    lessons.update()
    first = tags.models["net"].whitening
    assert first.count == COUNT * EACH
    come(1000, 36)
    teach(store, [4])
    lessons.update()
    assert tags.models["net"].whitening.count == COUNT * EACH
    come(2000, 180)
    assert lessons.is_due(sizes=True)
    lessons.update()
    assert tags.models["net"].whitening.count == COUNT * EACH + 36 + 180


def test_a_walk_gives_the_best_first(store):
    teach(store, [0, 1, 2, 3])
    found = lesson(store, "net", 0.95)
    best = walk(store, found)
    assert list(best.scores[0]) == sorted(best.scores[0], reverse=True)
    assert {n - 1 for n in best.ids[0][:8].tolist()} == set(range(4, EACH))
    assert sorted(best.said) == [1, 2, 3, 4]
    assert lesson(store, "unknown", 0.95) is None


def test_a_kill_while_it_is_learned_costs_another_lesson_only(store, make, tmp_path):
    teach(store, [0, 1, 2, 3])
    store.close()
    code = f"""
import os, signal
from tagger.config.schema import Config
from tagger.index.store import Store
from tagger.pipeline import lessons
from tagger.pipeline.taught_tags import TaughtTags
real = lessons._note_due
def note(store, ids):
    real(store, ids)
    os.kill(os.getpid(), signal.SIGKILL)
lessons._note_due = note
with Store({str(tmp_path)!r}) as store:
    tags = TaughtTags(store.read, Config(), None)
    tags.passes = lambda evidence, gate: True
    lessons.Lessons(store, 0.95, tags, lambda: False).update()
"""
    died = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False)
    assert died.returncode == -signal.SIGKILL
    with Store(str(tmp_path)) as again:
        assert numbers(again.due()) >= {0, 1, 2, 3}
        tags = TaughtTags(again.read, Config(), Likely())
        lessons = Lessons(again, 0.95, tags, lambda: False)
        assert lessons.is_due()
        lessons.update()
        assert tags.models
