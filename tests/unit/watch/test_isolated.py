"""Mounts, limits and overflows of the kernel: real ones, in processes and namespaces apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import PROJECT

CHILD = PROJECT / "tests/support/child_watch.py"


def start(*arguments: str, within: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*within, sys.executable, str(CHILD), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


def ask(child: subprocess.Popen[str], question: str, wanted: str, seconds: float = 60.0) -> str:
    """Ask until the answer contains ``wanted``; return it."""
    assert child.stdin is not None and child.stdout is not None
    end = time.monotonic() + seconds
    while True:
        child.stdin.write(question + "\n")
        child.stdin.flush()
        answer = child.stdout.readline().rstrip("\n")
        if wanted in answer:
            return answer
        assert time.monotonic() < end and answer, f"{question}: {answer!r}, not {wanted!r}"
        time.sleep(0.05)


def finish(child: subprocess.Popen[str]) -> None:
    child.communicate("", timeout=10)
    assert child.returncode == 0


def namespaces(*flags: str) -> tuple[str, ...]:
    """Return the command that runs another in new namespaces, or skip the test."""
    command = ("unshare", "--user", "--map-root-user", *flags)
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no namespaces here: {error}")
    return command


def test_a_watch_limit_is_noticed_and_nothing_is_missed(root: Path, jpeg: bytes) -> None:
    for number in range(100):
        (root / str(number)).mkdir()
    shell = 'echo 10 > /proc/sys/user/max_inotify_watches || exit 3; exec "$@"'
    within = (*namespaces(), "sh", "-c", shell, "sh")
    child = start(str(root), within=within)
    assert "poll" in ask(child, "status", "max_user_watches")
    for number in range(100):
        (root / str(number) / "a.jpg").write_bytes(jpeg)
    ask(child, "found", "100", 5.0)
    finish(child)


def test_an_overflow_while_stopped_loses_nothing_and_does_not_spin(root: Path, jpeg: bytes) -> None:
    for number in range(200):
        (root / str(number)).mkdir()
    child = start(str(root))
    ask(child, "status", "events")
    ask(child, "scanned", "yes")
    os.kill(child.pid, signal.SIGSTOP)
    junk = [root / "junk.txt", root / "junk2.txt"]
    junk[0].write_bytes(b"x")
    for _ in range(10_000):  # two events each; the kernel keeps 16,384
        junk[0].rename(junk[1])
        junk.reverse()
    for number in range(200):
        (root / str(number) / "a.jpg").write_bytes(jpeg)
    (root / "new/deep").mkdir(parents=True)
    (root / "new/deep/b.jpg").write_bytes(jpeg)
    os.kill(child.pid, signal.SIGCONT)
    ask(child, "found", "201", 30.0)
    (root / "new/deep/c.jpg").write_bytes(jpeg)  # watched again, too
    ask(child, "found", "202", 10.0)
    time.sleep(1.0)
    before = float(ask(child, "cpu", "."))
    time.sleep(2.0)
    assert float(ask(child, "cpu", ".")) - before < 0.1
    finish(child)


MOUNTING = """
set -e
mkdir -p "$1/disk" "$1/photos"
mount -t tmpfs disk "$1/disk"
mkdir "$1/disk/trip"
mount --bind "$1/disk" "$1/photos"
shift
exec "$@"
"""


def inside(child: subprocess.Popen[str], script: str) -> None:
    """Run a shell script in the mount namespace of the child."""
    enter = ["nsenter", "--user", "--mount", "--preserve-credentials", "-t", str(child.pid)]
    subprocess.run([*enter, "sh", "-ec", script], check=True, capture_output=True)


@pytest.fixture
def mounted(tmp_path: Path) -> subprocess.Popen[str]:
    within = (*namespaces("--mount"), "sh", "-c", MOUNTING, "sh", str(tmp_path))
    return start(str(tmp_path / "photos"), within=within)


def test_an_unmounted_disk_is_not_a_deletion(
    mounted: subprocess.Popen[str], tmp_path: Path, jpeg: bytes
) -> None:
    child, photos, disk = mounted, tmp_path / "photos", tmp_path / "disk"
    (tmp_path / "sample.jpg").write_bytes(jpeg)
    copy = f"cp {tmp_path}/sample.jpg"
    ask(child, "scanned", "yes")
    inside(child, f"for n in $(seq 5); do {copy} {photos}/$n.jpg; done")
    ask(child, "found", "5")
    inside(child, f"umount {photos}")
    ask(child, "status", "offline")
    inside(child, f"{copy} {photos}/stray.jpg")
    time.sleep(0.5)
    inside(child, f"mount --bind {disk} {photos}; {copy} {photos}/new.jpg")
    ask(child, "found", "6")
    inside(child, f"mount -t tmpfs over {photos}")  # mounted over
    ask(child, "status", "offline")
    inside(child, f"umount {photos}")
    ask(child, "status", "online")
    assert ask(child, "gone", "") == "0"
    finish(child)


def test_a_disk_mounted_below_the_root_may_go_away_as_well(
    mounted: subprocess.Popen[str], tmp_path: Path, jpeg: bytes
) -> None:
    child, photos = mounted, tmp_path / "photos"
    (tmp_path / "sample.jpg").write_bytes(jpeg)
    copy = f"cp {tmp_path}/sample.jpg"
    ask(child, "scanned", "yes")
    inside(child, f"mount -t tmpfs card {photos}/trip; {copy} {photos}/trip/a.jpg")
    ask(child, "found", "1")
    ask(child, "rescan", "done")
    inside(child, f"umount {photos}/trip")
    ask(child, "rescan", "done")
    inside(child, f"{copy} {photos}/b.jpg")
    ask(child, "found", "2")
    ask(child, "rescan", "done")
    assert ask(child, "gone", "") == "0"
    finish(child)
