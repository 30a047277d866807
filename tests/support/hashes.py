"""How far perceptual hashes are from each other, the plain way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tagger.duplicates.picture_hash import bit_count, turned


def distances(one: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return in how many bits one hash (WORDS,), in any turn, differs from each of (N, WORDS)."""
    turns = turned(one[np.newaxis])[:, 0]
    counted = [bit_count(others ^ turn).sum(1, dtype=np.int64) for turn in turns]
    found: NDArray[np.int64] = np.minimum.reduce(counted)
    return found
