"""What is done to an opened picture's pixels: turned, made RGB, made smaller, in little memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

LARGE = 12_500_000
"""A picture of more pixels, when it could not be decoded smaller, is first made so."""

STRIP = 1_000_000
"""Pixels that are converted at a time."""

BACKGROUND = (255, 255, 255)
"""Under transparent pixels: most pictures with transparency are cut-outs made for a page."""

_BRIGHTEST_LIGHT = 200.0


class Loaded(NamedTuple):
    """A decoded picture; whole numbers of its pixels may have become one.

    ``width`` and ``height`` are its exact size in pixels of its own: the last may be a part.
    ``orientation`` is EXIF's that is still to be applied.
    """

    image: Image.Image
    width: float
    height: float
    orientation: int


class Rows:
    """A decoded picture in one piece of memory, of which parts are taken: no second copy of it.

    ``pixels`` has ``stride`` bytes for each row, in an 8-bit ``mode`` of Pillow's.
    """

    def __init__(self, mode: str, size: tuple[int, int], pixels: bytes, stride: int) -> None:
        self.mode, self.size = mode, size
        self._pixels, self._stride = memoryview(pixels), stride

    def crop(self, box: tuple[int, int, int, int]) -> Image.Image:
        """Return the rows between the top and the bottom of ``box``, which is as wide as all."""
        rows = self._pixels[box[1] * self._stride : box[3] * self._stride]
        size = self.size[0], box[3] - box[1]
        return Image.frombytes(self.mode, size, rows, "raw", self.mode, self._stride)


def shrink(size: tuple[int, int], short: int) -> int:
    """Return how many pixels a side can become one before the filter, in 0 and 1 none.

    The shorter side stays at least twice as long as the ``short`` that is wanted.
    """
    return min(size) // (2 * short)


def reduced_by(image: Image.Image | Rows, factor: int) -> Image.Image:
    """Return a picture as RGB (or still deep) with ``factor`` pixels a side made one.

    Strip by strip, so that besides the picture itself little memory is needed.
    """
    width, height = image.size
    small: Image.Image | None = None
    step = max(STRIP // (width * factor), 1) * factor
    for top in range(0, height, step):
        part = image.crop((0, top, width, min(top + step, height)))
        if not is_deep(part):
            part = to_rgb(part)
        elif part.mode != "F":
            part = part.convert("I")
        part = part.reduce(factor)
        if small is None:
            small = Image.new(part.mode, (part.width, -(-height // factor)))
        small.paste(part, (0, top // factor))
    assert small is not None
    return small


def turn(image: Image.Image, orientation: int) -> Image.Image:
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    return image if method is None else image.transpose(method)


def to_rgb(image: Image.Image) -> Image.Image:
    """Return RGB of any 8-bit mode, transparency on white."""
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, (*BACKGROUND, 255))
        return Image.alpha_composite(paper, rgba).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        turned = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert turned is not None  # only a conversion in place returns none
        return turned
    return image.convert("RGB")


def is_deep(image: Image.Image) -> bool:
    """Whether its one channel has 16 bits, 32, or floats."""
    return image.mode == "F" or image.mode.startswith("I")


def brightest(image: Image.Image, mode: str) -> float:
    """Return which value of a deep image, of the ``mode`` that its file has, is white."""
    step = max(image.size) // 1024 + 1
    values = np.nan_to_num(np.asarray(image)[::step, ::step].astype(np.float64), posinf=0.0)
    top = float(values.max(initial=0))
    if image.mode == "F" and np.median(values) <= 1 and top < _BRIGHTEST_LIGHT:
        return 1.0  # floats are in 0…1 by convention, with lights above that
    if top <= 255 and not mode.startswith("I;16"):
        return 255.0
    return max(65535.0, top)


def from_deep(image: Image.Image, limit: float) -> Image.Image:
    """Return RGB of a deep image whose white is ``limit``: scaled, not clipped."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64), posinf=limit)
    scaled = (values * (255 / limit)).round().clip(0, 255)
    return Image.fromarray(scaled.astype(np.uint8)).convert("RGB")
