"""Killed at any system call that changes a file, tagger goes on as if nothing had been."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Home
from tests.faults.conftest import Figure, Tracer
from tests.support import jpegs, judge, metadata_tools, packets, tracer

STAMP = 1_600_000_000_123_456_789
SQLITE = ("index.sqlite3-wal", "index.sqlite3-shm", "index.sqlite3")
Point = tuple[str, str]


def five_photos(scenes: Sequence[Path]) -> judge.Files:
    """Return photos, two of them with keywords of the user's, in the file and beside it."""
    files = {f"{number}{one.suffix}": one.read_bytes() for number, one in enumerate(scenes[2:4])}
    files["own.jpg"] = jpegs.put(scenes[0].read_bytes(), jpegs.xmp(packets.LIGHTROOM))
    files["beside.jpg"] = scenes[1].read_bytes()
    files["deep/5.jpg"] = scenes[4].read_bytes()
    made: judge.Files = {name: (data, STAMP) for name, data in files.items()}
    return made | {"beside.jpg.xmp": (packets.DARKTABLE, 0)}


class Killing:
    """One home whose photos are put back before each run."""

    def __init__(self, home: Home, traced: Tracer, files: judge.Files, target: str) -> None:
        self.home, self.traced, self.files = home, traced, files
        self.photos = sum(not name.endswith(".xmp") for name in files)
        home.configure(write={"target": target})
        self.reset()
        # The first run of all makes a cache of digests, which is kept for the others.
        assert self.once()["code"] == 0, home.log.read_text()[-3000:]
        self.wanted = judge.contents(home.inbox)
        assert self.after() == []
        self.reset()
        self.points: list[Point] = [tuple(one) for one in self.once(0, "kill")["points"]]

    def reset(self) -> None:
        shutil.rmtree(self.home.inbox)
        shutil.rmtree(self.home.state, ignore_errors=True)
        judge.put(self.home.inbox, self.files)
        self.home.use_converted_model()

    def once(self, at: int = 0, action: str = "") -> dict[str, object]:
        calls = tracer.CHANGING if action else ()
        return self.traced.run(self.home, "run", "--once", calls=calls, at=at, action=(action,))

    def killed(self, at: int) -> tuple[Point | None, list[str]]:
        """Kill at a point, start again; return the point and what is wrong then."""
        self.reset()
        done = self.once(at, "kill")
        if done["stopped"] is None:
            return None, [] if done["code"] == 0 else [f"ended with {done['code']}"]
        problems = [] if done["code"] == -9 else [f"killed, it ended with {done['code']}"]
        return tuple(done["stopped"]), problems + self.after(again=True)  # type: ignore[arg-type]

    def after(self, *, again: bool = False) -> list[str]:
        """Start ``again``; return what is wrong. All is untagged at the end."""
        problems = []
        if again and (code := self.once()["code"]) != 0:
            problems.append(f"started again, it ended with {code}")
        problems += judge.differences(judge.contents(self.home.inbox), self.wanted)
        problems += judge.index_problems(self.home, self.photos)
        problems += [f"left behind: {stray}" for stray in judge.strays(self.home)]
        self.home.run("untag", "--all")
        now = judge.contents(self.home.inbox)
        return problems + [f"untagged: {one}" for one in judge.differences(now, self.files)]


def first_of_each(points: Sequence[Point], under: Path) -> list[int]:
    """Return the number of the first of each kind of point below a folder."""
    first: dict[Point, int] = {}
    for number, (call, path) in enumerate(points, 1):
        if path.startswith(str(under)):
            first.setdefault((call, "*" if ".tagger-" in path else path), number)
    return list(first.values())


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_a_kill_at_each_kind_of_change(
    home: Home, traced: Tracer, scenes: list[Path], target: str
) -> None:
    killing = Killing(home, traced, five_photos(scenes), target)
    chosen = first_of_each(killing.points, home.inbox)
    problems = {}
    for at in chosen[::2] if target == "embed" else chosen[1::3]:
        point, wrong = killing.killed(at)
        if wrong:
            problems[at, point] = wrong
    assert problems == {}
    assert {call for call, _ in killing.points} >= {"write", "fsync", "pwrite64"}


def test_a_kill_while_thumbnails_are_stored(home: Home, traced: Tracer, scenes: list[Path]) -> None:
    """Where nothing is to be compared any more, the file is not opened again."""
    killing = Killing(home, traced, five_photos(scenes), "sidecar-xmp")
    chosen = first_of_each(killing.points, home.state / "pictures.sqlite3")
    problems = {at: wrong for at in (chosen[1], chosen[-1]) if (wrong := killing.killed(at)[1])}
    assert problems == {}


