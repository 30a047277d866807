"""What the user decided outlives the index: a tag taken away does not come back with a new one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tagger.index.decision_store import DecisionStore
from tagger.pipeline.job import Recognised
from tagger.pipeline.tagging import TaggedJob, Tagging
from tests.conftest import Home
from tests.faults.conftest import Tracer
from tests.support import metadata_tools, tracer

TARGETS = pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
DECISIONS = "decisions.sqlite3"


def lose_the_index(home: Home) -> None:
    for path in home.state.glob("index*"):
        path.unlink()
    (home.state / "status.json").unlink(missing_ok=True)
    (home.state / "index.sqlite3").write_bytes(os.urandom(9000))


def labels(home: Home, photo: Path) -> set[str]:
    return {tag["label"] for tag in home.json("show", str(photo))["tags"]}


def counts(home: Home) -> tuple[int, int]:
    """Return how many photos have tags of ours, and how many were given none."""
    counted = home.json("status")["counts"]
    return counted["tagged"], counted["untagged"]


def words(photo: Path) -> bytes:
    """Return what is said of a photo, beside it and in it."""
    sidecar = Path(f"{photo}.xmp")
    packet = metadata_tools.packet_for_pillow(photo.read_bytes()) or b""
    return packet + (sidecar.read_bytes() if sidecar.exists() else b"")


def stored(home: Home) -> set[str]:
    """Return the labels that the decisions keep away, as a start would find them."""
    folder = home.folder / "looked at"
    folder.mkdir()
    try:
        for path in home.state.glob("decisions*"):
            shutil.copyfile(path, folder / path.name)
        with DecisionStore(str(folder)) as store:
            return {label for one in store.after(0) for label in one.removed}
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def library(home: Home, scenes: list[Path]) -> Home:
    for name, scene in zip(("a.jpg", "b.jpg", "c.jpg"), scenes, strict=False):
        shutil.copyfile(scene, home.inbox / name)
    return home


@TARGETS
def test_with_a_new_index_all_stays_as_decided(
    library: Home, target: str, eventually: Callable[..., Any]
) -> None:
    home = library
    home.configure(write={"target": target})
    home.once()
    a, b, c = (home.inbox / name for name in ("a.jpg", "b.jpg", "c.jpg"))
    gone = home.json("show", str(a))["tags"][0]["label"]
    home.run("untag", "--label", gone, str(a))
    left = labels(home, a)
    home.run("untag", str(b))
    assert gone not in left and gone.encode() not in words(a)
    plain = b.read_bytes()
    lose_the_index(home)
    # One of them moves meanwhile, and is known by its bytes.
    (home.inbox / "moved").mkdir()
    for path in home.inbox.glob("b.jpg*"):
        path.rename(home.inbox / "moved" / path.name)
    b = home.inbox / "moved" / "b.jpg"
    home.start()
    eventually(lambda: home.heartbeat().get("model"), 60)
    eventually(lambda: counts(home) == (2, 1), 60)
    assert home.json("show", str(b))["untagged_by_you"]
    assert labels(home, a) == left
    assert gone.encode() not in words(a)
    assert labels(home, b) == set() and b.read_bytes() == plain and b"rdf" not in words(b)
    assert labels(home, c)
    assert gone in home.json("show", str(a))["removed_by_you"]
    # And what was decided can be taken back.
    home.run("restore", str(a), str(b))
    home.run("scan")
    eventually(lambda: gone in labels(home, a) and labels(home, b), 70)


def test_a_copy_of_a_photo_is_no_other_picture(library: Home) -> None:
    home = library
    home.once()
    a, b = home.inbox / "a.jpg", home.inbox / "b.jpg"
    gone = home.json("show", str(a))["tags"][0]["label"]
    home.run("untag", "--label", gone, str(a))
    home.run("untag", str(b))
    shutil.copyfile(a, home.inbox / "copy of a.jpg")
    shutil.copyfile(b, home.inbox / "copy of b.jpg")
    home.once()
    assert gone not in labels(home, home.inbox / "copy of a.jpg")
    # This one the user left without tags; of its copy nothing was said.
    assert labels(home, home.inbox / "copy of b.jpg")


@TARGETS
def test_a_kill_at_each_write_of_a_decision(library: Home, traced: Tracer, target: str) -> None:
    """Of `untag`, from the decision's own commit to the end; then the index is lost."""
    home = library
    home.configure(write={"target": target})
    home.once()
    photo = home.inbox / "a.jpg"
    gone = home.json("show", str(photo))["tags"][0]["label"]
    command = ("untag", "--label", gone, str(photo))
    for folder in (home.inbox, home.state):
        shutil.copytree(folder, home.folder / f"{folder.name}.kept")

    def reset() -> None:
        for folder in (home.inbox, home.state):
            shutil.rmtree(folder)
            shutil.copytree(home.folder / f"{folder.name}.kept", folder)

    points = traced.run(home, *command, calls=tracer.CHANGING)["points"]
    wal = [n for n, (_, path) in enumerate(points, 1) if path.endswith(f"{DECISIONS}-wal")]
    commit = next(n for n in reversed(wal) if points[n - 1][0] == "pwrite64")
    assert points[commit][0] == "fdatasync" and commit + 1 in wal
    index = [n for n, (_, path) in enumerate(points, 1) if "index.sqlite3" in path and n > wal[0]]
    assert commit + 1 < index[0], "on the disk before the index"
    for at in (commit, commit + 1, index[0], index[1], index[-1]):
        reset()
        done = traced.run(home, *command, calls=tracer.CHANGING, at=at, action=("kill",))
        assert done["code"] == -9
        assert (gone in stored(home)) == (at > commit)
        if at == index[1]:
            lose_the_index(home)
        home.once()
        removed = home.json("show", str(photo))["removed_by_you"]
        # Before it is on the disk nothing was promised; from then on it holds.
        assert (gone in removed) or at == commit, (at, points[at - 1])
        assert (gone in labels(home, photo)) == (gone not in removed)
        assert (gone.encode() in words(photo)) == (gone not in removed)


