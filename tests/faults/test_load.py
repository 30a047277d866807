"""Limits of the kernel, bursts while nobody reads, storms of events, and a long stay."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import psutil
import pytest

from tests.conftest import Home
from tests.faults.conftest import Figure
from tests.faults.test_kills import small_photos

LABELS = {"threshold": 0.0, "crops": 1}
SHORT = os.environ.get("TAGGER_TORTURE") == "short"
LIMITED = 'echo 10 > /proc/sys/user/max_inotify_watches || exit 3; exec "$@"'


def start(home: Home, eventually: Callable[..., Any]) -> psutil.Process:
    daemon = home.start()
    eventually(lambda: home.heartbeat().get("model"), 60)
    eventually(lambda: all(root["last_scan"] for root in home.heartbeat()["roots"]), 60)
    return psutil.Process(tagger_of(daemon.pid))


def tagger_of(pid: int) -> int:
    """Return the process of tagger below (or at) ``pid``: something may have started it."""
    process = psutil.Process(pid)
    while "tagger" not in process.cmdline() and process.children():
        process = process.children()[0]
    return process.pid


def sidecars(home: Home) -> int:
    return sum(name.endswith(".xmp") for _, _, names in os.walk(home.inbox) for name in names)


def all_compared(home: Home) -> bool:
    """Whether all photos were compared with each other, which is done when nothing else is."""
    with contextlib.closing(sqlite3.connect(home.state / "index.sqlite3", timeout=30)) as index:
        return not index.execute("SELECT count(*) FROM photos WHERE grouped IS NULL").fetchone()[0]


def cpu_share(process: psutil.Process, seconds: float) -> float:
    """Return the share of one core that the daemon and its children take for so long."""
    everyone = [process, *process.children(recursive=True)]
    before = sum(sum(one.cpu_times()[:2]) for one in everyone)
    time.sleep(seconds)
    return (sum(sum(one.cpu_times()[:2]) for one in everyone) - before) / seconds


def small(count: int) -> Sequence[bytes]:
    return [data for data, _ in small_photos(count).values()]


def test_a_watch_limit_too_low(home: Home, figure: Figure, eventually: Callable[..., Any]) -> None:
    """100 folders and 10 watches: polling takes over, says so, and misses nothing."""
    home.within = ("unshare", "--user", "--map-root-user", "sh", "-c", LIMITED, "sh")
    if subprocess.run([*home.within, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no user namespaces with limits of their own here")
    home.configure(labels=LABELS)
    for number in range(100):
        (home.inbox / str(number)).mkdir()
    start(home, eventually)
    for number, data in enumerate(small(100)):
        (home.inbox / str(number) / "a.jpg").write_bytes(data)
    began = time.monotonic()
    eventually(lambda: sidecars(home) == 100, 60)
    figure(
        "watch-limit",
        f"10 watches for 100 folders: polled, 100 of 100 photos tagged after "
        f"{time.monotonic() - began:.1f} s",
    )
    [root] = home.json("status")["roots"]
    assert root["mode"] == "poll" and "max_user_watches" in root["reason"]
    loud = [one["message"] for one in home.logged() if one["level"] == "warning"]
    assert any("max_user_watches" in message for message in loud)


@pytest.mark.parametrize("count", [200, pytest.param(12_000, marks=pytest.mark.torture)])
def test_a_burst_while_the_reader_is_stopped(
    count: int, home: Home, figure: Figure, eventually: Callable[..., Any]
) -> None:
    # int8 is proved beside the work once there are 256 photos, which takes its time.
    home.configure(labels=LABELS, model=home.settings["model"] | {"precision": "fp32"})
    process = start(home, eventually)
    for number in range(count // 20):
        (home.inbox / str(number)).mkdir()
    photos = small(min(count, 2_000))
    process.send_signal(signal.SIGSTOP)
    try:
        for number in range(count):
            # Each file gives several events, of which the kernel keeps 16,384.
            path = home.inbox / str(number % (count // 20)) / f"{number}.jpg"
            path.write_bytes(photos[number % len(photos)])
    finally:
        process.send_signal(signal.SIGCONT)
    began = time.monotonic()
    eventually(lambda: home.json("status")["counts"]["waiting"], 60)
    eventually(lambda: sidecars(home) == count, 900)
    took = time.monotonic() - began
    eventually(lambda: all_compared(home), 900)
    time.sleep(10 if count > 1000 else 3)
    share = cpu_share(process, 10 if count > 1000 else 3)
    figure(
        f"burst-{count}",
        f"{sidecars(home)} of {count} files ({len(photos)} different) made while the daemon was "
        f"stopped are tagged {took:.0f} s later; ten seconds on it takes {share:.1%} of one core",
    )
    assert share < 0.05
    assert home.json("status")["counts"]["tagged"] == count


def test_a_storm_of_events_does_not_spin(home: Home, eventually: Callable[..., Any]) -> None:
    """Whatever others do to files that are no photos costs little, and ends when they end."""
    home.configure(labels=LABELS)
    process = start(home, eventually)
    junk = [home.inbox / "junk.txt", home.inbox / "junk2.txt"]
    junk[0].write_bytes(b"x")
    for _ in range(20_000):
        junk[0].rename(junk[1])
        junk.reverse()
    for name in ("a.jpg.xmp", "never.jpg"):
        for number in range(2_000):
            path = home.inbox / name
            path.write_bytes(b"%d" % number)
            path.unlink()
    (home.inbox / "good.jpg").write_bytes(small(1)[0])
    eventually(lambda: sidecars(home) == 1, 30)
    time.sleep(2)
    assert cpu_share(process, 3) < 0.05
    assert home.json("failures") == []


@pytest.mark.torture
def test_a_soak_in_miniature(home: Home, figure: Figure, eventually: Callable[..., Any]) -> None:
    """Photos in and out, thousand by thousand: neither memory nor open files grow."""
    total = 4_000 if SHORT else 20_000
    home.configure(labels=LABELS, model=home.settings["model"] | {"precision": "fp32"})
    process = start(home, eventually)
    photos = small(500)
    memory, files = [], []
    for turn in range(total // 1000):
        folder = home.inbox / str(turn)
        folder.mkdir()
        for number in range(1000):  # each second one is a copy
            data = photos[number // 2] + b"%d" % turn
            (folder / f"{number}.jpg").write_bytes(data)
        eventually(lambda: sidecars(home) == 1000, 240)
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        eventually(lambda: not home.heartbeat()["queue"], 30)
        # While photos are compared some 20 MB come and go.
        eventually(lambda: all_compared(home), 240)
        time.sleep(2)
        memory.append(process.memory_info().rss / 1e6)
        files.append(process.num_fds())
        print(turn, round(memory[-1], 1), files[-1], flush=True)
    half = len(memory) // 2
    slope = float(np.polyfit(np.arange(half, len(memory)), memory[half:], 1)[0])
    figure(
        "soak",
        f"{total} photos (half of them copies) in and out: {memory[0]:.0f} MB after the first "
        f"thousand, {memory[-1]:.0f} MB at the end, {slope:+.2f} MB per 1,000 photos in the second "
        f"half; open files {files[0]} and {files[-1]}",
    )
    assert slope < 1.0
    assert files[-1] <= files[0] + 3


@pytest.mark.parametrize(
    ("count", "folders"), [(60, 40), pytest.param(100_000, 5_000, marks=pytest.mark.torture)]
)
def test_a_backlog(
    count: int, folders: int, home: Home, figure: Figure, eventually: Callable[..., Any]
) -> None:
    """Photos that were there before; of the many, most are copies, which need no network."""
    home.configure(labels=LABELS, model=home.settings["model"] | {"precision": "fp32"})
    photos = small(min(count // 2, 2_000))
    for number in range(folders):
        (home.inbox / str(number % 50) / str(number)).mkdir(parents=True)
    for number in range(count):
        folder = home.inbox / str(number % folders % 50) / str(number % folders)
        (folder / f"{number}.jpg").write_bytes(photos[number % len(photos)])
    process = psutil.Process(tagger_of(home.start().pid))
    began, peak, done = time.monotonic(), 0.0, 0
    limit = began + max(60, count / 25)
    while done < count:
        assert time.monotonic() < limit, f"{done} of {count}"
        time.sleep(0.5 if count < 1000 else 5)
        peak = max(peak, process.memory_info().rss / 1e6)
        done = home.json("status")["counts"]["tagged"]
        if count > 1000:
            print(done, round(peak), round(time.monotonic() - began), flush=True)
    took = time.monotonic() - began
    eventually(lambda: all_compared(home), 60 + count / 25)
    time.sleep(10 if count > 1000 else 3)
    share = cpu_share(process, 10 if count > 1000 else 3)
    figure(
        f"backlog-{count}",
        f"{count} files ({len(photos)} different) in {folders} folders: {sidecars(home)} tagged "
        f"after {took:.0f} s, the daemon's memory at most {peak:.0f} MB, {share:.1%} of one core "
        f"afterwards",
    )
    assert sidecars(home) == count
    assert home.json("failures") == []
    assert share < 0.05
    assert peak < 400
