"""Features as vectors in which the user's own library is round.

The square root of each feature, less the library's mean, divided by the library's spread along
its main directions, then scaled to length 1. Small libraries know their spread badly, so that it
is drawn towards the average (shrinkage, after Ledoit and Wolf 2004); behind the ``MOST_DIRECTIONS``
largest, all directions count as equally wide, so that a million photos are read in seconds.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHRINKAGES = (0.3, 0.6, 0.9)
"""What is tried, for each label: labels of many examples want less of it."""
MOST_DIRECTIONS = 256
"""Or a quarter of the features: with more of them MobileNetV2 finds no more groceries."""
LEAST_SPREAD = 1e-6


@functools.cache
def _roots() -> NDArray[np.float32]:
    """Return the square root of every float16, of what is negative or no number 0."""
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return np.sqrt(np.maximum(values, 0)).astype(np.float32)


def rooted(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return the square roots of stored features, (N, F)."""
    found: NDArray[np.float32] = np.take(_roots(), features.view("<u2"))
    return found


def rows_of(blobs: Sequence[bytes], size: int) -> NDArray[np.float16]:
    """Return stored features as rows, (N, ``size``); a blob of another length is all 0."""
    sound = [blob if len(blob) == 2 * size else bytes(2 * size) for blob in blobs]
    return np.frombuffer(b"".join(sound), "<f2").reshape(-1, size)


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """The library's ``mean`` (F,), its K main ``directions`` (F, K) and its spread along them.

    ``spreads`` (K,) are variances, ``rest`` that of each of all other directions, ``average`` the
    average of all F. All float32.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    spreads: NDArray[np.float32]
    rest: float
    average: float

    @classmethod
    def of(cls, library: NDArray[np.float16]) -> Whitening:
        """Return the whitening of a library's features (N, F), N from 1 on."""
        roots = rooted(library)
        count, size = roots.shape
        mean = roots.mean(axis=0, dtype=np.float64)
        products = np.zeros((size, size))
        for at in range(0, count, 4096):  # the whole in float64 would be large
            part = roots[at : at + 4096] - mean.astype(np.float32)
            products += part.T @ part
        spreads, directions = np.linalg.eigh(products / count)
        spreads, directions = np.maximum(spreads[::-1], 0), directions[:, ::-1]
        kept = max(1, min(MOST_DIRECTIONS, size // 4))
        rest = float(spreads[kept:].mean()) if kept < size else float(spreads[-1])
        return cls(
            mean.astype(np.float32),
            np.ascontiguousarray(directions[:, :kept], np.float32),
            spreads[:kept].astype(np.float32),
            max(rest, LEAST_SPREAD),
            max(float(spreads.mean()), LEAST_SPREAD),
        )

    @property
    def size(self) -> int:
        """How many features a photo has, F."""
        return len(self.mean)

    def scales(self, shrinkage: float) -> tuple[NDArray[np.float32], float]:
        """Return by what the main directions (K,) are divided, and by what all others."""
        drawn = (1 - shrinkage) * self.spreads + shrinkage * self.average
        other = (1 - shrinkage) * self.rest + shrinkage * self.average
        return np.sqrt(drawn), float(np.sqrt(other))

    def vectors(self, features: NDArray[np.float16], shrinkage: float) -> NDArray[np.float32]:
        """Return the vectors of photos, (N, F), each of length 1."""
        found = self.spread_out(rooted(features) - self.mean, shrinkage)
        lengths = np.sqrt(np.einsum("ij,ij->i", found, found))
        return np.asarray(found / np.maximum(lengths, 1e-9)[:, np.newaxis], np.float32)

    def spread_out(self, centred: NDArray[Any], shrinkage: float) -> NDArray[np.float32]:
        """Return centred rows (N, F) with equal spread in all directions."""
        drawn, other = self.scales(shrinkage)
        along = centred @ self.directions
        found = centred / other + (along * (1 / drawn - 1 / other)) @ self.directions.T
        return np.asarray(found, np.float32)
