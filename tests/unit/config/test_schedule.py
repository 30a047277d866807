"""Windows of the day."""

from __future__ import annotations

from datetime import datetime

import pytest

from tagger.config.schedule import DailyWindow
from tagger.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("01:00-06:00", ["01:00", "05:59"], ["00:59", "06:00", "13:00"]),
        ("22:30 - 6:00", ["22:30", "23:59", "00:00", "05:59"], ["22:29", "06:00"]),
        ("0:00-24:00", ["00:00", "23:59"], []),
        ("20:00-24:00", ["20:00", "23:59"], ["00:00", "19:59"]),
    ],
)
def test_which_times_a_window_holds(text, inside, outside):
    window = DailyWindow.parse(text)
    for moments, expected in ((inside, True), (outside, False)):
        for moment in moments:
            at = datetime.strptime(f"2026-01-31 {moment}", "%Y-%m-%d %H:%M")
            assert window.holds(at) is expected, moment
    assert datetime.strptime(window.opens(), "%H:%M")


@pytest.mark.parametrize("text", ["", "night", "1-6", "25:00-26:00", "03:00-03:00", "1:00-24:30"])
def test_what_is_no_window_is_said(text):
    with pytest.raises(ConfigError, match='write it as "01:00-06:00"'):
        DailyWindow.parse(text)


def test_a_wrong_schedule_is_a_mistake_in_the_config(home):
    home.configure(schedule="at night")
    home.run("config", "check", code=2)
    assert "schedule" in home.err and "01:00-06:00" in home.err
    home.configure(schedule="01:00-06:00")
    home.run("config", "check")
