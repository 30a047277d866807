"""Small hostile sidecars and photos: the next good photo is tagged soon, the daemon stays small."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Home
from tests.faults.conftest import Figure
from tests.faults.test_hostile import LIMITS, handled, peak, starts, tag_one_more
from tests.support import jpegs
from tests.support.hostile_metadata import PHOTOS, SIDECARS, mutations

GOOD_SECONDS, DAEMON_MB = 5.0, 250
Given = Iterable[tuple[str, bytes, bytes]]
"""Names, photos, and their XMP sidecars (empty: none)."""


def endure(
    home: Home, scene: Path, given: Given, step: int, eventually: Callable[..., Any]
) -> dict[str, Any]:
    """Give files to a daemon, after every ``step`` of them a good photo; return what it took."""
    home.configure(labels={"threshold": 0.0}, decode=LIMITS)
    daemon = home.start()
    eventually(lambda: home.heartbeat().get("model"), 60)
    good = home.inbox / "good.jpg"
    shutil.copyfile(scene, good)
    eventually(lambda: Path(f"{good}.xmp").exists(), 30)  # the decoding process has started
    before = peak(daemon.pid)
    names: list[str] = []
    slowest = (0.0, "")
    for number, (name, photo, sidecar) in enumerate(given, 1):
        if sidecar:
            (home.inbox / f"{name}.xmp").write_bytes(sidecar)
        (home.inbox / name).write_bytes(photo)
        names.append(name)
        if number % step == 0:
            slowest = max(slowest, (tag_one_more(home, scene), name))
    handled(home, names, 60 + len(names) / 10)
    slowest = max(slowest, (tag_one_more(home, scene), "the end"))
    reasons = {Path(one["path"]).name: one["reason"] for one in home.json("failures")}
    tagged = home.run_process("query").splitlines()
    untagged = home.run_process("query", "is:untagged").splitlines()
    known = {Path(one).name for one in tagged + untagged} | set(reasons)
    return {
        "restarts": int(daemon.poll() is not None or len(starts(home)) != 1),
        "files": len(names),
        "lost": [name for name in names if name not in known],
        "silent": [name for name, reason in reasons.items() if not reason],
        "refused": len(reasons),
        "slowest": slowest,
        "before": before // 1000,
        "peak": peak(daemon.pid) // 1000,
    }


def check(found: dict[str, Any]) -> None:
    assert found["restarts"] == 0
    assert found["lost"] == []
    assert found["silent"] == []
    assert found["slowest"][0] <= GOOD_SECONDS, found
    assert found["peak"] <= DAEMON_MB, found


def told(found: dict[str, Any]) -> str:
    seconds, name = found["slowest"]
    return (
        f"{found['files']} files, {found['refused']} refused with a reason, {found['restarts']} "
        f"restarts; a good photo among them after at most {seconds:.1f} s ({name}); the daemon's "
        f"memory {found['before']} MB before, {found['peak']} MB at its peak"
    )


def some_mutations(count: int, seed: int) -> Given:
    for number, (suffix, photo, sidecar) in enumerate(itertools.islice(mutations(seed), count)):
        yield f"{number:04}.{suffix}", photo, sidecar


def worst() -> Given:
    for name, make in SIDECARS.items():
        yield f"{name}.jpg", jpegs.plain(), make()
    for name, make in PHOTOS.items():
        yield name, make(), b""


def test_some_mutations(home: Home, scenes: list[Path], eventually: Callable[..., Any]) -> None:
    found = endure(home, scenes[0], some_mutations(100, 1), 50, eventually)
    assert (found["restarts"], found["lost"], found["silent"]) == (0, [], [])
    assert found["peak"] <= DAEMON_MB, found


@pytest.mark.torture
def test_three_thousand_mutations(
    home: Home, scenes: list[Path], figure: Figure, eventually: Callable[..., Any]
) -> None:
    found = endure(home, scenes[0], some_mutations(3000, 2), 10, eventually)
    figure("hostile-metadata", told(found))
    check(found)


@pytest.mark.torture
def test_the_worst_one_by_one(
    home: Home, scenes: list[Path], figure: Figure, eventually: Callable[..., Any]
) -> None:
    found = endure(home, scenes[0], worst(), 1, eventually)
    figure("worst-metadata", told(found))
    check(found)
