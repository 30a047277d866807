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

import psutil
import pytest

from tests.conftest import Home
from tests.end_to_end.test_cluster import rows, sidecars
from tests.support.clusters import Cluster, running, tree

pytest.importorskip("distributed")

BOMB = """
import os
if "looker" in " ".join(open("/proc/self/cmdline").read().split("\\0")):
    import tagger.pipeline.local_recognition as m
    old = m.LocalRecognition.submit
    def submit(self, path, **how):
        if "bomb" in path:
            with open(os.environ["BOMBED"], "a") as file:
                file.write("x")
            os._exit(9)
        return old(self, path, **how)
    m.LocalRecognition.submit = submit
"""
WORKERS = 3


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
    done = subprocess.run(
        [sys.executable, "-m", "tagger", "--config", str(plain.config), "run", "--once"],
        env=plain.environ(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
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
            env=home.environ(),
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
        told = _trouble(run, cluster, kills, stops, stopped_seconds, environ)
        assert run.wait(1800) == 0, (tmp_path / "run.log").read_text()[-3000:]
    log = (tmp_path / "run.log").read_text().splitlines()
    events = [line for line in log if '"event": "photo"' in line]
    assert len(events) == photos, "each is done once"
    assert rows(home) == rows(plain)
    assert sidecars(home) == sidecars(plain)
    assert [one["path"] for one in home.json("failures")] == [str(home.inbox / "bomb.jpg")]
    figure("cluster", f"{photos} photos, {told}: none lost, doubled or wrongly blamed; the bomb"
           f" ended {len(bombed.read_text())} processes and no worker")  # fmt: skip
    assert len(bombed.read_text()) <= 3 * 3, "three for each of at most three tries"


def _trouble(
    run: subprocess.Popen[bytes],
    cluster: Cluster,
    kills: int,
    stops: int,
    seconds: float,
    environ: dict[str, str],
) -> str:
    """Kill and stop workers while a run is at work; say how often."""
    dice = random.Random(7)
    events = ["kill"] * kills + ["stop"] * stops
    dice.shuffle(events)
    asleep: dict[str, float] = {}
    counts = {"kill": 0, "stop": 0}
    started = kills + stops
    while run.poll() is None:
        for name, since in list(asleep.items()):
            if time.monotonic() - since >= seconds:
                _signal(cluster, name, signal.SIGCONT)
                del asleep[name]
        awake = [name for name in cluster.workers if name not in asleep]
        if events and len(awake) > 1:
            time.sleep(dice.uniform(0.3, 1.5))
            event, name = events.pop(), dice.choice(awake)
            counts[event] += 1
            if event == "kill":
                cluster.kill(name)
                started += 1
                cluster.start_worker(f"worker{started}", **environ)
            else:
                _signal(cluster, name, signal.SIGSTOP)
                asleep[name] = time.monotonic()
        else:
            time.sleep(0.2)
    for name in asleep:
        _signal(cluster, name, signal.SIGCONT)
    return f"{counts['kill']} kills, {counts['stop']} stops of {seconds:.0f} s"


def _signal(cluster: Cluster, name: str, number: int) -> None:
    for one in tree(cluster.workers[name]):
        try:
            one.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _made(folder):
    folder.mkdir()
    return folder
