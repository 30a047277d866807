"""HEIC files of every kind that encoders write, and some that lie."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

from tests.support.pictures import encoded, exif

QUICK = {"preset": "ultrafast"}


def detailed(width: int, height: int, seed: int = 5) -> Image.Image:
    """Return a picture with coarse colours, edges, and a grain as photos have it."""
    dice = np.random.default_rng(seed)
    coarse = Image.fromarray(dice.integers(0, 256, (9, 12, 3), np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)).astype(int)
    rows, columns = np.mgrid[:height, :width]
    pixels[(rows // 40 + columns // 60) % 5 == 0] //= 3
    pixels += dice.normal(0, 6, (height, width, 1)).astype(int)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def heic(picture: Image.Image, **options: Any) -> bytes:
    return encoded(picture, "HEIF", quality=70, enc_params=QUICK, **options)


def deep_heic(picture: Image.Image) -> bytes:
    """Return it with 10 bits for each colour."""
    deep = (np.asarray(picture).astype("<u2") * 257).tobytes()
    out = io.BytesIO()
    made = pillow_heif.from_bytes("RGB;16", picture.size, deep)
    made.save(out, format="HEIF", quality=70, enc_params=QUICK)
    return out.getvalue()


KINDS: dict[str, Callable[[], bytes]] = {
    "single": lambda: heic(detailed(1400, 1050)),
    "small": lambda: heic(detailed(400, 300)),
    "odd": lambda: heic(detailed(1403, 1051)),
    "odd and small": lambda: heic(detailed(401, 303)),
    "tall": lambda: heic(detailed(700, 1900)),
    "4:2:2": lambda: heic(detailed(1400, 1050), chroma="422"),
    "4:4:4": lambda: heic(detailed(1403, 1051), chroma="444"),
    "4:4:4, small": lambda: heic(detailed(401, 303), chroma="444"),
    "monochrome": lambda: heic(detailed(1400, 1050).convert("L")),
    "10 bit": lambda: deep_heic(detailed(1400, 1050)),
    "10 bit, small": lambda: deep_heic(detailed(400, 300)),
    "tiles": lambda: heic(detailed(1536, 1152), tile_size=512),
    "tiles of an odd picture": lambda: heic(detailed(1403, 1051), tile_size=512),
    "small tiles": lambda: heic(detailed(1001, 703), tile_size=128),
    "a panorama of tiles": lambda: heic(detailed(3001, 703), tile_size=256),
    "4:4:4 tiles": lambda: heic(detailed(1100, 900), chroma="444", tile_size=256),
    "BT.709": lambda: heic(detailed(1400, 1050), matrix_coefficients=1),
    "BT.2020": lambda: heic(detailed(1400, 1050), matrix_coefficients=9),
    "limited range": lambda: heic(detailed(1400, 1050), full_range_flag=0),
    "without a profile": lambda: heic(detailed(1400, 1050), save_nclx_profile=False),
    "a thumbnail that is too small": lambda: heic(detailed(1400, 1050), thumbnails=[160]),
    **{f"orientation {n}": lambda n=n: heic(detailed(1403, 1051), exif=exif(n)) for n in (2, 5, 6)},
    **{
        f"tiles, orientation {n}": lambda n=n: heic(
            detailed(1210, 907), exif=exif(n), tile_size=512
        )
        for n in (7, 8)
    },
}
"""All that FFmpeg decodes, by name."""
LEFT: dict[str, Callable[[], bytes]] = {
    "alpha": lambda: heic(translucent(1400, 1050)),
    "lossless": lambda: encoded(
        detailed(400, 300), "HEIF", quality=-1, chroma="444", matrix_coefficients=0
    ),
}
"""What is left to libheif."""


def translucent(width: int, height: int) -> Image.Image:
    picture = detailed(width, height).convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((width, height)))
    return picture


def replaced(data: bytes, old: bytes, new: bytes) -> bytes:
    """Return ``data`` with the one occurrence of ``old`` replaced by ``new``, as long."""
    assert data.count(old) == 1 and len(old) == len(new)
    return data.replace(old, new)


def whole_size(data: bytes, size: tuple[int, int]) -> bytes:
    """Return a file of one picture that says in all ``ispe`` boxes that it has another size."""
    at = -1
    out = bytearray(data)
    while (at := data.find(b"ispe", at + 1)) >= 0:
        out[at + 8 : at + 16] = struct.pack(">II", *size)
    return bytes(out)
