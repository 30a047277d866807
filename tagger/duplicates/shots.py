"""What names, dates and cameras tell of photos: files of one shot, and shots of one series."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from tagger.system.paths import is_raw_name

SERIES_SECONDS = 60
SERIES_ALIKE = 0.70
"""The cosine of a shot's features with those of one of the last LAST of its series."""
LAST = 3
COUNTED_ON = 100
"""By how much the numbers of shots of one second differ at most."""

_VERSION = re.compile(
    r"(~\d{1,3}|[-_ ](edited|edit|bearbeitet|modifié|editado|effects|enhanced(-nr)?)(-\d+)?"
    r"|\.cover|[-_]hdr|\.raw-\d+\.(main|cover))+$",
    re.IGNORECASE,
)
"""How programs end the name of a version: Google's and Samsung's galleries, Lightroom, Takeout."""
_APPLE = re.compile(r"^(IMG_)(E|O|)(\d+)$", re.IGNORECASE)
_NUMBER = re.compile(r"(\d{3,})(?!.*\d{3})")
"""The last number of a name that a camera counts with, such as IMG_0042 or DSC01234."""


class Shot(NamedTuple):
    """What is known of a photo's file. ``taken_at`` and ``camera`` are "" when not known."""

    id: int
    path: str
    root: str
    taken_at: str
    camera: str
    width: int
    height: int
    format: str
    content_hash: bytes


def stack_key(path: str) -> tuple[str, str]:
    """Return the folder and the name that all files of one shot have in common."""
    folder, stem = _stem(path)
    match = _APPLE.match(stem)
    return folder, ((match[1] + match[3]) if match else stem).casefold()


def beginnings(path: str) -> list[str]:
    """Return how the paths of all files of one :func:`stack_key` begin; no digit follows."""
    folder, stem = _stem(path)
    match = _APPLE.match(stem)
    stems = [match[1] + letter + match[3] for letter in ("", "E", "O")] if match else [stem]
    return [os.path.join(folder, one) for one in dict.fromkeys([stem, *stems])]


def _stem(path: str) -> tuple[str, str]:
    """Return the folder of a file, and its name without the ending and what marks a version."""
    folder, name = os.path.split(path)
    stem = os.path.splitext(name)[0]
    return folder, _VERSION.sub("", stem) or stem


def one_shot(one: Shot, other: Shot, *, alike: bool) -> bool:
    """Whether two files of one :func:`stack_key` come from one shot.

    ``alike``: they show the same picture. Two cameras may have counted to the same number.
    """
    if one.taken_at and other.taken_at and one.taken_at != other.taken_at:
        return False
    if one.camera and other.camera and one.camera != other.camera:
        return False
    if alike or (one.taken_at and one.taken_at == other.taken_at):
        return True
    stems = {os.path.splitext(shot.path)[0].casefold() for shot in (one, other)}
    return len(stems) > 1 or is_raw_name(one.path) or is_raw_name(other.path)


class Frame(NamedTuple):
    """What tells a shot from others: when a camera took it, and how it was counted.

    ``name`` is that of its :func:`stack_key`, ``number`` the last number in it, -1 for none, and
    ``prefix`` what is before that. ``sides`` are the shorter and the longer one.
    """

    taken_at: str
    camera: str
    name: str
    prefix: str
    number: int
    sides: tuple[int, int]


def frame_of(shot: Shot) -> Frame | None:
    """Return what tells a shot from others; None where no camera tells the time."""
    if not shot.taken_at or not shot.camera:
        return None
    name = stack_key(shot.path)[1]
    number = _NUMBER.search(name)
    return Frame(
        shot.taken_at,
        shot.camera,
        name,
        name[: number.start()] if number else "",
        int(number[1]) if number else -1,
        (min(shot.width, shot.height), max(shot.width, shot.height)),
    )


def different_frames(one: Frame, other: Frame) -> bool:
    """Whether two frames are surely two shots, however alike they look.

    A camera that tells the time tells it of both, and it is another; or it counted on within the
    same second.
    """
    if one.taken_at != other.taken_at or one.camera != other.camera:
        return True
    if one.name == other.name or one.number < 0 or other.number < 0:
        return False
    alike = one.prefix == other.prefix and one.sides == other.sides
    return alike and 0 < abs(one.number - other.number) <= COUNTED_ON


def seconds_of(taken_at: str) -> float | None:
    """Return a camera's local time in seconds; None for none."""
    try:
        return (datetime.fromisoformat(taken_at) - datetime(1970, 1, 1)).total_seconds()
    except ValueError:
        return None


def _timed(shots: Iterable[Shot]) -> list[tuple[float, Shot]]:
    """Return the shots of which the time is known, with it in seconds, by time."""
    timed = [
        (seconds, shot) for shot in shots if (seconds := seconds_of(shot.taken_at)) is not None
    ]
    return sorted(timed, key=lambda one: (one[0], one[1].path))


def chains(shots: Iterable[Shot], most: float = SERIES_SECONDS) -> list[list[Shot]]:
    """Return shots of one camera by time, parted where none was taken for ``most`` seconds."""
    found: list[list[Shot]] = []
    last = -math.inf
    for now, shot in _timed(shots):
        if now - last > most:
            found.append([])
        found[-1].append(shot)
        last = now
    return found


def series_of(
    shots: Iterable[Shot], alike: Callable[[list[int]], Sequence[Sequence[bool | int]]]
) -> list[list[Shot]]:
    """Return the series among shots of one camera, each two shots at least, by time.

    A shot joins the first series of whose last LAST it looks like one. ``alike`` gives for each of
    some photos, by id, whether it looks like each of them.
    """
    timed = _timed(shots)
    rows = alike([shot.id for _, shot in timed])
    running: list[list[int]] = []
    found: list[list[int]] = []
    for at, (now, _) in enumerate(timed):
        running = [one for one in running if now - timed[one[-1]][0] <= SERIES_SECONDS]
        row = rows[at]
        for series in running:
            recent = [one for one in series[-LAST:] if row[one]]
            if recent and now - timed[recent[-1]][0] <= SERIES_SECONDS:
                series.append(at)
                break
        else:
            running.append([at])
            found.append(running[-1])
    return [[timed[at][1] for at in series] for series in found if len(series) > 1]
