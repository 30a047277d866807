"""Whether two pictures are the same one: recompressed, lightly edited, or one cut from the other.

Hashes that nearly agree decide alone, but for documents: two receipts differ in their text only.
Where a picture was cut, or has an edge around it, one is looked for within the other: first by
thumbnails of 16 x 16 at all places and sizes, then where they agree best by finer ones, to parts of
a pixel (B. D. Lucas and T. Kanade, "An Iterative Image Registration Technique", 1981).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Floats = NDArray[np.float32]

CLOSE = 40
"""Bits in which the hashes of one picture differ at most; of 34 million pairs of different ones 3
did. From FAR on, nothing is said by them."""
FAR = 64
UNSEEN = 14
"""Bits that are enough without thumbnails, which tell documents apart."""
ALIKE = 0.975
"""The correlation of two thumbnails that is enough alone…"""
NEARLY_ALIKE, SAME_SUBJECT, SAME_DETAILS = 0.93, 0.93, 0.7
"""…and the one that is with features whose cosine is as much, when small parts agree so much on the
average: in two frames of one burst a hand or a thing has moved."""
DOCUMENTS_ALIKE = 0.955
"""How the small parts of the same document agree at least, on the average: copies of a receipt do
to 0.96 and more, others of the same shop to 0.94."""
CANDIDATE = 0.85
"""The cosine of features from which on one picture is looked for within another…"""
PLAIN = 0.25
"""…when as they are, at 8 x 8, they agree so much at least."""
TEXT_WITHIN = 0.93
"""How the text of a document agrees with that of one that it was cut from."""
WITHIN, DETAILS_WITHIN, BOTH_WITHIN = 0.9, 0.6, 1.185
"""How well a picture fits into another that it was cut from, how its details do, and the least of
the first with 0.3 of the second: frames of one burst have other details."""

_BLOCK = 8
_MARKED = 6.0
"""The standard deviation of grey values in a part of a picture that shows something."""
_MARKS, _PAPER, _WHITE = 16.0, 20.0, 150.0
"""That of one with text; how much darker than the brightest paper is at most; and how bright that
is at least."""
TEXT = 9
"""Of the 64 parts of a picture so many show text in a document, and in one photo of ten."""
SURE, SURER, SURER_DETAILS = 12, 6, 0.85
"""Bits in which the hashes of two receipts never differed, with details that agree so; and less."""
_PLAIN_SIDE, _COARSE, _FINE = 8, 16, 32
_COARSE_SIZES = range(12, _COARSE + 1)
_COARSE_LEAST = 0.82
_ROUNDS = 8


def details(one: Floats, other: Floats, among: NDArray[np.bool_] | None = None) -> Floats:
    """Return how the small parts of pictures (N, S, S) agree, on the average: (N,), at most 1.

    Parts in which neither shows anything do not count, nor those that are not ``among`` (N, B);
    1 where none is left.
    """
    a, b = _parts(one), _parts(other)
    a, b = a - a.mean(2, keepdims=True), b - b.mean(2, keepdims=True)
    spread_a, spread_b = np.sqrt((a * a).mean(2)), np.sqrt((b * b).mean(2))
    used = np.maximum(spread_a, spread_b) > _MARKED
    if among is not None:
        used &= among
    agreed = (a * b).mean(2) / (spread_a * spread_b + 4)
    count = used.sum(1)
    found: Floats = np.where(count >= 5, (agreed * used).sum(1) / np.maximum(count, 1), 1)
    return found.astype(np.float32)


def text_blocks(pictures: Floats) -> NDArray[np.bool_]:
    """Return in which parts of pictures (N, S, S) there are dark marks on bright paper: (N, B)."""
    bright = np.percentile(pictures, 95, axis=(1, 2))[:, np.newaxis]
    parts = _parts(pictures)
    found: NDArray[np.bool_] = (
        (parts.std(2) > _MARKS) & (np.median(parts, axis=2) >= bright - _PAPER) & (bright > _WHITE)
    )
    return found


def _parts(pictures: Floats) -> Floats:
    """Return pictures (N, S, S) in blocks, (N, B, pixels)."""
    n, side = len(pictures), pictures.shape[1] // _BLOCK
    split = pictures.reshape(n, side, _BLOCK, side, _BLOCK).transpose(0, 1, 3, 2, 4)
    return split.reshape(n, side * side, _BLOCK * _BLOCK)


def correlations(one: Floats, other: Floats) -> Floats:
    """Return the correlation of pictures (N, S, S) with others at 32 x 32: (N,)."""
    found: Floats = (_standard(smaller(one, _FINE)) * _standard(smaller(other, _FINE))).sum((1, 2))
    return found


def agreements(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> Floats:
    """Return the correlation of coarse views (N, V) with others: (N,), 0 where there is none."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    lengths = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    found: Floats = np.einsum("ij,ij->i", a, b) / np.maximum(lengths, 1e-6)
    return found


def smaller(pictures: Floats, side: int) -> Floats:
    """Return pictures (N, S, S) with a shorter side, each pixel the mean of those in its place."""
    n, factor = len(pictures), pictures.shape[1] // side
    found: Floats = pictures.reshape(n, side, factor, side, factor).mean((2, 4))
    return found


