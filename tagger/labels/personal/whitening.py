"""Features as vectors in which the user's own library is round.

The square root of each feature, less the library's mean, divided by the library's spread along
its main directions, then scaled to length 1. Small libraries know their spread badly, so that it
is drawn towards the average (shrinkage, after Ledoit and Wolf 2004); behind the ``MOST_DIRECTIONS``
largest, all directions count as equally wide, so that a million photos are read in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tagger.labels.personal.moments import Moments
from tagger.labels.personal.stored_features import rooted

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHRINKAGES = (0.3, 0.6, 0.9)
"""What is tried, for each label: labels of many examples want less of it."""
MOST_DIRECTIONS = 256
"""Or a quarter of the features: with more of them MobileNetV2 finds no more groceries."""
LEAST_SPREAD = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """The library's ``mean`` (F,), its K main ``directions`` (F, K) and its spread along them.

    ``spreads`` (K,) are variances, ``rest`` that of each of all other directions, ``average`` the
    average of all F. All float32. ``count`` is how many photos the library had.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    spreads: NDArray[np.float32]
    rest: float
    average: float
    count: float = 0

    @classmethod
    def of(cls, library: Moments) -> Whitening:
        """Return the whitening of a library."""
        size = len(library.mean)
        spreads, directions = np.linalg.eigh(library.covariance)
        spreads, directions = np.maximum(spreads[::-1], 0), directions[:, ::-1]
        kept = max(1, min(MOST_DIRECTIONS, size // 4))
        rest = float(spreads[kept:].mean()) if kept < size else float(spreads[-1])
        return cls(
            library.mean.astype(np.float32),
            np.ascontiguousarray(directions[:, :kept], np.float32),
            spreads[:kept].astype(np.float32),
            max(rest, LEAST_SPREAD),
            max(float(spreads.mean()), LEAST_SPREAD),
            library.count,
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
