"""The fields of a query (`taken:`, `in:`, `near:`, …): from the value to a condition."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta

from tagger.errors import QueryError
from tagger.index.conditions import (
    STATES,
    Added,
    Below,
    Camera,
    Format,
    InFolder,
    InGroup,
    Kind,
    Like,
    Near,
    Or,
    People,
    Query,
    Source,
    State,
    Taken,
)
from tagger.index.folding import fold

KILOMETRES = {"m": 0.001, "km": 1.0, "mi": 1.609344}


def error_at(problem: str, column: int, remedy: str) -> QueryError:
    """Return the error of a mistake at ``column``, counted from 1."""
    return QueryError(f"{problem} (column {column} of the query)", remedy)


def date_range(value: str, column: int, today: date) -> tuple[str, str]:
    """Return the two ends of ``A..B`` or ``A`` as ISO dates; "" for an open one."""
    days = {"today": today, "yesterday": today - timedelta(1)}
    start, dots, end = value.partition("..")
    ends = []
    for text, place in ((start, column), (end if dots else start, column + len(start + dots))):
        text = text.strip()
        day = days.get(text.lower())
        moment = text.upper().replace(" ", "T") if day is None else day.isoformat()
        if not is_moment(moment) and (text or value == dots):
            raise error_at(
                f"`{text or value}` is no date" if value else "a date is missing",
                place if dots else column,
                "write 2024, 2024-07, 2024-07-15, today, yesterday, or two with `..` between",
            )
        ends.append(moment)
    if all(ends) and ends[0] > ends[1] + "~":
        raise error_at(f"`{value}` ends before it begins", column, "write the earlier date first")
    return ends[0], ends[1]


def _taken(value: str, column: int, today: date) -> Query:
    start, end = date_range(value, column, today)
    return Taken(start or None, end or None)


def _added(value: str, column: int, today: date) -> Query:
    start, end = date_range(value, column, today)
    return Added(_seconds(start), _seconds(_after(end)))


def _after(text: str) -> str:
    """Return the moment after a year, month, day or minute; "" when there is none."""
    if not text:
        return ""
    try:
        if len(text) == 4:
            return f"{date(int(text) + 1, 1, 1)}"
        if len(text) == 7:
            return f"{date.fromisoformat(text + '-28') + timedelta(4):%Y-%m}"
        step = {10: timedelta(1), 16: timedelta(minutes=1)}.get(len(text), timedelta(seconds=1))
        return (datetime.fromisoformat(text) + step).isoformat()
    except (ValueError, OverflowError):
        return ""


def _seconds(text: str) -> float | None:
    """Return a local moment in seconds since the epoch; None for an open end."""
    if not text:
        return None
    try:
        full = text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text
        return datetime.fromisoformat(full).timestamp()
    except (ValueError, OverflowError, OSError):  # the year 1
        return -1e11


def _in(value: str, column: int, _: date) -> Query:
    if value.startswith(("/", "~/")):
        return Below((os.path.normpath(os.path.expanduser(value)),))
    return InFolder(_fragment(value, column, "a folder", "in:holiday"))


def _camera(value: str, column: int, _: date) -> Query:
    return Camera(_fragment(value, column, "a camera", "camera:pixel"))


def _fragment(value: str, column: int, what: str, example: str) -> str:
    if not fold(value):
        raise error_at(f"{what} is missing", column, f"write, for example, {example}")
    return fold(value)


def _source(value: str, column: int, _: date) -> Query:
    return Source(_choice(value.lower(), column, ("model", "user", "rule", "taught")))


_GROUPED = {"duplicate": "picture", "burst": "series"}


def _is(value: str, column: int, _: date) -> Query:
    known = (*STATES, *_GROUPED)
    words = [_choice(one, column, known) for one in re.split("[|,]", value.lower())]
    states = tuple(word for word in words if word in STATES)
    parts: list[Query] = [InGroup(_GROUPED[word]) for word in words if word in _GROUPED]
    parts += [State(states)] if states else []
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def _burst(value: str, column: int, _: date) -> Query:
    if not re.fullmatch("[0-9]{1,18}", value):
        raise error_at(
            f"`{value}` is no photo's number" if value else "a number is missing",
            column,
            "write burst:12 with the number of one of its photos, see `tagger duplicates --bursts`",
        )
    return InGroup("series", int(value))


def _like(value: str, column: int, _: date) -> Query:
    if not value:
        raise error_at("a photo is missing", column, 'write like:/photos/a.jpg, or like:"a b.jpg"')
    return Like(os.path.abspath(os.path.expanduser(value)))


def _choice(value: str, column: int, choices: tuple[str, ...]) -> str:
    if value not in choices:
        problem = f"`{value}` is not known here" if value else "a word is missing"
        raise error_at(problem, column, f"write {', '.join(choices[:-1])} or {choices[-1]}")
    return value


def _near(value: str, column: int, _: date) -> Query:
    number = "([0-9]+(?:\\.[0-9]+)?)"
    match = re.fullmatch(f"(-?{number}), *(-?{number}), *{number} *(m|km|mi)?", value.lower())
    place = (float(match[1]), float(match[3])) if match else (0.0, 0.0)
    if match is None or abs(place[0]) > 90 or abs(place[1]) > 180:
        raise error_at(
            f"`{value}` is no place with a distance" if value else "a place is missing",
            column,
            "write latitude, longitude and distance, such as near:52.5,13.4,10km",
        )
    return Near(*place, float(match[5]) * KILOMETRES[match[6] or "km"])


def _format(value: str, column: int, _: date) -> Query:
    name = _fragment(value, column, "a format", "format:heic").upper()
    return Format({"JPG": "JPEG", "HEIC": "HEIF", "TIF": "TIFF"}.get(name, name))


def _people(value: str, column: int, _: date) -> Query:
    match = re.fullmatch(r"([0-9]{1,4})|([0-9]{0,4})\.\.([0-9]{0,4})", value)
    if match is None or value == "..":
        raise error_at(
            f"`{value}` is no number of people" if value else "a number is missing",
            column,
            "write people:0, people:2, people:3.. for three or more, or people:1..4",
        )
    start, end = (match[1], match[1]) if match[1] else (match[2] or "0", match[3])
    if end and int(start) > int(end):
        raise error_at(f"`{value}` ends before it begins", column, "write the lower number first")
    return People(int(start), int(end) if end else None)


def _kind(value: str, column: int, _: date) -> Query:
    from tagger.records import PHOTO_KINDS  # its records cost each query 8 ms

    name = " ".join(value.lower().replace("-", " ").replace("_", " ").split())
    name = {"motion": "motion photo", "live photo": "motion photo", "pano": "panorama"}.get(
        name, name
    )
    return Kind(_choice(name, column, PHOTO_KINDS))


FIELDS: dict[str, Callable[[str, int, date], Query]] = {
    "taken": _taken,
    "added": _added,
    "in": _in,
    "camera": _camera,
    "source": _source,
    "is": _is,
    "near": _near,
    "format": _format,
    "people": _people,
    "kind": _kind,
    "burst": _burst,
    "like": _like,
}
FIELDS_HELP: dict[str, tuple[str, str]] = {
    "taken": (
        "`taken:2025-06..2025-08`",
        "from June through August; also `taken:2025`, `taken:2025..`, `taken:today`",
    ),
    "added": ("`added:today`", "first seen then; dates as with `taken:`"),
    "in": (
        '`in:holiday`, `in:"two words"`',
        "part of the folder's path; `in:/photos/2025` is everything below it",
    ),
    "camera": ("`camera:pixel`", "part of the camera's name"),
    "source": ("`source:user`", "has a keyword of your own (or `model`, `rule`, `taught`)"),
    "is": (
        "`is:failed`",
        "also `tagged`, `untagged`, `waiting`, `missing`; `duplicate` (there is a copy of it) and"
        " `burst` (one of a series)",
    ),
    "near": (
        "`near:52.5,13.4,10km`",
        "latitude, longitude and distance in `m`, `km` or `mi`",
    ),
    "format": ("`format:heic`", "the image format"),
    "people": (
        "`people:3..`",
        "three people or more; also `people:0`, `people:1`, `people:1..4`; only photos that a"
        " detector has looked at",
    ),
    "kind": (
        "`kind:screenshot`",
        "what the file says it is; also `panorama`, `selfie`, `portrait`, `burst`, `motion`,"
        " `edited`",
    ),
    "burst": ("`burst:12`", "the series that the photo with this number is in"),
    "like": ("`like:/photos/a.jpg`", "looks like that photo, by what the network sees in it"),
}
"""An example of each field and what it finds, for ``docs/commands.md``."""


def is_moment(text: str) -> bool:
    """Whether ``text`` is a year, month, day or moment: 2024, 2024-07, 2024-07-15T12:30."""
    shape = re.fullmatch("[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?)?)?", text)
    try:
        datetime.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text)
    except ValueError:
        return False
    return shape is not None
