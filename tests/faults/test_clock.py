"""The time of day jumps by a year, either way: nothing stalls, nothing is taken too early."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tagger.config.schema import WatchRoot
from tagger.index.store import Store
from tagger.records import Candidate, FileStat
from tagger.watch.context import WatchSettings
from tagger.watch.root_identity import RootMemory
from tagger.watch.root_layout import RootLayout
from tagger.watch.root_watcher import RootWatcher
from tests.support.pictures import encoded, quarters

YEAR = 365 * 86400.0
JUMPS = pytest.mark.parametrize("jump", [-YEAR, YEAR])


class Clocks:
    """Two clocks: one that never goes back, and the time of day, which jumps."""

    def __init__(self) -> None:
        self.steady = 1000.0
        self.jumped = 0.0

    def clock(self) -> float:
        return self.steady

    def wall(self) -> float:
        # Files get their times from the real one.
        return float(os.stat("/proc/self").st_ctime) + self.jumped + self.steady - 1000.0


class Alone:
    """An index that knows nothing but what was delivered."""

    def __init__(self) -> None:
        self.delivered: list[str] = []

    def is_current(self, path: str, stat: FileStat, sidecar: FileStat | None) -> bool:
        return path in self.delivered

    def known_under(self, root: str) -> list[str]:
        return list(self.delivered)

    def move_folder(self, old: str, new: str, root: str) -> int:
        raise AssertionError(old)

    def found(self, candidate: Candidate) -> None:
        self.delivered.append(candidate.path)

    def gone(self, paths: object, root: str) -> None:
        raise AssertionError(paths)


@JUMPS
def test_a_file_is_taken_when_it_is_finished(tmp_path: Path, jump: float) -> None:
    clocks, alone = Clocks(), Alone()
    folder, state = tmp_path / "photos", tmp_path / "state"
    folder.mkdir()
    state.mkdir()
    root = WatchRoot(str(folder))
    settings = WatchSettings(settle_seconds=2.0, clock=clocks.clock, wall=clocks.wall)
    layout, memory = RootLayout([root]), RootMemory(str(state))
    watch = RootWatcher(root, alone, alone, memory, settings, layout)
    watch.begin(threading.Event(), listen=False)
    watch.scan()
    assert watch.status().state == "online"
    photo = folder / "a.bmp"  # its structure does not tell whether it has an end
    photo.write_bytes(encoded(quarters(), "BMP"))
    clocks.jumped = jump
    watch.scan()
    assert alone.delivered == []
    clocks.steady += 1.0
    with photo.open("ab") as file:
        file.write(b"more")
    watch.files.check_due()
    assert alone.delivered == []
    for _ in range(4):
        clocks.steady += 1.0
        watch.files.check_due()
    assert alone.delivered == [str(photo)]


@JUMPS
def test_a_failure_is_tried_again_in_time(tmp_path: Path, jump: float) -> None:
    now = [1_700_000_000.0]
    with Store(str(tmp_path), clock=lambda: now[0]) as store:
        stat = FileStat(1, 2)
        failure = {"kind": "PhotoUnreadableError", "reason": "why", "permanent": False}
        store.fail("/p/a.jpg", "/p", stat, None, **failure)  # type: ignore[arg-type]
        now[0] += jump
        waited = 0.0
        while not store.due() and waited < 86400:
            now[0] += 600.0
            waited += 600.0
        assert store.due() == ["/p/a.jpg"]
        assert waited <= 600.0 * 2
        assert not store.is_current("/p/a.jpg", stat, None)
