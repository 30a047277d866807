"""Photos that look alike: by the angle between the features that the network made of them.

The features of all photos are kept in memory, rounded to a byte each; the best by those are
then compared by what is stored.
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from tagger.index.reader import Reader

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST = 60
"""Photos that can be asked for."""
USUAL = 12

MAX_BYTES = 128_000_000
"""Of what is kept in memory: 250,000 photos of ResNet-18. Of more, the newest are compared."""
KEPT_SECONDS = 3600.0
"""After so long all is read anew: photos that changed have other features."""

_CHUNK = 4096
_EXACT = 8
"""So many times as many as asked for are compared by their stored features."""


class _Kept(NamedTuple):
    """What is in memory: ``ids`` (N,) int64 ascending, ``rounded`` (N, F) int8, and how long
    each of its rows is, (N,) float32."""

    model_id: str
    read_at: float
    ids: NDArray[np.int64]
    rounded: NDArray[np.int8]
    lengths: NDArray[np.float32]


class SimilarPhotos:
    """Finds photos like one. For any thread; ``clock`` is monotonic seconds."""

    def __init__(
        self, *, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_bytes, self._clock = max_bytes, clock
        self._lock = threading.Lock()
        self._kept: _Kept | None = None

    def like(self, reader: Reader, photo_id: int, limit: int) -> list[tuple[int, float]]:
        """Return id and similarity (cosine, 1: the same) of the photos most like one, best first.

        Empty for a photo that no network has seen.
        """
        import numpy as np

        own = reader.prediction(photo_id)
        if own is None or not own.features:
            return []
        wanted = _direction(own.features)
        if not wanted.any():
            return []
        with self._lock:
            kept = self._kept = self._current(reader, own.model_id, len(wanted))
        scores = np.empty(len(kept.ids), np.float32)
        for at in range(0, len(scores), _CHUNK):
            part = kept.rounded[at : at + _CHUNK].astype(np.float32)
            # Not "@": its threads wait for each other while the daemon uses the cores.
            scores[at : at + _CHUNK] = np.einsum("ij,j->i", part, wanted)
        scores /= kept.lengths
        count = min(len(scores), limit * _EXACT + 1)
        best = np.argpartition(-scores, count - 1)[:count]
        found: list[tuple[int, float]] = []
        for number in kept.ids[best].tolist():
            other = reader.prediction(number)
            if number == photo_id or other is None or len(other.features) != len(own.features):
                continue
            found.append((number, min(1.0, float(_direction(other.features) @ wanted))))
        return sorted(found, key=lambda one: (-one[1], one[0]))[:limit]

    def _current(self, reader: Reader, model_id: str, size: int) -> _Kept:
        """Return what is kept with all photos that have come since, or all read anew."""
        import numpy as np

        kept = self._kept
        old = kept is None or kept.model_id != model_id or kept.rounded.shape[1] != size
        if kept is None or old or self._clock() > kept.read_at + KEPT_SECONDS:
            ids, rounded = np.empty(0, np.int64), np.empty((0, size), np.int8)
            kept = _Kept(model_id, self._clock(), ids, rounded, np.empty(0, np.float32))
        last = int(kept.ids[-1]) if len(kept.ids) else 0
        most = max(1, self._max_bytes // size)
        parts, count = deque([kept[2:]]), len(kept.ids)
        for part in _read(reader.features(model_id, last), size):
            parts.append(part)
            count += len(part[0])
            while count - len(parts[0][0]) >= most:
                count -= len(parts.popleft()[0])
        if len(parts) == 1 and parts[0][0] is kept.ids:
            return kept
        ids, rounded, lengths = (
            np.concatenate(column)[-most:] for column in zip(*parts, strict=True)
        )
        return kept._replace(ids=ids, rounded=rounded, lengths=lengths)


def _read(
    rows: Iterable[tuple[int, bytes]], size: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.float32]]]:
    """Yield what :class:`_Kept` has of the rows with ``size`` features, chunk by chunk."""
    import numpy as np

    left = iter(rows)
    while chunk := list(itertools.islice(left, _CHUNK)):
        fit = [(number, blob) for number, blob in chunk if len(blob) == 2 * size]
        stored = np.frombuffer(b"".join([blob for _, blob in fit]), "<f2").reshape(-1, size)
        rows = _numbers(stored)
        largest = np.maximum(rows.max(axis=1, initial=0), -rows.min(axis=1, initial=0))
        rows *= (np.float32(127) / np.maximum(largest, np.float32(1e-12)))[:, np.newaxis]
        np.rint(rows, out=rows)
        yield (
            np.array([number for number, _ in fit], np.int64),
            rows.astype(np.int8),
            _lengths(rows),
        )


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
