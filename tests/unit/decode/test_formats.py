"""Every format and every kind of pixel that is read gives the right picture."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageCms

from tagger.errors import DamagedImageError, NotAnImageError
from tagger.records import DecodedPhoto
from tests.support.pictures import (
    BLACK,
    BLUE,
    GREEN,
    GREYS,
    RED,
    deep_png,
    dng,
    encoded,
    exif,
    grey_quarters,
    interlaced_png,
    near,
    quarters,
    seen,
    stored,
)

Decoded = Callable[..., DecodedPhoto]
COLOURS = [RED, GREEN, BLUE, BLACK]
GREY = [(level, level, level) for level in GREYS]
OTHER = Image.new("RGB", (400, 300), (255, 0, 255))
"""What no frame but the first shows."""


@pytest.mark.parametrize(
    ("suffix", "kind", "options"),
    [
        ("jpg", "JPEG", {}),
        ("jpg", "JPEG", {"progressive": True}),
        ("jpg", "JPEG", {"subsampling": 0, "quality": 95}),
        ("jpg", "MPO", {"save_all": True, "append_images": [OTHER]}),
        ("png", "PNG", {}),
        ("apng", "PNG", {"save_all": True, "append_images": [OTHER]}),
        ("webp", "WEBP", {}),
        ("webp", "WEBP", {"lossless": True}),
        ("webp", "WEBP", {"save_all": True, "append_images": [OTHER], "duration": 100}),
        ("gif", "GIF", {"save_all": True, "append_images": [OTHER], "duration": 100}),
        ("bmp", "BMP", {}),
        ("tif", "TIFF", {}),
        ("tif", "TIFF", {"compression": "tiff_lzw"}),
        ("tif", "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("tif", "TIFF", {"compression": "jpeg"}),
        ("tif", "TIFF", {"compression": "packbits"}),
        ("tif", "TIFF", {"save_all": True, "append_images": [OTHER]}),
        ("heic", "HEIF", {}),
        ("heic", "HEIF", {"save_all": True, "append_images": [OTHER]}),
        ("avif", "AVIF", {}),
        ("avif", "AVIF", {"save_all": True, "append_images": [OTHER], "duration": 100}),
    ],
)
def test_colour(decoded: Decoded, suffix: str, kind: str, options: dict[str, object]) -> None:
    photo = decoded(f"a.{suffix}", encoded(quarters(), kind, **options))
    assert near(seen(photo.crop), COLOURS)
    assert photo.crop.shape == (224, 224, 3)
    assert photo.crop.dtype == np.uint8
    assert photo.facts.format == ("JPEG" if kind == "MPO" else kind)
    assert (photo.facts.width, photo.facts.height) == (400, 300)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("interlaced.png", interlaced_png(quarters())),
        ("16-bit.png", deep_png(quarters())),
        ("palette.png", encoded(quarters().quantize(4), "PNG")),
        ("palette.bmp", encoded(quarters().quantize(4), "BMP")),
        ("palette.tif", encoded(quarters().quantize(4), "TIFF")),
        ("ycbcr.tif", encoded(quarters().convert("YCbCr"), "TIFF")),
        ("wrong-name.png", encoded(quarters(), "JPEG")),
        ("noname", encoded(quarters(), "WEBP")),
    ],
)
def test_kinds_of_colour(decoded: Decoded, name: str, data: bytes) -> None:
    assert near(seen(decoded(name, data).crop), COLOURS)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("grey.jpg", encoded(Image.fromarray(grey_quarters(255, "u1")), "JPEG")),
        ("grey.png", encoded(Image.fromarray(grey_quarters(255, "u1")), "PNG")),
        ("16.png", encoded(Image.fromarray(grey_quarters(65535, "u2")), "PNG")),
        ("16.tif", encoded(Image.fromarray(grey_quarters(65535, "u2")), "TIFF")),
        ("big-endian.tif", encoded(Image.fromarray(grey_quarters(65535, ">u2")), "TIFF")),
        (
            "lzw16.tif",
            encoded(Image.fromarray(grey_quarters(65535, "u2")), "TIFF", compression="tiff_lzw"),
        ),
        ("32.tif", encoded(Image.fromarray(grey_quarters(65535, "i4")), "TIFF")),
        ("8-in-32.tif", encoded(Image.fromarray(grey_quarters(255, "i4")), "TIFF")),
        ("31.tif", encoded(Image.fromarray(grey_quarters(2**31 - 1, "i4")), "TIFF")),
        ("float.tif", encoded(Image.fromarray(grey_quarters(1, "f4")), "TIFF")),
        ("float-255.tif", encoded(Image.fromarray(grey_quarters(255, "f4")), "TIFF")),
        ("float-65535.tif", encoded(Image.fromarray(grey_quarters(65535, "f4")), "TIFF")),
        ("grey.dng", dng(encoded(Image.fromarray(grey_quarters(255, "u1")), "JPEG"))),
    ],
)
def test_depths_of_grey(decoded: Decoded, name: str, data: bytes) -> None:
    """The levels are right, so nothing was clipped and nothing taken for another depth."""
    assert near(seen(decoded(name, data).crop), GREY, by=3)


def test_a_dark_16_bit_picture_stays_dark(decoded: Decoded) -> None:
    dark = Image.fromarray(np.full((300, 400), 200, np.uint16))
    assert decoded("dark.png", encoded(dark, "PNG")).crop.max() <= 1


def test_a_float_picture_with_lights_and_holes(decoded: Decoded) -> None:
    """A few values above 1, or none at all, don't change the others."""
    pixels = grey_quarters(1, "f4")
    pixels[10, 10], pixels[10, 12], pixels[10, 14] = 40.0, np.nan, np.inf
    photo = decoded("hdr.tif", encoded(Image.fromarray(pixels), "TIFF"))
    assert near(seen(photo.crop), GREY, by=3)


