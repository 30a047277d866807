"""Mean and second moments of a library's features, which are kept up as photos come.

Two of them are put together by the formula of Chan, Golub and LeVeque (Technical Report 222, Yale
1979), so that no photo is read twice.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tagger.labels.personal.stored_features import rooted

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOGETHER = 4096
_HEAD = struct.Struct("<dI")  # how many photos, how many features


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Of the roots of the features of ``count`` photos: ``mean`` (F,) and ``covariance`` (F, F).

    Both float64.
    """

    count: float
    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float16]) -> Moments:
        """Return those of photos (N, F), N from 1 on."""
        count, size = features.shape
        mean = np.zeros(size)
        for at in range(0, count, TOGETHER):  # the whole in float32 would be large
            mean += rooted(features[at : at + TOGETHER]).sum(axis=0, dtype=np.float64)
        mean /= count
        products = np.zeros((size, size))
        for at in range(0, count, TOGETHER):
            part = rooted(features[at : at + TOGETHER]) - mean.astype(np.float32)
            products += part.T @ part
        return cls(count, mean, products / count)

    def standing_for(self, count: float) -> Moments:
        """Return these as those of so many photos, of which they are a sample."""
        return Moments(count, self.mean, self.covariance)

    def with_further(self, other: Moments) -> Moments:
        """Return those of the photos of both."""
        count = self.count + other.count
        share = other.count / count
        apart = other.mean - self.mean
        covariance = (1 - share) * self.covariance + share * other.covariance
        covariance += share * (1 - share) * np.outer(apart, apart)
        return Moments(count, self.mean + share * apart, covariance)

    def to_bytes(self) -> bytes:
        """Return them as the index keeps them: half of the covariance, in float32."""
        half = self.covariance[np.triu_indices(len(self.mean))]
        head = _HEAD.pack(self.count, len(self.mean))
        return head + self.mean.astype("<f4").tobytes() + half.astype("<f4").tobytes()

    @classmethod
    def from_bytes(cls, blob: bytes) -> Moments:
        """Return what :meth:`to_bytes` wrote. Raise ValueError when it is none."""
        if len(blob) < _HEAD.size:
            raise ValueError("they are no moments")
        count, size = _HEAD.unpack_from(blob)
        if len(blob) != _HEAD.size + 4 * size + 2 * size * (size + 1) or not count > 0:
            raise ValueError("they are no moments")
        values = np.frombuffer(blob, "<f4", offset=_HEAD.size).astype(np.float64)
        covariance = np.zeros((size, size))
        covariance[np.triu_indices(size)] = values[size:]
        covariance += np.triu(covariance, 1).T
        return cls(count, values[:size], covariance)
