"""Features as the index stores them, as arrays, and their square roots."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@functools.cache
def _roots() -> NDArray[np.float32]:
    """Return the square root of every float16, of what is negative or no number 0."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    bits[bits & 0x7C00 == 0x7C00] = 0  # no number; on ARM numpy warns of the cast
    return np.sqrt(np.maximum(bits.view(np.float16).astype(np.float32), 0))


def rooted(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return the square roots of stored features, (N, F)."""
    found: NDArray[np.float32] = np.take(_roots(), features.view("<u2"))
    return found


def rows_of(blobs: Sequence[bytes], size: int) -> NDArray[np.float16]:
    """Return stored features as rows, (N, ``size``); a blob of another length is all 0."""
    sound = [blob if len(blob) == 2 * size else bytes(2 * size) for blob in blobs]
    return np.frombuffer(b"".join(sound), "<f2").reshape(-1, size)
