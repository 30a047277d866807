"""Photos that look alike: by the angle between the features that the network made of them.

In memory there are, of every photo, the signs of its features around their mean and the features
rounded to a byte: 600 bytes of ResNet-18, 600 MB of a million photos. A question goes through the
signs of all, then through the bytes of the fiftieth part that agrees best, and what is left is
compared by what is stored. ``python -m bench.similar --search`` tells how many are lost by that.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tagger.duplicates.picture_hash import bit_count
from tagger.index.reader import Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 60
"""Photos that can be asked for."""
USUAL = 12
LIKE, LIKE_LEAST = 500, 0.75
"""Of `like:` in a query: photos at most, and the cosine that they have at least."""

KEPT_SECONDS = 3600.0
"""After so long a block is read anew: photos that changed have other features."""
BLOCK = 32_768
"""Photos that are kept together; no array is ever copied to make it longer."""
SHARE, SHORTLIST = 50, 4_000
"""One photo in so many is compared by its bytes, but so many at least."""

_CHUNK = 4096
_EXACT = 8
"""So many times as many as asked for are compared by their stored features."""


@dataclass(slots=True)
class _Block:
    """Some photos by id: ``ids`` (B,), the ``signs`` of their features in words (B, W),
    ``rounded`` (B, F) int8, and how long each of its rows is; ``count`` of them are there."""

    read_at: float
    ids: NDArray[np.int64]
    signs: NDArray[np.uint64]
    rounded: NDArray[np.int8]
    lengths: NDArray[np.float32]
    count: int = 0


class SimilarPhotos:
    """Finds photos like one among all, quickly after the first time. For any thread.

    ``clock`` is monotonic seconds, ``block`` how many photos are kept together.
    """

    def __init__(self, *, block: int = BLOCK, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._clock = block, clock
        self._lock = threading.Lock()
        self._model_id = ""
        self._mean: NDArray[np.float32] | None = None
        self._blocks: list[_Block] = []

    def like(self, reader: Reader, photo_id: int, limit: int) -> list[tuple[int, float]]:
        """Return id and similarity (cosine, 1: the same) of the photos most like one, best first.

        Empty for a photo that no network has seen.
        """
        own = reader.prediction(photo_id)
        wanted = None if own is None else _wanted(own.features)
        if own is None or wanted is None:
            return []
        with self._lock:
            mean = self._refresh(reader, own.model_id, len(wanted))
            blocks = [(block, block.count) for block in self._blocks]
        if mean is None:
            return []
        numbers = _best(blocks, mean, wanted, limit * _EXACT + 1)
        found: list[tuple[int, float]] = []
        for number in numbers:
            other = reader.prediction(number)
            if number == photo_id or other is None or len(other.features) != len(own.features):
                continue
            found.append((number, min(1.0, float(_direction(other.features) @ wanted))))
        return sorted(found, key=lambda one: (-one[1], one[0]))[:limit]

    def _refresh(self, reader: Reader, model_id: str, size: int) -> NDArray[np.float32] | None:
        """Read the photos that have come since, and a block that is old; return the mean."""
        if self._model_id != model_id or (self._mean is not None and len(self._mean) != size):
            self._model_id, self._mean, self._blocks = model_id, None, []
        ages = [block.read_at for block in self._blocks]
        if ages and self._clock() > min(ages) + KEPT_SECONDS:
            old = ages.index(min(ages))
            # In its place, so that a question meanwhile has the one or the other.
            after = int(self._blocks[old - 1].ids[-1]) if old else 0
            last = old == len(self._blocks) - 1
            upto = None if last else int(self._blocks[old].ids[-1])
            anew = self._read(reader, size, after, upto)
            self._blocks[old : old + 1] = anew
        newest = self._blocks[-1] if self._blocks else None
        after = int(newest.ids[newest.count - 1]) if newest is not None and newest.count else 0
        self._blocks += self._read(reader, size, after, None, newest)
        return self._mean

    def _read(
        self,
        reader: Reader,
        size: int,
        after: int,
        upto: int | None,
        block: _Block | None = None,
    ) -> list[_Block]:
        """Read photos with ids above ``after`` into ``block``, then into new ones; return these."""
        made: list[_Block] = []
        rows: Iterable[tuple[int, bytes]] = reader.features(self._model_id, after)
        if upto is not None:
            rows = itertools.takewhile(lambda row: row[0] <= upto, rows)
        for ids, numbers in _chunks(rows, size):
            if self._mean is None:
                self._mean = numbers.mean(0)
            first = 0
            while first < len(ids):
                if block is None or block.count == len(block.ids):
                    block = self._empty(size)
                    made.append(block)
                last = first + min(len(ids) - first, len(block.ids) - block.count)
                self._put(block, ids[first:last], numbers[first:last])
                first = last
        return made

    def _empty(self, size: int) -> _Block:
        import numpy as np

        return _Block(
            self._clock(),
            np.full(self._size, np.iinfo(np.int64).max),
            np.zeros((self._size, -(-size // 64)), np.uint64),
            np.zeros((self._size, size), np.int8),
            np.ones(self._size, np.float32),
        )

    def _put(self, block: _Block, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        import numpy as np

        assert self._mean is not None
        place = slice(block.count, block.count + len(ids))
        block.ids[place] = ids
        block.signs[place] = _signs(rows, self._mean)
        largest = np.maximum(rows.max(axis=1, initial=0), -rows.min(axis=1, initial=0))
        rows = rows * (np.float32(127) / np.maximum(largest, np.float32(1e-12)))[:, np.newaxis]
        np.rint(rows, out=rows)
        block.rounded[place] = rows.astype(np.int8)
        block.lengths[place] = _lengths(rows)
        block.count += len(ids)  # last: what is counted is there


def most_alike(reader: Reader, photo_id: int, limit: int) -> list[tuple[int, float]]:
    """Return what :meth:`SimilarPhotos.like` does, exactly; every photo's features are read."""
    own = reader.prediction(photo_id)
    wanted = None if own is None else _wanted(own.features)
    if own is None or wanted is None:
        return []
    best: list[tuple[float, int]] = []
    for ids, rows in _chunks(reader.features(own.model_id), len(wanted)):
        scores = rows @ wanted / _lengths(rows)
        best = heapq.nlargest(
            limit,
            [
                *best,
                *(
                    (min(1.0, score), -number)
                    for score, number in zip(scores.tolist(), ids.tolist(), strict=True)
                    if number != photo_id
                ),
            ],
        )
    return [(-number, score) for score, number in best]


