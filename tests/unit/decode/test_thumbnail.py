"""The grey thumbnail of a whole picture, and the bars that are no part of it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from tagger.decode.opening import decode
from tagger.decode.thumbnail import content, thumbnail
from tagger.records import NO_VIEWS, THUMBNAIL_SIDE, CropSpec, ExtraViews

WANTED = ExtraViews(thumbnail=True)


def scene(width: int = 400, height: int = 300) -> Image.Image:
    """Return a picture with something different everywhere."""
    rng = np.random.default_rng(3)
    coarse = Image.fromarray(rng.integers(30, 225, (9, 12, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def difference(one: Image.Image, other: Image.Image) -> float:
    seen = [thumbnail(image, 1, None).astype(float) for image in (one, other)]
    return float(np.abs(seen[0] - seen[1]).mean())


def on_screen(image: Image.Image, paper: int) -> Image.Image:
    screen = Image.new("RGB", (540, 1170), (paper,) * 3)
    screen.paste(image.resize((540, 405)), (0, 380))
    draw = ImageDraw.Draw(screen)
    draw.rectangle((20, 10, 80, 30), fill=(255 - paper,) * 3)
    draw.ellipse((250, 1100, 290, 1140), fill=(255 - paper,) * 3)
    return screen


@pytest.mark.parametrize(
    "framed",
    [
        lambda image: ImageOps.expand(image, 20, (255, 255, 255)),
        lambda image: ImageOps.expand(image, (0, 30, 0, 50), (0, 0, 0)),
        lambda image: ImageOps.expand(ImageOps.expand(image, 12, "black"), 12, "white"),
        lambda image: on_screen(image, 0),
        lambda image: on_screen(image, 255),
    ],
    ids=["border", "bars", "two borders", "dark screenshot", "light screenshot"],
)
def test_bars_and_borders_are_left_out(framed):
    assert difference(scene(), framed(scene())) < 6
    assert difference(scene(), ImageOps.mirror(scene())) > 20


@pytest.mark.parametrize("paper", [0, 255])
def test_a_thing_before_an_even_background_has_no_bars(paper):
    image = Image.new("L", (256, 256), paper)
    ImageDraw.Draw(image).ellipse((60, 60, 200, 200), fill=128)
    assert content(np.asarray(image)) == (0, 256, 0, 256)


def test_a_soft_sky_and_a_picture_of_one_colour_have_none():
    sky = np.tile(np.linspace(120, 220, 200).astype(np.uint8)[:, np.newaxis], (1, 256))
    assert content(sky) == (0, 200, 0, 256)
    assert content(np.full((200, 256), 90, np.uint8)) == (0, 200, 0, 256)


@pytest.mark.parametrize("share", [1, 0.12, 0.1, 0.08])
def test_a_thing_that_stands_a_little_aslant_before_white_has_no_bars(share):
    """Of a copy of 10 % its sides were bars, as they end within three lines of so few."""
    image = Image.new("RGB", (450, 500), "white")
    image.paste(scene(450, 500), mask=_aslant(image.size))
    width, height = round(450 * share), round(500 * share)
    grey = np.asarray(image.resize((width, height), Image.Resampling.LANCZOS).convert("L"))
    assert content(grey) == (0, height, 0, width)


def _aslant(size: tuple[int, int]) -> Image.Image:
    mask = Image.new("L", size)
    corners = [(80, 0), (320, 0), (360, size[1]), (120, size[1])]
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask


def test_a_picture_that_would_be_nearly_nothing_keeps_its_bars():
    image = Image.new("L", (256, 256), 0)
    image.paste(scene(256, 12).convert("L"), (0, 120))
    assert content(np.asarray(image)) == (0, 256, 0, 256)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_as_the_photo_is_to_be_seen(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = tmp_path / "a.png"
    scene().save(file, exif=exif)
    seen = decode(str(file), CropSpec(), views=WANTED).thumbnail
    upright = ImageOps.exif_transpose(Image.open(file))
    assert seen.shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE) and seen.dtype == np.uint8
    assert np.abs(seen.astype(float) - thumbnail(upright, 1, None)).mean() < 2


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "I;16", "1", "LA"])
def test_every_kind_of_picture_has_one(tmp_path, mode):
    suffix = "tif" if mode in ("CMYK", "I;16") else "png"
    if mode == "I;16":
        values = np.asarray(scene().convert("L")).astype(np.uint16) * 257
        image = Image.fromarray(values)
    else:
        image = scene().convert(mode)
    image.save(tmp_path / f"a.{suffix}")
    seen = decode(str(tmp_path / f"a.{suffix}"), CropSpec(), views=WANTED).thumbnail
    expected = thumbnail(scene(), 1, None)
    assert np.corrcoef(seen.ravel(), expected.ravel())[0, 1] > (0.6 if mode == "1" else 0.95)


def test_a_picture_of_one_pixel_has_one(tmp_path):
    Image.new("RGB", (1, 1), "red").save(tmp_path / "a.png")
    seen = decode(str(tmp_path / "a.png"), CropSpec(), views=WANTED).thumbnail
    assert seen.shape == (THUMBNAIL_SIDE, THUMBNAIL_SIDE) and len(np.unique(seen)) == 1


def test_it_is_made_only_when_it_is_wanted(tmp_path):
    scene().save(tmp_path / "a.jpg")
    assert decode(str(tmp_path / "a.jpg"), CropSpec(), views=NO_VIEWS).thumbnail is None