def _standard(pictures: Floats) -> Floats:
    """Return pictures (N, H, W) with mean 0 and the sum of their squares 1."""
    centred = pictures - pictures.mean((1, 2), keepdims=True)
    found: Floats = centred / np.sqrt((centred * centred).sum((1, 2), keepdims=True) + 1e-6)
    return found


@functools.cache
def _shrinking(side: int, new: int) -> Floats:
    """Return the matrix that makes a line of ``side`` pixels one of ``new``, by their areas."""
    edges = np.arange(new + 1) * (side / new)
    low, high = edges[:-1, np.newaxis], edges[1:, np.newaxis]
    pixels = np.arange(side)[np.newaxis]
    covered = np.minimum(high, pixels + 1) - np.maximum(low, pixels)
    found: Floats = (np.maximum(covered, 0) * (new / side)).astype(np.float32)
    return found


def _coarse_places(whole: Floats, part: Floats) -> tuple[Floats, Floats]:
    """Return how well each ``part`` (N, 16, 16) fits into its ``whole`` at best, and where.

    The places (N, 4) are top, left, height and width, as shares of the whole.
    """
    count, side = len(whole), whole.shape[1]
    best, places = (
        np.full(count, -1, np.float32),
        np.tile(np.array([0, 0, 1, 1], np.float32), (count, 1)),
    )
    whole = whole - whole.mean((1, 2), keepdims=True)
    sums, squares = _integral(whole), _integral(whole * whole)
    for height in _COARSE_SIZES:
        rows = np.einsum("ki,nij->nkj", _shrinking(side, height), part)
        for width in _COARSE_SIZES:
            small = _standard(rows @ _shrinking(side, width).T)
            windows = sliding_window_view(whole, (height, width), axis=(1, 2))
            down, across = windows.shape[1:3]
            area = height * width
            flat = windows.reshape(count, down * across, area)
            products = np.matmul(flat, small.reshape(count, area, 1)).reshape(count, down * across)
            inside = [_windows(one, height, width).reshape(count, -1) for one in (sums, squares)]
            spread = np.sqrt(np.maximum(inside[1] - inside[0] ** 2 / area, 1.0))
            fits = products / spread
            at = fits.argmax(1)
            fit = fits[np.arange(count), at]
            better = fit > best
            best[better] = fit[better]
            found = np.stack([at // across, at % across], 1)[better]
            places[better, :2] = found / side
            places[better, 2:] = np.array([height / side, width / side], np.float32)
    return best, places


def _integral(pictures: Floats) -> Floats:
    found: Floats = np.pad(pictures.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    return found


def _windows(sums: Floats, height: int, width: int) -> Floats:
    """Return the sum of each window, of an integral picture."""
    below, right = sums[:, height:, :], sums[:, :-height, :]
    found: Floats = below[:, :, width:] - below[:, :, :-width] - right[:, :, width:]
    return found + right[:, :, :-width]


def _sampled(pictures: Floats, places: Floats, side: int) -> Floats:
    """Return what is at a place of each picture (N, S, S), as (N, side, side), bilinearly."""
    size = pictures.shape[1]
    steps = (np.arange(side, dtype=np.float32) + 0.5) / side
    rows = (places[:, 0:1] + places[:, 2:3] * steps) * size - 0.5
    columns = (places[:, 1:2] + places[:, 3:4] * steps) * size - 0.5
    n = np.arange(len(pictures))[:, np.newaxis, np.newaxis]
    rows, columns = rows.clip(0, size - 1.001), columns.clip(0, size - 1.001)
    top, left = rows.astype(np.int64), columns.astype(np.int64)
    y, x = (rows - top)[:, :, np.newaxis], (columns - left)[:, np.newaxis, :]
    top, left = top[:, :, np.newaxis], left[:, np.newaxis, :]
    upper = pictures[n, top, left] * (1 - x) + pictures[n, top, left + 1] * x
    lower = pictures[n, top + 1, left] * (1 - x) + pictures[n, top + 1, left + 1] * x
    found: Floats = upper * (1 - y) + lower * y
    return found


def _placed(whole: Floats, part: Floats, places: Floats) -> Floats:
    """Return ``places`` moved and resized so that each part fits into its whole at best.

    Gauss-Newton on position and size, of pictures (N, 32, 32), brightness and contrast apart.
    """
    side = part.shape[1]
    wanted = _standard(part)
    steps = (np.arange(side, dtype=np.float32) + 0.5) / side
    places = places.copy()
    for _ in range(_ROUNDS):
        seen = _sampled(whole, places, side)
        spread = np.sqrt(((seen - seen.mean((1, 2), keepdims=True)) ** 2).sum((1, 2)) + 1e-6)
        scale = spread[:, np.newaxis, np.newaxis]
        down = np.gradient(seen, axis=1) / scale * (side / places[:, 2])[:, np.newaxis, np.newaxis]
        right = np.gradient(seen, axis=2) / scale * (side / places[:, 3])[:, np.newaxis, np.newaxis]
        rest = (wanted - _standard(seen)).reshape(len(seen), -1)
        slopes = np.stack(
            [down, right, down * steps[:, np.newaxis], right * steps[np.newaxis, :]], axis=1
        ).reshape(len(seen), 4, -1)
        slopes = slopes - slopes.mean(2, keepdims=True)
        normal = slopes @ slopes.transpose(0, 2, 1)
        # Damped: a picture of stripes says nothing of the way along them.
        damping = 0.01 * np.trace(normal, axis1=1, axis2=2)[:, np.newaxis, np.newaxis] + 1e-6
        normal = normal + damping * np.eye(4, dtype=np.float32)
        step = np.linalg.solve(normal, slopes @ rest[:, :, np.newaxis])[:, :, 0]
        places = (places + step.clip(-0.05, 0.05)).astype(np.float32)
        places[:, 2:] = places[:, 2:].clip(0.55, 1.0)
        places[:, :2] = np.clip(places[:, :2], 0.0, 1.0 - places[:, 2:])
    return places


def found_within(one: Floats, other: Floats) -> tuple[Floats, Floats, Floats]:
    """Return how well one of two pictures (N, S, S) fits into the other, and their details.

    The better of both ways: correlation (N,) and :func:`details` (N,) of the one and that part of
    the other, and the details of their text (1: they are no documents); -1 where they have nothing
    in common.
    """
    fits, agreed, texts = np.full((3, len(one)), -1, np.float32)
    for whole, part in ((one, other), (other, one)):
        coarse, places = _coarse_places(smaller(whole, _COARSE), smaller(part, _COARSE))
        left = np.flatnonzero(coarse >= _COARSE_LEAST)
        if not len(left):
            continue
        small, wanted = smaller(whole[left], _FINE), smaller(part[left], _FINE)
        exact = _placed(small, wanted, places[left])
        fit = (_standard(_sampled(small, exact, _FINE)) * _standard(wanted)).sum((1, 2))
        placed = _sampled(whole[left], exact, whole.shape[1])
        documents, text = _texts(whole[left], part[left])[0], _texts(placed, part[left])[1]
        found = fit, details(placed, part[left]), np.where(documents, text, 1)
        better = fit > fits[left]
        for kept, new in zip((fits, agreed, texts), found, strict=True):
            kept[left[better]] = new[better]
    return fits, agreed, texts


def turned_back(pictures: Floats, turns: NDArray[np.int64]) -> Floats:
    """Return pictures (N, S, S), each in one of the turns of :func:`~.picture_hash.turned`."""
    found = pictures.copy()
    for turn in range(1, 8):
        which = np.flatnonzero(turns == turn)
        if len(which):
            some = found[which]
            if turn >= 4:
                some = some.transpose(0, 2, 1)
            if turn % 4 in (1, 3):
                some = some[:, :, ::-1]
            if turn % 4 in (2, 3):
                some = some[:, ::-1]
            found[which] = some
    return found


def same_by_hash(
    one: Floats, other: Floats, bits: NDArray[np.int64], cosines: Floats
) -> NDArray[np.bool_]:
    """Return which pictures (N, S, S), turned alike, are the same: their hashes differ in ``bits``.

    ``bits`` up to FAR. ``cosines`` (N,) are of their features, 0 where there are none.
    """
    agreed = correlations(one, other)
    found: NDArray[np.bool_] = (agreed >= ALIKE) | (bits <= CLOSE)
    nearly = np.flatnonzero(~found & (agreed >= NEARLY_ALIKE) & (cosines >= SAME_SUBJECT))
    found[nearly] = details(one[nearly], other[nearly]) >= SAME_DETAILS
    left = np.flatnonzero(found & (bits > SURER))
    if len(left):
        documents, text = _texts(one[left], other[left])
        exact = (text >= DOCUMENTS_ALIKE) | ((bits[left] <= SURE) & (text >= SURER_DETAILS))
        found[left] = ~documents | exact
    return found


def same_by_view(one: Floats, other: Floats) -> NDArray[np.bool_]:
    """Return which pictures (N, S, S) are the same, one perhaps cut from the other."""
    small = smaller(one, _PLAIN_SIDE), smaller(other, _PLAIN_SIDE)
    agreed = (_standard(small[0]) * _standard(small[1])).sum((1, 2))
    left = np.flatnonzero(agreed >= PLAIN)
    found = np.zeros(len(one), np.bool_)
    if len(left):
        fits, detail, texts = found_within(one[left], other[left])
        found[left] = (
            (fits >= WITHIN)
            & (detail >= DETAILS_WITHIN)
            & (fits + 0.3 * detail >= BOTH_WITHIN)
            & (texts >= TEXT_WITHIN)
        )
    return found


def _texts(one: Floats, other: Floats) -> tuple[NDArray[np.bool_], Floats]:
    """Return which pictures are documents, both of them, and how their texts agree."""
    marks = text_blocks(one), text_blocks(other)
    documents: NDArray[np.bool_] = np.minimum(marks[0].sum(1), marks[1].sum(1)) >= TEXT
    return documents, details(one, other, marks[0] | marks[1])
