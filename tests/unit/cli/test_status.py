"""What ``tagger status`` makes of what the daemon says of itself."""

from __future__ import annotations

import os
import sqlite3
import threading
import time

import pytest

from tagger.config.loader import load_config
from tagger.library.status import page_status_json as page_status
from tagger.system.state_dir import daemon_runs, state_lock, write_heartbeat

SAID = {
    "state": "running",
    "pid": os.getpid(),  # whose lock it is
    "version": "9.9",
    "started_at": time.time(),
    "updated_at": time.time(),
    "model": "resnet18-abc",
    "engine": "onnx-int8",
    "problem": None,
    "queue": 0,
    "progress": {"done": 1200, "remaining": 98800, "rate": 12.5, "seconds_left": 7904.0},
    "last": {"path": "/p/new\nline.jpg", "at": time.time(), "milliseconds": 71.6},
    "memory_mb": 181.3,
    "roots": [],
}


@pytest.fixture
def running(home):
    """Hold the lock as a daemon does, and say what one says."""
    home.state.mkdir()
    with state_lock(str(home.state)):
        from tagger.index.store import Store

        Store(str(home.state)).close()
        write_heartbeat(str(home.state), SAID)
        yield home


def test_progress_last_photo_and_memory_are_shown(running):
    lines = running.run("status").splitlines()
    assert (
        "progress: 1,200 photos done, 98,800 to go, 12.5 a second, about 2 h 12 min left" in lines
    )
    [last] = [line for line in lines if line.startswith("last: ")]
    assert "/p/new\\nline.jpg" in last and last.endswith("72 ms)")
    assert "memory: 181 MB" in lines
    assert "model: resnet18-abc (onnx-int8)" in lines


def test_the_json_has_the_same(running):
    status = running.json("status")
    assert status["progress"] == SAID["progress"]
    assert status["last"] == SAID["last"]
    assert status["memory_mb"] == SAID["memory_mb"]
    assert status["daemon"]["version"] == "9.9"


def test_a_stopped_daemon_claims_no_progress(home):
    home.state.mkdir()
    write_heartbeat(str(home.state), SAID)
    status = home.json("status")
    assert status["progress"] is None and status["memory_mb"] is None
    assert status["last"] == SAID["last"], "what was last is still true"
    assert "progress" not in home.run("status")


def test_a_daemon_that_starts_claims_nothing_of_the_one_before(home):
    from tagger.index.store import Store

    home.state.mkdir()
    Store(str(home.state)).close()
    write_heartbeat(str(home.state), SAID | {"pid": 77})
    with state_lock(str(home.state)):
        status = home.json("status")
        assert status["daemon"]["pid"] == os.getpid()
        assert status["daemon"]["version"] is None and status["progress"] is None
        assert abs(status["daemon"]["started_at"] - time.time()) < 60
        assert status["last"] == SAID["last"]
        assert "note: it starts" in home.run("status").splitlines()
        page = page_status(load_config(str(home.config)))
        assert page["notice"] == "it starts" and page["progress"] is None, "the page tells the same"


def test_a_daemon_that_has_just_started_is_waited_for(home):
    from tagger.index.store import Store

    home.state.mkdir()
    Store(str(home.state)).close()
    said = threading.Timer(0.2, write_heartbeat, (str(home.state), SAID))
    with state_lock(str(home.state)):
        said.start()
        assert home.json("status")["daemon"]["version"] == "9.9"
    said.join()


def test_the_first_status_says_how_a_folder_is_watched(home, eventually):
    """Who asks as soon as the daemon runs gets no half status (case 20 from the field)."""
    home.configure(watch=[{"path": str(home.inbox), "mode": "poll"}])
    home.start()
    eventually(lambda: daemon_runs(str(home.state)), 60)
    status = home.json("status")
    [root] = status["roots"]
    assert status["daemon"]["running"]
    assert (root["mode"], root["reason"]) == ("poll", "mode: poll in the config")


def test_an_index_that_is_brought_up_to_date_is_no_error_of_the_users(home):
    from tagger.index.store import Store

    home.state.mkdir()
    Store(str(home.state)).close()
    with sqlite3.connect(home.state / "index.sqlite3") as index:
        index.execute("DELETE FROM migrations WHERE name = '0004_due'")
    with state_lock(str(home.state)):
        [note] = [line for line in home.run("status").splitlines() if line.startswith("note: ")]
        assert "brings the index up to date" in note
        home.run("query", "dog", code=2)
        assert "or wait if it is starting" in home.err
    assert "not running" in home.run("status")


def test_an_index_that_cannot_be_read_is_not_an_empty_one(home):
    (home.state / "index.sqlite3").mkdir(parents=True)
    home.run("status", code=2)
    assert "cannot read the index" in home.err
