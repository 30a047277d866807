"""Cuts out of an opened picture what the networks want: squares, and the whole of it, small.

One resize goes straight from the (drafted) picture to a crop; it gives what torchvision's
``Resize`` and ``CenterCrop`` give one after the other.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tagger.decode.pixels import (
    LARGE,
    Loaded,
    brightest,
    from_deep,
    is_deep,
    reduced_by,
    to_rgb,
    turn,
)
from tagger.decode.thumbnail import thumbnail
from tagger.records import CropSpec, DecodedPhoto, ExtraViews, PhotoFacts

WIDE = 1.15
"""From this ratio of the sides on, crops of both ends are looked at as well."""

GAP, MEMORY_GAP = 3, 2
"""How many times as large as what is wanted a picture stays that is reduced before it is filtered;
what is then filtered is as good as from the whole (Pillow's ``reducing_gap``). Less of a large one,
for its memory."""

_ROUNDING = 1e-6
"""A third of 6000 and of 4000 pixels are as 3 to 2, but for the last digit."""
_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

_FLIPS_X, _FLIPS_Y = (2, 3, 7, 8), (3, 4, 6, 7)
"""Which orientations turn the stored x or y axis around."""


def shorter_side(spec: CropSpec, views: ExtraViews) -> int:
    """Return how long, in pixels, the shorter side of the picture has to be.

    The long side of ``views`` does not count: at the scale that serves the crops a picture has
    5 pixels for 6 of it at the worst (4:3), and the next scale takes twice the time to decode.
    """
    return max(spec.resize, views.crop.resize if views.crop else 0)


def cut(
    loaded: Loaded,
    facts: PhotoFacts,
    spec: CropSpec,
    views: ExtraViews,
    *,
    more: bool,
    from_thumbnail: bool = False,
) -> DecodedPhoto:
    """Return what is wanted of a decoded picture, turned upright.

    ``more``: the squares at both ends as well, of a picture that is clearly not square.
    """
    image = loaded.image
    # What was not decoded smaller is made so once for all: a large picture's filter is slow.
    picture = _reduced_for(loaded, spec, views)
    limit = brightest(picture.image, image.mode) if is_deep(picture.image) else None
    centre, ends = _crops(picture, spec, limit, more)
    seen = image if image.width * image.height <= LARGE else picture.image
    return DecodedPhoto(
        centre,
        hashlib.blake2b(centre.tobytes(), digest_size=16).digest(),
        facts,
        ends,
        from_thumbnail,
        _crops(picture, views.crop, limit, False)[0] if views.crop is not None else None,
        _whole(picture, views.side, limit) if views.side else None,
        thumbnail(seen, loaded.orientation, limit) if views.thumbnail else None,
    )


def _reduced_for(loaded: Loaded, spec: CropSpec, views: ExtraViews) -> Loaded:
    """Return a picture with whole numbers of pixels made one, as far as that costs no quality."""
    image, width, height, orientation = loaded
    gap = MEMORY_GAP if image.width * image.height > LARGE else GAP
    factors = [min(image.size) // (gap * shorter_side(spec, views))]
    if views.side:
        factors.append(max(image.size) // (gap * views.side))
    factor = max(1, min(factors))
    small = reduced_by(image, factor) if factor > 1 else image
    return Loaded(small, width / factor, height / factor, orientation)


def _whole(picture: Loaded, side: int, limit: float | None) -> NDArray[np.uint8]:
    """Return all of the picture, its longer side ``side`` pixels, also if it has fewer."""
    scale = side / max(picture.width, picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    piece = _resized(picture, "bilinear", size, (0, 0, *size))
    if limit is not None:
        piece = from_deep(piece, limit)
    return np.asarray(turn(piece, picture.orientation))


def _crops(
    picture: Loaded, spec: CropSpec, limit: float | None, more: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return the centre and, if there are any, the end squares (K, S, S, 3), turned upright.

    ``limit`` is which value of a deep picture is white.
    """
    _, width, height, orientation = picture
    short = min(width, height)
    # As torchvision: the short side becomes `resize`, the long one is truncated.
    out_width, out_height = (
        spec.resize if spec.squash else int(spec.resize * length / short + _ROUNDING)
        for length in (width, height)
    )
    shares: list[float | None] = [None]
    if more and not spec.squash and max(width, height) >= WIDE * short:
        shares += [0.0, 1.0]
    wide, side = out_width > out_height, spec.size
    corners = [
        (
            _offset(out_width - side, share, wide, orientation in _FLIPS_X),
            _offset(out_height - side, share, not wide, orientation in _FLIPS_Y),
        )
        for share in shares
    ]
    # What squares that overlap cover is resized in one piece; of a strip they are far apart.
    across = max(max(axis) - min(axis) for axis in zip(*corners, strict=True)) + side
    groups = [corners] if across <= len(corners) * side else [[corner] for corner in corners]
    arrays = []
    for group in groups:
        left, top = (min(axis) for axis in zip(*group, strict=True))
        right, bottom = (max(axis) + side for axis in zip(*group, strict=True))
        area = (left, top, right, bottom)
        piece = _resized(picture, spec.interpolation, (out_width, out_height), area)
        if limit is not None:
            piece = from_deep(piece, limit)
        for x, y in group:
            square = piece.crop((x - left, y - top, x - left + side, y - top + side))
            arrays.append(np.asarray(turn(square, orientation)))
    return arrays[0], np.array(arrays[1:], np.uint8).reshape(-1, side, side, 3)


def _resized(
    picture: Loaded,
    interpolation: str,
    out_size: tuple[int, int],
    area: tuple[int, int, int, int],
) -> Image.Image:
    """Return the ``area`` of ``picture`` as it is when that is resized to ``out_size``.

    RGB, or as deep as ``picture``, and still to be turned. Sizes are (width, height).
    """
    image = picture.image
    x, y = picture.width / out_size[0], picture.height / out_size[1]
    box = (area[0] * x, area[1] * y, area[2] * x, area[3] * y)
    # A crop larger than the picture does not exist: `size` is never above `resize` by much.
    box = (max(box[0], 0), max(box[1], 0), min(box[2], picture.width), min(box[3], picture.height))
    # Only what is needed is converted: a margin around the box serves the filter.
    margin_x, margin_y = int(4 * x) + 2, int(4 * y) + 2
    needed = (
        max(int(box[0]) - margin_x, 0),
        max(int(box[1]) - margin_y, 0),
        min(int(box[2]) + margin_x, image.width),
        min(int(box[3]) + margin_y, image.height),
    )
    part = image.crop(needed)
    if not is_deep(part):
        part = to_rgb(part)
    elif part.mode not in ("F", "I;16"):
        part = part.convert("I")
    inner = (box[0] - needed[0], box[1] - needed[1], box[2] - needed[0], box[3] - needed[1])
    size = (area[2] - area[0], area[3] - area[1])
    return part.resize(size, _RESAMPLING[interpolation], inner)


def _offset(room: int, share: float | None, longer: bool, flipped: bool) -> int:
    """Return where a crop begins, with ``room`` pixels to spare along its side."""
    offset = round(room / 2) if share is None or not longer else round(room * share)
    # Counted from the other side, so that the same pixels are cut as from a turned picture.
    return room - offset if flipped else offset
