"""A very small grey picture of the whole photo, by which copies of it are found.

Made of the picture that decoding has in hand, whatever else is cut out of it. Bars and borders,
as screenshots, captions and frames have them, are left out, so that the same picture without them
gives the same thumbnail.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagger.decode.pixels import from_deep, is_deep, to_rgb, turn
from tagger.records import THUMBNAIL_SIDE

SEEN = 256
"""Pixels of the longer side at which bars are looked for."""
SAMPLED = 2 * SEEN
"""Of a picture that could not be decoded smaller so many pixels a side are looked at."""

FLAT = 0.95
"""The share of a line of pixels that has one colour, in a bar…"""
MARKED = 0.7
"""…and in its lines with text, or the marks at the top of a telephone's screen."""
PICTURE = 0.5
"""In the first line of the picture no more than that has the bar's colour: its edge is straight."""
FLAT_COLOUR, SAME_COLOUR = 4, 12
"""Grey values that differ by so much at most are one colour: in a bar, which is drawn, no sky…
and beside it."""
LEAST = 0.15
"""The share of a side that the picture within bars has at least."""
_FRAMES = 4
"""Borders in one another."""
_EDGE = 3
"""Lines in which a bar ends; a resized edge is soft."""
_SMALL = 64
"""With fewer lines a bar ends in one: within three of them a white sky ends, too."""


def thumbnail(image: Image.Image, orientation: int, limit: float | None) -> NDArray[np.uint8]:
    """Return the picture in grey, squeezed to a square and turned upright, uint8 (S, S).

    ``limit`` is which value of a deep picture is white.
    """
    grey = _grey(image, limit)
    top, bottom, left, right = content(np.asarray(grey))
    side = (THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    small = grey.resize(side, Image.Resampling.BILINEAR, (left, top, right, bottom))
    return np.asarray(turn(small, orientation))


def _grey(image: Image.Image, limit: float | None) -> Image.Image:
    if max(image.size) > SAMPLED:
        image = image.resize(_within(image.size, SAMPLED), Image.Resampling.NEAREST)
    if limit is not None and is_deep(image):
        image = from_deep(image, limit)
    elif image.mode not in ("L", "RGB", "YCbCr") or "transparency" in image.info:
        image = to_rgb(image)
    grey = image.convert("L")
    if max(grey.size) > SEEN:
        grey = grey.resize(_within(grey.size, SEEN), Image.Resampling.BOX)
    return grey


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    scale = side / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def content(grey: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return where the picture is within its bars: top, bottom, left and right, in pixels."""
    top, (bottom, right) = 0, grey.shape
    left = 0
    for _ in range(_FRAMES):
        before = (top, bottom, left, right)
        start, end = _within_bars(grey[top:bottom, left:right])
        top, bottom = top + start, top + end
        start, end = _within_bars(grey[top:bottom, left:right].T)
        left, right = left + start, left + end
        if (top, bottom, left, right) == before:
            break  # else there may be another, now that the corners of a border are gone
    return top, bottom, left, right


def _within_bars(lines: NDArray[np.uint8]) -> tuple[int, int]:
    count = len(lines)
    start, end = _bar(lines), count - _bar(lines[::-1])
    return (start, end) if end - start >= max(LEAST * count, 8) else (0, count)


def _bar(lines: NDArray[np.uint8]) -> int:
    """Return how many lines, from the first on, belong to bars (one may follow another)."""
    at = 0
    while at < len(lines):
        colour = int(np.bincount(lines[at], minlength=256).argmax())
        if _share(lines[at], colour, FLAT_COLOUR) < FLAT:
            break
        shares = _share(lines[at:], colour)
        inside = np.flatnonzero(shares < MARKED)
        if not len(inside):
            break  # it is all of one colour
        end = int(inside[0])
        edge = 1 if len(lines) < _SMALL else _EDGE
        before, after = shares[max(end - edge, 0) : end], shares[end : end + edge]
        straight = before.max(initial=0) >= FLAT and after.min() <= PICTURE
        if not straight or end < 2:
            break
        at += end + int(np.flatnonzero(after <= PICTURE)[0])
    return at


def _share(lines: NDArray[np.uint8], colour: int, within: int = SAME_COLOUR) -> Any:
    """Return which share of the pixels of a line, or of each line, has a colour."""
    low, high = max(colour - within, 0), min(colour + within, 255)
    return ((lines >= low) & (lines <= high)).mean(-1)
