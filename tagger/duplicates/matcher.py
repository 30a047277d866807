"""Which of many pictures are the same: candidates by hashes and features, then by comparison.

Nothing but arrays of NumPy: the hashes in 72 bytes a photo, features in 32 numbers each, along the
directions in which they differ most, and 64 grey values of the picture. Every new picture is held
against all others.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tagger.duplicates.compare import (
    CANDIDATE,
    CLOSE,
    FAR,
    PLAIN,
    UNSEEN,
    agreements,
    same_by_hash,
    same_by_view,
    turned_back,
)
from tagger.duplicates.picture_hash import (
    TURNS,
    bit_count,
    mirrored_distances,
    parts_of,
    turned,
    words_of,
)
from tagger.duplicates.thumbnails import VIEW_BYTES, unpacked

KEY_BITS = 22
"""Of the 64 bits that no mirroring changes so many differ at most in hashes that differ in FAR."""
DIRECTIONS = 32
LEARNT = 2_000
"""Photos from whose features the directions are learnt."""
NEAR = 0.87
"""The cosine along these directions from which on pictures are candidates…"""
NEIGHBOURS = 6
"""…the nearest so many of them."""
NEAREST = 64
"""With so many pictures, the nearest by hash, one is compared at most: of a picture of which there
are thousands, each would take longer than the one before."""
_TOGETHER, _BLOCK = 64, 65_536
"""Photos of which so many others are looked through at a time: 16 MB."""
_KEYS, _PAIRS = 8, 131_072
"""Keys that are held against others at a time, and how many pairs: they stay in the cache."""
_COMPARED = 256
"""Pairs that are compared at a time; each takes some 0.2 MB."""
_ROUNDED = 0.02
"""By how much the agreement of rounded views is wrong at most."""


class Picture(NamedTuple):
    """One photo to be compared: its id, hash (empty: none) and features (F,), None: none."""

    id: int
    hash: bytes
    features: NDArray[np.float32] | None


class Match(NamedTuple):
    """Two photos that show the same picture; the less ``difference``, the surer."""

    one: int
    other: int
    difference: float


class Matcher:
    """All pictures, to hold others against. For one thread.

    ``thumbnails`` gives those that are kept, by hash, and ``views`` their coarse views;
    ``features`` those of photos, by id.
    """

    def __init__(
        self,
        thumbnails: Callable[[Iterable[bytes]], dict[bytes, bytes]],
        views: Callable[[Iterable[bytes]], dict[bytes, bytes]],
        features: Callable[[Iterable[int]], dict[int, NDArray[np.float32]]],
    ) -> None:
        self._thumbnails, self._kept_views, self._features = thumbnails, views, features
        self._places: dict[int, int] = {}
        self._count = 0
        self._ids = np.empty(0, np.int64)
        self._words = np.empty((0, 4), np.uint64)
        self._parts = np.empty((0, 4), np.uint64)
        self._keys = np.empty(0, np.uint64)
        self._views = np.empty((0, VIEW_BYTES), np.uint8)
        self._reduced = np.empty((0, DIRECTIONS), np.float32)
        self._mean: NDArray[np.float32] | None = None
        self._directions = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        return self._count

    def add(self, pictures: Sequence[Picture]) -> None:
        """Take pictures, each instead of what was known of its photo."""
        if self._mean is None:
            self._learn(pictures)
        known = [one for one in pictures if one.id in self._places]
        fresh = [one for one in pictures if one.id not in self._places]
        self._grow(len(fresh))
        for at, one in enumerate(fresh, self._count):
            self._places[one.id] = at
        self._count += len(fresh)
        both = known + fresh
        if not both:
            return
        places = np.array([self._places[one.id] for one in both])
        self._ids[places] = [one.id for one in both]
        words = words_of(b"".join(one.hash or bytes(32) for one in both))
        self._words[places], self._parts[places] = words, parts_of(words)
        self._keys[places] = self._parts[places, 0]
        kept = self._kept_views(one.hash for one in both if one.hash)
        views = b"".join(kept.get(one.hash, bytes(VIEW_BYTES)) for one in both)
        self._views[places] = np.frombuffer(views, np.uint8).reshape(-1, VIEW_BYTES)
        self._reduced[places] = self._along(both)

    def matches(self, ids: Sequence[int]) -> list[Match]:
        """Return the pairs that show the same picture, one of them among ``ids``."""
        places = np.array([self._places[one] for one in ids if one in self._places], np.int64)
        found: list[Match] = []
        for first in range(0, len(places), _TOGETHER):
            found += self._matches(places[first : first + _TOGETHER])
        return list(dict.fromkeys(found))

    def _matches(self, places: NDArray[np.int64]) -> list[Match]:
        close, far = self._by_hash(places)
        near = self._by_features(places)
        return self._compared_by_hash([*close, *far]) + self._compared_by_view(
            near, {(one, other) for one, other, _, _ in close}
        )

    def _by_hash(
        self, places: NDArray[np.int64]
    ) -> tuple[list[tuple[int, int, int, int]], list[tuple[int, int, int, int]]]:
        """Return pairs as (one, other, bits that differ, turn): those that are close, and others.

        Both as places; the turn is that of the first that makes it like the other.
        """
        places = places[self._words[places].any(1)]
        close: list[tuple[int, int, int, int]] = []
        far: list[tuple[int, int, int, int]] = []
        if not len(places):
            return close, far
        # Of each picture as it is, and turned by a quarter: (2 x P, 4).
        turns = turned(self._words[places])[:: TURNS // 2]
        wanted = np.concatenate([parts_of(half) for half in turns])
        rows, others = self._with_like_keys(wanted[:, 0])
        bits = mirrored_distances(wanted[rows] ^ self._parts[others])
        least = bits.min(1)
        halves, numbers = np.divmod(rows, len(places))
        hits = np.flatnonzero((least <= FAR) & (others != places[numbers]))
        hits = hits[self._words[others[hits]].any(1)]
        hits = hits[np.lexsort((least[hits], numbers[hits]))]
        # Of each the nearest.
        first = np.searchsorted(numbers[hits], np.arange(len(places)))
        hits = hits[np.arange(len(hits)) - first[numbers[hits]] < NEAREST]
        for place, other, differ, half, in_half in zip(
            places[numbers[hits]].tolist(), others[hits].tolist(), least[hits].tolist(),
            halves[hits].tolist(), bits[hits].argmin(1).tolist(), strict=True,
        ):  # fmt: skip
            pair = (place, other, differ, TURNS // 2 * half + in_half)
            (close if differ <= CLOSE else far).append(pair)
        return close, far

    def _with_like_keys(
        self, keys: NDArray[np.uint64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which of ``keys`` (K,) are like those of which places: (N,) and (N,)."""
        together = min(_KEYS, len(keys))
        wide = _PAIRS // together
        differing = np.empty(_PAIRS, np.uint64)
        found = [np.empty((2, 0), np.int64)]
        for first, start in itertools.product(
            range(0, self._count, wide), range(0, len(keys), together)
        ):
            some = self._keys[first : min(first + wide, self._count)]
            part = keys[start : start + together, np.newaxis]
            count = len(part) * len(some)
            shape = len(part), len(some)
            np.bitwise_xor(part, some, out=differing[:count].reshape(shape))
            like = np.flatnonzero(bit_count(differing[:count]) <= KEY_BITS)
            if len(like):
                rows, others = np.divmod(like, len(some))
                found.append(np.stack([rows + start, others + first]))
        rows, others = np.concatenate(found, axis=1)
        return rows, others

    def _by_features(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return pairs of places (2, K): of each the nearest others."""
        wanted = self._reduced[places]
        near: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = []
        for first in range(0, self._count, _BLOCK):
            cosines = wanted @ self._reduced[first : min(first + _BLOCK, self._count)].T
            flat = cosines.ravel()
            like = np.flatnonzero(flat >= NEAR)
            rows, columns = np.divmod(like, cosines.shape[1])
            near.append((rows, columns + first, flat[like]))
        rows, others, values = (np.concatenate(column) for column in zip(*near, strict=True))
        order = np.argsort(rows.astype(np.int16), kind="stable")
        others, values = others[order], values[order]
        ends = np.searchsorted(rows[order], np.arange(len(places) + 1))
        found: list[NDArray[np.int64]] = [np.empty((2, 0), np.int64)]
        for place, start, end in zip(places.tolist(), ends[:-1], ends[1:], strict=True):
            mine, cosine = others[start:end], values[start:end]
            if len(mine) > NEIGHBOURS + 1:  # itself is among them
                best = np.argpartition(-cosine, NEIGHBOURS)[: NEIGHBOURS + 1]
                mine = mine[best]
            mine = mine[mine != place][:NEIGHBOURS]
            found.append(np.stack([np.full(len(mine), place), mine]))
        return np.concatenate(found, axis=1)

    def _compared_by_hash(self, pairs: Sequence[tuple[int, int, int, int]]) -> list[Match]:
        found: list[Match] = []
        # The turn with the fewest bits, of a picture that is like the other in several.
        ordered = sorted(pairs, key=lambda pair: -pair[2])
        some = list({(min(pair[:2]), max(pair[:2])): pair for pair in ordered}.values())
        for first in range(0, len(some), _COMPARED):
            part = some[first : first + _COMPARED]
            kept, cosines = self._known_of(part)
            seen = []
            for pair in part:
                hashes = self._hash(pair[0]), self._hash(pair[1])
                if hashes[0] in kept and hashes[1] in kept:
                    seen.append((pair, kept[hashes[0]], kept[hashes[1]]))
                elif pair[2] <= UNSEEN:
                    found.append(self._match(pair[0], pair[1], pair[2] / 256))
            if not seen:
                continue
            turns = np.array([pair[3] for pair, _, _ in seen])
            ones = turned_back(unpacked(one for _, one, _ in seen), turns)
            others = unpacked(other for _, _, other in seen)
            bits = np.array([pair[2] for pair, _, _ in seen])
            near = np.array([cosines.get(pair[:2], 0.0) for pair, _, _ in seen], np.float32)
            same = same_by_hash(ones, others, bits, near)
            # Of a very small copy an edge is found elsewhere: one may be within the other.
            left = np.flatnonzero(~same & (bits > CLOSE))
            same[left] = same_by_view(ones[left], others[left])
            for at in np.flatnonzero(same).tolist():
                pair = seen[at][0]
                found.append(self._match(pair[0], pair[1], pair[2] / 256))
        return found

    def _compared_by_view(
        self, pairs: NDArray[np.int64], decided: set[tuple[int, int]]
    ) -> list[Match]:
        found: list[Match] = []
        codes = np.unique(pairs.min(0) * self._count + pairs.max(0))
        ones, others = np.divmod(codes, self._count)
        agreed = agreements(self._views[ones], self._views[others])
        left = np.flatnonzero(agreed >= PLAIN - _ROUNDED)
        some = list(zip(ones[left].tolist(), others[left].tolist(), strict=True))
        some = [pair for pair in some if pair not in decided and pair[::-1] not in decided]
        for first in range(0, len(some), _COMPARED):
            part = some[first : first + _COMPARED]
            kept, cosines = self._known_of(part)
            seen = [
                pair
                for pair in part
                if cosines.get(pair, 0.0) >= CANDIDATE
                and self._hash(pair[0]) in kept
                and self._hash(pair[1]) in kept
            ]
            if not seen:
                continue
            wholes = unpacked(kept[self._hash(one)] for one, _ in seen)
            parts = unpacked(kept[self._hash(other)] for _, other in seen)
            for at in np.flatnonzero(same_by_view(wholes, parts)).tolist():
                one, other = seen[at]
                found.append(self._match(one, other, 1.0 - cosines[seen[at]] / 2))
        return found

    def _known_of(
        self, pairs: Sequence[tuple[int, ...]]
    ) -> tuple[dict[bytes, bytes], dict[tuple[int, ...], float]]:
        """Return the thumbnails of pairs of places by hash, and the cosines of the pairs."""
        places = {place for pair in pairs for place in pair[:2]}
        numbers = {int(self._ids[place]) for place in places}
        features = self._features(numbers)
        cosines: dict[tuple[int, ...], float] = {}
        for pair in pairs:
            one = features.get(int(self._ids[pair[0]]))
            other = features.get(int(self._ids[pair[1]]))
            if one is not None and other is not None and len(one) == len(other):
                cosines[pair[:2]] = float(one @ other)
        return self._thumbnails({self._hash(place) for place in places}), cosines

    def _hash(self, place: int) -> bytes:
        return bytes(self._words[place].astype("<u8").data)

    def _match(self, one: int, other: int, difference: float) -> Match:
        first, second = sorted((int(self._ids[one]), int(self._ids[other])))
        return Match(first, second, difference)

    def _grow(self, more: int) -> None:
        room = len(self._ids)
        if self._count + more <= room:
            return
        new = max(self._count + more, room + room // 2)
        for name in ("_ids", "_words", "_parts", "_keys", "_views", "_reduced"):
            old = getattr(self, name)
            wider = np.zeros((new, *old.shape[1:]), old.dtype)
            wider[: self._count] = old[: self._count]
            setattr(self, name, wider)

    def _learn(self, pictures: Sequence[Picture]) -> None:
        """Learn in which directions features differ, from the first that come."""
        rows = [one.features for one in pictures if one.features is not None][:LEARNT]
        rows = [row for row in rows if len(row) == len(rows[0])]
        if len(rows) < 2:
            return
        features = np.stack(rows).astype(np.float32)
        self._mean = features.mean(0)
        directions = np.linalg.svd(features - self._mean, full_matrices=False)[2]
        self._directions = directions[:DIRECTIONS].T.astype(np.float32)

    def _along(self, pictures: Sequence[Picture]) -> NDArray[np.float32]:
        """Return features along the learnt directions, of length 1; 0 where there are none."""
        found = np.zeros((len(pictures), DIRECTIONS), np.float32)
        if self._mean is None:
            return found
        size = len(self._mean)
        have = [
            (at, one.features)
            for at, one in enumerate(pictures)
            if one.features is not None and len(one.features) == size
        ]
        if have:
            rows = (np.stack([row for _, row in have]) - self._mean) @ self._directions
            lengths = np.sqrt((rows * rows).sum(1, keepdims=True))
            places = [at for at, _ in have]
            found[places, : rows.shape[1]] = rows / np.maximum(lengths, 1e-6)
        return found
