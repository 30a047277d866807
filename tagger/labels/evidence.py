"""The part of a prediction that is kept: the most probable classes, in few bytes.

Tags are always chosen from evidence, never from the whole prediction, so that choosing
again from what is stored gives exactly what the first choice gave.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP_K = 64
"""How many classes are kept: of ImageNet's 1,000 they hold all but a few thousandths."""

_VERSION = 1
_HEAD = struct.Struct("<BHH")  # version, number of classes, number kept
_FLOOR = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """The K most probable of ``class_count`` classes, best first.

    ``indices`` uint16 (K,), ``probabilities`` float16 (K,): as the model gave them,
    before any temperature.
    """

    indices: NDArray[np.uint16]
    probabilities: NDArray[np.float16]
    class_count: int

    @classmethod
    def of(cls, probabilities: NDArray[np.floating[Any]], k: int = TOP_K) -> Evidence:
        """Return the evidence in ``probabilities`` (C,), each in 0…1.

        Raise ValueError when they are not, or not one row.
        """
        values = np.asarray(probabilities, np.float32)
        if values.ndim != 1 or not 0 < len(values) <= 0xFFFF:
            raise ValueError(f"probabilities must be one row of 1 to 65535, not {values.shape}")
        if not ((values >= 0) & (values <= 1 + 1e-4)).all():  # also false for NaN
            raise ValueError("probabilities must be numbers from 0 to 1")
        # A stable sort of the negated values: equal ones keep the order of the classes.
        best = np.argsort(-values, kind="stable")[:k]
        return cls(best.astype(np.uint16), values[best].astype(np.float16), len(values))

    def to_bytes(self) -> bytes:
        """Return the stored form, little-endian: 5 bytes, then 4 for each class kept."""
        return (
            _HEAD.pack(_VERSION, self.class_count, len(self.indices))
            + self.indices.astype("<u2").tobytes()
            + self.probabilities.astype("<f2").tobytes()
        )

    @classmethod
    def from_bytes(cls, blob: bytes) -> Evidence:
        """Return what :meth:`to_bytes` stored. Raise ValueError when ``blob`` is not such."""
        if len(blob) < _HEAD.size:
            raise ValueError(f"{len(blob)} bytes are no stored prediction")
        version, class_count, kept = _HEAD.unpack_from(blob)
        if version != _VERSION or len(blob) != _HEAD.size + 4 * kept:
            raise ValueError(f"no stored prediction (version {version}, {len(blob)} bytes)")
        indices = np.frombuffer(blob, "<u2", kept, _HEAD.size).astype(np.uint16)
        values = np.frombuffer(blob, "<f2", kept, _HEAD.size + 2 * kept).astype(np.float16)
        if (indices >= class_count).any() or not np.isfinite(values).all():
            raise ValueError("a stored prediction names a class that does not exist, or is not one")
        return cls(indices, values, class_count)

    def top(self, k: int) -> tuple[tuple[int, float], ...]:
        """Return the ``k`` best as (class index, probability)."""
        pairs = zip(self.indices[:k], self.probabilities[:k], strict=True)
        return tuple((int(index), float(value)) for index, value in pairs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evidence) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def combine(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the probabilities (C,) of a photo from those of its crops (1 + K, C).

    Their geometric mean, scaled to sum 1, which is the softmax of the mean of the logits. On
    the photos for calibration it is as likely as the arithmetic mean once each has its best
    temperature, but that is nearer to the single crop's (0.74, against 0.66 and 0.84), so
    square and wide photos can share one calibration.
    """
    values = np.asarray(probabilities, np.float32)
    if len(values) == 1:
        return np.asarray(values[0], np.float32)
    logs = np.log(np.maximum(values, _FLOOR)).mean(axis=0)
    scaled = np.exp(logs - logs.max())
    return np.asarray(scaled / scaled.sum(), np.float32)
