"""A damaged index is found out, set aside, and what can be read of it is kept."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from tagger.errors import StateError
from tagger.index.connection import index_path
from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.index.salvage import CHECK_SECONDS, find_damage, open_sound
from tagger.index.store import Store
from tagger.records import FileStat, PhotoFacts, Tag

COUNT = 400


def saved(number: int) -> SavedPhoto:
    tags = (
        Tag("animal", 0.9, ("animal",), "model"),
        Tag("dog", 0.9, ("animal", "dog"), "model"),
        Tag(f"Anna {number % 7}", 1.0, (f"Anna {number % 7}",), "user"),
    )
    return SavedPhoto(
        path=f"/photos/{number:04}.jpg",
        root="/photos",
        stat=FileStat(1000, number, number, 1),
        sidecar=None,
        content_hash=number.to_bytes(16, "big"),
        source_hash=number.to_bytes(16, "big"),
        facts=PhotoFacts(format="JPEG", width=1, height=1),
        tags=tags,
        entries=(),
        prediction=StoredPrediction("m", b"t" * 12, b"e" * 400, b"f" * 1024, b"c" * 16),
        labels_hash="l",
        keywords_hash="k",
    )


@pytest.fixture
def state(tmp_path: Path) -> Path:
    with Store(str(tmp_path)) as store:
        store.save([saved(number) for number in range(COUNT)])
        store.set_tombstones(store.photo("/photos/0007.jpg").id, ["cat"])
        store.keep_out(store.photo("/photos/0008.jpg").id, True)
    return tmp_path


def spoil(state: Path, first: float, last: float) -> None:
    """Overwrite the file from one share of it to another."""
    path = Path(index_path(str(state)))
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(int(size * first) // 4096 * 4096)
        file.write(os.urandom(int(size * (last - first))))


def test_a_sound_index_is_looked_through_once_a_week(state: Path) -> None:
    assert find_damage(str(state), now=1e9) is None
    spoil(state, 0.5, 0.6)
    assert find_damage(str(state), now=1e9 + CHECK_SECONDS - 1) is None, "not looked at again"
    assert find_damage(str(state), now=1e9 + CHECK_SECONDS + 1)
    assert find_damage(str(state), now=1e9 - 1), "a clock that went back is no reason to trust"


def test_an_unclean_end_is_a_reason_to_look(state: Path) -> None:
    assert find_damage(str(state), now=1e9) is None
    spoil(state, 0.5, 0.6)
    Path(index_path(str(state)) + "-wal").touch()
    assert find_damage(str(state), now=1e9 + 1)


def test_no_index_is_no_damage(tmp_path: Path) -> None:
    assert find_damage(str(tmp_path)) is None
    open_sound(str(tmp_path)).close()


@pytest.mark.parametrize(("first", "last"), [(0.3, 0.35), (0.5, 0.7), (0.8, 0.99)])
def test_what_can_be_read_is_kept(state: Path, first: float, last: float) -> None:
    spoil(state, first, last)
    with open_sound(str(state)) as store:
        assert store.meta("rebuild")
        kept = [store.photo(saved(number).path) for number in range(COUNT)]
        found = [row for row in kept if row is not None]
        assert len(found) > COUNT / 3
        for row in found:
            assert not store.is_current(row.path, row.stat, None), "its files are looked at again"
        assert {row.path for row in found} >= set(store.due(limit=COUNT))
    db = sqlite3.connect(index_path(str(state)))
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    db.close()
    assert len(list(state.glob("index.damaged-*.sqlite3"))) == 1


def test_decisions_of_the_user_survive_damage_elsewhere(state: Path) -> None:
    path = index_path(str(state))
    db = sqlite3.connect(path)
    root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'predictions'").fetchone()[0]
    db.close()
    with open(path, "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    with open_sound(str(state)) as store:
        assert store.tombstones(store.photo("/photos/0007.jpg").id) == {"cat"}
        assert store.photo("/photos/0008.jpg").keep_out
        for number in (0, 200, COUNT - 1):
            row = store.photo(saved(number).path)
            assert store.tags(row.id) == saved(number).tags


@pytest.mark.parametrize("content", [b"", b"\0" * 50_000, b"no database at all" * 1000])
def test_nothing_that_can_be_read_gives_an_empty_index(state: Path, content: bytes) -> None:
    Path(index_path(str(state))).write_bytes(content)
    with open_sound(str(state)) as store:
        assert store.due() == []
    assert find_damage(str(state)) is None


def test_a_file_that_may_not_be_read_is_not_set_aside(tmp_path: Path) -> None:
    os.mkdir(index_path(str(tmp_path)))
    with pytest.raises(StateError):
        open_sound(str(tmp_path))
    assert os.path.isdir(index_path(str(tmp_path)))
