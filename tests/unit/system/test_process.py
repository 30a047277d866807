"""Priority and memory of real processes."""

from __future__ import annotations

import json
import subprocess
import sys

import psutil
import pytest

from tagger.config.schema import PriorityConfig
from tagger.system import process as resources
from tagger.system.process import memory_mb

CHILD = """
import json, os, subprocess, sys, threading
import psutil
from tagger.system.process import be_nice
be_nice(int(sys.argv[1]), sys.argv[2])
said = {}
def look():
    with open(f"/proc/self/task/{threading.get_native_id()}/stat") as file:
        said["thread"] = int(file.read().rsplit(")")[1].split()[16])
thread = threading.Thread(target=look)
thread.start()
thread.join()
child = subprocess.Popen(["sleep", "30"])
said["nice"] = os.getpriority(os.PRIO_PROCESS, child.pid)
said["io"] = list(psutil.Process(child.pid).ionice())
child.kill()
child.wait()
print(json.dumps(said))
"""


@pytest.mark.parametrize(
    ("nice", "io", "expected"),
    [
        (15, "idle", [psutil.IOPRIO_CLASS_IDLE, None]),
        (7, "low", [psutil.IOPRIO_CLASS_BE, 7]),
        (0, "normal", None),
    ],
)
def test_threads_and_children_are_as_nice(nice, io, expected):
    mine = psutil.Process().nice()
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(nice), io], capture_output=True, check=True, text=True
    )
    said = json.loads(done.stdout)
    assert said["nice"] == said["thread"] == max(nice, mine)
    if expected is None:
        assert said["io"] == list(psutil.Process().ionice())
    else:
        assert said["io"][0] == expected[0]
        assert expected[1] is None or said["io"][1] == expected[1]


def test_the_daemon_yields_by_default(home, eventually):
    home.configure(priority={})  # the tests themselves do not yield
    daemon = home.start()
    eventually(lambda: home.heartbeat().get("model"), 60)
    process = psutil.Process(daemon.pid)
    assert process.nice() == max(PriorityConfig().nice, psutil.Process().nice())
    assert process.ionice()[0] == psutil.IOPRIO_CLASS_IDLE


def test_only_the_cores_that_may_be_used_are_counted():
    child = """
import os
from tagger.decode.pool import DecodePool
from tagger.records import CropSpec
from tagger.system.process import cores
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
with DecodePool(CropSpec()) as pool:
    print(cores(), len(pool._workers))
"""
    said = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True, check=True)
    assert said.stdout == "1 1\n"


def test_memory_counts_the_children():
    alone = memory_mb()
    assert alone is not None and alone > 5
    code = "x = b'x' * 80_000_000; print('ready', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        child.stdout.readline()
        both = memory_mb()
        child.kill()
    assert both - alone > 75


def test_free_memory_in_the_middle_of_the_heap_is_given_back() -> None:
    child = """
import psutil
from tagger.system.process import give_memory_back, trim_memory
give_memory_back()
blocks = [bytearray(100_000) for _ in range(1000)]
last = bytearray(100_000)
blocks.clear()
kept = psutil.Process().memory_info().rss
trim_memory()
print(kept - psutil.Process().memory_info().rss)
"""
    given = subprocess.run(
        [sys.executable, "-c", child], capture_output=True, text=True, check=True
    ).stdout
    assert int(given) > 80_000_000, "100 MB were free below a block in use"


def test_figures_that_cannot_be_had_stop_nothing(monkeypatch, caplog):
    """A /proc that is hidden, or of another form."""

    def fails(*_):
        raise FileNotFoundError(2, "No such file or directory", "/proc/1/smaps_rollup")

    monkeypatch.setattr(resources.psutil, "Process", fails)
    monkeypatch.setattr(resources.os, "sched_getaffinity", fails)
    assert resources.memory_mb() is None
    assert resources.cores() >= 1
    resources.be_nice(0, "idle")


def test_as_many_files_may_be_open_as_the_hard_limit_allows():
    code = (
        "import resource as r; from tagger.system.process import raise_descriptors as go\n"
        "hard = min(r.getrlimit(r.RLIMIT_NOFILE)[1], 3000)\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (200, hard)); go(); print(*r.getrlimit(r.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    soft, hard = said.stdout.split()
    assert soft == hard != "200"
