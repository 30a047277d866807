"""Large pictures are read in little memory, and none is let to hold up the others."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagger.config.schema import DecodeConfig
from tagger.decode import opening
from tagger.decode.opening import decode
from tagger.decode.pool import DecodePool
from tagger.errors import DamagedImageError, ImageTooLargeError
from tagger.records import CropSpec, DecodedPhoto
from tests.support.hostile import many_scans
from tests.support.pictures import encoded, grid_heic, quarters

MODES = {"RGB": "PNG", "RGBA": "PNG", "L": "PNG", "I;16": "PNG", "F": "TIFF"}


def picture(mode: str, side: int) -> Image.Image:
    """Return a smooth picture of a mode, with transparency where that has any."""
    across = np.linspace(0.0, 1.0, side)
    plane = np.add.outer(across, across) / 2
    if mode == "F":
        return Image.fromarray(plane.astype(np.float32))
    if mode == "I;16":
        return Image.fromarray((plane * 65535).astype(np.uint16))
    grey = (plane * 255).astype(np.uint8)
    if mode == "L":
        return Image.fromarray(grey)
    parts = [grey, grey[::-1], grey.T[:, ::-1], grey][: len(mode)]
    return Image.fromarray(np.stack(parts, axis=2))


@pytest.mark.parametrize("mode", MODES)
def test_a_large_picture_is_the_same_in_little_memory(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a.{MODES[mode].lower()}"
    path.write_bytes(encoded(picture(mode, 1503), MODES[mode]))
    monkeypatch.setattr(opening, "LARGE", 10**9)
    exact = decode(str(path), CropSpec())
    monkeypatch.setattr(opening, "LARGE", 10**6)
    reduced = decode(str(path), CropSpec())
    apart = np.abs(exact.crop.astype(int) - reduced.crop.astype(int))
    assert apart.max() <= 2
    assert (reduced.facts.width, reduced.facts.height) == (1503, 1503)


def test_400_mb_are_enough_for_48_megapixels_and_not_for_more(tmp_path: Path) -> None:
    with DecodePool(CropSpec(), workers=1, memory_mb=400, max_pixels=200_000_000) as pool:
        for name, mode, side in (("a.png", "RGBA", 6900), ("b.webp", "RGB", 9000)):
            flat = Image.new(mode, (side, side), (200, 30, 60, 255)[: len(mode)])
            options = {"method": 0, "quality": 1} if name == "b.webp" else {"compress_level": 1}
            (tmp_path / name).write_bytes(encoded(flat, name[2:].upper(), **options))
        found = pool.submit(str(tmp_path / "a.png")).result(60)
        assert tuple(found.crop[100, 100]) == (200, 30, 60)
        with pytest.raises((ImageTooLargeError, DamagedImageError)):
            pool.submit(str(tmp_path / "b.webp")).result(60)


def test_a_picture_that_repeats_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(many_scans())
    with pytest.raises(DamagedImageError, match="repeats its picture"):
        decode(str(path), CropSpec())
    path.write_bytes(encoded(quarters(900, 700), "JPEG", progressive=True))
    assert decode(str(path), CropSpec()).facts.width == 900


def test_what_can_wait_comes_last(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(quarters(), "JPEG"))
    order: list[str] = []
    with DecodePool(CropSpec(), workers=1) as pool:
        first = pool.submit(str(path))  # the process is started for it

        def follow(name: str, future: Future[DecodedPhoto]) -> Future[DecodedPhoto]:
            future.add_done_callback(lambda _: order.append(name))
            return future

        last = [follow("later", pool.submit(str(path), later=True)) for _ in range(3)]
        soon = [follow("soon", pool.submit(str(path))) for _ in range(3)]
        for future in (first, *soon, *last):
            future.result(60)
    assert order == ["soon"] * 3 + ["later"] * 3


DEFAULT = DecodeConfig()
LARGE_PHOTOS = {
    "48 megapixels, edited": (16, 12, False),
    "48 megapixels of an iPhone": (16, 12, True),
    "a panorama of 60 megapixels": (32, 7, False),
    "200 megapixels": (32, 24, True),
}


@pytest.mark.parametrize("name", LARGE_PHOTOS)
def test_the_largest_heic_photos_of_phones_are_read_as_it_comes(name: str, tmp_path: Path) -> None:
    columns, rows, thumbnail = LARGE_PHOTOS[name]
    path = tmp_path / "a.heic"
    path.write_bytes(grid_heic(columns, rows, thumbnail=thumbnail))
    with DecodePool(
        CropSpec(),
        workers=1,
        memory_mb=DEFAULT.memory_mb,
        max_pixels=DEFAULT.max_megapixels * 1_000_000,
    ) as pool:
        found = pool.submit(str(path)).result(60)
        assert found.from_thumbnail is thumbnail
        assert (found.facts.width, found.facts.height) == (columns * 512, rows * 512)
        assert np.abs(found.crop.astype(int) - (200, 30, 60)).max() < 20
        assert max(pool.view(str(path), 1600).result(60).shape) >= 320


def test_without_a_thumbnail_there_is_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    for thumbnail in (False, True):
        path.write_bytes(grid_heic(4, 3, thumbnail=thumbnail))
        options = {"max_pixels": 2_000_000, "whole": thumbnail}
        with pytest.raises(ImageTooLargeError, match="2048 x 1536 pixels"):
            decode(str(path), CropSpec(), **options)


def test_a_jpeg_of_201_megapixels_is_read_as_it_comes(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("L", (16384, 12288), 90).save(path, quality=20)
    with DecodePool(
        CropSpec(),
        workers=1,
        memory_mb=DEFAULT.memory_mb,
        max_pixels=DEFAULT.max_megapixels * 1_000_000,
    ) as pool:
        found = pool.submit(str(path)).result(60)
    assert (found.facts.width, abs(int(found.crop[9, 9, 0]) - 90) < 5) == (16384, True)
