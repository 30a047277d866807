"""Decides which photos are deleted; a mass deletion is held back until it is confirmed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable

log = logging.getLogger(__name__)

WAVE_FRACTION = 0.2
"""More than this part of a root's known photos at once is a mass deletion (a wave)…"""
WAVE_MINIMUM = 20
"""…if it is also more than this many."""
SECOND_LOOK_SECONDS = 25.0
"""How long a mass deletion must persist before it is reported."""
RECENT_SECONDS = 60.0
"""Deletions this close together are counted together."""


def is_wave(missing: int, known: int) -> bool:
    """Whether ``missing`` of ``known`` photos at once may be an accident."""
    return missing > WAVE_MINIMUM and missing > WAVE_FRACTION * known


def away(crossings: Iterable[str]) -> list[str]:
    """Return those of the mount points ``crossings`` where nothing is mounted now."""
    return [path for path in crossings if not os.path.ismount(path)]


class DeletionGuard:
    """Decides whether the missing photos of one root are reported or held back.

    ``held`` is the number held back. With ``patient`` a wave is called one at the second
    look only, for a renamed folder looks like one until its photos are found again.
    """

    def __init__(self, root: str, *, patient: bool = True) -> None:
        self.root = root
        self.held = 0
        self.patient = patient
        self._recent: dict[str, float] = {}
        self._suspected_at: float | None = None

    def back(self, path: str) -> None:
        """Note that a photo that was reported is there again."""
        self._recent.pop(path, None)

    def judge(
        self, missing: Collection[str], count_known: Callable[[], int], now: float
    ) -> list[str] | None:
        """Return which of ``missing`` to report; ``None`` when all are held back.

        ``count_known`` gives the number of known photos of the root; it is called only
        when it matters.
        """
        self._recent = {p: at for p, at in self._recent.items() if now - at < RECENT_SECONDS}
        fresh = [path for path in missing if path not in self._recent]
        together = len(fresh) + len(self._recent)
        if fresh and together > WAVE_MINIMUM:
            known = max(count_known(), together)
            if is_wave(together, known):
                self._hold(len(fresh), known, now)
                return None
        self._recent.update(dict.fromkeys(fresh, now))
        return fresh

    def nothing_held(self) -> None:
        """End a full scan that held nothing back."""
        self.held, self._suspected_at = 0, None

    def _hold(self, missing: int, known: int, now: float) -> None:
        if self._suspected_at is None:
            self._suspected_at = now
        if self.patient and now - self._suspected_at < SECOND_LOOK_SECONDS:
            return
        if self.held != missing:
            log.warning(
                "%d of the %d known photos in %r are missing at once and are not forgotten; "
                "if they were deleted on purpose, confirm it with `tagger prune`",
                missing,
                known,
                self.root,
            )
        self.held = missing
