"""``tagger backup``, beside a daemon that works."""

from __future__ import annotations

import os
import shutil
import sqlite3

import pytest

from tagger.errors import StateError
from tagger.index.reader import open_reader
from tagger.index.store import Store
from tagger.system.state_dir import state_lock


def test_a_backup_of_a_working_daemon_can_take_the_indexs_place(home, scenes, eventually):
    for scene in scenes:
        shutil.copyfile(scene, home.inbox / scene.name)
    daemon = home.start()
    index = home.state / "index.sqlite3"
    eventually(lambda: index.exists() and home.heartbeat().get("roots"))
    eventually(lambda: len(home.json("query")) == len(scenes), 60)
    target = home.folder / "copies" / "index.sqlite3"
    target.parent.mkdir()
    assert home.run("backup", str(target)) == f"{target}: {len(scenes)} photos\n"
    assert os.listdir(target.parent) == ["index.sqlite3"]
    assert target.stat().st_mode & 0o777 == 0o600
    before = home.json("query")
    daemon.terminate()
    assert daemon.wait(10) == 0
    shutil.copyfile(target, home.state / "index.sqlite3")
    assert home.json("query") == before
    assert home.once() == [], "nothing is to be done again"


def test_a_file_that_is_there_is_not_replaced_unasked(home):
    Store(str(home.state)).close()
    target = home.folder / "mine.db"
    target.write_text("mine")
    home.run("backup", str(target), code=2)
    assert "there is a file" in home.err and "--force" in home.err
    assert target.read_text() == "mine"
    home.run("backup", "--force", str(target))
    db = sqlite3.connect(target)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


def test_trouble_leaves_nothing_behind(home):
    home.run("backup", str(home.folder / "x.db"), code=2)
    assert "there is no index" in home.err
    Store(str(home.state)).close()
    home.run("backup", str(home.folder / "nowhere" / "x.db"), code=2)
    assert "cannot write" in home.err
    with open_reader(str(home.state)) as reader, pytest.raises(StateError, match="cannot write"):
        reader.backup("/proc/x.db")
    assert list(home.folder.glob("*.db*")) == []


def test_a_state_directory_is_for_its_owner_and_group(tmp_path):
    with state_lock(str(tmp_path / "a")), Store(str(tmp_path / "b")):
        for name in ("a", "b"):
            assert (tmp_path / name).stat().st_mode & 0o7777 & ~0o750 == 0


def test_a_network_disk_is_no_place_for_the_index(tmp_path, monkeypatch):
    line = f"36 25 0:32 / {tmp_path.resolve()} rw - nfs4 nas:/photos rw\n"
    monkeypatch.setattr("tagger.system.state_dir.read_mountinfo", lambda: line)
    expected = pytest.raises(StateError, match=r"network file system \(nfs4\).*local disk")
    with expected, state_lock(str(tmp_path / "state")):
        pass
    assert not (tmp_path / "state").exists()
