"""``tagger status --watch``, and the documented form of ``--json``."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from typing import Any

import pytest

from tagger.index.store import Store
from tagger.system.state_dir import state_lock, write_heartbeat
from tests.conftest import PROJECT, Home

API = (PROJECT / "docs" / "api.md").read_text(encoding="utf-8")

Number = (int, float)
Maybe = type(None)
PROGRESS = {
    "done": int,
    "remaining": int,
    "rate": (*Number, Maybe),
    "seconds_left": (*Number, Maybe),
}
SCHEMA: dict[str, Any] = {
    "counts": dict.fromkeys(("tagged", "untagged", "waiting", "failed", "missing"), int),
    "roots": [
        {
            "path": str,
            "state": str,
            "mode": str,
            "reason": str,
            "last_scan": (*Number, Maybe),
            "waiting": int,
            "seen": int,
            "missing_unconfirmed": int,
            "not_written": str,
        }
    ],
    "model": str,
    "engine": str,
    "networks": [{"kind": str, "name": str, "model": (str, Maybe), "problem": (str, Maybe)}],
    "int8": [
        dict.fromkeys(("kind", "model", "state"), str)
        | dict.fromkeys(("judged", "sure", "same", "same_tags"), int)
        | {"lower": Number, "upper": Number, "text": str}
    ],
    "incomplete": int,
    "progress": PROGRESS,
    "last": {"path": str, "at": Number, "milliseconds": Number},
    "rules": {
        **dict.fromkeys(("waiting", "done", "failed"), int),
        "last_failure": (str, Maybe),
        "last_failed_at": (*Number, Maybe),
        "notice": (str, Maybe),
    },
    "cluster": {
        "scheduler": str,
        "connected": bool,
        "problem": (str, Maybe),
        "waiting": int,
        "here": int,
        "workers": [
            dict.fromkeys(("name", "address", "state", "reason"), str)
            | {"photos": int, "rate": Number, "in_work": int}
        ],
    },
    "memory_mb": (*Number, Maybe),
    "daemon": {
        "running": bool,
        "pid": (int, Maybe),
        "version": (str, Maybe),
        "started_at": (*Number, Maybe),
        "updated_at": (*Number, Maybe),
        "problem": (str, Maybe),
        "notice": (str, Maybe),
        "paused_reason": (str, Maybe),
        "errors": {"count": int, "last": str, "at": Number},
    },
    "state_dir": str,
}
OPTIONAL = {"progress", "last", "rules", "cluster", "daemon.errors"}
"""Null where there is nothing to say."""

SAID = {
    "pid": os.getpid(),  # whose lock it is
    "version": "9.9",
    "started_at": 1.5,
    "model": "resnet18-abc",
    "engine": "onnx",
    "networks": [
        {"kind": "scenes", "name": "own.yaml", "model": None, "problem": "there is no file"},
        {"kind": "detector", "name": "yolox_nano", "model": "yolox_nano-abc", "problem": None},
    ],
    "int8": [
        {"kind": "scenes", "model": "own-abc", "state": "provisional", "judged": 9, "sure": 5}
        | {"same": 5, "same_tags": 8, "lower": 0.55, "upper": 1.0, "text": "provisional: 5 of 5"}
    ],
    "incomplete": 12,
    "rules": {"waiting": 1, "done": 2, "failed": 0, "notice": "webhooks are off"},
    "cluster": {"scheduler": "tcp://nas:8786", "connected": True, "problem": None, "waiting": 0}
    | {
        "here": 1,
        "workers": [
            {"name": "desk", "address": "tcp://desk:1", "state": "ready"}
            | {"reason": "", "photos": 5, "rate": 0.5, "in_work": 2}
        ],
    },
    "problem": None,
    "notice": None,
    "paused_reason": None,
    "queue": 0,
    "progress": {"done": 12, "remaining": 0, "rate": None, "seconds_left": None},
    "last": {"path": "/p/a.jpg", "at": 1.5, "milliseconds": 71.6},
}


@pytest.fixture
def bare(tmp_path):
    home = Home(tmp_path, None)
    home.daemons = []
    return home


def check(value: Any, schema: Any, where: str = "") -> None:
    """Fail unless ``value`` has exactly the keys, and the types, of ``schema``."""
    if value is None and where in OPTIONAL:
        return
    if isinstance(schema, dict):
        assert list(value) == list(schema), where
        for key, inner in schema.items():
            check(value[key], inner, f"{where}.{key}".strip("."))
    elif isinstance(schema, list):
        for one in value:
            check(one, schema[0], where)
    else:
        assert isinstance(value, schema), (where, value)


def names(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return names(schema[0])
    if isinstance(schema, dict):
        return set(schema).union(*map(names, schema.values()))
    return set()


def root_of(home: Home, **changes: Any) -> dict[str, Any]:
    told = {"path": str(home.inbox), "state": "online", "mode": "events", "reason": ""}
    return (
        told
        | {"last_scan": 1.5, "waiting": 0, "seen": 3, "missing_unconfirmed": 0, "not_written": ""}
        | changes
    )


def test_the_json_of_a_running_daemon_has_the_documented_form(bare):
    bare.state.mkdir()
    with state_lock(str(bare.state)):
        Store(str(bare.state)).close()
        write_heartbeat(
            str(bare.state),
            SAID | {"updated_at": 2.5, "memory_mb": 181.3, "roots": [root_of(bare)]},
        )
        check(bare.json("status"), SCHEMA)


def test_the_json_of_a_stopped_one_too(bare):
    schema = SCHEMA | {"roots": [{"path": str, "state": str}]}
    check(bare.json("status"), schema)
    bare.state.mkdir()
    write_heartbeat(str(bare.state), SAID | {"updated_at": 2.5, "roots": [root_of(bare)]})
    status = bare.json("status")
    check(status, SCHEMA)
    assert status["roots"][0]["state"] == "not watched"


def test_every_key_is_in_the_documents_and_the_other_way_round():
    [told] = re.findall(r"\* `tagger status`:(.*?)\n\* ", API, re.DOTALL)
    words = set(re.findall(r"`([a-z_8]+)`", told))
    values = {"null", "online", "offline", "missing", "events", "poll"}
    values |= {"greeted", "ready", "silent", "refused"}
    assert names(SCHEMA) - words == set()
    assert words - names(SCHEMA) - values == set()


def test_watching_needs_a_terminal(bare):
    bare.run("status", "--watch", code=2)
    assert "for a terminal" in bare.err


def test_watching_goes_on_until_ctrl_c(bare):
    bare.state.mkdir()
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    shown = b""

    def read_until(text: bytes) -> None:
        nonlocal shown
        deadline = time.monotonic() + 30
        while text not in shown:
            ready, _, _ = select.select([parent], [], [], max(0, deadline - time.monotonic()))
            assert ready, shown
            shown += os.read(parent, 4096)

    with state_lock(str(bare.state)):
        Store(str(bare.state)).close()
        said = SAID | {"updated_at": 2.5, "memory_mb": 181.3, "roots": [root_of(bare)]}
        write_heartbeat(str(bare.state), said)
        watching = subprocess.Popen(
            [sys.executable, "-m", "tagger", "--config", str(bare.config), "status", "--watch"],
            stdin=child,
            stdout=child,
            stderr=child,
            env=bare.environ() | {"TERM": "xterm"},
            # A shell has its background jobs, such as these tests, ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        try:
            read_until(b"memory: 181 MB")
            (bare.state / "index.sqlite3").rename(bare.state / "away")
            read_until(b"there is no index")
            (bare.state / "away").rename(bare.state / "index.sqlite3")
            write_heartbeat(str(bare.state), said | {"memory_mb": 222.0})
            read_until(b"memory: 222 MB")
            watching.send_signal(signal.SIGINT)  # as the terminal does
            assert watching.wait(10) == 0
        finally:
            watching.kill()
            watching.wait()
            os.close(child)
    assert b"Traceback" not in shown
    assert json.loads(bare.run("status", "--json"))["daemon"]["running"] is False
    os.close(parent)
