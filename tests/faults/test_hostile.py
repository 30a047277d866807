"""Files from strangers: none stops the daemon, holds it up, or takes the machine's memory."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Home
from tests.faults.conftest import Figure
from tests.support.hostile import bombs, hostile_files, lying_heic, mutations, nests

WORKER_MB = 400
GOOD_SECONDS = 5.0
LIMITS = {"workers": 1, "memory_mb": WORKER_MB, "max_megapixels": 50}


class Peaks(threading.Thread):
    """Notes the largest resident size that each process below the daemon ever had."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.daemon_process = psutil.Process(pid)
        self.workers: dict[int, int] = {}
        self.ended = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ended.wait(0.02):
            try:
                children = self.daemon_process.children()
            except psutil.Error:
                return
            for child in children:
                self.workers[child.pid] = max(self.workers.get(child.pid, 0), peak(child.pid))

    @property
    def megabytes(self) -> int:
        return max(self.workers.values(), default=0) // 1000


def peak(pid: int) -> int:
    """Return the largest resident size of a process so far, in kB (VmHWM, see proc(5))."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def survive(
    home: Home,
    scene: Path,
    files: Iterable[tuple[str, bytes]],
    eventually: Callable[..., Any],
    patience: float,
) -> dict[str, Any]:
    """Give the files to a daemon, then a good photo; return what became of them."""
    home.configure(labels={"threshold": 0.0}, decode=LIMITS)
    daemon = home.start()
    eventually(lambda: home.heartbeat().get("model"), 60)
    good = home.inbox / "good.jpg"
    shutil.copyfile(scene, good)
    eventually(lambda: Path(f"{good}.xmp").exists(), 30)  # the worker has started
    peaks = Peaks(daemon.pid)
    names: list[str] = []
    slowest = 0.0
    for name, data in files:
        (home.inbox / name).write_bytes(data)
        names.append(name)
        if len(names) % 200 == 0:
            handled(home, names, patience)
            slowest = max(slowest, tag_one_more(home, scene))
    handled(home, names, patience)
    slowest = max(slowest, tag_one_more(home, scene))
    peaks.ended.set()
    peaks.join()
    failures = {Path(one["path"]).name: one for one in home.json("failures")}
    tagged = {Path(one).name for one in home.run_process("query").splitlines()}
    untagged = {Path(one).name for one in home.run_process("query", "is:untagged").splitlines()}
    return {
        "restarts": int(daemon.poll() is not None or len(starts(home)) != 1),
        "lost": [n for n in names if n not in failures and n not in tagged | untagged],
        "silent": [name for name, one in failures.items() if not one["reason"]],
        "kinds": Counter(one["kind"] for one in failures.values()),
        "tagged": len((tagged | untagged) & set(names)),
        "crashes": sorted(n for n, f in failures.items() if f["kind"] == "DecoderCrashedError"),
        "peak": peaks.megabytes,
        "workers": len(peaks.workers),
        "slowest": slowest,
        "files": len(names),
    }


def starts(home: Home) -> list[dict[str, Any]]:
    return [line for line in home.logged() if line["message"].startswith("watching ")]


def tag_one_more(home: Home, scene: Path) -> float:
    """Return how many seconds a good photo takes to be tagged."""
    good = home.inbox / f"good-{time.monotonic_ns()}.jpg"
    began = time.monotonic()
    good.write_bytes(scene.read_bytes() + os.urandom(8))
    while not Path(f"{good}.xmp").exists():
        assert time.monotonic() - began < 60, home.log.read_text()[-3000:]
        time.sleep(0.02)
    return time.monotonic() - began


def handled(home: Home, names: list[str], seconds: float) -> None:
    """Wait until the log tells of each file."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        told = {
            Path(line["path"]).name
            for line in home.logged()
            if line.get("event") in ("photo", "failure")
        }
        if told.issuperset(names):
            return
        time.sleep(0.5)


def check(found: dict[str, Any], scene_seconds: float = GOOD_SECONDS) -> None:
    assert found["restarts"] == 0
    assert found["lost"] == []
    assert found["silent"] == []
    assert found["peak"] <= WORKER_MB, found
    assert found["slowest"] <= scene_seconds


def test_some_of_each_kind(home: Home, scenes: list[Path], eventually: Callable[..., Any]) -> None:
    some = [
        ("lying.heic", lying_heic()),
        *list(nests())[::4],
        *[f for f, _ in zip(mutations(), range(60), strict=False)],
    ]
    found = survive(home, scenes[0], some, eventually, 60)
    check(found)
    assert found["kinds"]["DamagedImageError"] > 10


@pytest.mark.torture
def test_two_thousand(
    home: Home, scenes: list[Path], figure: Figure, eventually: Callable[..., Any]
) -> None:
    found = survive(home, scenes[0], hostile_files(2200), eventually, 600)
    figure(
        "hostile-files",
        f"{found['files']} files: {found['restarts']} restarts, {found['tagged']} read, "
        f"{found['kinds'].total()} refused with a reason ({dict(found['kinds'])}), "
        f"{len(found['lost'])} without an end; largest worker {found['peak']} MB of "
        f"{found['workers']}; a good photo after them at most {found['slowest']:.1f} s",
    )
    print(found["crashes"], found["lost"][:20])
    check(found)


@pytest.mark.torture
def test_bombs_one_by_one(
    home: Home, scenes: list[Path], figure: Figure, eventually: Callable[..., Any]
) -> None:
    found = survive(home, scenes[0], bombs(), eventually, 120)
    figure(
        "bombs",
        f"{found['files']} bombs: {found['tagged']} read, {dict(found['kinds'])}; "
        f"largest worker {found['peak']} MB",
    )
    print(found["crashes"], found["lost"])
    check(found)
