"""Which of many pictures are the same: candidates by hashes and features, then by comparison.

Nothing but arrays of NumPy: the hashes in 72 bytes a photo, features in 32 numbers each, along the
directions in which they differ most, and 64 grey values of the picture. Every new picture is held
against all others; two that are in one group already are not compared.
"""

from __future__ import annotations

import collections
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
    SURER,
    TEXT,
    UNSEEN,
    Floats,
    agreements,
    same_by_hash,
    same_by_view,
    text_blocks,
    turned_back,
)
from tagger.duplicates.joining import Joining
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
"""So many photos are enough to learn the directions from."""
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
_ROUNDS = 6
_ROUNDED = 0.02
"""By how much the agreement of rounded views is wrong at most."""


class Picture(NamedTuple):
    """One photo to be compared: its id, hash (empty: none) and features (F,), None: none."""

    id: int
    hash: bytes
    features: NDArray[np.float32] | None


class Candidates(NamedTuple):
    """Pairs of pictures that may be the same: places, and of these also the hashes' difference.

    In ``bits`` (N,) the hashes differ when the first is in a ``turns`` (N,) of those of
    :func:`~.picture_hash.turned`.
    """

    ones: NDArray[np.int64]
    others: NDArray[np.int64]
    bits: NDArray[np.int64]
    turns: NDArray[np.int64]

    def at(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Candidates:
        """Return some of the pairs."""
        return Candidates(*(column[which] for column in self))


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
        self._texts = np.empty(0, np.int8)
        self._reduced = np.empty((0, DIRECTIONS), np.float32)
        self._mean: NDArray[np.float32] | None = None
        self._directions = np.empty((0, 0), np.float32)

    def __len__(self) -> int:
        return self._count

    def learn(self, pictures: Iterable[Picture]) -> None:
        """Learn in which directions features differ, from some photos, before any is added."""
        every = [one.features for one in pictures if one.features is not None]
        sizes = collections.Counter(map(len, every)).most_common(1)
        rows = [row for row in every if len(row) == sizes[0][0]]
        if len(rows) < 2:
            return
        features = np.stack(rows).astype(np.float32)
        self._mean = features.mean(0)
        features -= self._mean
        # The first of the singular vectors, by iterating on a few more than are wanted (N. Halko
        # et al., "Finding Structure with Randomness", 2011): all of them would take a second.
        size = features.shape[1]
        basis = np.random.default_rng(1).standard_normal((size, min(2 * DIRECTIONS, size)))
        for _ in range(_ROUNDS):
            basis = features.T @ (features @ np.linalg.qr(basis.astype(np.float32))[0])
        basis = np.linalg.qr(basis)[0]
        turn = np.linalg.svd(features @ basis, full_matrices=False)[2].T
        self._directions = (basis @ turn)[:, :DIRECTIONS].astype(np.float32)

    def add(self, pictures: Sequence[Picture]) -> None:
        """Take pictures, each instead of what was known of its photo."""
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
        self._texts[places] = -1
        self._reduced[places] = self._along(both)

    def join(self, ids: Sequence[int], joining: Joining) -> None:
        """Join those that show the same picture, one of them among ``ids``, the surest first."""
        places = np.array([self._places[one] for one in ids if one in self._places], np.int64)
        parts = [places[at : at + _TOGETHER] for at in range(0, len(places), _TOGETHER)]
        if not parts:
            return
        found = [self._by_hash(part) for part in parts]
        pairs = Candidates(*(np.concatenate(column) for column in zip(*found, strict=True)))
        codes = self._codes(pairs.ones, pairs.others)
        # The turn with the fewest bits, of a picture that is like the other in several.
        order = np.lexsort((codes, pairs.bits))
        order = order[np.sort(np.unique(codes[order], return_index=True)[1])]
        pairs, codes = pairs.at(order), codes[order]
        decided = pairs.bits <= CLOSE  # what is found within the other has other hashes

        def same(asked: list[int]) -> list[bool]:
            some = np.array(asked)
            decided[some] |= pairs.turns[some] == 0
            return [bool(one) for one in self._same_by_hash(pairs.at(some))]

        joining.settle(self._links(pairs.ones, pairs.others), same)
        near = np.concatenate([self._by_features(part) for part in parts], axis=1)
        self._join_by_view(near, codes[decided], joining)

    def _codes(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a number for each pair, whichever of the two is first."""
        return np.minimum(ones, others) * self._count + np.maximum(ones, others)

    def _links(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> list[tuple[int, int]]:
        ids = self._ids[ones].tolist(), self._ids[others].tolist()
        return list(zip(*ids, strict=True))

    def _by_hash(self, places: NDArray[np.int64]) -> Candidates:
        """Return of each picture those whose hashes are near, the nearest NEAREST."""
        places = places[self._words[places].any(1)]
        if not len(places):
            none = np.empty(0, np.int64)
            return Candidates(none, none, none, none)
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
        turn = TURNS // 2 * halves[hits] + bits[hits].argmin(1)
        return Candidates(places[numbers[hits]], others[hits], least[hits].astype(np.int64), turn)

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

    def _same_by_hash(self, pairs: Candidates) -> NDArray[np.bool_]:
        """Return which pairs (N,) are the same picture, one perhaps turned."""
        same = pairs.bits <= SURER
        close = ~same & (pairs.bits <= CLOSE)
        # Documents are both, or none: mostly one of them is known already to be none.
        for column in (pairs.ones, pairs.others):
            unknown = close & ~self._is_no_text(pairs.ones) & ~self._is_no_text(pairs.others)
            self._count_text(column[unknown])
        plain = self._is_no_text(pairs.ones) | self._is_no_text(pairs.others)
        same |= close & plain
        left = np.flatnonzero(~same)
        if not len(left):
            return same
        pairs = pairs.at(left)
        there, first, second = self._seen(pairs.ones, pairs.others)
        same[left[~there]] = pairs.bits[~there] <= UNSEEN
        left, pairs = left[there], pairs.at(there)
        if not len(left):
            return same
        first = turned_back(first, pairs.turns)
        found = same_by_hash(first, second, pairs.bits, self._cosines(pairs.ones, pairs.others))
        # Of a very small copy an edge is found elsewhere: one may be within the other.
        within = np.flatnonzero(~found & (pairs.bits > CLOSE))
        found[within] = same_by_view(first[within], second[within])
        same[left] = found
        return same

    def _is_no_text(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which pictures are known to be no documents."""
        counted = self._texts[places]
        return (counted >= 0) & (counted < TEXT)

    def _count_text(self, places: NDArray[np.int64]) -> None:
        """Find out in how many parts of pictures there is text, of those with a thumbnail."""
        places = np.unique(places[self._texts[places] < 0])
        kept = self._thumbnails({self._hash(place) for place in places})
        places = np.array([one for one in places if self._hash(one) in kept], np.int64)
        if len(places):
            pictures = unpacked(kept[self._hash(place)] for place in places)
            self._texts[places] = text_blocks(pictures).sum(1)

    def _join_by_view(
        self, pairs: NDArray[np.int64], decided: NDArray[np.int64], joining: Joining
    ) -> None:
        """Join pairs (2, N) of which one is found within the other."""
        codes = np.unique(self._codes(*pairs))
        codes = codes[~np.isin(codes, decided)]
        ones, others = np.divmod(codes, max(self._count, 1))
        alike = agreements(self._views[ones], self._views[others]) >= PLAIN - _ROUNDED
        ones, others = ones[alike], others[alike]
        links = self._links(ones, others)
        joining.expect(itertools.chain.from_iterable(links))
        apart = np.array([not joining.is_settled(*link) for link in links], np.bool_)
        ones, others = ones[apart], others[apart]
        cosines = self._cosines(ones, others)
        order = np.argsort(-cosines, kind="stable")
        order = order[cosines[order] >= CANDIDATE]
        ones, others = ones[order], others[order]

        def same(asked: list[int]) -> list[bool]:
            there, wholes, parts = self._seen(ones[asked], others[asked])
            holds = np.zeros(len(asked), np.bool_)
            if there.any():
                holds[there] = same_by_view(wholes, parts)
            return [bool(one) for one in holds]

        joining.settle(self._links(ones, others), same)

    def _seen(
        self, ones: NDArray[np.int64], others: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_], Floats, Floats]:
        """Return of which pairs (N,) both thumbnails are kept, and these, (K, S, S) twice."""
        columns = [[self._hash(place) for place in column] for column in (ones, others)]
        pairs = list(zip(*columns, strict=True))
        kept = self._thumbnails(set(itertools.chain.from_iterable(pairs)))
        there = np.array([one in kept and other in kept for one, other in pairs], np.bool_)
        seen = [pair for pair in pairs if pair[0] in kept and pair[1] in kept]
        first, second = (unpacked(kept[pair[side]] for pair in seen) for side in (0, 1))
        return there, first, second

    def _cosines(self, ones: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the cosines of the features of pairs (N,), 0 where there are none."""
        links = self._links(ones, others)
        features = self._features(set(itertools.chain.from_iterable(links)))
        found = np.zeros(len(links), np.float32)
        for at, (one, other) in enumerate(links):
            first, second = features.get(one), features.get(other)
            if first is not None and second is not None and len(first) == len(second):
                found[at] = first @ second
        return found

    def _hash(self, place: int) -> bytes:
        return bytes(self._words[place].astype("<u8").data)

    def _grow(self, more: int) -> None:
        room = len(self._ids)
        if self._count + more <= room:
            return
        new = max(self._count + more, room + room // 2)
        for name in ("_ids", "_words", "_parts", "_keys", "_views", "_texts", "_reduced"):
            old = getattr(self, name)
            wider = np.zeros((new, *old.shape[1:]), old.dtype)
            wider[: self._count] = old[: self._count]
            setattr(self, name, wider)

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
