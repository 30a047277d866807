"""Rows that remember a photo without a name, or a name without a photo, are never shown."""

from __future__ import annotations

import time
from dataclasses import replace

from tagger.index.conditions import PARTED, And, Label, Not, State
from tagger.index.reader import open_reader
from tagger.index.salvage import open_sound
from tagger.index.store import REMEMBERED_SECONDS, Store
from tagger.records import JournalEntry


def test_what_only_remembers_is_no_missing_photo(store, state_dir, make_photo):
    photo = replace(make_photo("/photos/a.jpg", "dog"), content_hash=b"\1" * 16)
    gone = replace(make_photo("/photos/gone.jpg", "dog"), content_hash=b"\2" * 16)
    store.save([photo, gone])
    store.mark_missing(["/photos/gone.jpg"])
    store.part(store.photo("/photos/a.jpg").id, inherit=False)
    store.leave_behind("/photos/left.jpg", "/photos", ())
    with open_reader(state_dir) as reader:
        found = [one.row.path for one in reader.find(State(("missing",)))]
        assert found == ["/photos/gone.jpg"]
        assert reader.count(State(("missing",))) == 1
        assert reader.counts()["missing"] == 1
    assert store.counts()["missing"] == 1


def test_what_only_remembers_is_not_counted_for_its_labels(store, state_dir, make_photo):
    paths = [f"/photos/{name}.jpg" for name in "abc"]
    store.save(
        [replace(make_photo(path, "dog"), content_hash=path[-5:].encode() * 3) for path in paths]
    )
    store.part(store.photo("/photos/a.jpg").id, inherit=False)
    store.mark_missing(["/photos/b.jpg"])
    dog, missing = Label(frozenset({"dog"})), State(("missing",))
    with open_reader(state_dir) as reader:
        for query in (dog, Not(dog), And((dog, missing)), And((dog, Not(missing)))):
            found = list(reader.find_paths(query))
            assert reader.count(query) == len(found), query
        assert reader.count(dog) == 1


def test_what_only_remembers_is_dropped_after_three_months(store, clock, state_dir, make_photo):
    entry = JournalEntry("sidecar-xmp", "/photos/left.jpg.xmp", {}, {}, True, b"", b"x", b"undo")
    paths = [f"/photos/{name}.jpg" for name in ("parted", "decided", "gone")]
    store.save(
        [replace(make_photo(path, "dog"), content_hash=path[-12:].encode()) for path in paths]
    )
    for path in paths[:2]:
        store.part(store.photo(path).id, inherit=False)
    parted = [row["id"] for row in store.read(f"SELECT id FROM photos WHERE {PARTED}")]
    assert len(parted) == 2
    store.keep_out(parted[1], True)
    store.mark_missing(["/photos/gone.jpg"])
    store.leave_behind("/photos/left.jpg", "/photos", [entry])
    store.leave_behind("/photos/nothing.jpg", "/photos", ())
    everything = count(store)
    clock.now += REMEMBERED_SECONDS - 1
    assert store.drop_remembered() == 0 and count(store) == everything
    clock.now += 2
    assert store.drop_remembered() == 2 and count(store) == everything - 2
    assert store.photo("/photos/nothing.jpg") is None
    assert store.entries(store.photo("/photos/left.jpg").id) == (entry,), "it can be taken out"
    assert store.photo("/photos/gone.jpg").status == "missing", "a missing photo is shown"
    assert [row["id"] for row in store.read("SELECT id FROM photos WHERE keep_out")] == [parted[1]]


def test_a_start_drops_what_only_remembers(state_dir, make_photo):
    with Store(str(state_dir), clock=lambda: time.time() - REMEMBERED_SECONDS - 60) as store:
        store.leave_behind("/photos/nothing.jpg", "/photos", ())
    with open_sound(str(state_dir)) as store:
        assert count(store) == 0


def count(store):
    return store.read("SELECT count(*) AS n FROM photos")[0]["n"]
