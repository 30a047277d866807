"""What ``tagger status`` makes of what the daemon says of itself."""

from __future__ import annotations

import time

import pytest

from tagger.state import state_lock, write_heartbeat

SAID = {
    "state": "running",
    "pid": 77,
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
