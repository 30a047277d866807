"""A disk that refuses: the queue waits, says why, and goes on by itself when it is repaired."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.conftest import Home
from tests.faults.conftest import WITHOUT_OVERRIDE, Figure
from tests.faults.test_kills import small_photos
from tests.support import judge
from tests.support.disks import Disk

PHOTOS = 12
QUICK_SECONDS = 4.0
FAULT_SECONDS = 10.0 if os.environ.get("TAGGER_TORTURE") == "short" else 60.0
REPAIR_SECONDS = 60.0

MakeDisk = Callable[..., Disk]


@contextmanager
def full(disk: Disk, home: Home) -> Iterator[None]:
    disk.fill()
    yield
    disk.free()


@contextmanager
def read_only(disk: Disk, home: Home) -> Iterator[None]:
    disk.remount("ro")
    yield
    disk.remount("rw")


@contextmanager
def forbidden(disk: Disk, home: Home) -> Iterator[None]:
    """The daemon has no right to ignore rights: a folder of another user's is closed to it."""
    os.chown(home.inbox, 65534, 65534)
    home.inbox.chmod(0o555)
    yield
    home.inbox.chmod(0o777)


@contextmanager
def broken(home: Home, call: str, error: str) -> Iterator[None]:
    """Let every fsync fail (or fdatasync and pwrite64, which only SQLite calls)."""
    if shutil.which("strace") is None:
        assert not os.environ.get("TAGGER_CI"), "strace must be installed for this test"
        pytest.skip("strace is not installed")
    inject = f"inject={call}:error={error}"
    strace = subprocess.Popen(
        ["strace", "-f", "-qq", "-p", str(home.daemons[-1].pid), "-e", inject],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(0.5)
    assert strace.poll() is None, "strace could not attach"
    try:
        yield
    finally:
        strace.send_signal(signal.SIGTERM)
        strace.wait(10)


@contextmanager
def broken_photos(disk: Disk, home: Home) -> Iterator[None]:
    with broken(home, "fsync", "EIO"):
        yield


@contextmanager
def broken_index(disk: Disk, home: Home) -> Iterator[None]:
    with broken(home, "fdatasync", "EIO"):
        yield


@contextmanager
def read_only_index(disk: Disk, home: Home) -> Iterator[None]:
    """A disk with files open for writing cannot be made read-only but by an error of its own."""
    with broken(home, "pwrite64", "EROFS"):
        yield


FAULTS = {
    # what is on the disk, what happens to it, what status says of it
    "photos-ENOSPC": ("inbox", full, "No space left"),
    "photos-EROFS": ("inbox", read_only, "Read-only"),
    "photos-EACCES": ("inbox", forbidden, "Permission denied"),
    "photos-EIO": ("inbox", broken_photos, "Input/output error"),
    "index-ENOSPC": ("state", full, "full"),
    "index-EROFS": ("state", read_only_index, "I/O error"),
    "index-EIO": ("state", broken_index, "I/O error"),
}


def start(home: Home, eventually: Callable[..., Any]) -> None:
    """Start the daemon without root's right to ignore the rights of files."""
    home.within = WITHOUT_OVERRIDE
    home.start()
    eventually(
        lambda: (
            home.heartbeat().get("model")
            and all(root["last_scan"] for root in home.heartbeat()["roots"])
        ),
        30,
    )


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("photos-ENOSPC", QUICK_SECONDS),
        ("index-ENOSPC", QUICK_SECONDS),
        *(pytest.param(name, FAULT_SECONDS, marks=pytest.mark.torture) for name in FAULTS),
    ],
)
def test_a_fault_is_waited_for(
    name: str,
    seconds: float,
    home: Home,
    disk: MakeDisk,
    figure: Figure,
    eventually: Callable[..., Any],
) -> None:
    place, fault, reason = FAULTS[name]
    drive = disk("disk", 96 if place == "state" else 24)
    where = drive.path / place
    where.mkdir()
    if place == "inbox":
        home.inbox.rmdir()
        home.inbox = where
        home.configure(watch=[{"path": str(where)}], labels={"threshold": 0.0})
    else:
        home.use_converted_model()
        shutil.copytree(home.state, where, dirs_exist_ok=True)
        home.state = where
        home.configure(state_dir=str(where), labels={"threshold": 0.0})
    judge.put(home.inbox / ".hold", small_photos(PHOTOS))
    start(home, eventually)
    with fault(drive, home):
        # A move within a folder needs no room, and comes through a read-only disk earlier.
        if name == "photos-EROFS":
            drive.remount("rw")
        for number, path in enumerate(sorted((home.inbox / ".hold").rglob("*.jpg"))):
            path.rename(home.inbox / f"{number}.jpg")
            if name == "photos-EROFS" and number == 0:
                drive.remount("ro")
                break
        time.sleep(seconds)
        said = home.run_process("status")
        tried = [one["tries"] for one in home.json("failures")]
    repaired = time.monotonic()
    assert home.daemons[-1].poll() is None, home.log.read_text()[-3000:]
    for number, path in enumerate(sorted((home.inbox / ".hold").rglob("*.jpg"))):
        path.rename(home.inbox / f"later-{number}.jpg")

    def done() -> bool:
        return len(list(home.inbox.glob("*.xmp"))) == PHOTOS

    deadline = repaired + REPAIR_SECONDS + 60
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)
    took = time.monotonic() - repaired
    complete = len(list(home.inbox.glob("*.xmp")))
    figure(
        f"fault-{name}",
        f"{complete} of {PHOTOS} done {took:.1f} s after the repair of a fault of "
        f"{seconds:.0f} s; tries used {max(tried, default=0)}; status says why: "
        f"{'yes' if reason in said else 'no'}",
    )
    print(said, [r for r in home.logged() if r["level"] != "info"][:5])
    assert done()
    assert took <= REPAIR_SECONDS
    assert reason in said, said
    assert tried == []
    eventually(lambda: not judge.index_problems(home, PHOTOS), 10)
