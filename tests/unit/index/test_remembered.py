"""Rows that remember a photo without a name, or a name without a photo, are never shown."""

from __future__ import annotations

from dataclasses import replace

from tagger.index.conditions import And, Label, Not, State
from tagger.index.reader import open_reader


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
