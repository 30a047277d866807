"""Decides when a file is finished, from what was seen of it and the time; does no I/O."""

from __future__ import annotations

import enum
import heapq
import math
from dataclasses import dataclass

from tagger.records import FileStat

INCOMPLETE_FACTOR = 5.0
"""A file without its end must be stable for this many settle times."""
OPEN_SECONDS = 600.0
"""A file that is open for writing must be stable for this long…"""
OPEN_COMPLETE_SECONDS = 60.0
"""…or this long, when its end is there."""
LOOK_SECONDS = 0.25
"""The shortest time between two looks at a waiting file."""
SECONDS_PER_WAITING = 0.001
"""The time between two looks grows by this much per waiting file, to save CPU."""


class Completeness(enum.Enum):
    """What the structure of a file says about its end."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a file showed.

    ``idle`` is for how many seconds the file's own times say that it has not been
    touched (0 where they are not to be trusted). ``writer`` is whether somebody has
    it open for writing; ``None`` when the system would not say.
    """

    stat: FileStat
    idle: float = 0.0
    writer: bool | None = None
    completeness: Completeness = Completeness.UNKNOWN


def patience(look: Look, settle_seconds: float) -> float:
    """Return for how many seconds a file must be stable before it counts as finished."""
    complete = look.completeness is Completeness.COMPLETE
    if look.writer:
        return max(OPEN_COMPLETE_SECONDS if complete else OPEN_SECONDS, settle_seconds)
    if look.completeness is Completeness.INCOMPLETE:
        # Saved in several steps (open, append, close, pause): wait longer than one pause,
        # then let the decoder say what is wrong with it.
        return INCOMPLETE_FACTOR * settle_seconds
    return 0.0 if look.writer is False and complete else settle_seconds


@dataclass(slots=True)
class _Waiting:
    stat: FileStat
    since: float
    due: float


class StabilityTracker:
    """The files that are not finished yet, and when to look at each again.

    Times are seconds of any clock that never goes back. Holds at most ``limit``
    files: :meth:`look` on one more returns infinity, and the caller must find it again
    by scanning.
    """

    def __init__(self, settle_seconds: float, *, limit: int = 20_000) -> None:
        self.settle_seconds = settle_seconds
        self.limit = limit
        self._waiting: dict[str, _Waiting] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, path: str) -> bool:
        return path in self._waiting

    def paths(self) -> list[str]:
        return list(self._waiting)

    def look(self, path: str, look: Look, now: float) -> float | None:
        """Note a look at ``path``.

        Return ``None`` when the file is finished (it is forgotten then), otherwise
        when to look again at the latest.
        """
        waiting = self._waiting.get(path)
        since = now if waiting is None or waiting.stat != look.stat else waiting.since
        needed = patience(look, self.settle_seconds)
        if max(now - since, look.idle) >= needed:
            self.forget(path)
            return None
        if waiting is None and len(self._waiting) >= self.limit:
            return math.inf
        interval = max(
            LOOK_SECONDS, self.settle_seconds / 4, SECONDS_PER_WAITING * len(self._waiting)
        )
        due = min(since + needed, now + needed - look.idle, now + interval)
        self._waiting[path] = _Waiting(look.stat, since, due)
        heapq.heappush(self._heap, (due, path))
        return due

    def forget(self, path: str) -> None:
        self._waiting.pop(path, None)
        if not self._waiting:
            self._heap.clear()

    def clear(self) -> None:
        self._waiting.clear()
        self._heap.clear()

    def due(self, now: float) -> list[str]:
        """Return the paths to look at by ``now``, each once; the earliest first."""
        paths = []
        while self.next_due() <= now:
            _, path = heapq.heappop(self._heap)
            # Stays waiting, but is due again only after its next look.
            self._waiting[path].due = math.inf
            paths.append(path)
        return paths

    def next_due(self) -> float:
        """Return when to look next, infinity when nothing waits."""
        while self._heap:
            due, path = self._heap[0]
            waiting = self._waiting.get(path)
            if waiting is not None and waiting.due == due:
                return due
            heapq.heappop(self._heap)  # of an earlier look
        return math.inf
