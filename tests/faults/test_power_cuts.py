"""The power goes: what the index says is done has its sidecar, and nothing is torn."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from tests.conftest import Home
from tests.faults.conftest import Figure
from tests.faults.test_kills import small_photos
from tests.support import disks, judge, metadata_tools

CUTS = 20 if os.environ.get("TAGGER_TORTURE") == "short" else 100
BATCH = 20
OURS = b"http://tagger-daemon.github.io/ns/"
"""Only what tagger wrote has it."""


def problems_after(image: Path, mounted: Path, files: judge.Files) -> tuple[list[str], int]:
    """Mount a copy of the disk as the power cut left it; return what is wrong, and the rows."""
    mounted.mkdir()
    disks.run("mount", "-t", "ext4", "-o", "loop", image, mounted)
    try:
        found = torn(mounted / "inbox", files)
        # In a copy: opening it replays its log, as a start of the daemon does.
        with sqlite3.connect(mounted / "state/index.sqlite3") as db:
            sound = db.execute("PRAGMA integrity_check").fetchall()
            rows = db.execute("SELECT path FROM photos WHERE status = 'tagged'").fetchall()
        db.close()
        if sound != [("ok",)]:
            found.append(f"integrity_check: {sound}")
        for (path,) in rows:
            name = os.path.basename(os.fsdecode(path))
            # On its way from the sidecar into the photo it may be in both.
            places = (mounted / "inbox" / name, mounted / "inbox" / f"{name}.xmp")
            if not any(place.exists() and OURS in place.read_bytes() for place in places):
                found.append(f"{name} is acknowledged without its tags")
        return found, len(rows)
    finally:
        disks.run("umount", mounted)
        mounted.rmdir()


def torn(inbox: Path, files: judge.Files) -> list[str]:
    """Return the files that are neither old nor new."""
    found = []
    for path in sorted(inbox.iterdir()):
        if path.name.startswith(".tagger-"):
            continue  # cleaned up at the next start
        data = path.read_bytes()
        if path.suffix == ".xmp":
            try:
                ElementTree.fromstring(data)
            except ElementTree.ParseError as error:
                found.append(f"{path.name} is torn: {error}")
        elif path.name in files and metadata_tools.outside(data) != metadata_tools.outside(
            files[path.name][0]
        ):
            found.append(f"{path.name} is harmed")
    return found


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Stop a process and those that it started."""
    daemon = psutil.Process(pid)
    daemon.suspend()
    others = daemon.children(recursive=True)
    for one in others:
        one.suspend()
    yield
    for one in (*others, daemon):
        one.resume()


def as_it_is(image: Path, copy: Path) -> None:
    """Copy a disk as it is at one moment, as a power cut would leave it.

    The kernel writes its journal, and what it had not written yet, a second and more after the
    last process was stopped. A copy made meanwhile has blocks of different moments, which no disk
    ever had. If a second reading finds the same, nothing was written between.
    """
    same = False
    while not same:
        disks.run("cp", "--sparse=always", image, copy)
        same = subprocess.run(["cmp", "-s", image, copy], check=False).returncode == 0


@pytest.mark.parametrize("cuts", [3, pytest.param(CUTS, marks=pytest.mark.torture)])
def test_power_cuts(
    cuts: int,
    home: Home,
    disk: Callable[..., disks.Disk],
    figure: Figure,
    eventually: Callable[..., object],
) -> None:
    """The daemon is stopped at a random moment and its disk, as it is then, looked at."""
    drive = disk("disk", 160)
    home.inbox.rmdir()
    home.inbox, home.state = drive.path / "inbox", drive.path / "state"
    home.inbox.mkdir()
    home.configure(
        state_dir=str(home.state),
        watch=[{"path": str(home.inbox)}],
        labels={"threshold": 0.0},
    )
    models = home.folder / "models"
    state, home.state = home.state, home.folder / "template"
    home.use_converted_model()
    shutil.copytree(home.state / "models", models)
    home.state = state
    shutil.copytree(models, state / "models")
    files = {Path(name).name: one for name, one in small_photos(2000).items()}
    hold = drive.path / "hold"
    hold.mkdir()
    for name, (data, _) in files.items():
        (hold / name).write_bytes(data)
    os.sync()  # what others write is theirs to make safe
    left = sorted(files)
    chance, problems, acknowledged = random.Random(2), [], 0
    daemon = home.start()
    eventually(lambda: home.heartbeat().get("model"), 30)
    image = home.folder / "copy.img"
    for cut in range(cuts):
        if cut == cuts // 2:
            home.configure(write={"target": "embed"})
            daemon.send_signal(signal.SIGHUP)
        for name in left[cut * BATCH : (cut + 1) * BATCH]:
            (hold / name).rename(home.inbox / name)
        eventually(lambda: home.json("status")["counts"]["tagged"] > cut, 60)  # noqa: B023
        time.sleep(chance.uniform(0.0, 0.8))
        with stopped(daemon.pid):
            as_it_is(drive.image, image)
        found, rows = problems_after(image, home.folder / "copy", files)
        problems += [f"cut {cut}: {one}" for one in found]
        acknowledged = max(acknowledged, rows)
        image.unlink()
    figure(
        "power-cuts",
        f"{cuts} power cuts, at last {acknowledged} rows acknowledged: {len(problems)} of them "
        "without their tags, torn files or corrupt indexes",
    )
    assert problems == []
    assert acknowledged >= cuts
