"""What a detector sees is stored, counted, searched for and shown."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from tagger.errors import QueryError
from tagger.index import migrations
from tagger.index.connection import index_path
from tagger.index.lookup import Wanted
from tagger.index.query_parser import parse
from tagger.index.reader import open_reader
from tagger.index.store import Store
from tagger.labels.evidence import PERSON, Boxes, Evidence
from tagger.labels.vocabulary import load_vocabulary
from tagger.library.serialize import boxes_json, photo_json

DOG = (16, 0.75, (0.5, 0.25, 0.5, 0.5))


def people(count, score=0.9):
    return [(PERSON, score, (0.1, 0.1, 0.2, 0.4))] * count


def seen_by_a_detector(prediction, boxes):
    """Return a prediction with boxes, each a class, a score and a rectangle."""
    found = Boxes.of(*(np.array(column) for column in zip(*boxes, strict=True)), "yolox-1")
    evidence = Evidence(boxes=found).to_bytes()
    return replace(prediction, evidence=evidence, detector_id="yolox-1", people=found.people)


@pytest.fixture
def filled(store, make_photo):
    """Return a store with photos of nobody, somebody and many, and one not looked at."""
    seen = {
        "nobody": [DOG],
        "one": [*people(1), DOG, *people(3, 0.3)],
        "three": people(3),
        "nine": people(9),
    }
    plain = replace(make_photo("/photos/unseen.jpg", "dog").prediction, top=b"")
    photos = [make_photo("/photos/unseen.jpg", "dog", prediction=plain)]
    for name, boxes in seen.items():
        prediction = seen_by_a_detector(plain, boxes)
        photos.append(make_photo(f"/photos/{name}.jpg", "dog", prediction=prediction))
    store.save(photos)
    return store


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("people:0", "nobody"),
        ("people:1", "one"),
        ("people:3", "three"),
        ("people:2", ""),
        ("people:3..", "nine three"),
        ("people:1..3", "one three"),
        ("people:..1", "nobody one"),
        ("people:1.. dog", "nine one three"),
        ("not people:0", "nine one three unseen"),
        ("not people:1..", "nobody unseen"),
        ("PEOPLE:0 or people:9", "nine nobody"),
    ],
)
def test_photos_are_found_by_how_many_people_are_in_them(filled, state_dir, query, names):
    with open_reader(str(state_dir)) as reader:
        found = parse(query, lambda phrase: {phrase})
        paths = list(reader.find_paths(found))
        assert sorted(path[8:-4] for path in paths) == names.split()
        assert reader.count(found) == len(paths)
        assert list(reader.find_paths(found, limit=1)) == paths[:1]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("people:", "a number is missing"),
        ("people:many", "`many` is no number of people"),
        ("people:-1", "is no number"),
        ("people:..", "is no number"),
        ("people:3..2", "ends before it begins"),
        ("people:12345", "is no number"),
        ("people:1.5", "is no number"),
    ],
)
def test_what_is_no_number_of_people(query, said):
    with pytest.raises(QueryError) as caught:
        parse(query, lambda _: ())
    assert said in str(caught.value) and "column 8" in str(caught.value)


def test_the_prediction_comes_back_as_it_was_stored(filled):
    row = filled.photo("/photos/one.jpg")
    stored = filled.prediction(row.id)
    assert (stored.detector_id, stored.scenes_id) == ("yolox-1", None)
    assert stored.people == 1
    unseen = filled.prediction(filled.photo("/photos/unseen.jpg").id)
    assert (unseen.people, unseen.detector_id) == (None, None)


def test_a_new_look_replaces_the_old_one_and_no_look_leaves_it(filled, make_photo):
    path = "/photos/nine.jpg"
    stored = filled.prediction(filled.photo(path).id)
    filled.save([make_photo(path, "dog", prediction=None)])
    assert filled.prediction(filled.photo(path).id).people == 9
    filled.save([make_photo(path, "dog", prediction=seen_by_a_detector(stored, [DOG]))])
    assert filled.prediction(filled.photo(path).id).people == 0


def test_photos_that_lack_a_look_are_found(filled, make_photo):
    def lacking(after=0, limit=9, **wanted):
        return [row.path[8:-4] for row in filled.lacking(after, limit, Wanted(**wanted))]

    assert lacking(detector="yolox-1") == ["unseen"]
    assert lacking() == []
    assert filled.count_lacking(Wanted()) == 0
    assert filled.count_lacking(Wanted(detector="yolox-1")) == 1
    assert filled.count_lacking(Wanted(scenes="places", detector="yolox-1")) == 5
    assert len(lacking(scenes="places")) == 5
    both = {"scenes": "places", "detector": "yolox-1"}
    assert lacking(limit=2, **both) == ["unseen", "nobody"]
    first = filled.photo("/photos/nobody.jpg").id
    assert lacking(first, **both) == ["one", "three", "nine"]
    filled.mark_missing(["/photos/unseen.jpg"])
    assert lacking(detector="yolox-1") == []


@pytest.mark.parametrize("name", ["yolox-0", "yolox-2", "a", "z"])
def test_what_another_network_has_seen_is_looked_at_again(filled, name):
    found = filled.lacking(0, 9, Wanted(detector=name))
    assert len(found) == filled.count_lacking(Wanted(detector=name)) == 5
    assert [row.id for row in found] == sorted(row.id for row in found)


@pytest.mark.parametrize("column", ["scenes_id", "detector_id"])
def test_photos_that_lack_a_look_are_found_without_reading_the_others(filled, column):
    """The rows of a million photos are 2 GB."""
    with filled.transaction() as db:
        plan = " ".join(
            row["detail"]
            for row in db.execute(
                "EXPLAIN QUERY PLAN SELECT p.* FROM predictions r CROSS JOIN photos p"
                f" ON p.id = r.photo_id WHERE r.{column} IS ? AND r.photo_id > 5"
                " AND p.status IN ('tagged', 'untagged') ORDER BY r.photo_id LIMIT 8",
                (None,),
            )
        )
    assert "COVERING INDEX predictions_" in plan and "TEMP B-TREE" not in plan, plan


def test_boxes_are_shown(filled, state_dir):
    with open_reader(str(state_dir)) as reader:
        row = reader.photo("/photos/nobody.jpg")
        shown = photo_json(reader, row, (), load_vocabulary(), 0)
        assert shown["people"] == 0
        [box] = shown["boxes"]
        assert box == {"label": "dog", "score": 0.75, "box": [0.5, 0.25, 0.5, 0.5]}
        one = photo_json(reader, reader.photo("/photos/one.jpg"), (), load_vocabulary(), 0)
        assert [box["label"] for box in one["boxes"]] == ["person", "dog"], "of those it is sure"
        unseen = photo_json(reader, reader.photo("/photos/unseen.jpg"), (), load_vocabulary(), 0)
        assert (unseen["people"], unseen["boxes"]) == (None, None)
    nothing = Boxes.of(np.zeros(0), np.zeros(0), np.zeros((0, 4)))
    assert boxes_json(Evidence(boxes=nothing).to_bytes(), ()) == []
    for unseen in Evidence().to_bytes(), b"of the future":
        assert boxes_json(unseen, ()) is None


def test_an_index_from_before_gets_the_columns(tmp_path, monkeypatch):
    every = migrations.MIGRATIONS
    monkeypatch.setattr(migrations, "MIGRATIONS", every[:5])
    db = sqlite3.connect(index_path(str(tmp_path)), isolation_level=None)
    migrations.migrate(db, "x")
    db.execute(
        "INSERT INTO photos (id, path, root, status, seen_at)"
        " VALUES (1, CAST('/p/a.jpg' AS BLOB), CAST('/p' AS BLOB), 'tagged', 1)"
    )
    db.execute("INSERT INTO predictions VALUES (1, 'net-1', x'00', x'01', x'02', x'03')")
    db.close()
    monkeypatch.setattr(migrations, "MIGRATIONS", every)
    with Store(str(tmp_path)) as store:
        stored = store.prediction(1)
        assert (stored.model_id, stored.evidence, stored.crop_hash) == ("net-1", b"\x01", b"\x03")
        assert (stored.scenes_id, stored.detector_id, stored.people) == (None, None, None)
        assert [row.id for row in store.lacking(0, 9, Wanted(scenes="places"))] == [1]
