"""The crop is the one the model was trained on, however the photo is stored."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tagger.decode.opening import decode
from tagger.records import CropSpec, DecodedPhoto
from tests.support.pictures import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    encoded,
    exif,
    near,
    png,
    quarters,
    seen,
    stored,
)

Decoded = Callable[..., DecodedPhoto]
COLOURS = [RED, GREEN, BLUE, BLACK]


def scene(width: int, height: int) -> Image.Image:
    """Return a picture with detail of every size, as a photo has it."""
    rng = np.random.default_rng(5)
    picture = Image.new("RGB", (width, height))
    for cells, share in ((6, 1.0), (40, 0.5), (300, 0.3)):
        noise = rng.integers(0, 256, (cells, cells, 3), np.uint8)
        layer = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        picture = Image.blend(picture, layer, share)
    return picture.filter(ImageFilter.GaussianBlur(0.7))


def torchvision_crop(path: Path | str, spec: CropSpec, orient: bool = False) -> NDArray[np.uint8]:
    """Return what plain torchvision code makes of a photo."""
    from tagger.classify.torchvision_compat import import_torchvision

    import_torchvision()
    from PIL import ImageOps
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    how = Compose(
        [Resize(spec.resize, InterpolationMode(spec.interpolation)), CenterCrop(spec.size)]
    )
    with Image.open(path) as image:
        return np.asarray(how((ImageOps.exif_transpose(image) if orient else image).convert("RGB")))


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(np.abs(one.astype(int) - other.astype(int)).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("a.jpg", "JPEG", {}),
        ("a.png", "PNG", {}),
        ("a.webp", "WEBP", {}),
        ("a.tif", "TIFF", {}),
        ("a.tif", "TIFF", {"compression": "tiff_lzw"}),
        ("a.heic", "HEIF", {}),
        ("a.heic", "HEIF", {"thumbnails": [320]}),
        ("a.avif", "AVIF", {}),
    ],
)
def test_all_orientations_give_the_same_picture(
    decoded: Decoded, name: str, kind: str, options: dict[str, object], orientation: int
) -> None:
    picture = stored(quarters(640, 480), orientation)
    data = encoded(picture, kind, exif=exif(orientation), **options)
    photo = decoded(name, data)
    assert near(seen(photo.crop), COLOURS)
    assert (photo.facts.width, photo.facts.height) == (640, 480)


@pytest.mark.parametrize("size", [(601, 448), (448, 601), (600, 451), (911, 300)])
def test_orientations_cut_the_same_pixels(decoded: Decoded, size: tuple[int, int]) -> None:
    """Not one pixel beside, also where the centre falls between two."""
    picture = scene(*size)
    plain = decoded("a.png", encoded(picture, "PNG"), more=True)
    for orientation in range(2, 9):
        data = encoded(stored(picture, orientation), "PNG", exif=exif(orientation))
        turned = decoded("b.png", data, more=True)
        assert difference(turned.crop, plain.crop) < 0.3
        assert turned.more is not None and plain.more is not None
        assert difference(turned.more, plain.more) < 0.3


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_nonsense_orientation_is_none(decoded: Decoded, orientation: int) -> None:
    photo = decoded("a.jpg", encoded(quarters(), "JPEG", exif=exif(orientation)))
    assert near(seen(photo.crop), COLOURS)
    assert photo.facts.orientation == 1


@pytest.mark.parametrize(
    "spec", [CropSpec(), CropSpec(232, 224), CropSpec(256, 224, "bicubic"), CropSpec(342, 299)]
)
@pytest.mark.parametrize("size", [(800, 600), (601, 907), (224, 224), (100, 67), (2000, 300)])
def test_lossless_is_what_torchvision_makes(
    tmp_path: Path, spec: CropSpec, size: tuple[int, int]
) -> None:
    path = tmp_path / "a.png"
    scene(*size).save(path)
    photo = decode(str(path), spec)
    assert photo.crop.shape == (spec.size, spec.size, 3)
    assert difference(photo.crop, torchvision_crop(path, spec)) < 0.6


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (5000, 1200), (1030, 700)])
def test_drafted_jpeg_is_near_what_torchvision_makes(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "a.jpg"
    scene(*size).save(path, quality=92)
    photo = decode(str(path), CropSpec())
    assert difference(photo.crop, torchvision_crop(path, CropSpec())) < 1.5


def test_real_photos_are_near_what_torchvision_makes(shared: Path) -> None:
    photos = sorted((shared / "photos" / "imagenet").glob("*.JPEG"))
    assert len(photos) == 63
    found = [
        difference(decode(str(path), CropSpec()).crop, torchvision_crop(path, CropSpec()))
        for path in photos
    ]
    assert np.mean(found) < 0.7
    assert max(found) < 5  # a photo of grass, of 512 pixels: no filter makes the same of it


def test_a_large_jpeg_is_not_decoded_in_full(tmp_path: Path) -> None:
    """DCT scaling makes the difference between 30 and 120 ms for 12 million pixels."""
    path = tmp_path / "a.jpg"
    scene(4000, 3000).save(path, quality=90)
    times = []
    for _ in range(3):
        start = time.process_time()
        decode(str(path), CropSpec())
        times.append(time.process_time() - start)
    start = time.process_time()
    Image.open(path).load()
    assert min(times) < 0.6 * (time.process_time() - start)


def test_heic_thumbnail_is_used(decoded: Decoded) -> None:
    """It is coarser than the picture, which tells them apart; one that is too small is not."""
    picture = scene(800, 600)
    plain = decoded("a.heic", encoded(picture, "HEIF"))
    photo = decoded("b.heic", encoded(picture, "HEIF", thumbnails=[320]))
    unfit = decoded("c.heic", encoded(picture, "HEIF", thumbnails=[160]))
    assert 0.5 < difference(photo.crop, plain.crop) < 20
    assert (photo.facts.width, photo.facts.height) == (800, 600)
    assert unfit.crop_hash == plain.crop_hash


def test_ends_of_wide_and_tall_photos(decoded: Decoded) -> None:
    stripes = np.zeros((300, 900, 3), np.uint8)
    for third, colour in enumerate((RED, GREEN, BLUE)):
        stripes[:, 300 * third : 300 * (third + 1)] = colour
    wide = Image.fromarray(stripes)
    for picture, name in ((wide, "wide.png"), (wide.transpose(Image.Transpose(4)), "tall.png")):
        photo = decoded(name, encoded(picture, "PNG"), more=True)
        assert photo.more is not None and photo.more.shape == (2, 224, 224, 3)
        ends = photo.more
        assert near(seen(photo.crop), [GREEN] * 4)
        assert near(seen(ends[0]), [RED] * 4)
        assert near(seen(ends[1]), [BLUE] * 4)


def test_ends_are_turned_like_the_photo(decoded: Decoded) -> None:
    picture = quarters(900, 300)
    plain = decoded("a.png", encoded(picture, "PNG"), more=True).more
    for orientation in range(2, 9):
        data = encoded(stored(picture, orientation), "PNG", exif=exif(orientation))
        turned = decoded("b.png", data, more=True).more
        assert plain is not None and turned is not None
        for end, wanted in zip(turned, plain, strict=True):
            assert near(seen(end), seen(wanted))


def test_no_ends_for_square_photos_or_unasked(decoded: Decoded) -> None:
    for size, more in (((300, 300), True), ((340, 300), True), ((900, 300), False)):
        photo = decoded("a.png", encoded(quarters(*size), "PNG"), more=more)
        assert photo.more is not None and photo.more.shape == (0, 224, 224, 3)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 40_000), (40_000, 1), (3, 2), (224, 225), (65_535, 2)]
)
def test_any_shape_gives_a_crop(decoded: Decoded, size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, (10, 200, 30))
    photo = decoded("a.png", encoded(picture, "PNG"), more=True)
    assert near(seen(photo.crop), [(10, 200, 30)] * 4)
    for end in photo.more if photo.more is not None else ():
        assert near(seen(end), [(10, 200, 30)] * 4)


def test_the_hash_is_of_the_picture_alone(decoded: Decoded) -> None:
    data = encoded(quarters(), "PNG")
    first, again = decoded("a.png", data), decoded("b.png", data)
    with_text = encoded(quarters(), "PNG", exif=exif(1), dpi=(72, 72))
    assert with_text != data
    assert first.crop_hash == again.crop_hash == decoded("c.png", with_text).crop_hash
    assert len(first.crop_hash) == 16
    assert first.crop_hash != decoded("d.png", encoded(quarters(401, 300), "PNG")).crop_hash


def test_the_hash_does_not_change_between_versions(decoded: Decoded) -> None:
    """The index keeps it: another value would classify the whole library anew."""
    white = png(2, 2, 8, 0, b"\0\xff\xff" * 2)
    assert decoded("a.png", white).crop_hash.hex() == "1d8dc058f22b4ce8b64a8d7aacaca241"
