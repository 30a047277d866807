"""A perceptual hash of a picture: 256 signs of its discrete cosine transform.

As in pHash (C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010)
and PDQ (Facebook, "The TMK+PDQF Video-Hashing Algorithm and the PDQ Image-Hashing Algorithm",
2019): the coefficients of 16 x 16 low frequencies without the mean of any row or column, here each
by its sign. A mirrored or turned picture has the same coefficients at other places or with other
signs, so that the hashes of all eight turns come from one, exactly.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from tagger.records import THUMBNAIL_SIDE

SIZE = 16
HASH_BYTES = SIZE * SIZE // 8
WORDS = HASH_BYTES // 8
FLAT = 3.0
"""A picture whose grey values differ by less than so much (standard deviation) has no hash: all
of them would be alike."""
TURNS = 8


@functools.cache
def _cosines() -> NDArray[np.float32]:
    """Return the rows 1…16 of the DCT-II matrix, (16, S)."""
    angles = (np.arange(THUMBNAIL_SIDE) + 0.5) * np.arange(1, SIZE + 1)[:, np.newaxis]
    found: NDArray[np.float32] = np.cos(angles * (np.pi / THUMBNAIL_SIDE)).astype(np.float32)
    return found


def picture_hash(thumbnail: NDArray[np.uint8]) -> bytes:
    """Return the hash, HASH_BYTES long, of a thumbnail uint8 (S, S); empty for a flat picture."""
    grey = thumbnail.astype(np.float32)
    if grey.std() < FLAT:
        return b""
    signs = (_cosines() @ grey @ _cosines().T) > 0
    return np.packbits(signs).tobytes()


def words_of(hashes: bytes) -> NDArray[np.uint64]:
    """Return hashes, one after another, as numbers (N, WORDS)."""
    return np.frombuffer(hashes, "<u8").reshape(-1, WORDS)


def turned(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the hashes of the same pictures in all turns: (8, N, WORDS), unturned first.

    The second half is of the pictures turned by a quarter (and mirrored).
    """
    flat = np.unpackbits(hashes.astype("<u8").view(np.uint8).reshape(-1, HASH_BYTES), axis=1)
    signs = flat.reshape(-1, SIZE, SIZE)
    odd = np.arange(1, SIZE + 1) % 2 == 1  # a mirrored picture has other signs there
    rows, columns = odd[:, np.newaxis], odd[np.newaxis, :]
    none = np.zeros((SIZE, SIZE), np.bool_)
    masks = (none, none | columns, none | rows, rows ^ columns)
    found = [one ^ mask for one in (signs, signs.transpose(0, 2, 1)) for mask in masks]
    packed = np.packbits(np.stack(found).reshape(TURNS, -1, SIZE * SIZE), axis=2)
    return np.ascontiguousarray(packed).view("<u8").reshape(TURNS, -1, WORDS)


def parts_of(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the bits of each hash by what mirroring does to them, (N, 4).

    Those of even frequencies, which it never changes; then those that are odd along a row, along a
    column, and along both.
    """
    flat = np.unpackbits(hashes.astype("<u8").view(np.uint8).reshape(-1, HASH_BYTES), axis=1)
    signs = flat.reshape(-1, SIZE, SIZE)
    even, odd = slice(1, None, 2), slice(0, None, 2)
    parts = [signs[:, rows, columns] for rows in (even, odd) for columns in (even, odd)]
    packed = np.packbits(np.stack(parts, axis=1).reshape(-1, 4, 64), axis=2)
    return np.ascontiguousarray(packed).view("<u8").reshape(-1, 4)


def mirrored_distances(differing: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """Return in how many bits hashes differ in each of the first four turns, (N, 4).

    ``differing`` (N, 4) is the XOR of their :func:`parts_of`: a mirrored picture has the other
    signs in two of the parts.
    """
    counted = bit_count(differing).astype(np.uint16)
    even, columns, rows, both = (counted[:, part] for part in range(4))
    turns = (
        even + columns + rows + both,
        even + (64 - columns) + rows + (64 - both),
        even + columns + (64 - rows) + (64 - both),
        even + (64 - columns) + (64 - rows) + both,
    )
    return np.stack(turns, axis=1)


def bit_count(numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return how many bits of each number are set."""
    if hasattr(np, "bitwise_count"):  # NumPy 2
        found: NDArray[np.uint8] = np.bitwise_count(numbers)
        return found
    halves = np.ascontiguousarray(numbers).view(np.uint16).reshape(*numbers.shape, 4)
    counted: NDArray[np.uint8] = _counts()[halves].sum(-1, dtype=np.uint8)
    return counted


@functools.cache
def _counts() -> NDArray[np.uint8]:
    numbers = np.arange(1 << 16, dtype=np.uint16)
    bits = np.unpackbits(numbers.view(np.uint8).reshape(-1, 2), axis=1)
    found: NDArray[np.uint8] = bits.sum(1).astype(np.uint8)
    return found
