"""Features as rows of numbers: as the index has them, their directions, signs and bytes."""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def rows_of(
    stored: Iterable[tuple[int, bytes]], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return ids (N,) and features (N, ``size``) of those of the photos that have so many.

    They are stored as float16; what is no number is 0.
    """
    fit = [(number, blob) for number, blob in stored if len(blob) == 2 * size]
    blobs = np.frombuffer(b"".join([blob for _, blob in fit]), "<f2").reshape(-1, size)
    return np.array([number for number, _ in fit], np.int64), _numbers(blobs)


def direction_of(blob: bytes) -> NDArray[np.float32] | None:
    """Return stored features (F,) as a vector of length 1; None when there are none."""
    rows = _numbers(np.frombuffer(blob[: len(blob) // 2 * 2], "<f2")[np.newaxis])
    direction: NDArray[np.float32] = (rows / lengths_of(rows)[:, np.newaxis])[0]
    return direction if direction.any() else None


def _numbers(stored: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return rows as float32, what is no number as 0; three times as fast as numpy does it."""
    return np.take(_every_float16(), stored.view("<u2"))


@functools.cache
def _every_float16() -> NDArray[np.float32]:
    bits = np.arange(1 << 16, dtype=np.uint16)
    bits[bits & 0x7C00 == 0x7C00] = 0  # no number; on ARM numpy warns of the cast
    return bits.view(np.float16).astype(np.float32)


def signs_of(rows: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return of rows (N, F) which features are above their mean, as words (N, W)."""
    above = rows / lengths_of(rows)[:, np.newaxis] > mean / lengths_of(mean[np.newaxis])
    bits = np.packbits(above, axis=1)
    wide = np.zeros((len(rows), -(-rows.shape[1] // 64) * 8), np.uint8)
    wide[:, : bits.shape[1]] = bits
    return wide.view("<u8")


def rounded(rows: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return rows (N, F) in bytes, each as large as they go, and the lengths of these."""
    largest = np.maximum(rows.max(axis=1, initial=0), -rows.min(axis=1, initial=0))
    rows = rows * (np.float32(127) / np.maximum(largest, np.float32(1e-12)))[:, np.newaxis]
    np.rint(rows, out=rows)
    return rows.astype(np.int8), lengths_of(rows)


def lengths_of(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the lengths of rows (N, F), (N,), none of them 0."""
    found: NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    return np.maximum(found, np.float32(1e-12))
