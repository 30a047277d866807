"""The record of the daemon, to JSON and back."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tagger.library.daemon_status import (
    DaemonStatus,
    Int8Status,
    LastPhoto,
    NetworkStatus,
    ProgressSnapshot,
    RulesStatus,
    UnexpectedErrors,
    read_status,
)
from tagger.pipeline.cluster_state import ClusterState, ClusterWorker
from tagger.system.state_dir import STATUS_NAME, write_heartbeat
from tagger.watch.interfaces import RootStatus

FULL = DaemonStatus(
    state="running",
    pid=7,
    version="9.9",
    started_at=1.5,
    updated_at=2.5,
    memory_mb=181.3,
    model="resnet18-abc",
    engine="onnx",
    int8=(
        Int8Status("scenes", "s-1", "provisional", 9, 8, 7, 6, 0.53, 0.994, "provisional: 7 of 8"),
    ),
    networks=(
        NetworkStatus("detector", "yolox_nano", "yolox_nano-abc", None),
        NetworkStatus("scenes", "own.yaml", None, "there is no file"),
    ),
    problem="the disk is full",
    notice="it is built anew",
    paused_reason="paused",
    moving=False,
    errors=UnexpectedErrors(2, "what", 1.5),
    unconfined=("Landlock",),
    queue=3,
    incomplete=4,
    progress=ProgressSnapshot(12, 3, 1.5, None),
    last=LastPhoto("/p/\udcff.jpg", 1.5, 71.5),
    rules=RulesStatus(1, 2, 3, "dogs, run: it ended with 1", 1.5, "webhooks are off"),
    cluster=ClusterState(
        "tcp://nas:8786",
        True,
        "no worker is ready",
        5,
        1,
        (ClusterWorker("desk", "tcp://desk:1", "refused", "it has no photos", 7, 0.5, 2),),
    ),
    roots=(
        RootStatus("/p", "online", "events", "", 1.5, 1, 20, 2, "written by another"),
        RootStatus("/q", "missing", "poll", "there is no such folder", None, 0, 0, 0),
    ),
)


def test_what_was_written_is_read(tmp_path):
    names = {field.name for field in dataclasses.fields(DaemonStatus)}
    unsaid = {name for name in names if getattr(FULL, name) == getattr(DaemonStatus(), name)}
    assert not unsaid, "the test says something of all"
    write_heartbeat(str(tmp_path), FULL.to_json())
    assert read_status(str(tmp_path)) == FULL
    assert set(json.loads((tmp_path / STATUS_NAME).read_text())) == names


def test_without_a_file_nothing_is_known(tmp_path):
    assert read_status(str(tmp_path)) == DaemonStatus()


def test_the_same_is_said_at_another_time():
    later = dataclasses.replace(FULL, updated_at=9.0, memory_mb=None)
    assert later.same_as(FULL) and FULL.same_as(later)
    assert not dataclasses.replace(FULL, queue=4).same_as(FULL)
    assert not FULL.same_as(None)


def test_a_folder_is_found_by_its_path():
    assert FULL.root("/q") is FULL.roots[1]
    assert FULL.root("/r") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("roots", 5),
        ("roots", [5]),
        ("roots", [{"path": 1, "state": "online"}]),
        ("roots", [{"path": "/p", "state": "dancing"}]),
        ("roots", [{"path": "/p"}]),
        ("last", []),
        ("last", {"path": "/a", "at": 1e300, "milliseconds": 1}),
        ("started_at", 1e300),
        ("started_at", "now"),
        ("progress", {"done": "x", "remaining": 1}),
        ("progress", {"done": 1}),
        ("queue", "many"),
        ("queue", True),
        ("memory_mb", 10**400),
        ("errors", {"count": 1}),
        ("cluster", {"scheduler": "tcp://nas:8786"}),
        ("unconfined", [["no text"]]),
        ("moving", "no"),
        ("of another version", 1),
    ],
)
def test_only_what_is_sound_is_read(key, value):
    assert DaemonStatus.from_json({"pid": 7, key: value}) == DaemonStatus(pid=7)
