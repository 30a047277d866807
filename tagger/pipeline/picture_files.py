"""Keeps the files beside the index true when nothing else is to be done.

The features of new photos are added to the file that look-alikes are found by; it is made again
when it was lost, or another network is used. Thumbnails that belong to no photo any more go.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence

from tagger.duplicates.feature_file import FeatureWriter, Head
from tagger.duplicates.thumbnails import ThumbnailStore
from tagger.index.groups import Groups, PictureRow

log = logging.getLogger(__name__)

AT_ONCE = 4_096
"""Photos that are added in one step at most: 0.1 s."""
BEHIND, BEHIND_SECONDS = 256, 60.0
"""So many new photos, or after so long, are added to the file; a question reads the others."""
LEARNT = 4_096
"""Photos that the mean of all features is taken of."""
GONE = 1.25
"""The file is made anew when it has so many times as many photos as there are."""
FAILED_SECONDS = 3_600.0
"""After so long it is tried again to write the file."""
SWEEP_FIRST, SWEEP_SECONDS = 3_600.0, 86_400.0
"""Thumbnails are looked through after the first hour, then once a day."""
SWEPT = 1_000
"""Thumbnails that go in one step."""


class PictureFiles:
    """Does a little at every :meth:`step`. Used by one thread; a file that fails is done without.

    ``clock`` is monotonic seconds.
    """

    def __init__(
        self,
        groups: Groups,
        state_dir: str,
        thumbnails: ThumbnailStore,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._groups, self._thumbnails, self._clock = groups, thumbnails, clock
        self._features = FeatureWriter(state_dir)
        self._behind = 0
        self._due_at = clock() + BEHIND_SECONDS
        self._sweep_at = clock() + SWEEP_FIRST
        self._marked: int | None = None

    @property
    def wait(self) -> float:
        """How many seconds to wait for a photo before the next step."""
        if self._marked is not None:
            return 0.0
        return max(min(self._sweep_at, self._due_at) - self._clock(), 0.0)

    def changed(self, rows: Sequence[PictureRow]) -> None:
        """Take what the features and hashes of photos are now, before they count as compared."""
        if self._marked is not None and not self._thumbnails.mark(row.hash for row in rows):
            self._marked = None
        try:
            head = self._features.open()
        except OSError as error:
            self._failed(error)
            return
        here = [
            (row.id, row.features)
            for row in rows
            if head is not None and row.id <= head.covered and row.model_id == head.model_id
        ]
        if len(here) < len(rows):
            self._behind += len(rows) - len(here)
            soon = self._clock() + (0 if self._behind > BEHIND else BEHIND_SECONDS)
            self._due_at = min(soon, self._due_at)
        if head is None or not here:
            return
        from tagger.duplicates.vectors import rows_of

        try:
            ids, numbers = rows_of(here, head.size)
            self._features.replace(ids.tolist(), numbers)
        except OSError as error:
            self._failed(error)

    def step(self) -> bool:
        """Do some of what is to be done; return whether there was something."""
        now = self._clock()
        if now >= self._due_at:
            try:
                more = self.catch_up()
            except OSError as error:
                self._failed(error)
            else:
                self._due_at = now if more else math.inf
                return True
        return self._sweep(now)

    def catch_up(self) -> bool:
        """Add some photos to the file; return whether there may be more. Raise OSError."""
        newest = self._groups.newest()
        head = self._ready()
        if head is None:
            return False
        rows = self._groups.features_after(head.model_id, head.covered, AT_ONCE)
        from tagger.duplicates.vectors import rows_of

        more = len(rows) == AT_ONCE
        covered = rows[-1][0] if more else max([newest, *(row[0] for row in rows[-1:])])
        ids, numbers = rows_of(rows, head.size)
        self._features.add(ids.tolist(), numbers, covered)
        self._behind = 0
        return more

    def close(self) -> None:
        """Close the file of features; it is opened again when it is needed."""
        self._features.close()
        self._marked = None

    def _ready(self) -> Head | None:
        """Return what is in the file, begun anew where it has to be; None without features."""
        head = self._features.open()
        model_id = self._groups.newest_model()
        if not model_id:
            return None
        if head is not None and head.model_id == model_id:
            there = self._groups.count()
            learns = head.learnt < LEARNT and there >= 2 * head.learnt + 16
            if not learns and head.photos <= GONE * there + AT_ONCE:
                return head
        rows = [row for row in self._groups.features_after(model_id, 0, LEARNT) if row[1]]
        if not rows:
            return None
        from tagger.duplicates.vectors import rows_of

        self._features.begin(model_id, rows_of(rows, len(rows[0][1]) // 2)[1])
        return self._features.head

    def _sweep(self, now: float) -> bool:
        """Mark some thumbnails as used, then forget some others; return whether it goes on."""
        if self._marked is None:
            if now < self._sweep_at:
                return False
            self._thumbnails.begin_sweep()
            self._marked = 0
        rows = self._groups.hashes_after(self._marked, AT_ONCE)
        if rows:
            going = self._thumbnails.mark(row[1] for row in rows)
            self._marked = rows[-1][0] if going else None
        elif not self._thumbnails.sweep(SWEPT):
            self._marked = None
        if self._marked is None:
            self._sweep_at = now + SWEEP_SECONDS
        return self._marked is not None

    def _failed(self, error: OSError) -> None:
        log.debug("the file of features cannot be written: %s", error)
        if isinstance(error, BlockingIOError):  # another process is writing it
            self._features.close()
        else:
            self._features.discard()
        self._due_at = self._clock() + FAILED_SECONDS
