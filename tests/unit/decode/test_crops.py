"""What further networks want is cut from the same decoded picture, as it is displayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tagger.decode import crops
from tagger.decode.crops import cut, shorter_side
from tagger.decode.pixels import Loaded
from tagger.records import NO_VIEWS, CropSpec, DecodedPhoto, ExtraViews, PhotoFacts
from tests.support.pictures import (
    BLACK,
    BLUE,
    GREEN,
    GREYS,
    RED,
    encoded,
    exif,
    grey_quarters,
    near,
    quarters,
    seen,
    stored,
)

Decoded = Callable[..., DecodedPhoto]
PLAIN = CropSpec()
COLOURS = [RED, GREEN, BLUE, BLACK]
VIEWS = ExtraViews(CropSpec(120, 100), 416)


def cut_of(
    image: Image.Image, spec: CropSpec = PLAIN, views: ExtraViews = NO_VIEWS
) -> DecodedPhoto:
    return cut(Loaded(image, *image.size, 1), PhotoFacts(), spec, views, more=True)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "HEIF", "TIFF"])
def test_the_whole_is_seen_upright(decoded: Decoded, kind: str, orientation: int) -> None:
    data = encoded(stored(quarters(640, 480), orientation), kind, exif=exif(orientation))
    photo = decoded("a.jpg", data, views=VIEWS)
    assert photo.picture is not None and photo.picture.shape == (312, 416, 3)
    corners = photo.picture[[20, 20, -20, -20], [20, -20, 20, -20]]
    assert np.abs(corners.astype(int) - np.array(COLOURS)).max() <= 8
    assert photo.other is not None and photo.other.shape == (100, 100, 3)
    assert near(seen(photo.other), COLOURS)


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((4000, 3000), (312, 416)),  # decoded smaller
        ((300, 600), (416, 208)),
        ((100, 50), (208, 416)),  # made larger
        ((1, 1), (416, 416)),
        ((20_000, 3), (1, 416)),
        ((1, 40_000), (416, 1)),
        ((6000, 4000), (277, 416)),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_longer_side_is_as_long_as_asked(
    decoded: Decoded, size: tuple[int, int], shape: tuple[int, int], kind: str
) -> None:
    photo = decoded("a.jpg", encoded(Image.new("RGB", size, RED), kind), views=VIEWS)
    assert photo.picture is not None and photo.picture.shape == (*shape, 3)
    assert np.abs(photo.picture.astype(int) - np.array(RED)).max() <= 2
    assert photo.other is not None and photo.other.shape == (100, 100, 3)


def test_crops_are_the_same_with_further_views_or_without(decoded: Decoded) -> None:
    """What the index knows by the hash of its crop stays known."""
    dice = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
    picture = Image.fromarray(dice).resize((2600, 1700), Image.Resampling.BICUBIC)
    for kind in ("JPEG", "PNG"):
        data = encoded(picture, kind)
        plain = decoded("a.jpg", data, more=True)
        both = decoded("a.jpg", data, more=True, views=VIEWS)
        assert plain.crop_hash == both.crop_hash
        assert plain.more is not None and both.more is not None
        assert np.array_equal(plain.more, both.more)
        assert (plain.other, plain.picture) == (None, None)


def test_a_squashed_crop_shows_both_ends() -> None:
    stripes = np.zeros((300, 900, 3), np.uint8)
    for third, colour in enumerate((RED, GREEN, BLUE)):
        stripes[:, 300 * third : 300 * (third + 1)] = colour
    spec = CropSpec(256, 224, squash=True)
    photo = cut_of(Image.fromarray(stripes), spec, ExtraViews(spec))
    for square in (photo.crop, photo.other):
        assert square is not None and square.shape == (224, 224, 3)
        found = [tuple(int(n) for n in square[112, x]) for x in (20, 112, 204)]
        assert near(found, [RED, GREEN, BLUE])
    assert photo.more is not None and len(photo.more) == 0  # there is nothing beside it


def test_deep_pictures_are_seen_whole(decoded: Decoded) -> None:
    picture = Image.fromarray(grey_quarters(65535, "uint16", (1600, 1200)))
    photo = decoded("a.png", encoded(picture, "PNG"), views=VIEWS)
    assert photo.picture is not None and photo.other is not None
    greys = [(level,) * 3 for level in GREYS]
    assert near(seen(photo.other), greys)
    corners = photo.picture[[20, 20, -20, -20], [20, -20, 20, -20]]
    assert np.abs(corners.astype(int) - np.array(greys)).max() <= 8


def test_transparent_pictures_are_seen_on_white(decoded: Decoded) -> None:
    picture = Image.new("RGBA", (2000, 1500), (255, 0, 0, 0))
    photo = decoded("a.png", encoded(picture, "PNG"), views=VIEWS)
    assert photo.picture is not None and photo.picture.min() == 255


def test_the_picture_is_decoded_large_enough_for_the_largest_crop() -> None:
    assert shorter_side(CropSpec(), ExtraViews()) == 256
    assert shorter_side(CropSpec(), ExtraViews(CropSpec(342, 299), 416)) == 342
    assert shorter_side(CropSpec(600, 600), ExtraViews(CropSpec(), 640)) == 600


@pytest.mark.parametrize("size", [(4000, 3000), (3001, 4003), (5003, 3001)])
def test_a_large_picture_that_is_reduced_first_is_not_shifted(size):
    """Its sides are no multiples of what is made one; the last one is over 12.5 million pixels."""
    width, height = size
    across = np.sin(np.arange(width) / width * 60) * 100 + 128
    down = np.cos(np.arange(height) / height * 45) * 100 + 128
    pixels = np.stack(
        [
            np.broadcast_to(across, (height, width)),
            np.broadcast_to(down[:, np.newaxis], (height, width)),
            (across + down[:, np.newaxis]) / 2,
        ],
        2,
    ).astype(np.uint8)
    image = Image.fromarray(pixels)
    found = cut_of(image, views=ExtraViews(CropSpec(squash=True), 416))
    short = min(size)
    whole = image.resize(
        (int(256 * width / short), int(256 * height / short)), Image.Resampling.BILINEAR
    )
    left, top = round((whole.width - 224) / 2), round((whole.height - 224) / 2)
    scale = 416 / max(size)
    wanted = (
        (found.crop, whole.crop((left, top, left + 224, top + 224))),
        (
            found.other,
            image.resize((256, 256), Image.Resampling.BILINEAR).crop((16, 16, 240, 240)),
        ),
        (
            found.picture,
            image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR),
        ),
    )
    for ours, plain in wanted:
        difference = ours.astype(float) - np.asarray(plain)
        assert ours.shape == np.asarray(plain).shape
        assert np.abs(difference).mean() < 0.5 and np.abs(difference).max() <= 5


@pytest.mark.parametrize("size", [(1, 40_000), (65_535, 2), (30, 3_000)])
def test_of_a_strip_no_more_is_made_than_its_squares(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All between the ends of a strip of 40,000 pixels, resized in one, took 27 s."""
    made: list[int] = []
    resized = crops._resized

    def counted(*of: Any) -> Image.Image:
        piece = resized(*of)
        made.append(piece.width * piece.height)
        return piece

    monkeypatch.setattr(crops, "_resized", counted)
    found = cut_of(Image.new("RGB", size, (10, 200, 30)))
    assert found.crop.shape == (224, 224, 3)
    assert found.more is not None and len(found.more) == 2
    assert sum(made) <= 3 * 224 * 224