@TARGETS
def test_untag_in_the_middle_of_a_batch(library: Home, traced: Tracer, target: str) -> None:
    """The daemon has chosen the tags already when the user says that there are to be none."""
    home = library
    home.configure(write={"target": target})
    photo = home.inbox / "a.jpg"
    plain = photo.read_bytes()
    home.use_converted_model()
    points = traced.run(home, "run", "--once", calls=("renameat2",))["points"]
    at = next(n for n, (_, path) in enumerate(points, 1) if ".tagger-" in path)
    for path in home.inbox.iterdir():
        path.unlink()
    shutil.rmtree(home.state)
    photo.write_bytes(plain)
    home.use_converted_model()
    command = ("--config", home.config, "untag", photo)
    done = traced.run(home, "run", "--once", calls=("renameat2",), at=at, action=("run", *command))
    assert done["code"] == 0 and done["stopped"] and done["beside"] == 0
    home.once()
    assert home.json("show", str(photo))["untagged_by_you"]
    assert labels(home, photo) == set()
    assert photo.read_bytes() == plain and not Path(f"{photo}.xmp").exists()


@pytest.mark.parametrize("whole", [False, True])
def test_restore_in_the_middle_of_a_batch(
    library: Home, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """The tags were chosen by what had been decided when the user takes that back."""
    home = library
    home.once()
    photo = home.inbox / "a.jpg"
    before = labels(home, photo)
    what = () if whole else ("--label", min(before))
    home.run("untag", str(photo), *what)
    assert labels(home, photo) < before
    photo.write_bytes(photo.read_bytes() + b"edited")
    prepare = Tagging.prepare
    restoring: list[subprocess.Popen[bytes]] = []

    def and_then(tagging: Tagging, one: Recognised) -> TaggedJob:
        ready = prepare(tagging, one)
        command = [sys.executable, "-m", "tagger", "--config", str(home.config), "restore"]
        restoring.append(subprocess.Popen([*command, str(photo)], env=home.environ()))
        tracer.ended_or_waits(restoring[-1])
        assert restoring[-1].poll() is None, "it waits until the batch is done with the photo"
        return ready

    monkeypatch.setattr(Tagging, "prepare", and_then)
    home.once()
    monkeypatch.undo()
    assert [command.wait(60) for command in restoring] == [0]
    home.once()
    shown = home.json("show", str(photo))
    assert not shown["untagged_by_you"] and not shown["removed_by_you"]
    assert labels(home, photo) == before
    assert all(label.encode() in words(photo) for label in before)
