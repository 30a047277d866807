"""A photo to look at: whole or square, turned, small, in colours that a browser shows."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tagger.decode.pool import DecodePool
from tagger.decode.preview import view
from tagger.decode.protocol import pack, pack_view, unpack_view
from tagger.errors import DamagedImageError, ImageTooLargeError, NotAnImageError
from tagger.records import CropSpec

RED, GREEN, BLUE, GREY = (220, 30, 30), (30, 200, 30), (30, 30, 220), (128, 128, 128)


def marked(size: tuple[int, int], mode: str = "RGB") -> Image.Image:
    """Return a grey picture whose corners are red, green and blue, clockwise from top left."""
    image = Image.new("RGB", size, GREY)
    edge = min(size) // 5
    image.paste(RED, (0, 0, edge, edge))
    image.paste(GREEN, (size[0] - edge, 0, size[0], edge))
    image.paste(BLUE, (size[0] - edge, size[1] - edge, size[0], size[1]))
    return image.convert(mode)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., str]:
    def save(image: Image.Image, suffix: str = ".png", **options: object) -> str:
        path = tmp_path / f"photo{suffix}"
        image.save(path, **options)  # type: ignore[arg-type]
        return str(path)

    return save


def corners(pixels: NDArray[np.uint8]) -> list[str]:
    """Return which colours the corners have, clockwise from top left."""
    height, width = pixels.shape[:2]
    step = max(2, min(height, width) // 20)
    found = []
    for y, x in (
        (step, step),
        (step, width - step),
        (height - step, width - step),
        (height - step, step),
    ):
        colour = pixels[y, x].astype(int)
        names = {"red": RED, "green": GREEN, "blue": BLUE, "grey": GREY}
        found.append(min(names, key=lambda name: np.abs(colour - names[name]).sum()))
    return found


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK"])
@pytest.mark.parametrize("size", [(600, 400), (4200, 3100), (400, 900)])
def test_the_whole_picture_of_every_mode(saved, size, mode):
    path = saved(marked(size, mode), ".tif")
    pixels = view(path, 500)
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    assert max(pixels.shape[:2]) == 500
    assert abs(pixels.shape[1] / pixels.shape[0] - size[0] / size[1]) < 0.01
    if mode not in ("L", "LA"):
        assert corners(pixels) == ["red", "green", "blue", "grey"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_it_is_turned_as_it_is_to_be_seen(saved, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(marked((600, 400)), ".jpg", exif=exif, quality=95)
    pixels = view(path, 300)
    shape = (200, 300) if orientation < 5 else (300, 200)
    assert pixels.shape[:2] == shape
    turned = {
        1: "red green blue grey", 2: "green red grey blue", 3: "blue grey red green",
        4: "grey blue green red", 5: "red grey blue green", 6: "grey red green blue",
        7: "blue green red grey", 8: "green blue grey red",
    }  # fmt: skip
    assert " ".join(corners(pixels)) == turned[orientation]
    assert view(path, 120, square=True).shape == (120, 120, 3)


def test_it_is_never_larger_than_the_photo(saved):
    assert view(saved(marked((40, 30))), 500).shape == (30, 40, 3)
    assert view(saved(marked((40, 30))), 500, square=True).shape == (30, 30, 3)
    assert view(saved(Image.new("RGB", (3000, 1))), 500).shape == (1, 500, 3)


def test_the_square_is_the_middle(saved):
    image = Image.new("RGB", (900, 300), RED)
    image.paste(GREEN, (300, 0, 600, 300))
    pixels = view(saved(image), 100, square=True)
    assert pixels.shape == (100, 100, 3)
    assert np.abs(pixels.astype(int) - GREEN).max() < 3


@pytest.mark.parametrize("size", [(5001, 2703), (2703, 5001)])
def test_reducing_in_strips_moves_nothing(saved, size):
    """A picture that is reduced first is the same as one that is only resized."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    ramp = np.stack([x * 255 / size[0], y * 255 / size[1], 0 * x], -1).astype(np.uint8)
    image = Image.fromarray(ramp)
    pixels = view(saved(image), 400).astype(int)
    plain = np.asarray(image.resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BOX))
    assert np.abs(pixels - plain.astype(int)).max() <= 2


def test_sixteen_bits_are_scaled_and_transparency_is_on_white(saved):
    deep = Image.fromarray(np.full((300, 400), 32768, np.uint16))
    assert np.abs(view(saved(deep), 200).astype(int) - 128).max() <= 1
    clear = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    assert (view(saved(clear), 200) == 255).all()


def test_other_colours_become_those_of_browsers(saved):
    image = Image.new("RGB", (200, 200), (60, 150, 240))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    same = view(saved(image, ".jpg", icc_profile=lab.tobytes(), quality=100), 100).astype(int)
    assert np.abs(same - (60, 150, 240)).max() <= 4
    broken = view(saved(image, ".jpg", icc_profile=b"no profile", quality=100), 100).astype(int)
    assert np.abs(broken - (60, 150, 240)).max() <= 4


def test_errors_are_those_of_decoding(tmp_path, saved):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"no picture")
    with pytest.raises(NotAnImageError):
        view(str(path), 100)
    out = io.BytesIO()
    marked((900, 900)).save(out, "PNG")
    path.write_bytes(out.getvalue()[:2000])
    with pytest.raises(DamagedImageError):
        view(str(path), 100)
    with pytest.raises(ImageTooLargeError):
        view(saved(marked((900, 900))), 100, max_pixels=1000)


def test_the_processes_give_views_between_other_requests(saved):
    path = saved(marked((900, 600)), ".jpg")
    with DecodePool(CropSpec(), workers=1) as pool:
        whole, crop, square = (
            pool.view(path, 300),
            pool.submit(path),
            pool.view(path, 64, square=True),
        )
        assert whole.result().shape == (200, 300, 3)
        assert crop.result().crop.shape == (224, 224, 3)
        assert square.result().shape == (64, 64, 3)
        with pytest.raises(NotAnImageError):
            pool.view(__file__, 300).result()


PIXELS = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


def test_a_view_comes_out_as_it_went_in():
    assert np.array_equal(unpack_view(pack_view(PIXELS), 5), PIXELS)
    with pytest.raises(DamagedImageError):
        unpack_view(pack(DamagedImageError("a", "b")), 5)


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"{}\n", b'{"height": 4, "width": 5}\n', b'{"height": 4, "width": 5}\n' + bytes(59),
        b'{"height": 4, "width": 5}\n' + bytes(61), b'{"height": 0, "width": 5}\n',
        b'{"height": -4, "width": -5}\n' + bytes(60), b'{"height": true, "width": 1}\n' + bytes(3),
        b'{"height": 4.0, "width": 5}\n' + bytes(60), b'{"height": 60, "width": 1}\n' + bytes(180),
        b'{"height": "4", "width": 5}\n' + bytes(60),
    ],
)  # fmt: skip
def test_any_other_answer_is_refused(answer):
    with pytest.raises(ValueError):
        unpack_view(answer, 5)