@pytest.mark.torture
@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_a_kill_at_every_change(
    home: Home, traced: Tracer, scenes: list[Path], target: str, figure: Figure
) -> None:
    """Each write, fsync, rename, unlink and pwrite to inbox and state; all threads count.

    With TAGGER_TORTURE=short of SQLite's own writes every fourth only.
    """
    killing = Killing(home, traced, five_photos(scenes), target)
    step = 4 if os.environ.get("TAGGER_TORTURE") == "short" else 1
    problems, calls = {}, Counter[str]()
    for at, (_, path) in enumerate(killing.points, 1):
        if at % step and Path(path).name in SQLITE:
            continue
        point, wrong = killing.killed(at)
        if point is not None:
            calls[point[0]] += 1
        if wrong:
            problems[at, point] = wrong
            print(f"{at} {point}: {wrong}", flush=True)
    total = calls.total()
    figure(
        f"kills-{target}",
        f"{total} of {len(killing.points)} kill points ({dict(calls)}) over {killing.photos} "
        f"photos: {len(problems)} with anything harmed, lost, doubled or left behind",
    )
    assert problems == {}
    assert total >= len(killing.points) // (step + 1)


def small_photos(count: int) -> judge.Files:
    """Return small photos that all differ; each fifth has keywords of the user's."""
    made: judge.Files = {}
    for number in range(count):
        shade = (number * 7 % 256, number * 13 % 256, number // 2 % 256)
        picture = Image.new("RGB", (96, 64), shade)
        picture.paste((255 - shade[0], 40, shade[1]), (10, 10, 20 + number % 60, 50))
        data = tools_encoded(picture)
        if number % 5 == 0:
            data = jpegs.put(data, jpegs.xmp(packets.LIGHTROOM))
        made[f"{number % 10}/{number:05}.jpg"] = (data, STAMP)
    return made


def tools_encoded(picture: Image.Image) -> bytes:
    from tests.support.pictures import encoded

    return encoded(picture, "JPEG")


@pytest.mark.torture
def test_kills_at_random_moments(home: Home, traced: Tracer, figure: Figure) -> None:
    kills = 60 if os.environ.get("TAGGER_TORTURE") == "short" else 200
    chance, rounds, photos = random.Random(6), 0, 500
    files = small_photos(photos)
    problems: list[str] = []
    done = 0
    home.use_converted_model()
    assert traced.run(home, "run", "--once")["code"] == 0
    began = time.monotonic()
    traced.run(home, "run", "--once")
    started = time.monotonic() - began
    while done < kills:
        target = ("sidecar-xmp", "embed")[rounds % 2]
        home.configure(write={"target": target}, labels={"threshold": 0.0, "crops": 1})
        shutil.rmtree(home.inbox)
        shutil.rmtree(home.state, ignore_errors=True)
        judge.put(home.inbox, files)
        home.use_converted_model()
        # From its start to a few seconds into its work, however slow the machine is.
        for _ in range(min(25, kills - done)):
            seconds = started * chance.uniform(0.2, 1.5)
            if (code := traced.run(home, "run", "--once", seconds=seconds)["code"]) != -9:
                break
            done += 1
        assert code in (0, -9), home.log.read_text()[-3000:]
        assert traced.run(home, "run", "--once")["code"] == 0, home.log.read_text()[-3000:]
        problems += judge.index_problems(home, photos)
        problems += [f"left behind: {stray}" for stray in judge.strays(home)]
        now = judge.contents(home.inbox)
        for name, (data, _) in files.items():
            written = now[name][0]
            if metadata_tools.outside(written) != metadata_tools.outside(data):
                problems.append(f"{name} is harmed")
        keywords = all_keywords(home.inbox)
        problems += [
            f"{name}: doubled {words}"
            for name, words in keywords.items()
            if len(words) != len(set(words))
        ]
        traced.run(home, "untag", "--all")
        problems += judge.differences(judge.contents(home.inbox), files)
        rounds += 1
        print(f"{done} kills, {rounds} rounds, {len(problems)} problems", flush=True)
        assert problems == []
    figure(
        "random-kills",
        f"{done} kills at random moments over {rounds} rounds of {photos} photos: "
        f"{len(problems)} photos harmed, lost or with doubled keywords, index sound",
    )


def all_keywords(folder: Path) -> dict[str, list[str]]:
    """Return, by file and property, the keywords that XMP holds."""
    from xml.etree import ElementTree

    rdf = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    found = {}
    for path in folder.rglob("*"):
        if not path.is_file() or path.name == judge.MARKER:
            continue
        data = path.read_bytes()
        packet = data if path.suffix == ".xmp" else metadata_tools.packet_for_pillow(data)
        if not packet:
            continue
        for array in ElementTree.fromstring(packet.strip(b"\0 \n")).iter():
            words = [item.text or "" for item in array.findall(f"*/{rdf}li")]
            if words:
                found[f"{path.name} {array.tag}"] = words
    return found
