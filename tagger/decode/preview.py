"""A photo for people to look at: all of it, or the square in its middle, turned and small.

Meant to run in the processes of :mod:`~tagger.decode.pool`, as
:mod:`~tagger.decode.opening`, whose checks of a file hold here too. Colours become sRGB.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tagger.decode.opening import draft, image_in, load, open_image, open_photo
from tagger.decode.pixels import LARGE, brightest, from_deep, is_deep, reduced_by, shrink, turn
from tagger.records import PhotoFacts

_ENDS_LEFT, _ENDS_AT_TOP = (2, 3, 6, 7), (3, 4, 7, 8)
"""With which orientations the end of a stored row or column is at the left, or at the top."""


def view(
    path: str,
    side: int,
    *,
    fd: int | None = None,
    square: bool = False,
    max_pixels: int = 200_000_000,
) -> NDArray[np.uint8]:
    """Return the photo at ``path`` as it is to be seen: uint8 RGB of shape (H, W, 3).

    Whole, its longer side at most ``side`` pixels; or the ``square`` in its middle, for which
    a small picture that the file carries will do. It is never made larger.
    ``fd`` and what is raised are as for :func:`tagger.decode.opening.decode`.
    """
    with open_photo(path, fd) as file:
        source, _ = image_in(path, file)
        with open_image(source, path, max_pixels) as (image, facts):
            seen = _seen(image, source, side, square, facts)
            return np.asarray(turn(seen, facts.orientation))


def _seen(
    image: Image.Image, source: BinaryIO, side: int, square: bool, facts: PhotoFacts
) -> Image.Image:
    """Return the picture as RGB in its final size, still to be turned."""
    width, height = image.size
    scale = min(1.0, side / (min(width, height) if square else max(width, height)))
    wanted = max(1, round(width * scale)), max(1, round(height * scale))
    draft(image, min(wanted), whole=not square)
    width, height = image.size
    profile, mode = image.info.get("icc_profile"), image.mode
    loaded = load(image, source, min(wanted), facts)
    # Of a HEIC file libheif, and so all sizes here, take the picture as turned already.
    turned = loaded.orientation if image.format == "HEIF" else 1
    image = turn(loaded.image, turned)
    if square:
        short = min(image.size)
        left, top = (image.width - short) // 2, (image.height - short) // 2
        image = image.crop((left, top, left + short, top + short))
        wanted = (min(*wanted, short),) * 2
        width, height = image.size
    if image.width * image.height > LARGE and (by := shrink(image.size, min(wanted))) > 1:
        image = reduced_by(image, by)
    # What was left over at the end of a side has become a whole pixel; that may be turned by now.
    factor = round(width / image.width)
    wide, high = width / factor, height / factor
    x = image.width - wide if turned in _ENDS_LEFT else 0.0
    y = image.height - high if turned in _ENDS_AT_TOP else 0.0
    box = (x, y, x + wide, y + high)
    limit = brightest(image, mode) if is_deep(image) else None
    image = _simple(image)
    if (image.width, image.height) != wanted:
        image = image.resize(wanted, Image.Resampling.BICUBIC, box)
    if limit is not None:
        return from_deep(image, limit)
    return _in_srgb(image, profile) if mode == "RGB" and profile else image


def _simple(image: Image.Image) -> Image.Image:
    """Return the picture as RGB, made strip by strip; or still deep."""
    if is_deep(image):
        return image if image.mode in ("F", "I;16") else image.convert("I")
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    return reduced_by(image, 1)


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Return the picture with its colours as a browser takes them; phones use wider ones."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        turned = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image  # a broken profile: the picture may be fine
    return image if turned is None else turned
