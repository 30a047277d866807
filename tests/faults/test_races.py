"""Whatever others do to a photo, at any moment of its processing, is what remains of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.conftest import Home
from tests.faults.conftest import Figure, Tracer
from tests.faults.test_kills import STAMP
from tests.support import judge, metadata_tools, tracer

ACTIONS = ("rename", "replace", "remove", "edit")
EDIT = b"edited by somebody else"


class Race:
    """One photo, and another one to take its place."""

    def __init__(self, home: Home, traced: Tracer, scenes: Sequence[Path], target: str) -> None:
        self.home, self.traced = home, traced
        self.photo, self.moved = home.inbox / "a.jpg", home.inbox / "b.jpg"
        self.other = home.folder / "other.jpg"
        self.old, self.new = scenes[0].read_bytes(), scenes[1].read_bytes()
        home.configure(write={"target": target})
        self.reset()
        self.points = self.once(0, "edit")["points"]

    def reset(self) -> None:
        shutil.rmtree(self.home.inbox)
        shutil.rmtree(self.home.state, ignore_errors=True)
        judge.put(self.home.inbox, {self.photo.name: (self.old, STAMP)})
        self.other.write_bytes(self.new)
        self.home.use_converted_model()

    def once(self, at: int, action: str) -> dict[str, object]:
        paths = {
            "rename": (self.photo, self.moved),
            "replace": (self.other, self.photo),
            "remove": (self.photo,),
            "edit": (self.photo,),
        }[action]
        return self.traced.run(
            self.home,
            *("run", "--once"),
            calls=tracer.CHANGING + tracer.LOOKING,
            at=at,
            action=(action, *paths),
            under=(self.home.inbox,),
        )

    def run(self, at: int, action: str) -> list[str]:
        """Do ``action`` at a point, start again; return what is wrong then."""
        self.reset()
        done = self.once(at, action)
        if done["stopped"] is None:
            return []
        wrong = [] if done["code"] == 0 else [f"it ended with {done['code']}"]
        wrong += self.photos(action)
        again = self.traced.run(self.home, "run", "--once")
        wrong += [] if again["code"] == 0 else [f"the next run ended with {again['code']}"]
        wrong += self.photos(action)
        here = {"rename": self.moved, "remove": None}.get(action, self.photo)
        if here is not None and not self.tagged(here):
            wrong.append(f"{here.name} has no tags")
        wrong += [f"left behind: {one}" for one in judge.strays(self.home)]
        lone = [p.name for p in self.home.inbox.glob("*.xmp") if not p.with_suffix("").exists()]
        if action == "rename" and lone:
            wrong.append(f"{lone} belong to nothing")
        return wrong

    def tagged(self, photo: Path) -> bool:
        sidecar = Path(f"{photo}.xmp")
        return sidecar.exists() or b"<rdf:li>" in photo.read_bytes()

    def photos(self, action: str) -> list[str]:
        """Return where the photos are not what the other program has made of them."""
        wanted = {
            "rename": {self.moved.name: self.old},
            "replace": {self.photo.name: self.new},
            "remove": {},
            "edit": {self.photo.name: self.old + EDIT},
        }[action]
        now = {path.name: path.read_bytes() for path in self.home.inbox.glob("*.jpg")}
        if now.keys() != wanted.keys():
            return [f"{sorted(now)} are there, not {sorted(wanted)}"]
        return [
            f"{name} is not what was made of it"
            for name, data in now.items()
            if metadata_tools.outside(data) != metadata_tools.outside(wanted[name])
        ]


def places(points: Sequence[Sequence[str]], photo: Path) -> list[int]:
    """Return the points that come one after another in a different call or file."""
    found, last = [], ("", "")
    for number, (call, path) in enumerate(points, 1):
        if (call, path) != last and not path.endswith(judge.MARKER):
            found.append(number)
        last = (call, path)
    return found


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_a_few_moments(home: Home, traced: Tracer, scenes: list[Path], target: str) -> None:
    race = Race(home, traced, scenes, target)
    assert len(race.points) > 20
    wrong = {}
    renames = [n for n, (call, _) in enumerate(race.points, 1) if call == "renameat2"]
    for at, action in zip((renames[-1], renames[-1] + 1), ("replace", "edit"), strict=True):
        if found := race.run(at, action):
            wrong[at, tuple(race.points[at - 1]), action] = found
    assert wrong == {}


@pytest.mark.torture
@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_every_moment(
    home: Home, traced: Tracer, scenes: list[Path], target: str, figure: Figure
) -> None:
    race = Race(home, traced, scenes, target)
    chosen = places(race.points, race.photo)
    if os.environ.get("TAGGER_TORTURE") == "short":
        chosen = chosen[::3]
    wrong, runs = {}, 0
    for at in chosen:
        for action in ACTIONS:
            runs += 1
            if found := race.run(at, action):
                wrong[at, tuple(race.points[at - 1]), action] = found
                print(at, race.points[at - 1], action, found, flush=True)
    figure(
        f"races-{target}",
        f"{runs} times a photo was renamed, replaced, removed or edited at one of {len(chosen)} "
        f"moments of its processing: {len(wrong)} recreated, overwritten or lost",
    )
    assert wrong == {}
