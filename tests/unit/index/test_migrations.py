"""An index that an older tagger wrote is brought up to date."""

from __future__ import annotations

import json
import sqlite3

import pytest

from tagger.errors import StateError
from tagger.index.conditions import And, Label
from tagger.index.connection import index_path
from tagger.index.migrations import MIGRATIONS, split_statements
from tagger.index.query_parser import parse
from tagger.index.reader import open_reader
from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.records import FileStat, PhotoFacts, Tag

PUG = ("animal", "dog", "pug")
TAGS = [
    ("/p/whole.jpg", "model", ("animal",), 0.9),
    ("/p/whole.jpg", "model", ("animal", "dog"), 0.8),
    ("/p/whole.jpg", "model", PUG, 0.7),
    ("/p/gap.jpg", "model", PUG, 0.6),
    ("/p/gap.jpg", "model", ("animal",), 0.5),
    ("/p/own.jpg", "user", ("Straße", "Dog"), 1.0),
    ("/p/own.jpg", "user", ("animal",), 1.0),
    ("/p/gone.jpg", "model", PUG, 0.9),
]


def write_old(state_dir, steps=2):
    """Write an index as it was after the first ``steps`` of the schema."""
    state_dir.mkdir()
    db = sqlite3.connect(index_path(str(state_dir)))
    db.execute("CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at REAL NOT NULL)")
    for name, script in MIGRATIONS[:steps]:
        for statement in split_statements(script):
            db.execute(statement)
        db.execute("INSERT INTO migrations VALUES (?, 0)", (name,))
    paths = dict.fromkeys(path for path, *_ in TAGS)
    for number, path in enumerate(paths, 1):
        state = "missing" if "gone" in path else "tagged"
        db.execute(
            "INSERT INTO photos (id, path, root, status, sort_at, seen_at)"
            " VALUES (?, ?, ?, ?, ?, 0)",
            (number, path.encode(), b"/p", state, f"2024-01-0{number}T00:00:00"),
        )
        db.executemany(
            "INSERT INTO tags VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (way[-1].casefold(), number, source, way[-1], confidence,
                 json.dumps(way, ensure_ascii=False), position)
                for position, (of, source, way, confidence) in enumerate(TAGS)
                if of == path
            ],
        )  # fmt: skip
    db.commit()
    db.close()


def tags_of(store, path):
    return store.tags(store.photo(path).id)


def test_an_old_index_keeps_its_tags(tmp_path):
    state_dir = tmp_path / "state"
    write_old(state_dir)
    with Store(str(state_dir)) as store:
        for path in {path for path, *_ in TAGS}:
            assert tags_of(store, path) == tuple(
                Tag(way[-1], confidence, way, source)
                for of, source, way, confidence in TAGS
                if of == path
            )
    with open_reader(str(state_dir)) as reader:
        dogs = And((Label(frozenset({"dog", "pug"})),))
        assert list(reader.find_paths(dogs)) == ["/p/own.jpg", "/p/gap.jpg", "/p/whole.jpg"]
        assert reader.count(dogs) == 3
        assert list(reader.find_paths(parse("dog", lambda _: ()))) == ["/p/own.jpg", "/p/whole.jpg"]
        tree = {way[-1]: way for way in (("animal",), ("animal", "dog"), PUG)}
        assert reader.tree_counts(tree) == {"animal": 3, "dog": 3, "pug": 2}


def test_it_is_as_if_the_photos_were_saved_now(tmp_path):
    """What the step works out of old rows is what the store writes with new ones."""
    write_old(tmp_path / "old")
    with Store(str(tmp_path / "old")) as old, Store(str(tmp_path / "new")) as new:
        for path in dict.fromkeys(path for path, *_ in TAGS):
            row = old.photo(path)
            tags = old.tags(row.id)
            new.mark_waiting([(path, "/p")])
            model = [tag for tag in tags if tag.source == "model"]
            new.relabel_many([(new.photo(path).id, model or tags)], "now")
    query = (
        "SELECT p.path, n.path, n.word, n.label, source, confidence, alone FROM tags"
        " JOIN names n ON n.id = name_id JOIN photos p ON p.id = photo_id ORDER BY 1, 2"
    )
    seen = []
    for name in ("old", "new"):
        db = sqlite3.connect(index_path(str(tmp_path / name)))
        seen.append(db.execute(query).fetchall())
        db.close()
    assert seen[0] == seen[1]
    assert [row[6] for row in seen[0]].count(1) == 3  # the gap, the own one, and the gone one


def test_a_reader_asks_for_the_daemon_first(tmp_path):
    write_old(tmp_path / "old")
    old = str(tmp_path / "old")
    with pytest.raises(StateError, match="older tagger; start the daemon"), open_reader(old):
        pass
    with Store(str(tmp_path / "new")) as store, store.transaction() as db:
        db.execute("INSERT INTO migrations VALUES ('9999_later', 0)")
    with pytest.raises(StateError, match="newer tagger"), open_reader(str(tmp_path / "new")):
        pass


def test_ctimes_that_an_old_index_does_not_know_are_learnt_in_passing(tmp_path):
    state_dir = str(tmp_path)
    seen = FileStat(10, 20, 30, 40, ctime_ns=50)
    beside = FileStat(1, 2, 3, 4, ctime_ns=5)
    with Store(state_dir) as store:
        photos = [saved_photo(f"/p/{n}.jpg", seen, beside) for n in range(3)]
        store.save(photos)
        with store.transaction() as db:  # as the step leaves the rows of old
            db.execute("UPDATE photos SET ctime_ns = NULL, sidecar_ctime_ns = NULL")
        away = FileStat(10, 20, 30, 40)  # a file system without
        assert store.is_current("/p/0.jpg", away, None) is False
        assert store.is_current("/p/0.jpg", away, beside._replace(ctime_ns=0))
        assert all(store.is_current(photo.path, seen, beside) for photo in photos[:2])
    with Store(state_dir) as store:
        row = store.photo("/p/1.jpg")
        assert (row.stat, row.sidecar.ctime_ns) == (seen, 5)
        assert store.photo("/p/2.jpg").stat.ctime_ns == 0
        # From now on both are noticed.
        assert store.is_current("/p/1.jpg", seen, beside)
        assert not store.is_current("/p/1.jpg", seen._replace(ctime_ns=51), beside)
        assert not store.is_current("/p/1.jpg", seen, beside._replace(ctime_ns=6))
        store.remember_stats(
            [("/p/1.jpg", seen._replace(ctime_ns=51), beside._replace(ctime_ns=6))]
        )
        assert store.is_current("/p/1.jpg", seen._replace(ctime_ns=51), beside._replace(ctime_ns=6))
        # Of another version nothing is remembered.
        store.remember_stats([("/p/1.jpg", FileStat(11, 20, 30, 40, ctime_ns=99), None)])
        assert store.photo("/p/1.jpg").stat.ctime_ns == 51


def saved_photo(path, stat, sidecar):
    return SavedPhoto(
        path, "/p", stat, sidecar, b"1" * 16, b"1" * 16, PhotoFacts(), (), keywords_hash="x"
    )


def test_an_index_of_a_newer_tagger_is_refused(tmp_path):
    with Store(str(tmp_path)) as store, store.transaction() as db:
        db.execute("INSERT INTO migrations VALUES ('9999_later', 0)")
    with pytest.raises(StateError, match="newer tagger \\(9999_later\\)"):
        Store(str(tmp_path))
