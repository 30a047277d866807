"""Dates as cameras, scanners and programs write them, read as local time.

Exif 2.32 (``2020:05:01 10:11:12``, unknown parts blank), XMP (ISO 16684-1 8.2.1.1: ISO 8601, also
``2020`` and ``2020-05``), IPTC-IIM (``20200501``), PNG's creation time (RFC 1123), and what else
was found in photos.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta

FIRST_YEAR = 1826
"""The first photograph."""
_KNOWN_YEAR = 2026
"""It is not earlier, whatever the clock of a machine without a battery says."""

_MONTHS = {
    name: number
    for number, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), 1)
}
_DATE = re.compile(r"(\d{4})\s?[-:/._ ]\s?(\d{1,2})\s?[-:/._ ]\s?(\d{1,2})(?!\d)")
_SHORT_YEAR = re.compile(r"(\d\d):(\d\d):(\d\d)(?= \d\d:)")
_YEAR = re.compile(r"(\d{4})(?:[-:/.](\d\d))?[\s:/.-]*\Z")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:[T ]?(\d\d)(\d\d)(\d\d)?)?(?!\d)")
_DAY_FIRST = re.compile(r"(\d{1,2})([./-])(\d{1,2})\2(\d{4})(?!\d)")
_IN_WORDS = re.compile(r"(?:[a-z]{3},? )?(\d{1,2})[ -]([a-z]{3})[a-z]*[ -](\d{4})", re.I)
_OF_C = re.compile(r"[a-z]{3} ([a-z]{3}) (\d{1,2}) (\d\d):(\d\d):(\d\d)(?: [a-z]+)? (\d{4})", re.I)
_TIME = re.compile(
    r"[T\s,]*(\d{1,2})([:. -])\s?(\d{1,2})(?:\2\s?(\d{1,2}))?(?:[.,:]\d+)?(?:\s?([ap])\.?m\b)?",
    re.I,
)


def moment(text: str) -> str | None:
    """Return the moment that ``text`` tells, ``YYYY-MM-DDTHH:MM:SS``; None when it is none.

    A time zone and fractions are left out; where only a year, month or day is told, it is the
    beginning of that. What cannot be (the 31st of February, 25 o'clock, a year before the first
    photograph or after the next) is no date.
    """
    text = " ".join(text[:100].split("\0", maxsplit=1)[0].split())
    try:
        found = _parsed(text)
        last = max(date.today().year, _KNOWN_YEAR) + 1
        if found is None or not FIRST_YEAR <= found.year <= last:
            return None
    except (ValueError, OverflowError):
        return None
    return found.isoformat()


def _parsed(text: str) -> datetime | None:
    """Return the moment; None for no date. Raise ValueError for one that cannot be."""
    if match := _DATE.match(text):
        year, month, day = (int(part) for part in match.groups())
        return _of(year, month, day, text[match.end() :])
    if match := _COMPACT.match(text):
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        if match[4] is not None:
            return _at(year, month, day, hour, minute, second)
        return _of(year, month, day, text[match.end() :])
    if match := _YEAR.match(text):
        return _of(int(match[1]), int(match[2] or 0), 0)
    if match := _SHORT_YEAR.match(text):
        year = int(match[1])
        year += 1900 if year >= 70 else 2000
        return _of(year, int(match[2]), int(match[3]), text[match.end() :])
    if match := _DAY_FIRST.match(text):
        day, month, year = int(match[1]), int(match[3]), int(match[4])
        if match[2] != "." and day != month:
            if day <= 12 and month <= 12:
                return None  # Americans write the month first
            day, month = max(day, month), min(day, month)
        return _of(year, month, day, text[match.end() :])
    if match := _IN_WORDS.match(text):
        month = _MONTHS.get(match[2].lower(), 13)
        return _of(int(match[3]), month, int(match[1]), text[match.end() :])
    if match := _OF_C.match(text):
        time = [int(part) for part in match.group(3, 4, 5)]
        return _at(int(match[6]), _MONTHS.get(match[1].lower(), 13), int(match[2]), *time)
    return None


def _of(year: int, month: int, day: int, rest: str = "") -> datetime:
    """Return the moment of a date, parts of which may be 0, unknown; its time is in ``rest``."""
    if month == 0 or day == 0:
        return datetime(year, month or 1, 1)
    match = _TIME.match(rest)
    if match is None:
        return datetime(year, month, day)
    hour, minute, second = int(match[1]), int(match[3]), int(match[4] or 0)
    if match[5] is not None and hour <= 12:
        hour = hour % 12 + (12 if match[5].lower() == "p" else 0)
    return _at(year, month, day, hour, minute, second)


def _at(year: int, month: int, day: int, hour: int, minute: int, second: int) -> datetime:
    if (hour, minute, second) == (24, 0, 0):
        return datetime(year, month, day) + timedelta(days=1)
    return datetime(year, month, day, hour, minute, min(second, 59) if second <= 60 else second)
