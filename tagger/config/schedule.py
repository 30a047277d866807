"""When photos are handled: a window of the day, as ``01:00-06:00``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from tagger.errors import ConfigError

_WINDOW = re.compile(r"\s*([01]?\d|2[0-3]):([0-5]\d)\s*-\s*([01]?\d|2[0-4]):([0-5]\d)\s*")


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """A part of every day, in minutes since midnight, local time; may go over midnight."""

    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> DailyWindow:
        """Return the window that ``text`` names. Raise ConfigError when it names none."""
        match = _WINDOW.fullmatch(text)
        numbers = [int(part) for part in match.groups()] if match else [0] * 4
        start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        if start == end or end > 24 * 60:
            raise ConfigError(f"{text!r} is no part of a day", 'write it as "01:00-06:00"')
        return cls(start, end)

    def holds(self, moment: datetime) -> bool:
        """Whether the local time ``moment`` is in the window."""
        minute = moment.hour * 60 + moment.minute
        if self.start < self.end:
            return self.start <= minute < self.end
        return minute >= self.start or minute < self.end

    def opens(self) -> str:
        """Return when the window begins, as ``01:00``."""
        return f"{self.start // 60:02}:{self.start % 60:02}"
