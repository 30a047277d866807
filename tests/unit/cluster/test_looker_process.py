"""The process that looks at photos dies: who is blamed, and who is not. Here it is a script."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from tagger.cluster.looker_process import LookerProcess
from tagger.cluster.messages import PhotoRequest
from tagger.errors import DecoderCrashedError, ModelError
from tagger.pipeline.seen_bytes import unpack_answer
from tests.conftest import wait_until

SCRIPT = """
import json, os, struct, sys, time
FRAME = struct.Struct(">QI")
def read():
    head = sys.stdin.buffer.read(12)
    if len(head) < 12: sys.exit()
    number, length = FRAME.unpack(head)
    return number, sys.stdin.buffer.read(length)
def write(number, data):
    sys.stdout.buffer.write(FRAME.pack(number, len(data)) + data)
    sys.stdout.flush()
number, settings = read()
settings = json.loads(settings)
with open(settings["log"], "a") as log: log.write("start\\n")
if settings.get("error"):
    write(number, json.dumps({"error": settings["error"]}).encode()); sys.exit()
if settings.get("dead") or os.path.exists(settings["log"] + ".dead"): os._exit(3)
if settings.get("asleep"): time.sleep(60)
write(number, b"{}")
while True:
    number, data = read()
    path = bytes.fromhex(json.loads(data)["photos"][0][0]).decode()
    with open(settings["log"], "a") as log: log.write(path + "\\n")
    time.sleep(settings.get("seconds", 0.02))
    if "bomb" in path: os._exit(9)
    write(number, b"saw " + path.encode())
"""


@pytest.fixture
def looker(tmp_path):
    made = []

    def make(**settings):
        script = tmp_path / "looker.py"
        script.write_text(SCRIPT)
        settings = {"log": str(tmp_path / "log")} | settings
        one = LookerProcess(settings, command=(sys.executable, str(script)))
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def photo(name: str) -> PhotoRequest:
    return PhotoRequest(f"/there/{name}", f"/here/{name}", "/there", 5)


def logged(tmp_path) -> list[str]:
    return (tmp_path / "log").read_text().split()


def test_each_photo_is_answered(looker):
    one = looker()
    one.start()
    futures = {name: one.submit(photo(name)) for name in map(str, range(20))}
    for name, future in futures.items():
        assert future.result(20) == b"saw /there/" + name.encode()


def test_a_photo_that_kills_costs_three_processes_and_no_other_photo(looker, tmp_path):
    one = looker()
    one.start()
    futures = [one.submit(photo(name)) for name in ("a", "b", "bomb", "c", "d")]
    bomb = futures.pop(2)
    assert [future.result(20) for future in futures] == [
        f"saw /there/{name}".encode() for name in "abcd"
    ]
    with pytest.raises(DecoderCrashedError, match=r"/here/bomb died \(code 9\)"):
        unpack_answer(bomb.result(20))
    assert one.submit(photo("after")).result(20) == b"saw /there/after"
    assert logged(tmp_path).count("/there/bomb") == 3
    assert logged(tmp_path).count("start") == 4


def test_while_a_photo_is_doubtful_it_is_alone(looker, tmp_path):
    one = looker()
    one.start()
    futures = [one.submit(photo("bomb")), *(one.submit(photo(str(n))) for n in range(8))]
    for future in futures:
        future.result(20)
    log = logged(tmp_path)
    again = [at for at, line in enumerate(log) if line == "/there/bomb"][1:]
    assert len(again) == 2 and all(log[at - 1] == "start" for at in again)
    assert one.submit(photo("after")).result(20)  # the next process is there
    assert all(line == "start" for line in logged(tmp_path)[again[0] + 1 : again[1]])


def test_processes_that_others_kill_blame_nobody(looker):
    one = looker(seconds=0.1)
    one.start()
    futures = [one.submit(photo(str(n))) for n in range(12)]
    for _ in range(3):
        pid = wait_until(lambda: one.pid)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda pid=pid: one.pid not in (None, pid))
        time.sleep(0.35)  # some are looked at
    assert all(future.result(30).startswith(b"saw ") for future in futures)


def test_one_that_cannot_start_says_why(looker):
    with pytest.raises(ModelError, match="too new; install another"):
        looker(error=["the network is too new", "install another"]).start()
    with pytest.raises(ModelError, match=r"before it was ready \(code 3\)"):
        looker(dead=True).start()


def test_after_its_end_nothing_is_taken(looker):
    one = looker(seconds=5)
    one.start()
    future = one.submit(photo("a"))
    one.close()
    for late in (future, one.submit(photo("b"))):
        with pytest.raises(RuntimeError, match="closed"):
            late.result(5)


def test_one_that_cannot_start_again_is_broken_and_says_so(looker, tmp_path):
    one = looker(seconds=5)
    one.start()
    future = one.submit(photo("a"))
    (tmp_path / "log.dead").touch()
    os.kill(one.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match=r"before it was ready \(code 3\)"):
        future.result(20)
    assert "before it was ready" in one.broken
    with pytest.raises(RuntimeError, match="before it was ready"):
        one.submit(photo("b")).result(5)


def test_one_that_is_never_ready_is_given_up(looker, monkeypatch):
    monkeypatch.setattr("tagger.cluster.looker_process.START_SECONDS", 0.5)
    with pytest.raises(ModelError, match=r"before it was ready \(code -9\)"):
        looker(asleep=True).start()
