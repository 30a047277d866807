"""Files that are looked at later: after our own writes, and when nothing is deleted any more."""

from __future__ import annotations

import math
from collections.abc import Iterable

QUIET_SECONDS = 10.0
"""For how long nothing must be deleted before a sidecar that is gone is written again."""
MISSING_SIDECAR_SECONDS = 300.0
"""If deletions never end, a scan looks at such photos after this time."""
MAX_MISSING_SIDECARS = 20_000


class PostponedPaths:
    """Paths with the time to look at each, all postponed by the same number of seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due: dict[str, float] = {}

    def put(self, path: str, now: float) -> None:
        """Postpone ``path``, from now on."""
        self._due.pop(path, None)
        self._due[path] = now + self._seconds

    def pop(self, now: float) -> str | None:
        """Return a path whose time has come, and forget it."""
        if not self._due or self._due[path := next(iter(self._due))] > now:
            return None
        del self._due[path]
        return path

    def clear(self) -> None:
        self._due.clear()

    def next_due(self) -> float:
        """Return when the first one is due; infinity when there is none."""
        return next(iter(self._due.values()), math.inf)


class MissingSidecars:
    """Photos whose sidecar is gone, until nothing is deleted any more.

    Who deletes a folder takes sidecar and photo in any order, and wants none back.
    """

    def __init__(self) -> None:
        self._since: dict[str, float] = {}
        self._last_deletion = -math.inf

    def put(self, path: str, now: float) -> None:
        """Note that the sidecar of the photo ``path`` is gone."""
        self._last_deletion = now
        if len(self._since) < MAX_MISSING_SIDECARS:
            self._since.setdefault(path, now)

    def note_deletion(self, now: float) -> None:
        self._last_deletion = now

    def holds(self, path: str, now: float) -> bool:
        """Whether a scan is not to look at the photo yet."""
        return now - self._since.get(path, -math.inf) < MISSING_SIDECAR_SECONDS

    def take(self, now: float) -> Iterable[str]:
        """Return the photos to look at, and forget them; none while files are being deleted."""
        if not self._since or now < self.next_due():
            return ()
        paths, self._since = self._since, {}
        return paths

    def clear(self) -> None:
        self._since.clear()

    def next_due(self) -> float:
        """Return when they are due; infinity when there is none."""
        return self._last_deletion + QUIET_SECONDS if self._since else math.inf
