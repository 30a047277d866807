"""Every system call of a write fails, or is the process's last one: there is no third state."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagger.metadata.safe_write.temporary import clean_strays
from tagger.records import JournalEntry
from tests.conftest import PROJECT
from tests.support import jpegs, packets
from tests.support.metadata_tools import EMBED, SIDECAR, TAGS, Tagger, left_behind

WRITING = (
    "openat write sync_file_range fsync rename renameat renameat2 link linkat unlink unlinkat "
    "fchmod fchown utimensat fsetxattr setxattr"
).split()
LOOKING = (
    "read pread64 close lseek newfstatat fstat lstat getxattr listxattr flistxattr getdents64"
).split()
FAULTS = dict.fromkeys(WRITING, ("ENOSPC", "EROFS", "EACCES", "EIO")) | dict.fromkeys(
    LOOKING, ("EIO",)
)
Files = dict[str, bytes]


def photo_alone(folder: Path) -> None:
    (folder / "a.jpg").write_bytes(jpegs.MAKERS["lightroom"]())


def with_sidecar(folder: Path) -> None:
    photo_alone(folder)
    (folder / "a.jpg.xmp").write_bytes(packets.DARKTABLE)


SCENARIOS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    # what is there at first, what tagger did before, and what it does under fault
    "embed": (photo_alone, "", "embed"),
    "embed-undo": (photo_alone, "embed", "undo"),
    "sidecar-new": (photo_alone, "", "sidecar"),
    "sidecar-merged": (with_sidecar, "", "sidecar"),
    "sidecar-gone": (photo_alone, "sidecar", "undo"),
    "moved": (photo_alone, "embed", "sidecar"),
}


class Child:
    """The process that forks the writers, and strace on each of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".strace")
        self.errors = folder.with_suffix(".stderr").open("w+")
        self.server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.child_write"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )

    def run(self, action: str, *inject: str) -> int:
        """Let a process do ``action`` under strace; return how it ended."""
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        print(action, self.folder / "a.jpg", file=self.server.stdin, flush=True)
        pid = int(self.server.stdout.readline())
        _wait_until_stopped(pid)
        calls = ",".join(f"?{name}" for name in FAULTS)
        strace = subprocess.Popen(
            ["strace", "-f", "-p", str(pid), "-o", self.log, "-e", f"trace={calls}", *inject],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert strace.stderr is not None
        said = strace.stderr.readline()
        assert "attached" in said, said
        os.kill(pid, signal.SIGCONT)
        status = int(self.server.stdout.readline())
        strace.communicate(timeout=20)
        return os.waitstatus_to_exitcode(status)

    def calls(self) -> Counter[str]:
        """Return how often each system call was made in the last run."""
        names = re.findall(r"^\d+ +(\w+)\(", self.log.read_text(), re.MULTILINE)
        return Counter(name for name in names if name in FAULTS)

    def stop(self) -> None:
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.close()
        self.server.wait(20)
        self.server.stdout.close()
        self.errors.close()


def _wait_until_stopped(pid: int) -> None:
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        os.sched_yield()


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    if shutil.which("strace") is None:
        assert not os.environ.get("TAGGER_CI"), "strace must be installed for this test"
        pytest.skip("strace is not installed")
    folder = tmp_path / "photos"
    folder.mkdir()
    made = Child(folder)
    yield made
    made.stop()


def contents(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def restore(folder: Path, files: Files) -> None:
    """Make the folder hold ``files`` again."""
    for name in os.listdir(folder):
        if name not in files:
            (folder / name).unlink()
    for name, data in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != data:
            path.unlink(missing_ok=True)
            path.write_bytes(data)


def ready(scenario: str, folder: Path) -> tuple[Files, str]:
    """Make what is there at first; return it, and the action to do."""
    make, before, action = SCENARIOS[scenario]
    make(folder)
    journal: tuple[JournalEntry, ...] = ()
    if before:
        tagger = Tagger(folder / "a.jpg", EMBED if before == "embed" else SIDECAR)
        tagger.write()
        journal = tagger.journal
    folder.with_suffix(".journal").write_bytes(pickle.dumps(journal))
    return contents(folder), action


def problems_of(folder: Path, old: Files, new: Files) -> list[str]:
    """Return what is wrong in the folder: anything that is neither old nor new."""
    found = []
    for name in old.keys() | new.keys():
        path = folder / name
        now = path.read_bytes() if path.exists() else None
        if now not in (old.get(name), new.get(name)):
            found.append(f"{name} is neither as it was nor as it shall be")
    clean_strays(str(folder))
    if left := left_behind(folder):
        found.append(f"left behind: {left}")
    if other := set(os.listdir(folder)) - old.keys() - new.keys():
        found.append(f"unknown: {other}")
    return found


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_third_state(scenario: str, child: Child) -> None:
    folder = child.folder
    old, action = ready(scenario, folder)
    assert child.run(action) == 0
    new, calls = contents(folder), child.calls()
    assert new != old
    problems, runs = [], 0
    for name, count in sorted(calls.items()):
        for number in range(1, count + 1):
            for fault in (*(f"error={e}" for e in FAULTS[name]), "signal=KILL"):
                restore(folder, old)
                code = child.run(action, "-e", f"inject={name}:{fault}:when={number}")
                wrong = problems_of(folder, old, new)
                if code not in ((-signal.SIGKILL,) if "KILL" in fault else (0, 1)):
                    wrong.append(f"it ended with {code}")
                problems += [f"{name} {number} {fault}: {one}" for one in wrong]
                runs += 1
    child.errors.seek(0)
    assert problems == [], child.errors.read()
    assert runs > 60


def test_the_same_write_succeeds_after_a_fault(child: Child) -> None:
    old, action = ready("embed", child.folder)
    assert child.run(action, "-e", "inject=fsync:error=ENOSPC:when=1") == 1
    assert contents(child.folder) == old
    tagger = Tagger(child.folder / "a.jpg")
    tagger.write(TAGS)
    tagger.undo()
    assert contents(child.folder) == old
