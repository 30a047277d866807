"""A cluster whose workers are killed and stopped all the time: nothing is lost, doubled or blamed.

The short part kills a few times; the long one 50 times, with 10 stops of a minute.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import Home
from tests.end_to_end.test_cluster import rows, sidecars
from tests.support.clusters import Cluster, running, tree

pytest.importorskip("distributed")

BOMB = """
import os
words = open("/proc/self/cmdline").read().split("\\0")
if "tagger.cluster.looker" in words or "run" in words:
    import tagger.pipeline.local_recognition as m
    from tagger.errors import DecoderCrashedError
    old = m.LocalRecognition.submit
    def submit(self, path, **how):
        if "bomb" not in path:
            return old(self, path, **how)
        if "run" in words:  # the daemon, after three workers were killed that had it
            found = m.Future()
            found.set_exception(DecoderCrashedError("the process that opened it died", "wait"))
            return found
        with open(os.environ["BOMBED"], "a") as file:
            file.write("x")
        os._exit(9)
    m.LocalRecognition.submit = submit
"""
WORKERS = 3
NO_PROGRESS_SECONDS = 300


def fill(home: Home, scenes, count: int) -> None:
    """Put so many photos into a home's inbox, each with bytes of its own."""
    for number in range(count):
        scene = scenes[number % len(scenes)]
        (home.inbox / f"{number:04}{scene.suffix}").write_bytes(scene.read_bytes() + b"%d" % number)


@pytest.mark.parametrize(
    ("photos", "kills", "stops", "stopped_seconds"),
    [(120, 3, 1, 3.0), pytest.param(2000, 50, 10, 60.0, marks=pytest.mark.torture)],
    ids=["short", "long"],
)
def test_workers_are_killed_and_stopped(
    tmp_path, home, demo_weights, scenes, figure, photos, kills, stops, stopped_seconds
):
    plain = Home(_made(tmp_path / "plain"), demo_weights)
    plain.converted = home.converted
    for one in (plain, home):
        fill(one, scenes, photos)
    plain.use_converted_model()
    alone = subprocess.run(
        [sys.executable, "-m", "tagger", "--config", str(plain.config), "run", "--once"],
        env=plain.environ(),
        capture_output=True,
        check=False,
    )
    assert alone.returncode == 0, alone.stderr[-2000:]
    shutil.copy(scenes[0], home.inbox / "bomb.jpg")
    with (home.inbox / "bomb.jpg").open("ab") as bomb:
        bomb.write(b"bomb")
    home.use_converted_model()
    home.configure(cluster={"lost": "wait"})

    site, bombed = _made(tmp_path / "site"), tmp_path / "bombed"
    (site / "sitecustomize.py").write_text(BOMB)
    environ = {"PYTHONPATH": f"{site}:{os.environ.get('PYTHONPATH', '')}", "BOMBED": str(bombed)}
    with (
        running(tmp_path / "cluster", WORKERS, **environ) as cluster,
        (tmp_path / "run.log").open("wb") as output,
    ):
        run = subprocess.Popen(
            [
                *(sys.executable, "-m", "tagger", "--config", str(home.config)),
                *("run", "--once", "--cluster", cluster.address),
            ],
            env=home.environ() | environ,
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
        trouble = Trouble(cluster, kills, stops, stopped_seconds, environ)
        log = tmp_path / "run.log"
        try:
            trouble.make(run, photos, log)
        finally:
            run.kill()
        assert run.wait() == 0, log.read_text()[-3000:]
        alive = [one for one in cluster.workers.values() if one.poll() is None]
        assert len(alive) == len(cluster.workers), "no worker ended that was not killed"
    assert len(done(log)) == photos, "each is done once"
    assert rows(home) == rows(plain)
    assert sidecars(home) == sidecars(plain)
    assert [one["path"] for one in home.json("failures")] == [str(home.inbox / "bomb.jpg")]
    figure("cluster", f"{photos} photos, {trouble}: none lost, doubled or wrongly blamed; the bomb"
           f" ended {len(bombed.read_text())} processes and no worker")  # fmt: skip
    assert len(bombed.read_text()) <= 3 * 3, "three for each of at most three tries"


def done(log: Path) -> list[str]:
    """Return the lines of a log that say that a photo is done."""
    return [line for line in log.read_text().splitlines() if '"event": "photo"' in line]


class Trouble:
    """Kills and stops workers while a run is at work, spread over its photos."""

    def __init__(
        self, cluster: Cluster, kills: int, stops: int, seconds: float, environ: dict[str, str]
    ) -> None:
        self._cluster, self._seconds, self._environ = cluster, seconds, environ
        self._dice = random.Random(7)
        self._events = ["kill"] * (kills + stops)
        # None so late that the run is done before the worker is continued.
        for at in self._dice.sample(range(-(-len(self._events) * 3 // 5)), stops):
            self._events[at] = "stop"
        self._asleep: dict[str, float] = {}
        self._started = 0
        self.killed = self.stopped = self.woken = 0

    def __str__(self) -> str:
        return (
            f"{self.killed} workers killed and {self.stopped} stopped, {self.woken} of them"
            f" continued after {self._seconds:.0f} s"
        )

    def make(self, run: subprocess.Popen[bytes], photos: int, log: Path) -> None:
        """Make trouble until a run ends."""
        step = photos / (len(self._events) + 1)
        count, ends = 0, time.monotonic() + NO_PROGRESS_SECONDS
        while run.poll() is None:
            before, count = count, len(done(log))
            if count > before:
                ends = time.monotonic() + NO_PROGRESS_SECONDS
            elif time.monotonic() > ends:
                raise AssertionError(f"{self}: {count} photos are done, and no more:"
                                     f" {log.read_text()[-3000:]}")  # fmt: skip
            for name, since in list(self._asleep.items()):
                if time.monotonic() - since >= self._seconds:
                    self._wake(name)
                    self.woken += 1
            if (self.killed + self.stopped + 1) * step <= count and self._events:
                self._next(self._events.pop(0))
            time.sleep(0.2)
        for name in list(self._asleep):
            self._wake(name)

    def _next(self, event: str) -> None:
        awake = [name for name in self._cluster.workers if name not in self._asleep]
        name = self._dice.choice(awake)
        if event == "kill":
            self._cluster.kill(name)
            self.killed += 1
        else:
            _signal(self._cluster, name, signal.SIGSTOP)
            self._asleep[name] = time.monotonic()
            self.stopped += 1
        if len(awake) <= WORKERS:
            self._started += 1
            self._cluster.start_worker(f"further{self._started}", **self._environ)

    def _wake(self, name: str) -> None:
        _signal(self._cluster, name, signal.SIGCONT)
        del self._asleep[name]


def _signal(cluster: Cluster, name: str, number: int) -> None:
    for one in tree(cluster.workers[name]):
        try:
            one.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _made(folder):
    folder.mkdir()
    return folder
