"""Rate and time left, by a clock the test holds."""

from __future__ import annotations

import pytest

from tagger.daemon.progress import LINE_SECONDS, WINDOW_SECONDS, Progress
from tagger.library.daemon_status import ProgressSnapshot
from tagger.system.humanize import duration


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def work(progress, clock, *, seconds, rate):
    for _ in range(int(seconds)):
        clock.now += 1
        progress.add(rate)


def test_nothing_is_claimed_before_there_is_something_to_go_by(clock):
    progress = Progress(clock)
    assert progress.standing(5) == ProgressSnapshot(0, 5, None, None)
    progress.add(3)
    assert progress.standing(2) == ProgressSnapshot(3, 2, None, None)


def test_the_rate_is_that_of_the_last_minute(clock):
    progress = Progress(clock)
    work(progress, clock, seconds=300, rate=2)
    assert progress.standing(100).rate == pytest.approx(2)
    work(progress, clock, seconds=WINDOW_SECONDS + 1, rate=10)
    now = progress.standing(100)
    assert now.rate == pytest.approx(10)
    assert now.seconds_left == pytest.approx(10)
    assert now.done == 600 + 10 * (WINDOW_SECONDS + 1)


def test_the_rate_is_forgotten_when_nothing_is_done(clock):
    progress = Progress(clock)
    work(progress, clock, seconds=30, rate=4)
    clock.now += WINDOW_SECONDS + 1
    assert progress.standing(7) == ProgressSnapshot(120, 7, None, None)


def test_what_was_counted_goes_down_as_photos_are_done(clock):
    progress = Progress(clock)
    progress.add(40)
    progress.expect(1000)
    assert progress.standing(256).remaining == 1000
    work(progress, clock, seconds=10, rate=30)
    assert progress.standing(256).remaining == 700
    work(progress, clock, seconds=20, rate=30)
    assert progress.standing(256).remaining == 256, "more waits than was counted"
    progress.expect(None)
    assert progress.standing(3).remaining == 3


def test_a_log_gets_a_line_a_minute_and_none_when_idle(clock):
    progress = Progress(clock)
    lines = []
    for _ in range(round(3.5 * LINE_SECONDS)):
        clock.now += 1
        progress.add(5)
        if line := progress.line(1000):
            lines.append(line)
    assert len(lines) == 3
    assert lines[-1].endswith("1,000 to go, 5.0 a second, about 3 min left")
    assert progress.line(0) is None
    progress.add(1)
    clock.now += LINE_SECONDS / 2
    assert progress.line(4) is None, "new work starts a new minute"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "1 s"),
        (89, "89 s"),
        (91, "2 min"),
        (3599, "1 h 0 min"),
        (5400, "1 h 30 min"),
        (47 * 3600, "47 h 0 min"),
        (48 * 3600, "2 days 0 h"),
        (100 * 3600, "4 days 4 h"),
    ],
)
def test_durations_are_said_as_a_person_says_them(seconds, said):
    assert duration(seconds) == said
