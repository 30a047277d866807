"""Pausing, resuming, scanning and the schedule of a real daemon."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from datetime import datetime, timedelta

import pytest

from tagger.errors import ConfigError, StateError
from tagger.system.control_socket import SOCKET_NAME, ControlServer, send_command


def tagged(home):
    return {line["path"] for line in home.logged() if line.get("event") == "photo"}


def test_pause_resume_and_scan(home, scenes, eventually):
    daemon = home.start()
    eventually(lambda: (home.state / SOCKET_NAME).exists() and home.heartbeat().get("model"), 60)
    assert home.run("pause") == "paused; photos wait until `tagger resume`\n"
    eventually(lambda: home.heartbeat().get("paused_reason"))
    assert "paused until `tagger resume`" in home.run("status")
    photo = home.inbox / "a.jpg"
    shutil.copyfile(scenes[0], photo)
    eventually(lambda: home.json("status")["counts"]["waiting"] == 1)
    assert tagged(home) == set()

    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(10) == 0
    assert not (home.state / SOCKET_NAME).exists()
    again = home.start()
    eventually(lambda: home.heartbeat().get("pid") == again.pid, 60)
    eventually(lambda: home.heartbeat().get("paused_reason"), 60)
    assert tagged(home) == set(), "it stays paused over a restart"

    assert home.run("resume") == "working\n"
    eventually(lambda: tagged(home) == {str(photo)})
    eventually(lambda: home.heartbeat().get("paused_reason") is None)

    assert home.run("scan") == "scanning everything\n"
    assert home.run("scan", str(home.inbox)) == f"scanning {home.inbox}\n"
    home.run("scan", "/no/such/folder", code=2)
    assert "in no watched folder" in home.err


def test_a_folder_without_events_is_looked_at_when_asked(home, scenes, eventually):
    home.configure(watch=[{"path": str(home.inbox), "mode": "poll"}], rescan_seconds=3600)
    shutil.copyfile(scenes[0], home.inbox / "a.jpg")
    home.start()
    eventually(lambda: len(tagged(home)) == 1, 60)
    sub = home.inbox / "sub"
    sub.mkdir()
    shutil.copyfile(scenes[1], sub / "b.jpg")
    home.run("scan", str(sub))
    eventually(lambda: str(sub / "b.jpg") in tagged(home))


def test_outside_its_window_a_daemon_waits(home, scenes, eventually):
    now = datetime.now()
    start, end = now + timedelta(hours=2), now + timedelta(hours=4)
    home.configure(schedule=f"{start:%H:%M}-{end:%H:%M}")
    shutil.copyfile(scenes[0], home.inbox / "a.jpg")
    daemon = home.start()
    eventually(lambda: f"until {start:%H:%M}" in (home.heartbeat().get("paused_reason") or ""), 60)
    home.configure(schedule=f"{now - timedelta(hours=2):%H:%M}-{end:%H:%M}")
    assert tagged(home) == set()
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: len(tagged(home)) == 1)


def test_a_single_run_does_not_wait(home, scenes):
    now = datetime.now()
    start, end = now + timedelta(hours=2), now + timedelta(hours=4)
    home.configure(schedule=f"{start:%H:%M}-{end:%H:%M}")
    shutil.copyfile(scenes[0], home.inbox / "a.jpg")
    assert len(home.once()) == 1


def test_without_a_daemon_it_says_so(home):
    for command in ("pause", "resume", "scan"):
        home.run(command, code=2)
        assert "no daemon runs" in home.err


def test_errors_come_back_with_their_remedy(tmp_path):
    def fail(request):
        raise ConfigError(f"no {request['what']}", "do that")

    with ControlServer(str(tmp_path), {"fail": fail, "echo": lambda request: request["text"]}):
        assert send_command(str(tmp_path), "echo", text="a\nb ü") == "a\nb ü"
        with pytest.raises(StateError, match="no way; do that"):
            send_command(str(tmp_path), "fail", what="way")
        with pytest.raises(StateError, match="not understood"):
            send_command(str(tmp_path), "dance")
        with socket.socket(socket.AF_UNIX) as end:
            end.connect(str(tmp_path / SOCKET_NAME))
            end.sendall(b"[nonsense\n")
            assert b"not understood" in end.recv(4096)
        assert send_command(str(tmp_path), "echo", text="still there") == "still there"
        assert (tmp_path / SOCKET_NAME).stat().st_mode & 0o777 == 0o600


def test_a_deep_state_directory_has_a_socket_too(tmp_path):
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True)
    with ControlServer(str(deep), {"echo": lambda request: "here"}):
        assert send_command(str(deep), "echo") == "here"


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user")
def test_other_users_are_not_listened_to(tmp_path):
    os.chmod(tmp_path, 0o755)
    code = f"""
import os, socket
end = socket.socket(socket.AF_UNIX)
os.chdir({str(tmp_path)!r})
os.setuid(65534)
end.connect({SOCKET_NAME!r})
end.sendall(b'{{"command": "echo"}}\\n')
print(end.recv(100))
"""
    with ControlServer(str(tmp_path), {"echo": lambda request: "secret"}):
        os.chmod(tmp_path / SOCKET_NAME, 0o666)  # even so
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
    assert done.stdout in ("b''\n", "") and "secret" not in done.stdout + done.stderr
