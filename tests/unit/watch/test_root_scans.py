"""When a root is scanned, and what its scans and lost events lead to."""

from __future__ import annotations

import itertools
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tagger.watch.events import Kind
from tagger.watch.stall_timer import SILENT_SECONDS
from tagger.watch.timers import AGAIN_SECONDS
from tests.unit.watch.conftest import Bench, Make, answer_canary, fill, hint


def test_a_polled_root_is_scanned_often_and_a_watched_one_rarely(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    for mode, found in (("poll", 1), ("events", 0)):
        one = bench(mode=mode)
        one.watch.step()
        if mode == "events":
            answer_canary(one)
        path = root / f"{mode}.jpg"
        path.write_bytes(jpeg)
        one.pass_time(2.0)
        assert one.library.found_paths.count(str(path)) == found
        one.pass_time(300.0)
        assert one.library.found_paths.count(str(path)) == 1


def slow_scans(one: Bench, monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[str]:
    """Let each scan take so many seconds; return a list that gets the folder of each."""
    scans: list[str] = []
    known_under = one.library.known_under

    def slow(top: str) -> list[str]:
        scans.append(top)
        one.time.now += seconds
        return list(known_under(top))

    monkeypatch.setattr(one.library, "known_under", slow)
    return scans


def test_a_slow_scan_makes_polling_rarer(
    bench: Make, root: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(root, 1, jpeg)
    one = bench(mode="poll")
    scans = slow_scans(one, monkeypatch, 3.0)
    one.pass_time(600.0)
    assert 8 <= len(scans) <= 12  # a twentieth of the time


def test_nothing_is_written_to_a_read_only_root(bench: Make, root: Path, jpeg: bytes) -> None:
    fill(root, 2, jpeg)
    before = sorted(os.listdir(root)), root.stat().st_mtime_ns
    one = bench(read_only=True)
    one.pass_time(700.0)
    assert len(one.library.found_paths) == 2
    assert (sorted(os.listdir(root)), root.stat().st_mtime_ns) == before


def test_photos_below_an_unreadable_folder_are_not_gone(
    bench: Make, root: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "sub").mkdir()
    fill(root / "sub", 3, jpeg)
    one = bench(mode="poll")
    one.watch.step()
    shutil.rmtree(root / "sub")
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path == str(root):
            raise OSError(5, "Input/output error", path)
        return scandir(path)

    monkeypatch.setattr("tagger.watch.walk.os.scandir", refuse)
    one.pass_time(10.0)
    assert one.library.gone_paths == []


def test_lost_events_lead_to_a_new_watch_and_a_scan(bench: Make, root: Path, jpeg: bytes) -> None:
    one = bench()
    one.watch.step()
    answer_canary(one)
    first = one.sources.last
    path = fill(root, 1, jpeg)[0]
    hint(one, Kind.LOST)
    one.pass_time(3.0)
    assert one.library.found_paths == [str(path)]
    assert one.sources.last is not first and not first.running


def test_a_storm_of_doubt_does_not_mean_scan_after_scan(
    bench: Make, root: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = bench()
    one.watch.step()
    answer_canary(one)
    scans = slow_scans(one, monkeypatch, 1.0)
    for _ in range(600):
        hint(one, Kind.DOUBT)
        one.pass_time(0.1)
    assert 2 <= len(scans) <= 8


def test_photos_that_events_missed_cast_doubt_on_them(bench: Make, root: Path, jpeg: bytes) -> None:
    one = bench()
    one.watch.step()
    answer_canary(one)
    one.pass_time(100.0)
    fill(root, 1, jpeg)
    ahead = one.time.now - 1000.0
    one.time._wall -= ahead - 30.0  # the file's ctime is real time: let it be 30 s old
    one.pass_time(250.0)
    assert one.watch.status().mode == "poll"  # a new canary was sent, and not heard of


def test_new_files_are_followed_in_the_middle_of_a_long_scan(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    paths = fill(root, 50, jpeg)
    (root / "zz").mkdir()
    one = bench()
    found = one.library.found

    def slow(candidate: Any) -> None:
        found(candidate)
        one.time.now += 10.0  # a bounded queue
        if len(one.library.found_paths) == 10:
            (root / "fresh.jpg").write_bytes(jpeg)
            hint(one, Kind.LOOK, root / "fresh.jpg")

    one.library.found = slow
    one.watch.step()
    assert one.library.found_paths.index(str(root / "fresh.jpg")) == 10
    assert len(set(one.library.found_paths)) == len(paths) + 1


def test_stop_in_the_middle_of_a_scan_delivers_nothing_more(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    fill(root, 20, jpeg)
    one = bench()
    found = one.library.found

    def stop_at_five(candidate: Any) -> None:
        found(candidate)
        if len(one.library.found_paths) == 5:
            one.watch.context.stop.set()

    one.library.found = stop_at_five
    one.watch.begin(one.watch.context.stop, listen=True)
    one.watch.step()
    assert len(one.library.found_paths) == 5


def test_a_clock_of_day_that_jumps_stalls_nothing(bench: Make, root: Path, jpeg: bytes) -> None:
    one = bench(mode="poll")
    one.watch.step()
    for year in (-1, 1, -1):
        one.time._wall += year * 31_536_000
        path = root / f"{one.time.now}.jpg"
        path.write_bytes(jpeg)
        one.pass_time(3.5)
        assert one.library.found_paths[-1] == str(path)


def test_what_cannot_be_looked_at_is_said_once(
    bench: Make, root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "sub").mkdir()
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("sub"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("tagger.watch.walk.os.scandir", refuse)
    caplog.set_level(logging.WARNING)
    one = bench(mode="poll")
    one.pass_time(30.0)
    assert caplog.text.count("cannot look at") == 1


def test_folders_without_photos_are_answers_as_well(bench: Make, root: Path) -> None:
    for number in range(2 * int(SILENT_SECONDS)):
        (root / f"{number}").mkdir()
    one = bench(mode="poll")
    one.time.each = 1.0
    began = one.time.now
    one.watch.step()
    assert one.time.now - began > SILENT_SECONDS
    assert one.watch.context.stall.lost == 0.0


def test_what_was_passed_over_while_a_disk_was_silent_is_delivered_again(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    (path,) = fill(root, 1, jpeg)
    one = bench()
    one.library.learn = False  # its folder is offline: nothing comes of it
    asked = one.library.is_current

    def is_current(*given: Any) -> bool:
        if not one.library.found_paths:
            one.time.now += SILENT_SECONDS + 1
        return bool(asked(*given))

    one.library.is_current = is_current
    one.watch.step()
    answer_canary(one)
    assert one.library.found_paths == [str(path)]
    one.pass_time(AGAIN_SECONDS + 1)
    assert one.library.found_paths == [str(path)] * 2
    one.pass_time(50)
    assert one.library.found_paths == [str(path)] * 2


def test_a_disk_that_is_silent_in_each_scan_is_scanned_less_and_less(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    fill(root, 1, jpeg)
    one = bench()
    asked, scans = one.library.is_current, []

    def is_current(*given: Any) -> bool:
        scans.append(one.time.now)
        one.time.now += SILENT_SECONDS + 1
        return bool(asked(*given))

    one.library.is_current = is_current
    one.watch.step()
    answer_canary(one)
    one.pass_time(3600)
    pauses = [b - a for a, b in itertools.pairwise(scans)]
    assert len(scans) < 30 and max(pauses) >= 300
