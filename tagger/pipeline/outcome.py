"""What became of one photo in the pipeline."""

from __future__ import annotations

from dataclasses import dataclass

from tagger.records import Failure, Tag


@dataclass(frozen=True, slots=True)
class Tagged:
    """The photo was handled; ``tags`` may be empty. ``how``: classified, copied, moved, known."""

    path: str
    tags: tuple[Tag, ...]
    how: str
    milliseconds: dict[str, float]


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Nothing was to be done."""

    path: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Not handled now: gone, changing, or waiting for something."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The photo cannot be handled; ``failure`` is what the index remembers."""

    path: str
    error: Exception
    failure: Failure


Outcome = Tagged | Unchanged | Skipped | Failed
