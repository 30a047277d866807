"""The table of timers, and how often a root is scanned."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tagger.watch.timers import (
    AGAIN_SECONDS,
    POLL_SECONDS,
    SCAN_SHARE,
    ScanPace,
    Timer,
    Timers,
)


def test_a_step_is_due_from_its_time_on_until_it_is_cancelled(hand_clock: Any) -> None:
    timers, now = Timers(hand_clock), hand_clock.now
    assert timers.next_due() == math.inf and not timers.is_due(Timer.SCAN)
    timers.set(Timer.SCAN, now + 5)
    timers.bring_forward(Timer.SCAN, now + 9)
    assert timers.at(Timer.SCAN) == now + 5, "never later"
    timers.bring_forward(Timer.SCAN, now + 3)
    timers.set(Timer.CHECK, now + 4)
    assert timers.next_due() == now + 3
    hand_clock.now += 3
    assert timers.is_due(Timer.SCAN) and not timers.is_due(Timer.CHECK)
    timers.cancel(Timer.SCAN, Timer.CHECK)
    assert timers.next_due() == math.inf


@pytest.mark.parametrize(
    ("cost", "polled", "watched"),
    [
        (0.0, POLL_SECONDS, 300.0),
        (1.0, SCAN_SHARE, 300.0),
        (100.0, 300.0, 300.0),
        (1000.0, 1000.0, 1000.0),
    ],
)
def test_a_root_rests_by_what_its_scan_costs(cost: float, polled: float, watched: float) -> None:
    pace = ScanPace(300.0)
    pace.note_scan(5000.0, cost, stalled=False)
    assert pace.next_scan(polled=True) == 5000.0 + polled
    assert pace.next_scan(polled=False) == 5000.0 + watched


def test_what_calls_for_a_scan_does_not_make_one_follow_the_other() -> None:
    pace = ScanPace(300.0)
    assert pace.early_scan(50.0) == 51.0, "there was none yet"
    pace.note_scan(100.0, 2.0, stalled=False)
    assert pace.early_scan(101.0) == 100.0 + 2.0 * SCAN_SHARE
    assert pace.early_scan(1000.0) == 1001.0


def test_a_disk_that_stalls_again_and_again_is_scanned_less_and_less() -> None:
    pace = ScanPace(60.0)
    assert [pace.delay_after_stall() for _ in range(5)] == [AGAIN_SECONDS, 20.0, 40.0, 60.0, 60.0]
    pace.note_scan(100.0, 5000.0, stalled=True)
    assert pace.next_scan(polled=False) == 160.0, "hours of silence are no cost of a scan"
    assert pace.delay_after_stall() == 60.0
    pace.note_scan(200.0, 1.0, stalled=False)
    assert pace.delay_after_stall() == AGAIN_SECONDS
