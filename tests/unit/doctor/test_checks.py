"""Checks of folders, machine and model: what makes each right, and what makes it wrong."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tagger.classify.catalog import weights_of
from tagger.classify.int8_agreement import Agreement, write_agreement
from tagger.classify.int8_files import QUANTIZER, FullNetwork, Int8Record, cpu_kind
from tagger.classify.network_input import NetworkInput
from tagger.classify.weights import keep_digest
from tagger.config.schema import Config, ModelConfig, WatchRoot, WriteConfig
from tagger.doctor.checks import checks
from tagger.doctor.folders import check_events, check_folders, count_folders
from tagger.doctor.machine import (
    _room,
    check_clock,
    check_disks,
    check_exiftool,
    check_inotify,
    check_state_dir,
)
from tagger.doctor.model import _engine, _int8, check_model
from tagger.doctor.report import Installation, Result
from tagger.system.mounts import Mounts
from tests.support.installations import NOBODY, ROOT, only, running, state_of

# Folders


def test_a_folder_that_is_well(config):
    result = only(check_folders(Installation(config)))
    assert result.state == "ok" and "read and write" in result.message
    assert result.name == f"folder {config.watch[0].path}"


def test_no_folder_at_all(config):
    assert state_of(check_folders(Installation(replace(config, watch=())))) == "error"


def test_a_folder_that_is_away(config):
    os.rmdir(config.watch[0].path)
    assert "No such file" in only(check_folders(Installation(config))).message


def test_a_folder_that_is_a_file(config):
    path = os.path.join(config.state_dir, "file")
    open(path, "w").close()
    result = only(check_folders(Installation(replace(config, watch=(WatchRoot(path),)))))
    assert (result.state, result.message) == ("error", "it is a file")


def test_a_folder_that_the_daemons_user_may_not_write_to(config, tmp_path):
    path = config.watch[0].path
    if ROOT:
        os.chown(config.state_dir, NOBODY, NOBODY)  # whose daemon it then is
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_mode & 0o077 == 0:
                folder.chmod(0o755)
    else:
        os.chmod(path, 0o555)
    result = only(check_folders(Installation(config)))
    assert result.state == "error" and "may not write to" in result.message
    assert result.remedy.startswith("setfacl -R -m u:") and path in result.remedy
    reads = replace(config, watch=(WatchRoot(path, read_only=True),))
    assert state_of(check_folders(Installation(reads))) == "ok"
    assert state_of(check_folders(Installation(replace(config, write=WriteConfig("none"))))) == "ok"


def test_a_folder_that_the_daemon_holds_for_away(config):
    roots = [{"path": config.watch[0].path, "state": "offline", "reason": "the marker is gone"}]
    with running(config, roots=roots) as patient:
        result = only(check_folders(patient))
    assert result.state == "error" and "the marker is gone" in result.message


# Events


def test_events_are_proven_by_a_file(config):
    result = only(check_events(Installation(config)))
    assert result.state == "ok" and "proved by a test file" in result.message
    assert os.listdir(config.watch[0].path) == []


def test_a_read_only_folder_gets_no_file(config):
    reads = replace(config, watch=(WatchRoot(config.watch[0].path, read_only=True),))
    before = os.stat(config.watch[0].path).st_mtime_ns
    assert "not proven" in only(check_events(Installation(reads))).message
    assert os.stat(config.watch[0].path).st_mtime_ns == before


def test_polling_by_choice_is_well(config):
    polls = replace(config, watch=(WatchRoot(config.watch[0].path, mode="poll"),))
    result = only(check_events(Installation(polls)))
    assert result.state == "ok" and "every 300 s: mode: poll" in result.message


def test_the_running_daemon_knows_best(config):
    with running(config) as patient:
        assert "by the running daemon" in only(check_events(patient)).message
    reason = "the inotify watch limit is reached: raise fs.inotify.max_user_watches"
    roots = [{"path": config.watch[0].path, "state": "online", "mode": "poll", "reason": reason}]
    with running(config, roots=roots) as patient:
        result = only(check_events(patient))
    assert result.state == "warning" and reason in result.message and "limit" in result.remedy


# The machine


@pytest.fixture
def limits(tmp_path):
    """Return a function that makes a /proc with these limits."""

    def make(watches: int, queued: int = 16384, instances: int = 128) -> str:
        folder = tmp_path / "proc" / "sys" / "fs" / "inotify"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "max_user_watches").write_text(f"{watches}\n")
        (folder / "max_queued_events").write_text(f"{queued}\n")
        (folder / "max_user_instances").write_text(f"{instances}\n")
        return str(tmp_path / "proc")

    return make


@pytest.mark.parametrize(
    ("figures", "state", "remedy"),
    [
        ((1000,), "ok", ""),
        ((10,), "error", "max_user_watches=524288"),
        ((15,), "warning", "max_user_watches="),
        ((1000, 20), "warning", "max_queued_events=65536"),
        ((1000, 16384, 2), "warning", "max_user_instances=512"),
    ],
)
def test_inotify(config, limits, figures, state, remedy):
    for number in range(10):
        os.mkdir(os.path.join(config.watch[0].path, str(number)))
    result = only(check_inotify(Installation(config, proc=limits(*figures))))
    assert result.state == state and remedy in result.remedy
    polls = replace(config, watch=(WatchRoot(config.watch[0].path, mode="poll"),))
    if "instances" not in remedy:
        assert state_of(check_inotify(Installation(polls, proc=limits(*figures)))) == "ok"


def test_a_machine_without_inotify(config, tmp_path):
    result = only(check_inotify(Installation(config, proc=str(tmp_path / "none"))))
    assert result.state == "warning"


def test_folders_are_counted_without_following_links(config):
    path = config.watch[0].path
    os.makedirs(os.path.join(path, "a", "b"))
    os.symlink("/", os.path.join(path, "link"))
    assert count_folders(WatchRoot(path)) == 3
    assert count_folders(WatchRoot(path, recursive=False)) == 1


def test_disks(config):
    [result] = check_disks(Installation(config))  # both folders are on one
    assert result.name == f"disk {config.state_dir}"
    assert _room("/d", 5e9, 10_000).state == "ok"
    assert _room("/d", 5e9, None).state == "ok"
    assert _room("/d", 400e6, None).state == "warning"
    assert _room("/d", 40e6, None).state == "error"
    assert "99 more files" in _room("/d", 5e9, 99).message


def test_state_dir(config, tmp_path):
    assert state_of(check_state_dir(Installation(config))) == "ok"
    new = replace(config, state_dir=str(tmp_path / "a" / "b"))
    assert "not there yet" in only(check_state_dir(Installation(new))).message
    assert not (tmp_path / "a").exists()
    (tmp_path / "file").write_text("")
    beside = replace(config, state_dir=str(tmp_path / "file" / "state"))
    assert state_of(check_state_dir(Installation(beside))) == "error"
    nfs = Mounts("36 35 98:0 / / rw,noatime - nfs4 nas:/export rw\n")
    result = only(check_state_dir(Installation(config, mounts=nfs)))
    assert result.state == "error" and "nfs4" in result.message


def test_clock(config):
    now = 1_800_000_000.0
    patient = Installation(config, now=now)
    assert state_of(check_clock(patient)) == "ok"
    assert state_of(check_clock(patient, now + 60)) == "ok"
    result = only(check_clock(patient, now + 3 * 86400))
    assert result.state == "error" and "3 days" in result.message
    assert state_of(check_clock(Installation(config, now=0.0))) == "error"


def test_exiftool(config, tmp_path, monkeypatch):
    asked = replace(config, write=WriteConfig("embed", exiftool=True))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert state_of(check_exiftool(Installation(config))) == "ok"
    assert state_of(check_exiftool(Installation(asked))) == "error"
    program = tmp_path / "exiftool"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert state_of(check_exiftool(Installation(asked))) == "ok"
    idle = replace(config, write=WriteConfig("sidecar-xmp", exiftool=True))
    assert state_of(check_exiftool(Installation(idle))) == "warning"


# The model


def patient_of(config: Config, **model: object) -> Installation:
    settings = {"download": False} | model
    return Installation(
        replace(config, model=ModelConfig(**settings)), environ={"TORCH_HOME": "/no"}
    )


def test_weights(config, tmp_path):
    def weights(patient: Installation):
        return next(result for result in checks(patient) if result.name == "weights")

    assert weights(patient_of(config)).state == "error"
    assert weights(patient_of(config, download=True)).state == "warning"
    own = tmp_path / "mine.pth"
    own.write_bytes(b"something")
    result = weights(patient_of(config, weights=str(own)))
    assert result.state == "ok" and "not verified" in result.message
    bad = tmp_path / weights_of("resnet18")[0].file
    bad.write_bytes(b"something")
    result = weights(patient_of(config, weights=str(bad)))
    assert (
        result.state == "error" and "is damaged" in result.message and "delete it" in result.remedy
    )
    names = {result.name for result in check_model(patient_of(config))}
    assert names == {"weights", "engine", "int8"}


def further(config: Config, tmp_path: Path, **model: object) -> tuple[Result, Result]:
    """Return what is said of the network of scenes and of the detector."""
    patient = patient_of(config, **model)
    found = {result.name: result for result in checks(patient)}
    return found["scenes"], found["detector"]


def of_int8(config: Config, network: str, **model: object) -> Result:
    """Return what is said of the int8 version of a network besides the first."""
    found = {result.name: result for result in checks(patient_of(config, **model))}
    return found[f"int8 of {network}"]


def test_further_networks_that_are_missing_are_no_error(config, tmp_path):
    for said in further(config, tmp_path):
        assert said.state == "warning" and "photos are tagged without it" in said.message
        assert "tagger model download" in said.remedy
    for said in further(config, tmp_path, download=True):
        assert "the daemon downloads it" in said.message
    for said in further(config, tmp_path, scenes="none", detector="none"):
        assert (said.state, said.message) == ("ok", "not asked for")


def test_further_networks_that_are_there(config, tmp_path):
    models = Path(config.state_dir) / "models"
    models.mkdir(parents=True, exist_ok=True)
    weights = models / "resnet18_places365.pth.tar"
    weights.write_bytes(b"x")
    (models / "yolox_nano.onnx").write_bytes(b"x")
    scenes, detector = further(config, tmp_path)
    assert scenes.state == "ok" and "not verified; CC-BY-4.0" in scenes.message
    assert detector.state == "error" and "is damaged" in detector.message
    keep_digest(str(weights))
    assert "that of the first download" in further(config, tmp_path)[0].message
    weights.write_bytes(b"y")
    assert further(config, tmp_path)[0].state == "error"


def test_networks_of_ones_own(config, tmp_path):
    described, file = tmp_path / "a.yaml", tmp_path / "net.onnx"
    own = {"scenes": str(described), "detector": str(file)}
    assert [said.state for said in further(config, tmp_path, **own)] == ["error", "error"]
    described.write_text("file: net.onnx\nclasses: [a, b]\nsize: 16\n")
    file.write_bytes(b"x")
    scenes, detector = further(config, tmp_path, **own)
    assert scenes.state == detector.state == "ok"
    for network in ("scenes", "detector"):
        assert of_int8(config, network, **own).message.startswith("not made yet")
    assert "2 classes, your own" in scenes.message and str(file) in detector.message
    [weights, *_] = check_model(patient_of(config, name=str(described)))
    assert weights.state == "ok" and "2 classes, your own" in weights.message
    described.write_text("size: 16\n")
    assert "classes: it is missing" in further(config, tmp_path, **own)[0].message


def test_engine(config):
    with running(config, engine="onnx-fp32", model="resnet18-abc") as patient:
        assert _engine(patient, None).message == "onnx-fp32 runs resnet18-abc"
    with running(config, engine="torch", model="resnet18-abc") as patient:
        assert _engine(patient, None).state == "warning"
    with running(config, problem="the weights are of another model") as patient:
        assert _engine(patient, None).state == "error"
    with running(config, engine="onnx", problem="the disk is full") as patient:
        assert _engine(patient, None).state == "ok"
    assert _engine(patient_of(config, engine="torch"), None).state == "ok"


def record(**changes: object) -> Int8Record:
    found = Int8Record("ab" * 32, cpu_kind(), QUANTIZER, 9.0, 3.0, "digest")
    return replace(found, **changes)


@pytest.mark.parametrize(
    ("precision", "found", "counts", "state", "said"),
    [
        ("fp32", None, None, "ok", "not asked for"),
        ("auto", None, None, "ok", "not made yet"),
        ("int8", None, None, "ok", "not made yet"),
        ("auto", record(), None, "ok", "provisional, no photo judged yet"),
        ("auto", record(), (400, 240, 240, 390), "ok", "240 of 240 photos where fp32 is sure"),
        ("auto", record(), (400, 240, 240, 390), "ok", "proven: "),
        ("auto", record(), (400, 240, 240, 390), "ok", "for 98.8% to 100.0%"),
        ("auto", record(), (400, 240, 240, 390), "ok", "the same tags for 390 of 400"),
        ("auto", record(), (9, 9, 2, 2), "ok", "refused: "),
        ("int8", record(), (9, 9, 2, 2), "warning", "refused: "),
        ("auto", record(int8_ms=8.9), None, "ok", "no faster here: 8.9 ms a picture, fp32 9.0"),
        ("auto", record(problem="too coarse"), None, "ok", "cannot be made: too coarse"),
        ("int8", record(problem="too coarse"), None, "error", "cannot be made: too coarse"),
        ("auto", record(cpu="another kind"), None, "ok", "not made yet"),
    ],
)
def test_int8(config, tmp_path, precision, found, counts, state, said):
    taken = NetworkInput("x", 8)
    full = FullNetwork("net.onnx", str(tmp_path / "net"), "net-0123", "ab" * 32, taken)
    if found is not None:
        (tmp_path / "net.int8.json").write_text(json.dumps(asdict(found)))
    if counts is not None:
        write_agreement(full, Agreement("digest", *counts))
    result = _int8(patient_of(config, precision=precision), full)
    assert result.state == state and said in result.message
