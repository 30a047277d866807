"""Photos are found by what their files say they are."""

from __future__ import annotations

import sqlite3

import pytest

from tagger.errors import QueryError
from tagger.index import migrations
from tagger.index.query_parser import parse
from tagger.index.reader import open_reader
from tagger.records import PHOTO_KINDS, PhotoFacts


def known(name):
    return ()


@pytest.fixture
def filled(store, make_photo):
    kinds = {
        "/p/shot.png": ("screenshot",),
        "/p/me.jpg": ("selfie", "portrait", "edited"),
        "/p/live.heic": ("motion photo",),
        "/p/plain.jpg": (),
    }
    store.save([make_photo(path, facts=PhotoFacts(kinds=found)) for path, found in kinds.items()])
    return store


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("kind:screenshot", {"shot.png"}),
        ("kind:Selfie", {"me.jpg"}),
        ("kind:edited", {"me.jpg"}),
        ("kind:motion", {"live.heic"}),
        ("kind:motion-photo", {"live.heic"}),
        ('kind:"motion photo"', {"live.heic"}),
        ('kind:"live photo"', {"live.heic"}),
        ("kind:panorama", set()),
        ("not kind:selfie", {"shot.png", "live.heic", "plain.jpg"}),
        ("kind:selfie or kind:screenshot", {"me.jpg", "shot.png"}),
    ],
)
def test_they_are_found(filled, state_dir, query, names):
    with open_reader(str(state_dir)) as reader:
        paths = reader.find_paths(parse(query, known))
        assert {path.rpartition("/")[2] for path in paths} == names


def test_a_row_has_them_in_their_order(filled):
    assert filled.photo("/p/me.jpg").facts.kinds == ("selfie", "portrait", "edited")
    assert filled.photo("/p/plain.jpg").facts.kinds == ()


@pytest.mark.parametrize("query", ["kind:", "kind:nice", "kind:selfies"])
def test_other_words_are_refused(query):
    with pytest.raises(QueryError, match="column 6") as raised:
        parse(query, known)
    assert "screenshot, panorama" in str(raised.value)
    assert all(kind in str(raised.value) for kind in PHOTO_KINDS)


def test_photos_of_an_older_index_have_none(tmp_path, monkeypatch):
    every = migrations.MIGRATIONS
    before = next(n for n, (name, _) in enumerate(every) if name == "0008_kinds")
    monkeypatch.setattr(migrations, "MIGRATIONS", every[:before])
    db = sqlite3.connect(tmp_path / "index.db", isolation_level=None)
    migrations.migrate(db, "x")
    db.execute(
        "INSERT INTO photos (path, root, status, seen_at) VALUES (x'2f61', x'2f', 'tagged', 0)"
    )
    monkeypatch.setattr(migrations, "MIGRATIONS", every)
    migrations.migrate(db, "x")
    assert db.execute("SELECT kinds FROM photos").fetchall() == [(None,)]
    db.close()
