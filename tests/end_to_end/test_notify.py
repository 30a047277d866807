"""What the service manager hears of a daemon, over a real socket."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time

import pytest


@pytest.fixture
def manager(tmp_path, home, monkeypatch):
    """Return what plays systemd: a socket, and the daemon started with it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(30)
        environ = home.environ() | {
            "NOTIFY_SOCKET": str(tmp_path / "notify"),
            "WATCHDOG_USEC": "1000000",
        }
        monkeypatch.setattr(home, "environ", lambda: environ)
        home.heard = []

        def hear(wanted, seconds=30.0):
            """Wait for a message that begins so; return what came until then."""
            until = time.monotonic() + seconds
            came = []
            while time.monotonic() < until:
                came += end.recv(4096).decode().splitlines()
                home.heard += came
                if any(line.startswith(wanted) for line in came):
                    return came
            raise AssertionError(f"{wanted} did not come, only {came}")

        home.hear = hear
        home.start()
        yield home


def test_ready_status_watchdog_reload_and_stop(manager, scenes):
    manager.hear("READY=1")
    assert manager.heartbeat()["state"] == "running"
    manager.hear("WATCHDOG=1")
    manager.hear("STATUS=idle, 0 photos, 0 failures")
    shutil.copyfile(scenes[0], manager.inbox / "a.jpg")
    (manager.inbox / "b.jpg").write_text("no picture")
    manager.hear("STATUS=idle, 1 photos, 1 failures")
    daemon = manager.daemons[0]
    daemon.send_signal(signal.SIGHUP)
    assert any(line.startswith("MONOTONIC_USEC=") for line in manager.hear("RELOADING=1"))
    manager.hear("READY=1")
    manager.config.write_text("nonsense: [")
    daemon.send_signal(signal.SIGHUP)
    manager.hear("RELOADING=1")
    manager.hear("READY=1")
    daemon.terminate()
    manager.hear("STOPPING=1")
    assert daemon.wait(10) == 0


def test_what_is_missing_is_the_status(home, manager):
    manager.hear("READY=1")
    home.daemons[0].terminate()
    manager.hear("STOPPING=1")
    home.configure(model={"download": False, "weights": None})
    shutil.rmtree(home.state / "models")
    home.start()
    manager.hear("STATUS=waiting: ")


def test_a_process_of_the_daemon_does_not_speak_in_its_name(manager):
    manager.hear("READY=1")
    daemon = manager.daemons[0]
    children = subprocess.run(
        ["pgrep", "-P", str(daemon.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    for pid in children:
        with open(f"/proc/{pid}/environ", "rb") as file:
            assert b"NOTIFY_SOCKET" not in file.read()
    assert os.environ.get("NOTIFY_SOCKET") is None
