"""What the daemon tells the service manager, read from a real socket."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagger.system.sd_notify import Notifier


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """Return the manager's end of a socket, and what the daemon finds in ``$NOTIFY_SOCKET``."""
    name = f"{tmp_path}/notify" if request.param == "file" else f"@tagger-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(name.replace("@", "\0", 1))
        end.settimeout(5)
        yield end, name


def silent(end: socket.socket) -> bool:
    end.setblocking(False)
    try:
        end.recv(100)
    except BlockingIOError:
        return True
    finally:
        end.settimeout(5)
    return False


def test_every_message_arrives_as_systemd_expects_it(manager):
    end, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000"})
    notifier.ready()
    assert end.recv(100) == b"READY=1"
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    first, second = end.recv(100).decode().split("\n")
    assert first == "RELOADING=1"
    key, _, at = second.partition("=")
    assert key == "MONOTONIC_USEC"
    assert before <= int(at) <= time.monotonic_ns() // 1000
    notifier.alive()
    assert end.recv(100) == b"WATCHDOG=1"
    notifier.stopping()
    assert end.recv(100) == b"STOPPING=1"


def test_a_status_is_one_line_and_told_once(manager):
    end, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name})
    notifier.status("idle, 12,403 photos\nREADY=1 狗 \udcff")
    assert end.recv(100) == "STATUS=idle, 12,403 photos READY=1 狗 \\udcff".encode()
    notifier.status("idle, 12,403 photos READY=1 狗 \udcff")
    assert silent(end)
    notifier.status("busy")
    assert end.recv(100) == b"STATUS=busy"


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": ""}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_at_half_its_time_and_only_when_it_watches(manager, environ, interval):
    end, name = manager
    notifier = Notifier({"NOTIFY_SOCKET": name} | environ)
    assert notifier.interval == interval
    notifier.alive()
    assert silent(end) == (interval is None)


def test_children_inherit_nothing(manager):
    end, name = manager
    script = (
        "import os, subprocess, sys; from tagger.system.sd_notify import Notifier; "
        "told = Notifier();"
        "subprocess.run([sys.executable, '-c', 'import os; print(sorted(os.environ))']);"
        "told.ready()"
    )
    given = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "STAYS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | given,
        capture_output=True,
        check=True,
        text=True,
    )
    assert "STAYS" in done.stdout
    assert not any(key in done.stdout for key in ("NOTIFY", "WATCHDOG"))
    assert end.recv(100) == b"READY=1"


def test_without_a_manager_nothing_is_done_and_nothing_said(caplog):
    environ = {"OTHER": "1"}
    notifier = Notifier(environ)
    notifier.ready()
    notifier.status("idle")
    notifier.alive()
    assert environ == {"OTHER": "1"}
    assert not caplog.records


def test_a_manager_that_is_gone_is_logged_once_and_harms_nobody(caplog, tmp_path):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    with caplog.at_level(logging.WARNING):
        notifier.ready()
        notifier.stopping()
    [record] = caplog.records
    assert str(tmp_path / "gone") in record.getMessage()


EXHAUSTED = """
import os, resource
from tagger.system.sd_notify import Notifier

notifier = Notifier()
notifier.ready()
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
try:
    while True:
        os.open("/dev/null", os.O_RDONLY)
except OSError:
    notifier.alive()
"""


def test_the_watchdog_is_fed_when_no_descriptor_is_left(manager):
    end, name = manager
    given = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"}
    subprocess.run([sys.executable, "-c", EXHAUSTED], env=os.environ | given, check=True)
    assert [end.recv(100), end.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