def _best(
    blocks: list[tuple[_Block, int]],
    mean: NDArray[np.float32],
    wanted: NDArray[np.float32],
    count: int,
) -> list[int]:
    """Return the ids of the ``count`` photos whose bytes are nearest, of those with like signs."""
    import numpy as np

    total = sum(there for _, there in blocks)
    if not total:
        return []
    short = min(total, max(total // SHARE, SHORTLIST, count))
    scale = float(np.sqrt((mean * mean).sum())) or 1.0
    [signs] = _signs((wanted * np.float32(scale))[np.newaxis], mean)
    counted = []
    for block, there in blocks:
        differing = bit_count(block.signs[:there] ^ signs)
        counted.append(differing.sum(1, dtype=np.uint16))
    every = np.concatenate(counted)
    # The rank of a photo by signs decides whether it is looked at, so ties are all looked at.
    most = np.partition(every, short - 1)[short - 1] if short < total else every.max()
    ids, scores = [], []
    for (block, there), differing in zip(blocks, counted, strict=True):
        near = np.flatnonzero(differing[:there] <= most)
        for first in range(0, len(near), _CHUNK):
            part = near[first : first + _CHUNK]
            rows = block.rounded[part].astype(np.float32)
            # Not "@": its threads wait for each other while the daemon uses the cores.
            scores.append(np.einsum("ij,j->i", rows, wanted) / block.lengths[part])
            ids.append(block.ids[part])
    numbers, found = np.concatenate(ids), np.concatenate(scores)
    count = min(len(found), count)
    best = np.argpartition(-found, count - 1)[:count]
    return [int(number) for number in numbers[best]]


def _wanted(blob: bytes) -> NDArray[np.float32] | None:
    """Return stored features as a direction; None when there are none."""
    if not blob:
        return None
    wanted = _direction(blob)
    return wanted if wanted.any() else None


def _signs(rows: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return of rows (N, F) which features are above their mean, as words (N, W)."""
    import numpy as np

    lengths = _lengths(rows)[:, np.newaxis]
    direction = mean / _lengths(mean[np.newaxis])
    above = rows / lengths > direction
    bits = np.packbits(above, axis=1)
    wide = np.zeros((len(rows), -(-rows.shape[1] // 64) * 8), np.uint8)
    wide[:, : bits.shape[1]] = bits
    return wide.view("<u8")


def _chunks(
    rows: Iterable[tuple[int, bytes]], size: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield ids and features of the rows with ``size`` features, some at a time."""
    import numpy as np

    left = iter(rows)
    while chunk := list(itertools.islice(left, _CHUNK)):
        fit = [(number, blob) for number, blob in chunk if len(blob) == 2 * size]
        stored = np.frombuffer(b"".join([blob for _, blob in fit]), "<f2").reshape(-1, size)
        if fit:
            yield np.array([number for number, _ in fit], np.int64), _numbers(stored)


def _numbers(stored: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return rows as float32, what is no number as 0; three times as fast as numpy does it."""
    import numpy as np

    found: NDArray[np.float32] = np.take(_every_float16(), stored.view("<u2"))
    return found


@functools.cache
def _every_float16() -> NDArray[np.float32]:
    import numpy as np

    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    return np.nan_to_num(values, posinf=0.0, neginf=0.0)


def _lengths(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    found: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.maximum(found, np.float32(1e-12))


def _direction(blob: bytes) -> NDArray[np.float32]:
    """Return stored features (F,) as a vector of length 1; 0 if all of them are."""
    import numpy as np

    rows = _numbers(np.frombuffer(blob, "<f2")[np.newaxis])
    direction: NDArray[np.float32] = (rows / _lengths(rows)[:, np.newaxis])[0]
    return direction
