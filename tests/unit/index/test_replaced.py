"""An index that is deleted or replaced while it is open."""

from __future__ import annotations

import os
import shutil
import sqlite3

import pytest

from tagger.index.salvage import open_sound, take_up


def remove(state_dir, *names):
    for name in names:
        os.unlink(state_dir / name)


@pytest.mark.parametrize(
    "names",
    [
        ["index.sqlite3"],
        ["index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"],
        ["index.sqlite3-wal"],
        ["index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm", "decisions.sqlite3"],
    ],
)
def test_what_was_deleted_is_there_again(state_dir, make_photo, names):
    with open_sound(str(state_dir)) as store:
        store.save([make_photo(f"/photos/{n}.jpg", "dog") for n in range(50)])
        store.set_tombstones(store.photo("/photos/7.jpg").id, ["dog"])
        assert store.is_here()
        remove(state_dir, *names)
        assert not store.is_here()
        store.save([make_photo("/photos/late.jpg", "cat")])
        assert take_up(store)
        assert store.is_here()
        store.save([make_photo("/photos/later.jpg", "cat")])
    with open_sound(str(state_dir)) as store:
        assert store.counts()["tagged"] == 52
        assert store.tombstones(store.photo("/photos/7.jpg").id) == {"dog"}
        with store.transaction() as db:
            assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert not (state_dir / "index.sqlite3.new").exists()


def test_with_its_folder_too(state_dir, make_photo):
    with open_sound(str(state_dir)) as store:
        store.save([make_photo("/photos/a.jpg", "dog", "cat")])
        store.set_tombstones(store.photo("/photos/a.jpg").id, ["dog"])
        shutil.rmtree(state_dir)
        assert take_up(store)
    with open_sound(str(state_dir)) as store:
        assert store.tombstones(store.photo("/photos/a.jpg").id) == {"dog"}


@pytest.mark.parametrize("sound", [True, False])
def test_what_is_there_instead_is_used_and_decisions_hold(state_dir, make_photo, tmp_path, sound):
    copy = tmp_path / "copy.sqlite3"
    with open_sound(str(state_dir)) as store:
        store.save([make_photo("/photos/a.jpg", "dog")])
        if sound:
            with sqlite3.connect(copy) as target:
                store._db.backup(target)
            target.close()
        else:
            copy.write_bytes(b"no database" * 5000)
        store.save([make_photo("/photos/b.jpg", "dog")])
        store.set_tombstones(store.photo("/photos/b.jpg").id, ["dog"])
        os.replace(copy, state_dir / "index.sqlite3")
        assert not store.is_here()
        assert "replaced" in take_up(store)
        assert store.is_here()
        assert store.counts()["tagged"] == (1 if sound else 0)
        assert store.tombstones(store.photo("/photos/b.jpg").id) == {"dog"}
        assert bool(store.meta("rebuild")) is not sound
        store.save([make_photo("/photos/c.jpg", "dog")])
    assert bool(list(state_dir.glob("index.damaged-*"))) is not sound
