"""Finds the series of new photos in what their cameras took around them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from tagger.duplicates.shots import (
    SERIES_ALIKE,
    SERIES_SECONDS,
    Shot,
    chains,
    seconds_of,
    series_of,
)
from tagger.index.groups import Groups, Kind

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AT_ONCE = 1_000
"""Photos that are looked through at one go for the series of some new ones."""
TOGETHER = 3_600.0
"""So are new photos that were taken no longer than so many seconds after another."""
BESIDE = 100
"""Else so many are read before and after a new one, each within a minute of the next."""


class Chain(NamedTuple):
    """Shots of one camera, each within a minute of the next; there may be more if not ``whole``."""

    shots: list[Shot]
    whole: bool


class SeriesFinder:
    """Looks through the index for series. ``features`` gives vectors of length 1, by id."""

    def __init__(
        self,
        groups: Groups,
        features: Callable[[Iterable[int]], Mapping[int, NDArray[np.float32]]],
    ) -> None:
        self._groups, self._features = groups, features

    def around(self, shots: Iterable[Shot]) -> tuple[dict[int, int | None], dict[int, int]]:
        """Return the series of shots, and of those around them: by id, None for none.

        And the numbers of former series that go on as another. Of a stack or a picture one counts.
        """
        fresh = {shot.id: shot for shot in shots}
        near = self._chains(fresh.values())
        groups = self._groups.of(shot.id for chain in near for shot in chain.shots)
        wanted: dict[int, int | None] = {}
        moved: dict[int, int] = {}

        def now(number: int) -> int:
            while number in moved:
                number = moved[number]
            return number

        for chain in near:
            leaders = _leaders(chain.shots, groups)
            found = series_of(leaders, self._alike) if len(leaders) > 1 else []
            alone = {shot.id for shot in chain.shots}
            if not chain.whole:  # they may be in a series with those that were not read
                alone -= {shot.id for shot in leaders} - (fresh.keys() - wanted.keys())
            wanted.update(dict.fromkeys(alone))
            for series in found:
                ids = [shot.id for shot in series]
                former = {wanted.get(one) for one in ids}
                if not chain.whole:
                    former |= {groups.get(one, {}).get("series") for one in ids}
                numbers = {now(one) for one in former if one is not None}
                number = min([*ids, *numbers])
                wanted.update(dict.fromkeys(ids, number))
                moved.update((one, number) for one in numbers if one != number)
        last = {one: None if number is None else now(number) for one, number in wanted.items()}
        return last, {one: now(one) for one in moved}

    def _alike(self, ids: Sequence[int]) -> list[bytes]:
        """Return for each photo a byte for every one of them, 1: it looks like it."""
        import numpy as np

        features = self._features(ids)
        alike = np.zeros((len(ids), len(ids)), np.bool_)
        for size in {len(row) for row in features.values()}:
            at = [place for place, one in enumerate(ids) if len(features.get(one, ())) == size]
            rows = np.stack([features[ids[place]] for place in at])
            alike[np.ix_(at, at)] = rows @ rows.T >= SERIES_ALIKE
        return [row.tobytes() for row in alike]

    def _chains(self, shots: Iterable[Shot]) -> list[Chain]:
        """Return what the cameras of shots took within a minute of them, or of one of such."""
        cameras: dict[str, list[Shot]] = {}
        for shot in shots:
            if shot.camera and seconds_of(shot.taken_at) is not None:
                cameras.setdefault(shot.camera, []).append(shot)
        found: list[Chain] = []
        for camera, some in cameras.items():
            # At one go what was taken within hours, then each chain of it.
            for near in chains(some, TOGETHER):
                since, until = near[0].taken_at, near[-1].taken_at
                # A scanner may give thousands of photos one second: of few new ones few are read.
                most = min(BESIDE * (len(near) + 1), AT_ONCE)
                rows = self._groups.shots_between(
                    camera, _moved(since, -SERIES_SECONDS), _moved(until, SERIES_SECONDS), most
                )
                if len(rows) < most:
                    found += self._completed(chains(map(Shot._make, rows)), near)
                else:
                    found += self._each(near)
        return found

    def _completed(self, parts: Sequence[list[Shot]], fresh: Sequence[Shot]) -> list[Chain]:
        """Return those of ``parts`` that have fresh shots, the first and last with what goes on.

        All that was taken within a minute of a fresh one is in them.
        """
        ids = {shot.id for shot in fresh}
        found: list[Chain] = []
        for at, part in enumerate(parts):
            if ids.isdisjoint(shot.id for shot in part):
                continue
            before, after = Chain([], True), Chain([], True)
            if at == 0 and part[0].id not in ids:
                before = self._onward(part[0], back=True)
            if at == len(parts) - 1 and part[-1].id not in ids:
                after = self._onward(part[-1], back=False)
            shots = [*reversed(before.shots), *part, *after.shots]
            found.append(Chain(shots, before.whole and after.whole))
        return found

    def _each(self, fresh: Iterable[Shot]) -> list[Chain]:
        """Return the chains around fresh shots where too much was taken to read all of it."""
        found: list[Chain] = []
        done: set[int] = set()
        for shot in fresh:
            if shot.id in done:
                continue
            before, after = self._onward(shot, back=True), self._onward(shot, back=False)
            shots = [*reversed(before.shots), shot, *after.shots]
            found.append(Chain(shots, before.whole and after.whole))
            # What comes after the others was not read.
            known = after.shots if after.whole else after.shots[: BESIDE // 2]
            done |= {one.id for one in known}
        return found

    def _onward(self, shot: Shot, *, back: bool) -> Chain:
        """Return what a camera took after a shot, or before it, the nearest first.

        BESIDE at most; it is whole when that is all.
        """
        found: list[Shot] = []
        last, seconds = shot, SERIES_SECONDS
        while len(found) < BESIDE:
            until = _moved(last.taken_at, -seconds if back else seconds)
            rows = self._groups.shots_beside(last.id, until, BESIDE - len(found), back=back)
            for row in map(Shot._make, rows):
                if _apart(last, row) > SERIES_SECONDS:
                    return Chain(found, True)
                found.append(row)
                last = row
            if not rows:
                return Chain(found, True)
            seconds *= 2
        return Chain(found, False)


def _leaders(shots: Iterable[Shot], groups: Mapping[int, Mapping[Kind, int]]) -> list[Shot]:
    """Return one shot of each stack, and of each picture that is in none."""
    found: dict[tuple[str, int], Shot] = {}
    for shot in sorted(shots, key=lambda one: one.path):
        mine = groups.get(shot.id, {})
        name = ("photo", shot.id)
        if "stack" in mine:
            name = ("stack", mine["stack"])
        elif "picture" in mine:
            name = ("picture", mine["picture"])
        found.setdefault(name, shot)
    return list(found.values())


def _apart(one: Shot, other: Shot) -> float:
    first, second = seconds_of(one.taken_at), seconds_of(other.taken_at)
    return float("inf") if first is None or second is None else abs(second - first)


def _moved(moment: str, seconds: int) -> str:
    try:
        return (datetime.fromisoformat(moment) + timedelta(seconds=seconds)).isoformat()
    except (ValueError, OverflowError):
        return moment
