"""What names, dates and cameras tell of photos: files of one shot, and shots of one series."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from tagger.paths import RAW_SUFFIXES

SERIES_SECONDS = 60
SERIES_ALIKE = 0.70
"""The cosine of a shot's features with those of one of the last LAST of its series."""
LAST = 3

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


def is_raw_name(path: str) -> bool:
    """Whether a file is a camera's RAW file, by its name."""
    return os.path.splitext(path)[1].lower() in RAW_SUFFIXES


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


def different_shots(one: Shot, other: Shot) -> bool:
    """Whether two photos are surely two shots, however alike they look.

    A camera that tells the time tells it of both, and it is another; or it counted on within the
    same second.
    """
    if not (one.taken_at and other.taken_at and one.camera and other.camera):
        return False
    if (one.taken_at, one.camera) != (other.taken_at, other.camera):
        return True
    if stack_key(one.path)[1] == stack_key(other.path)[1]:
        return False
    numbers = [_NUMBER.search(stack_key(shot.path)[1]) for shot in (one, other)]
    if numbers[0] is None or numbers[1] is None:
        return False
    prefixes = {
        stack_key(shot.path)[1][: match.start()]
        for shot, match in zip((one, other), numbers, strict=True)
        if match
    }
    sizes = {frozenset((shot.width, shot.height)) for shot in (one, other)}
    apart = abs(int(numbers[0][1]) - int(numbers[1][1]))
    return len(prefixes) == 1 and len(sizes) == 1 and 0 < apart <= 100


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


def series_of(shots: Iterable[Shot], cosine: Callable[[int, int], float]) -> list[list[Shot]]:
    """Return the series among shots of one camera, each two shots at least, by time.

    ``cosine`` is of the features of two photos, by id.
    """
    running: list[list[tuple[float, Shot]]] = []
    done: list[list[tuple[float, Shot]]] = []
    for now, shot in _timed(shots):
        still = [series for series in running if now - series[-1][0] <= SERIES_SECONDS]
        done += [series for series in running if series not in still]
        running = still
        for series in running:
            recent = [other for then, other in series[-LAST:] if now - then <= SERIES_SECONDS]
            if any(cosine(shot.id, other.id) >= SERIES_ALIKE for other in recent):
                series.append((now, shot))
                break
        else:
            running.append([(now, shot)])
    return [[shot for _, shot in series] for series in done + running if len(series) > 1]


def joined(
    links: Sequence[tuple[int, int]],
    members: Callable[[int], set[int]],
    apart: Callable[[int, int], bool],
) -> list[set[int]]:
    """Return the groups that links make, the surest link first, as sets of ids.

    ``members`` is the group that a photo is in already, with itself. Two groups are not joined
    when two photos in them must stay ``apart``: a copy without a date is like every frame of a
    burst, and would make one picture of them.
    """
    groups: dict[int, set[int]] = {}
    refused: dict[int, set[int]] = {}
    """Groups that stay apart, by their identity: each pair is gone through once."""
    merged: list[set[int]] = []  # kept, so that no other group gets the identity of one of them

    def group(photo_id: int) -> set[int]:
        if photo_id not in groups:
            found = set(members(photo_id))
            for one in found:
                groups.setdefault(one, found)
        return groups[photo_id]

    for one, other in links:
        first, second = group(one), group(other)
        if first is second or id(second) in refused.get(id(first), ()):
            continue
        if any(apart(a, b) for a in first for b in second):
            refused.setdefault(id(first), set()).add(id(second))
            refused.setdefault(id(second), set()).add(id(first))
            continue
        if len(first) < len(second):
            first, second = second, first
        first |= second
        for moved in second:
            groups[moved] = first
        for third in refused.pop(id(second), ()):
            refused.setdefault(id(first), set()).add(third)
            refused[third].add(id(first))
        merged.append(second)
    unique = {id(found): found for found in groups.values()}
    return [found for found in unique.values() if len(found) > 1]
