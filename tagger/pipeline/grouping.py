"""Finds, when nothing else is to be done, which photos belong together: copies, series, stacks.

Each photo is compared with all others once, after it was handled; which ones that are the index
knows, so that a stop loses nothing. What is in memory is made of the index, and given back when
there was nothing to compare for a while.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tagger.duplicates.shots import (
    SERIES_SECONDS,
    Shot,
    beginnings,
    chains,
    different_shots,
    joined,
    one_shot,
    seconds_of,
    series_of,
    stack_key,
)
from tagger.duplicates.thumbnails import ThumbnailStore
from tagger.index.connection import concerns_index
from tagger.index.groups import GroupWriter, Kind, PictureRow
from tagger.index.store import Store
from tagger.pipeline.companions import SHARED
from tagger.pipeline.picture_files import PictureFiles
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
KEPT_SECONDS = 3600.0
"""After so long without anything to compare the memory is given back."""
CHAIN = 1_000
"""Photos that are looked through for one series, each within a minute of the next."""
TOGETHER = 3_600.0
"""Photos are looked up together that were taken no longer than so many seconds after another."""
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
        self._clock = clock
        self._matcher: Matcher | None = None
        self._used = 0.0
        self._at_once = FIRST_AT_ONCE

    @property
    def is_done(self) -> bool:
        """Whether every photo has been compared."""
        return not self._due and not self._groups.waiting(1)

    @property
    def has_memory(self) -> bool:
        """Whether what photos are held against is in memory."""
        return self._matcher is not None

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
        try:
            self._join(ids)
        except Exception as error:
            if concerns_index(error):
                raise
            if len(ids) > 1:  # which of them it is shows when each is alone
                return self.step(1)
            log.exception("photo %d cannot be compared with the others", ids[0])
            self.close()
        self._files.changed(self._groups.pictures(ids))
        self._groups.compared(ids)
        if limit is None:
            slow = self._clock() - self._used > STEP_SECONDS
            self._at_once = max(self._at_once // 2, 1) if slow else min(self._at_once * 2, AT_ONCE)
        return len(ids)

    def _join(self, ids: Sequence[int]) -> None:
        shots = {number: Shot(*row) for number, row in self._groups.shots(ids).items()}
        self._join_pictures(ids)
        self._join_stacks(shots.values())
        self._join_series(shots.values())

    def run(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Compare all photos that have not been compared yet, until ``stop`` says so."""
        while not stop() and self.step():
            pass

    def close(self) -> None:
        """Give back the memory; it is read again when there is something to compare."""
        self._matcher = None
        self._files.close()
        self._thumbnails.close()

    def _join_pictures(self, ids: Sequence[int]) -> None:
        """Write down which photos show the same picture as one of ``ids``."""
        matcher = self._loaded(ids)
        matches = sorted(matcher.matches(ids), key=lambda match: match.difference)
        identical = self._groups.same_bytes(ids)
        concerned = {one for match in matches for one in match[:2]} | set(ids)
        concerned.update(other for _, other in identical)
        shots = {number: Shot(*row) for number, row in self._groups.shots(concerned).items()}
        fresh = set(ids)
        former = self._groups.of(concerned)
        kept: dict[int, set[int]] = {}

        def members(photo_id: int) -> set[int]:
            """Return the group of a photo without those that are compared anew."""
            group = former.get(photo_id, {}).get("picture")
            if photo_id in fresh or group is None:
                return {photo_id}
            if group not in kept:
                kept[group] = self._groups.members("picture", group) - fresh | {photo_id}
                rows = self._groups.shots(kept[group] - shots.keys())
                shots.update((number, Shot(*row)) for number, row in rows.items())
            return kept[group]

        def apart(one: int, other: int) -> bool:
            if one not in shots or other not in shots:
                return False
            digest = shots[one].content_hash
            if digest and digest == shots[other].content_hash:
                return False
            return different_shots(shots[one], shots[other])

        links = [*identical, *((match.one, match.other) for match in matches)]
        links = [link for link in links if link[0] in shots and link[1] in shots]
        self._write("picture", ids, joined(links, members, apart))

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
        self._write("stack", ids, joined(links, lambda one: {one}, lambda one, other: False))

    def _join_series(self, shots: Iterable[Shot]) -> None:
        """Write down the series around photos; of a stack or a picture one counts."""
        near = self._around(shots)
        groups = self._groups.of(shot.id for chain in near for shot in chain)
        counted: list[list[Shot]] = []
        for chain in near:
            leaders: dict[tuple[str, int], Shot] = {}
            for one in sorted(chain, key=lambda one: one.path):
                mine = groups.get(one.id, {})
                name = ("stack", mine["stack"]) if "stack" in mine else ("photo", one.id)
                if "picture" in mine and "stack" not in mine:
                    name = ("picture", mine["picture"])
                leaders.setdefault(name, one)
            counted.append(list(leaders.values()))
        features = self._features(
            shot.id for leaders in counted if len(leaders) > 1 for shot in leaders
        )

        def cosine(one: int, other: int) -> float:
            first, second = features.get(one), features.get(other)
            if first is None or second is None or len(first) != len(second):
                return 0.0
            return float(first @ second)

        found = [series for leaders in counted for series in series_of(leaders, cosine)]
        ids = [shot.id for chain in near for shot in chain]
        self._write("series", ids, [{one.id for one in series} for series in found])

    def _around(self, shots: Iterable[Shot]) -> list[list[Shot]]:
        """Return what the cameras of shots took within a minute of them, or of one of such."""
        cameras: dict[str, list[Shot]] = {}
        for shot in shots:
            if shot.camera and seconds_of(shot.taken_at) is not None:
                cameras.setdefault(shot.camera, []).append(shot)
        found: list[list[Shot]] = []
        for camera, some in cameras.items():
            # At one go what was taken within hours, then each chain of it.
            for near in chains(some, TOGETHER):
                ids = {shot.id for shot in near}
                rows = self._between(camera, near[0].taken_at, near[-1].taken_at, CHAIN)
                all_read = len(rows) < CHAIN
                parts = chains(rows) if all_read else [[shot] for shot in near]
                done: set[int] = set()
                for part in parts:
                    if ids.isdisjoint(shot.id for shot in part) or part[0].id in done:
                        continue
                    begins = part is not parts[0] or part[0].id in ids
                    ends = part is not parts[-1] or part[-1].id in ids
                    chain = part
                    if not (all_read and begins and ends):  # it may go on beyond what was read
                        chain = self._chain(next(shot for shot in part if shot.id in ids))
                    done.update(shot.id for shot in chain)
                    found.append(chain)
        return found

    def _chain(self, shot: Shot) -> list[Shot]:
        """Return what a camera took within a minute of a shot, or within one of such."""
        found = {shot.id: shot}
        since = until = shot.taken_at
        while len(found) < CHAIN:
            rows = self._between(shot.camera, since, until, CHAIN)
            more = {row.id: row for row in rows if row.id not in found}
            if not more:
                break
            found.update(more)
            since = min(one.taken_at for one in found.values())
            until = max(one.taken_at for one in found.values())
        return list(found.values())

    def _between(self, camera: str, since: str, until: str, limit: int) -> list[Shot]:
        """Return what a camera took from a minute before one moment to one after another."""
        rows = self._groups.shots_between(
            camera, _moved(since, -SERIES_SECONDS), _moved(until, SERIES_SECONDS), limit
        )
        return [Shot(*row) for row in rows]

    def _write(self, kind: Kind, ids: Iterable[int], groups: Iterable[set[int]]) -> None:
        """Write the groups of a kind that ``ids`` are in; of those in none, that they are not."""
        wanted: dict[int, int | None] = dict.fromkeys(ids)
        for group in groups:
            wanted.update(dict.fromkeys(group, min(group)))
        before = self._groups.of(wanted)
        former = {one: before.get(one, {}).get(kind) for one in wanted}
        changed = {one: new for one, new in wanted.items() if former[one] != new}
        self._groups.save(kind, changed)
        if self._stacks and kind in SHARED and changed:
            self._make_due({*changed.values(), *(former[one] for one in changed)}, kind, changed)

    def _make_due(self, groups: Iterable[int | None], kind: Kind, changed: Iterable[int]) -> None:
        """Have the photos of changed groups be tagged anew."""
        ids = set(changed)
        for group in groups:
            ids |= self._groups.members(kind, group) if group is not None else set()
        rows = [self._store.photo(shot[1]) for shot in self._groups.shots(ids).values()]
        there = [row for row in rows if row is not None and row.stat is not None]
        self._store.forget_keywords([row.path for row in there])
        known = {one.path for one in self._due}
        self._due += [
            Candidate(row.path, row.root, row.stat, row.sidecar)
            for row in there
            if row.stat is not None and row.path not in known
        ]

    def _loaded(self, ids: Sequence[int]) -> Matcher:
        """Return the matcher with all photos that were compared, and ``ids`` as they are now.

        Those that are still to be compared are held against these then: each pair once.
        """
        from tagger.duplicates.matcher import Matcher

        rows = self._groups.pictures(ids)
        if self._matcher is None:
            self._matcher = Matcher(self._thumbnails.get, self._thumbnails.views, self._features)
            after = 0
            while some := self._groups.all_pictures(after, READ_AT_ONCE):
                after = some[-1].id
                self._matcher.add([_picture(row) for row in some])
        self._matcher.add([_picture(row) for row in rows])
        return self._matcher

    def _features(self, ids: Iterable[int]) -> dict[int, NDArray[np.float32]]:
        """Return the features of photos as vectors of length 1, by id."""
        found = {}
        for row in self._groups.pictures(ids):
            picture = _picture(row)
            if picture.features is not None:
                found[row.id] = picture.features
        return found


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


def _moved(moment: str, seconds: int) -> str:
    try:
        return (datetime.fromisoformat(moment) + timedelta(seconds=seconds)).isoformat()
    except (ValueError, OverflowError):
        return moment
