"""Killed while a rule moves a photo, tagger has it in one place, whole, with its sidecars."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.conftest import Home
from tests.faults.conftest import Figure, Tracer
from tests.support import judge, packets, tracer

Point = tuple[str, str]
STAMP = 1_600_000_000_123_456_789


@pytest.fixture(params=["same disk", "another disk"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return a folder on the disk of the inbox, or on another one."""
    if request.param == "same disk":
        (tmp_path / "target").mkdir()
        yield tmp_path / "target"
        return
    if not os.access("/dev/shm", os.W_OK) or os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other disk: /dev/shm is none")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


class Moving:
    """One home whose inbox gets a photo, with sidecars of others, that a rule moves and tags."""

    def __init__(self, home: Home, traced: Tracer, scenes: Sequence[Path], target: Path) -> None:
        self.home, self.traced, self.target = home, traced, target
        self.files: judge.Files = {
            "a.jpg": (scenes[0].read_bytes(), STAMP),
            "a.xmp": (packets.DARKTABLE, 0),
            "a.jpg.pp3": (b"[Version]\n", STAMP),
        }
        copies = home.folder / "copies"
        copies.mkdir()
        self.copies = copies
        home.configure(
            rules=[
                {
                    "name": "all",
                    "query": "format:jpeg or format:png or format:webp",
                    "tag": "moved",
                    "copy_to": str(copies),
                    "move_to": str(target),
                }
            ]
        )
        home.once()  # the empty inbox has been looked through
        self.kept = home.folder / "kept"
        shutil.copytree(home.state, self.kept)
        self.reset()
        assert self.run()["code"] == 0, home.log.read_text()[-3000:]
        self.wanted = judge.contents(target)
        assert sorted(self.wanted) == sorted(self.files), home.log.read_text()[-3000:]
        assert b"moved" in self.wanted["a.xmp"][0]
        assert self.problems() == []
        self.reset()
        self.points: list[Point] = [tuple(one) for one in self.run(0, "kill")["points"]]

    def reset(self) -> None:
        for folder in (self.home.inbox, self.target, self.copies):
            for path in folder.iterdir():
                if path.name != ".tagger-root":
                    path.unlink()
        shutil.rmtree(self.home.state)
        shutil.copytree(self.kept, self.home.state)
        judge.put(self.home.inbox, self.files)

    def run(self, at: int = 0, action: str = "") -> dict[str, object]:
        folders = (self.home.inbox, self.target, self.copies, self.home.state)
        calls = tracer.CHANGING if action else ()
        return self.traced.run(
            self.home, "run", "--once", calls=calls, at=at, action=(action,), under=folders
        )

    def killed(self, at: int) -> list[str]:
        """Kill at a point and start again; return what is wrong then."""
        self.reset()
        done = self.run(at, "kill")
        if done["stopped"] is None:
            return [] if done["code"] == 0 else [f"ended with {done['code']}"]
        if (code := self.run()["code"]) != 0:
            return [f"started again, it ended with {code}"]
        return self.problems()

    def problems(self) -> list[str]:
        found = judge.differences(judge.contents(self.target), self.wanted)
        found += judge.differences(judge.contents(self.copies), self.wanted)
        found += [f"in the inbox: {name}" for name in judge.contents(self.home.inbox)]
        for folder in (self.home.inbox, self.target, self.copies):
            found += [f"left: {path.name}" for path in folder.glob(".tagger-rule*")]
        with sqlite3.connect(self.home.state / "index.sqlite3") as db:
            tasks = db.execute("SELECT action, state FROM rule_tasks ORDER BY action").fetchall()
            rows = db.execute("SELECT id, path, status, size, content_hash FROM photos").fetchall()
        if tasks != [("copy_to", "done"), ("move_to", "done"), ("tag", "done")]:
            found.append(f"tasks: {tasks}")
        counts = self.home.json("status")["counts"]
        if any(counts.values()):
            found.append(f"the library still has {counts}: {rows}")
        return found


def test_a_kill_at_each_kind_of_change(
    home: Home, traced: Tracer, scenes: list[Path], target: Path
) -> None:
    moving = Moving(home, traced, scenes, target)
    first: dict[Point, int] = {}
    for number, (call, path) in enumerate(moving.points, 1):
        if path.startswith(str(target)) or call in ("renameat2", "unlinkat"):
            first.setdefault((call, str(Path(path).parent)), number)
    problems = {moving.points[at - 1]: moving.killed(at) for at in first.values()}
    assert len(problems) >= 3
    assert {point: wrong for point, wrong in problems.items() if wrong} == {}


@pytest.mark.torture
def test_a_kill_at_every_change(
    home: Home, traced: Tracer, scenes: list[Path], target: Path, figure: Figure
) -> None:
    moving = Moving(home, traced, scenes, target)
    problems = {}
    for at in range(1, len(moving.points) + 1):
        if wrong := moving.killed(at):
            problems[at, moving.points[at - 1]] = wrong
            print(at, moving.points[at - 1], wrong, home.log.read_text()[-5000:], flush=True)
    figure(
        f"rule-kills-{target.parent.name}",
        f"{len(moving.points)} kill points: {len(problems)} with anything harmed or done twice",
    )
    assert problems == {}