def test_the_dark_end_of_a_float_picture_is_no_brighter_than_the_rest(decoded: Decoded) -> None:
    pixels = np.full((300, 900), 200, np.float32)
    pixels[:, :300] = 1.0
    photo = decoded("wide.tif", encoded(Image.fromarray(pixels), "TIFF"), more=True)
    assert photo.more is not None
    assert photo.more[0].max() < 210
    assert photo.more[0][:, :150].max() <= 1


def test_one_bit(decoded: Decoded) -> None:
    black_and_white = Image.fromarray(grey_quarters(255, "u1") > 100).convert("1")
    white, black = (255, 255, 255), (0, 0, 0)
    for name, kind in (("a.png", "PNG"), ("a.tif", "TIFF"), ("a.bmp", "BMP")):
        photo = decoded(name, encoded(black_and_white, kind))
        assert near(seen(photo.crop), [black, white, white, black])


def test_cmyk_is_not_inverted(decoded: Decoded) -> None:
    cmyk = quarters().convert("CMYK")
    for name, kind in (("a.jpg", "JPEG"), ("a.tif", "TIFF")):
        photo = decoded(name, encoded(cmyk, kind))
        assert near(seen(photo.crop), COLOURS, by=12)


def test_lab(decoded: Decoded) -> None:
    lab = ImageCms.profileToProfile(
        quarters(), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert near(seen(decoded("a.tif", encoded(lab, "TIFF")).crop), COLOURS, by=30)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("a.png", "PNG", {}),
        ("a.webp", "WEBP", {"lossless": True}),
        ("a.tif", "TIFF", {}),
        ("a.heic", "HEIF", {"quality": 95}),
        ("a.avif", "AVIF", {"quality": 95}),
        ("a.gif", "GIF", {}),
    ],
)
def test_transparency_is_white(
    decoded: Decoded, name: str, kind: str, options: dict[str, object]
) -> None:
    picture = quarters().convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 200, 150))  # in place of red
    photo = decoded(name, encoded(picture, kind, **options))
    assert near(seen(photo.crop), [(255, 255, 255), GREEN, BLUE, BLACK], by=10)


def test_half_transparent_and_other_ways_to_say_so(decoded: Decoded) -> None:
    half = Image.new("LA", (300, 300), (0, 128))
    assert near(seen(decoded("half.png", encoded(half, "PNG")).crop), [(127, 127, 127)] * 4)
    keyed = encoded(quarters(), "PNG", transparency=RED)
    palette = quarters().quantize(4)
    index = palette.getpixel((10, 10))
    paletted = encoded(palette, "PNG", transparency=index)
    for data in (keyed, paletted):
        found = seen(decoded("keyed.png", data).crop)
        assert near(found, [(255, 255, 255), GREEN, BLUE, BLACK])


def test_raw_through_its_preview(decoded: Decoded) -> None:
    photo = decoded("a.dng", dng(encoded(quarters(), "JPEG")))
    assert near(seen(photo.crop), COLOURS)
    assert photo.facts.format == "DNG"
    assert (photo.facts.width, photo.facts.height) == (64, 48)
    assert photo.facts.camera == "Acme Raw One"
    assert photo.facts.taken_at == "2021-05-06T07:08:09"


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_raw_is_turned(decoded: Decoded, orientation: int) -> None:
    preview = stored(quarters(), orientation)
    data = dng(encoded(preview, "JPEG"), preview.size, orientation)
    photo = decoded("A.DNG", data)
    assert near(seen(photo.crop), COLOURS)
    turned = orientation != 3
    assert (photo.facts.width, photo.facts.height) == ((48, 64) if turned else (64, 48))


def test_a_preview_that_says_its_own_orientation(decoded: Decoded) -> None:
    preview = stored(quarters(), 6)
    data = dng(encoded(preview, "JPEG", exif=exif(6)), preview.size, 6)
    assert near(seen(decoded("a.nef", data).crop), COLOURS)


def test_raw_without_a_preview_is_developed(decoded: Decoded) -> None:
    photo = decoded("a.dng", dng(b""))
    assert photo.crop.std((0, 1)).max() < 40  # an even grey, but for the borders
    assert photo.crop.mean() > 30


def test_raw_with_a_broken_preview(decoded: Decoded) -> None:
    preview = encoded(quarters(), "JPEG")
    with pytest.raises(DamagedImageError):
        decoded("a.dng", dng(preview[: len(preview) // 2]))


def test_raw_that_is_none(decoded: Decoded) -> None:
    with pytest.raises(NotAnImageError, match="RAW"):
        decoded("a.cr2", b"Dear diary, " * 100)


def test_formats_that_are_not_read(decoded: Decoded) -> None:
    """Pillow would open these; each is one more decoder for strangers to try."""
    for kind in ("PPM", "TGA", "ICO", "JPEG2000", "PCX", "SGI", "DDS"):
        out = io.BytesIO()
        quarters(128, 128).save(out, kind)
        with pytest.raises(NotAnImageError):
            decoded("a.jpg", out.getvalue())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
@pytest.mark.parametrize("suffix", ["nef", "dng", "cr3", "heic", "tif"])
def test_a_file_whose_ending_lies_is_read_by_its_content(
    decoded: Decoded, kind: str, suffix: str
) -> None:
    photo = decoded(f"a.{suffix}", encoded(quarters(), kind))
    assert (photo.facts.format, photo.facts.width) == (kind, 400)
