"""Finds, when nothing else is to be done, which photos belong together: copies, series, stacks.

Each photo is compared with all others once, after it was handled; which ones that are the index
knows, so that a stop loses nothing. What is in memory is made of the index, and given back when
there was nothing to compare for a while.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tagger.duplicates.joining import Joining
from tagger.duplicates.shots import Frame, Shot, beginnings, frame_of, one_shot, stack_key
from tagger.duplicates.thumbnails import ThumbnailStore
from tagger.index.connection import concerns_index
from tagger.index.groups import GroupWriter, Kind, PictureRow
from tagger.index.store import Store
from tagger.pipeline.companions import SHARED
from tagger.pipeline.picture_files import PictureFiles
from tagger.pipeline.series import SeriesFinder
from tagger.records import Candidate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tagger.duplicates.matcher import Matcher, Picture

log = logging.getLogger(__name__)

AT_ONCE = 512
"""Photos that are compared in one step at most."""
FIRST_AT_ONCE = 8
STEP_SECONDS = 0.5
"""How long a step may take, so that a stop is not waited for: 268 copies of one photo, all
compared in one, took 24 s."""
READ_AT_ONCE = 2_000
OUTGROWN, FEW = 4, 64
"""How photos differ is learnt anew with so many times as many as there were; FEW at least."""
KEPT_SECONDS = 3600.0
"""After so long without anything to compare the memory is given back."""
STACK = 40
"""Files of one shot; more of them are not compared with each other."""


class Grouping:
    """Compares photos and writes down which belong together. Used by one thread.

    ``stacks``: photos of one group share their tags, so that new ones are due to be tagged anew.
    ``clock`` is monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        state_dir: str,
        *,
        stacks: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._stacks = store, stacks
        self._groups = GroupWriter(store)
        self._due: list[Candidate] = []
        self._thumbnails = ThumbnailStore(state_dir)
        self._thumbnails.recover()
        self._files = PictureFiles(self._groups, state_dir, self._thumbnails, clock)
        self._series = SeriesFinder(self._groups, self._features)
        self._clock = clock
        self._matcher: Matcher | None = None
        self._outgrown = math.inf
        self._used = 0.0
        self._at_once = FIRST_AT_ONCE

    @property
    def is_done(self) -> bool:
        """Whether every photo has been compared."""
        return not self._due and not self._groups.waiting(1)

    @property
    def rest(self) -> float:
        """How many seconds to wait for a photo before the next step."""
        if not self.is_done:
            return 0.0
        waits = [self._files.wait]
        if self._matcher is not None:
            waits.append(max(self._used + KEPT_SECONDS - self._clock(), 0.0))
        return min(waits)

    def take(self, limit: int) -> list[Candidate]:
        """Return so many photos, at most, that share their tags with others than before."""
        some, self._due = self._due[:limit], self._due[limit:]
        return some

    def step(self, limit: int | None = None) -> int:
        """Compare some photos that have not been compared yet; return how many.

        Without a ``limit`` it is as many as take about :data:`STEP_SECONDS`.
        """
        ids = self._groups.waiting(limit or self._at_once)
        if not ids:
            if not self._files.step() and self._clock() >= self._used + KEPT_SECONDS:
                self.close()
            return 0
        self._used = self._clock()
        rows = self._groups.pictures(ids)
        try:
            self._join(ids, rows)
        except Exception as error:
            if concerns_index(error):
                raise
            if len(ids) > 1:  # which of them it is shows when each is alone
                return self.step(1)
            log.exception("photo %d cannot be compared with the others", ids[0])
            self.close()
        self._files.changed(rows)
        self._groups.compared(ids)
        if limit is None:
            slow = self._clock() - self._used > STEP_SECONDS
            self._at_once = max(self._at_once // 2, 1) if slow else min(self._at_once * 2, AT_ONCE)
        return len(ids)

    def _join(self, ids: Sequence[int], rows: Sequence[PictureRow]) -> None:
        shots = self._read_shots(ids)
        self._groups.leave("series", ids)
        self._groups.leave("stack", ids)
        self._join_pictures(rows, shots)
        self._join_stacks(shots.values())
        self._write("series", *self._series.around(shots.values()))

    def run(self) -> None:
        while self.step():
            pass

    def close(self) -> None:
        """Give back the memory; it is read again when there is something to compare."""
        self._matcher = None
        self._files.close()
        self._thumbnails.close()

    def _read_shots(self, ids: Iterable[int]) -> dict[int, Shot]:
        return {number: Shot(*row) for number, row in self._groups.shots(ids).items()}

    def _join_pictures(self, rows: Sequence[PictureRow], shots: Mapping[int, Shot]) -> None:
        """Write down which photos show the same picture as one of ``rows``, whose ``shots``."""
        fresh = shots.keys()
        former = self._groups.numbers("picture", fresh).values()
        left = [
            self._groups.members("picture", number) - fresh
            for number in set(former)
            if number is not None
        ]
        firsts = self._groups.firsts({shot.content_hash for shot in shots.values()} - {b""})

        def numbers(photos: Iterable[int]) -> dict[int, int | None]:
            new = dict.fromkeys(fresh & set(photos))
            return new | self._groups.numbers("picture", set(photos) - fresh)

        def photo_frames(photo_id: int) -> list[tuple[Frame, bytes]]:
            own = shots.get(photo_id)
            return _frames([own] if own else self._read_shots([photo_id]).values())

        def group_frames(number: int) -> list[tuple[Frame, bytes]]:
            return _frames(map(Shot._make, self._groups.shots_of("picture", number)))

        joining = Joining(numbers, photo_frames, group_frames)
        for members in left:
            joining.hold(members)
        joining.settle([(one, firsts.get(shot.content_hash, one)) for one, shot in shots.items()])
        self._loaded(rows).join([row.id for row in rows], joining)
        wanted: dict[int, int | None] = dict.fromkeys(fresh | set().union(*left))
        moved: dict[int, int] = {}
        for photos, merged in joining.found():
            number = min([*photos, *merged])
            wanted.update(dict.fromkeys(photos, number))
            moved.update((one, number) for one in merged if one != number)
        self._write("picture", wanted, moved)

    def _join_stacks(self, shots: Iterable[Shot]) -> None:
        """Write down which files beside photos are of the same shot."""
        wanted = {stack_key(shot.path): beginnings(shot.path) for shot in shots}
        named = dict.fromkeys(itertools.chain.from_iterable(wanted.values()))
        same: dict[tuple[str, str], dict[int, Shot]] = {key: {} for key in wanted}
        for shot in map(Shot._make, self._groups.shots_named(named)):
            if (key := stack_key(shot.path)) in same:
                same[key][shot.id] = shot
        ids = [one for beside in same.values() for one in beside]
        pictures = self._groups.of(ids)

        def alike(one: Shot, other: Shot) -> bool:
            mine = pictures.get(one.id, {}).get("picture")
            return mine is not None and mine == pictures.get(other.id, {}).get("picture")

        links = [
            (one.id, other.id)
            for beside in same.values()
            for one, other in itertools.combinations(list(beside.values())[:STACK], 2)
            if one_shot(one, other, alike=alike(one, other))
        ]
        joining = Joining(dict.fromkeys, lambda one: (), lambda one: ())
        joining.settle(links)
        stacks: dict[int, int | None] = dict.fromkeys(ids)
        for stack, _ in joining.found():
            stacks.update(dict.fromkeys(stack, min(stack)))
        self._write("stack", stacks)

    def _write(
        self, kind: Kind, wanted: Mapping[int, int | None], moved: Mapping[int, int] | None = None
    ) -> None:
        """Write in which groups of a kind photos are, and which groups others have ``moved`` to."""
        former = {one: mine.get(kind) for one, mine in self._groups.of(wanted).items()}
        changed = {one: new for one, new in wanted.items() if former.get(one) != new}
        moved = moved or {}
        self._groups.save(kind, changed, moved)
        if self._stacks and kind in SHARED and (changed or moved):
            groups = {*changed.values(), *(former.get(one) for one in changed), *moved.values()}
            self._make_due(groups, kind, changed)

    def _make_due(self, groups: Iterable[int | None], kind: Kind, changed: Iterable[int]) -> None:
        """Have the photos of changed groups be tagged anew."""
        ids = set(changed)
        for group in groups:
            ids |= self._groups.members(kind, group) if group is not None else set()
        rows = [self._store.photo(shot[1]) for shot in self._groups.shots(ids).values()]
        there = [
            Candidate(row.path, row.root, row.stat, row.sidecar)
            for row in rows
            if row is not None and row.stat is not None
        ]
        self._store.forget_keywords([one.path for one in there])
        known = {one.path for one in self._due}
        self._due += [one for one in there if one.path not in known]

    def _loaded(self, rows: Sequence[PictureRow]) -> Matcher:
        """Return the matcher with all photos that were compared, and ``rows``.

        Those that are still to be compared are held against these then: each pair once.
        """
        from tagger.duplicates.matcher import LEARNT, Matcher

        if self._matcher is not None and len(self._matcher) >= self._outgrown:
            self._matcher = None
        if self._matcher is None:
            self._matcher = Matcher(self._thumbnails.get, self._thumbnails.views, self._features)
            newest = self._groups.newest()
            some = self._groups.pictures(range(1, newest + 1, -(-newest // LEARNT)))
            self._matcher.learn(_picture(row) for row in some)
            enough = len(some) >= LEARNT
            self._outgrown = math.inf if enough else OUTGROWN * max(self._groups.count(), FEW)
            after = 0
            while some := self._groups.all_pictures(after, READ_AT_ONCE):
                after = some[-1].id
                self._matcher.add([_picture(row) for row in some])
        self._matcher.add([_picture(row) for row in rows])
        return self._matcher

    def _features(self, ids: Iterable[int]) -> dict[int, NDArray[np.float32]]:
        """Return the features of photos as vectors of length 1, by id."""
        pictures = map(_picture, self._groups.pictures(ids))
        return {one.id: one.features for one in pictures if one.features is not None}


def _frames(shots: Iterable[Shot]) -> list[tuple[Frame, bytes]]:
    framed = ((frame_of(shot), shot.content_hash) for shot in shots)
    return [(frame, digest) for frame, digest in framed if frame is not None]


def _picture(row: PictureRow) -> Picture:
    import numpy as np

    from tagger.duplicates.matcher import Picture

    features = None
    if row.features and len(row.features) % 2 == 0:
        stored = np.frombuffer(row.features, "<f2").astype(np.float32)
        length = float(np.sqrt(stored @ stored))
        if np.isfinite(length) and length > 0:
            features = stored / np.float32(length)
    return Picture(row.id, row.hash, features)
