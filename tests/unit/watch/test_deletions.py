"""Which photos are really gone, and when a wave of deletions is held back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagger.system.files import is_absent
from tagger.watch.deletions import DeletionGuard, away, is_wave


def paths(count: int, start: int = 0) -> list[str]:
    return [f"/p/{number}.jpg" for number in range(start, start + count)]


@pytest.mark.parametrize(
    ("missing", "known", "wave"),
    [(20, 20, False), (21, 21, True), (21, 105, False), (21, 104, True), (1, 1, False)],
)
def test_wave(missing: int, known: int, wave: bool) -> None:
    assert is_wave(missing, known) is wave


def test_only_what_is_surely_absent_counts(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to("a.jpg")
    assert not is_absent(str(tmp_path / "a.jpg"))
    assert is_absent(str(tmp_path / "link.jpg"))  # a photo became a link
    assert is_absent(str(tmp_path / "b.jpg"))
    assert is_absent(str(tmp_path / "a.jpg/below.jpg"))
    assert not is_absent(str(tmp_path / ("n" * 300)))  # an error is no proof


def test_nothing_mounted_is_away(tmp_path: Path) -> None:
    here = str(tmp_path)
    assert away([here, here + "/gone", "/proc"]) == [here, here + "/gone"]


def test_a_few_are_reported_once() -> None:
    departures = DeletionGuard("/p")
    assert departures.judge(paths(20), lambda: 20, 0.0) == paths(20)
    assert departures.judge(paths(20), lambda: 20, 1.0) == []
    departures.back("/p/3.jpg")
    assert departures.judge(paths(20), lambda: 20, 2.0) == ["/p/3.jpg"]


def test_a_wave_is_held_at_the_second_look(caplog: pytest.LogCaptureFixture) -> None:
    departures = DeletionGuard("/p")
    assert departures.judge(paths(50), lambda: 100, 0.0) is None
    assert departures.judge(paths(50), lambda: 100, 1.0) is None
    assert departures.held == 0 and caplog.text == ""
    assert departures.judge(paths(50), lambda: 100, 30.0) is None
    assert departures.held == 50
    departures.judge(paths(50), lambda: 100, 60.0)
    assert caplog.text.count("tagger prune") == 1


def test_a_single_scan_calls_it_at_once() -> None:
    departures = DeletionGuard("/p", patient=False)
    assert departures.judge(paths(50), lambda: 100, 0.0) is None
    assert departures.held == 50


def test_a_wave_that_comes_in_drops_is_a_wave() -> None:
    departures = DeletionGuard("/p")
    reported: list[str] = []

    def known() -> int:
        return 100 - len(reported)

    for drop in range(10):
        reported += departures.judge(paths(10, drop * 10), known, drop * 2.0) or []
    assert len(reported) == 20


def test_slow_deletions_are_no_wave() -> None:
    departures = DeletionGuard("/p")
    for day in range(10):
        assert departures.judge(paths(10, day * 10), lambda: 100, day * 86400.0) is not None


def test_the_index_is_counted_only_when_it_matters() -> None:
    def count() -> int:
        raise AssertionError("counted for nothing")

    assert DeletionGuard("/p").judge(paths(5), count, 0.0) == paths(5)
