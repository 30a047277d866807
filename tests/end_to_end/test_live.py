"""The daemon while it runs: latency, signals, lock, weights that come later."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

FINISHED_SECONDS = 5.0


def started(home, eventually):
    daemon = home.start()
    eventually(lambda: home.heartbeat().get("model") and roots_online(home), 60)
    return daemon


def roots_online(home):
    roots = home.heartbeat().get("roots")
    return roots and all(root["state"] == "online" and root["last_scan"] for root in roots)


def tagged(home, photo):
    """Whether a photo is in the index with its sidecar, as its final version."""
    lines = [line for line in home.logged() if line.get("path") == str(photo)]
    assert not any(line["event"] == "failure" for line in lines), lines
    return lines and photo.with_name(photo.name + ".xmp").is_file()


def moved(scene, target):
    outside = target.parent.parent / "outside.tmp"
    shutil.copy2(scene, outside)
    os.rename(outside, target)


def copied(scene, target):
    shutil.copyfile(scene, target)


def written_slowly(scene, target):
    data = scene.read_bytes()
    part = len(data) // 6 + 1
    with open(target, "wb", buffering=0) as file:
        for start in range(0, len(data), part):
            file.write(data[start : start + part])
            time.sleep(0.5)


def appended(scene, target):
    """Closed and opened again, as some cameras' and Samba's writers do."""
    data = scene.read_bytes()
    half = len(data) // 2
    target.write_bytes(data[:half])
    time.sleep(1)
    with open(target, "ab") as file:
        file.write(data[half:])


def saved_atomically(scene, target):
    hidden = target.with_name(f".{target.name}.tmp")
    shutil.copyfile(scene, hidden)
    os.rename(hidden, target)


def linked(scene, target):
    outside = target.parent.parent / "outside.jpg"
    shutil.copyfile(scene, outside)
    os.link(outside, target)


def with_its_folder(scene, target):
    outside = target.parent.parent.parent / "outside"
    outside.mkdir()
    shutil.copyfile(scene, outside / target.name)
    os.rename(outside, target.parent)


def test_a_photo_is_tagged_soon_after_it_is_finished_and_never_before(home, scenes, eventually):
    daemon = started(home, eventually)
    for way in (moved, copied, written_slowly, appended, saved_atomically, linked, with_its_folder):
        target = home.inbox / f"{way.__name__}.jpg"
        if way is with_its_folder:
            target = home.inbox / "folder" / target.name
        way(scenes[0], target)
        eventually(lambda target=target: tagged(home, target), FINISHED_SECONDS)
        assert home.json("show", str(target))["tags"], way
    for line in home.logged():
        assert line["level"] in ("info", "debug"), line
    # Its own writes wake nobody: each photo was handled just once.
    paths = [line["path"] for line in home.logged() if line.get("event") == "photo"]
    assert len(paths) == len(set(paths)) == 7
    before = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(10) == 0
    assert time.monotonic() - before < 5


def test_a_stop_in_the_middle_of_work_keeps_what_was_acknowledged(home, scenes, eventually):
    daemon = started(home, eventually)
    for number in range(40):
        target = home.inbox / f"{number}.jpg"
        target.write_bytes(scenes[number % len(scenes)].read_bytes() + bytes([number]))
    eventually(lambda: any(line.get("event") == "photo" for line in home.logged()), 30)
    before = time.monotonic()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(10) == 0
    assert time.monotonic() - before < 5
    acknowledged = {line["path"] for line in home.logged() if line.get("event") == "photo"}
    assert acknowledged <= set(home.run("query").splitlines())
    assert not [p for p in home.inbox.iterdir() if p.name.endswith(".tmp")]
    home.once()
    assert home.run("query", "--count") == "40\n"
    assert len(list(home.inbox.glob("*.xmp"))) == 40


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3])
def test_a_killed_daemon_leaves_nothing_half_done(home, scenes, eventually, moment):
    daemon = started(home, eventually)
    for number in range(10):
        target = home.inbox / f"{number}.jpg"
        target.write_bytes(scenes[number % len(scenes)].read_bytes() + bytes([number]))
    eventually(lambda: any(line.get("event") == "photo" for line in home.logged()), 30)
    time.sleep(moment)
    daemon.kill()
    daemon.wait()
    home.once()
    assert home.run("query", "--count") == "10\n"
    names = {p.name for p in home.inbox.iterdir() if not p.name.startswith(".tagger-root")}
    assert names == {f"{n}.jpg" for n in range(10)} | {f"{n}.jpg.xmp" for n in range(10)}


def test_a_reload_takes_the_new_config_and_refuses_a_wrong_one(home, scenes, eventually):
    daemon = started(home, eventually)
    other = home.folder / "other"
    other.mkdir()
    home.config.write_text(home.config.read_text() + "nonsense: 1\n")
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: any("nonsense" in line["message"] for line in home.logged()))
    home.configure(watch=[{"path": str(other)}], write={"target": "sidecar-json"})
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: [r["path"] for r in home.heartbeat().get("roots", ())] == [str(other)])
    shutil.copyfile(scenes[0], other / "x.jpg")
    eventually((other / "x.jpg.tags.json").is_file, 10)
    assert daemon.poll() is None


def test_a_second_daemon_on_the_same_state_refuses(home, eventually):
    daemon = started(home, eventually)
    home.run("run", code=2)
    assert f"another tagger (process {daemon.pid}) already runs" in home.err
    status = home.json("status")
    assert status["daemon"]["running"] is True
    assert status["daemon"]["pid"] == daemon.pid
    assert "running since" in home.run("status")


def waiting_with_a_problem(home):
    """Return the status once it tells of both: each is written at a time of its own."""
    status = home.json("status")
    return status["counts"]["waiting"] and status["daemon"]["problem"] and status


def test_without_weights_the_daemon_waits_for_them(home, scenes, demo_weights, eventually):
    home.configure(model={"weights": None, "download": False})
    home.run("run", "--once", code=2)
    assert "resnet18-f37072fd.pth" in home.err
    shutil.copyfile(scenes[0], home.inbox / "x.jpg")
    home.start()
    status = eventually(lambda: waiting_with_a_problem(home), 90)
    assert status["counts"]["waiting"] == 1
    problem = status["daemon"]["problem"]
    assert "resnet18-f37072fd.pth" in problem
    assert str(home.state / "models") in problem
    models = home.state / "models"
    models.mkdir(exist_ok=True)
    shutil.copyfile(demo_weights, models / "resnet18.pth.part")
    os.rename(models / "resnet18.pth.part", models / "resnet18.pth")
    eventually(lambda: tagged(home, home.inbox / "x.jpg"), 90)
    eventually(lambda: home.json("status")["counts"]["waiting"] == 0, 60)
    eventually(lambda: home.json("status")["daemon"]["problem"] is None, 60)
