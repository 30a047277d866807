"""Files that cost what photos cost: drawn once, then varied by a comment.

Every copy has the same pixels as its original and other bytes, so that nothing is an exact
copy that the daemon would answer from its hash.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piexif
import pillow_heif
from PIL import Image

from tagger.cli.demo import scenes

LARGE, SMALL = (4000, 3000), (500, 375)
QUICK = {"preset": "ultrafast"}
"""x265's other presets take half a minute for a photo."""

Encode = Callable[[Image.Image, bytes], bytes]


def write_photos(
    folder: Path,
    kind: str,
    count: int,
    *,
    originals: int = 8,
    size: tuple[int, int] | None = None,
) -> list[Path]:
    """Write ``count`` photos of a kind of KINDS, and return their paths.

    At most ``originals`` of them differ in more than a comment. ``size``: another than the
    kind's, (width, height).
    """
    folder.mkdir(parents=True, exist_ok=True)
    usual, suffix, encode, vary = KINDS[kind]
    size = size or usual
    drawn = [
        encode(draw(size, number), _exif(size, number)) for number in range(min(originals, count))
    ]
    paths = []
    for number in range(count):
        path = folder / f"{number:05}{suffix}"
        path.write_bytes(vary(drawn[number % len(drawn)], f"photo {number}".encode()))
        paths.append(path)
    for path in paths:  # so that no write-back disturbs the measurements
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
    return paths


def draw(size: tuple[int, int], seed: int) -> Image.Image:
    """Return one of the demo's scenes, which its weights know, with a photo's grain.

    Three of eight are two scenes in one, of which the network is not sure, and which it so looks
    at in three parts: as many as of the real photos of ``bench/label_quality.py``.
    """
    dice = np.random.default_rng(seed)
    width, height = size
    scene = _scene(seed)
    if seed % 5 in (1, 3):
        scene = Image.blend(scene, _scene(seed + 1), 0.5)
    image = scene.resize(size, Image.Resampling.BICUBIC)
    texture = dice.normal(0, 7, (height // 6, width // 6)).astype(np.float32)
    coarse = Image.fromarray(texture).resize(size, Image.Resampling.BICUBIC)
    grain = np.asarray(coarse) + dice.normal(0, 4.0, (height, width)).astype(np.float32)
    pixels = np.asarray(image, np.int16) + grain.astype(np.int16)[..., None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _scene(seed: int) -> Image.Image:
    return scenes.draw(scenes.SCENES[seed % len(scenes.SCENES)], 9000 + seed)


def _exif(size: tuple[int, int], number: int) -> bytes:
    """Return an EXIF block; a third of the photos were taken upright."""
    taken = f"2026:01:{number % 28 + 1:02} 12:00:00".encode()
    block: bytes = piexif.dump(
        {
            "0th": {
                piexif.ImageIFD.Make: b"Bench",
                piexif.ImageIFD.Model: b"Camera 1",
                piexif.ImageIFD.Orientation: 1 if size == SMALL or number % 3 else 6,
            },
            "Exif": {piexif.ExifIFD.DateTimeOriginal: taken},
        }
    )
    return block


def _jpeg(image: Image.Image, exif: bytes) -> bytes:
    return _saved(image, "JPEG", quality=93, exif=exif)


def _png(image: Image.Image, exif: bytes) -> bytes:
    return _saved(image, "PNG", compress_level=4)


def _heic(image: Image.Image, exif: bytes) -> bytes:
    return _saved(image, "HEIF", quality=60, exif=exif, enc_params=QUICK)


def _heic_in_tiles(image: Image.Image, exif: bytes) -> bytes:
    """Return a grid of tiles of 512 pixels, as most phones write it."""
    return _saved(image, "HEIF", quality=60, exif=exif, enc_params=QUICK, tile_size=512)


def _heic_with_thumbnail(image: Image.Image, exif: bytes) -> bytes:
    return _saved(image, "HEIF", quality=60, exif=exif, enc_params=QUICK, thumbnails=[320])


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    if kind == "HEIF":
        pillow_heif.register_heif_opener()
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _vary_jpeg(data: bytes, comment: bytes) -> bytes:
    after = 4 + struct.unpack(">H", data[4:6])[0]  # the first segment stays the first
    segment = b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment
    return data[:after] + segment + data[after:]


def _vary_png(data: bytes, comment: bytes) -> bytes:
    body = b"tEXtComment\0" + comment
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return data[:33] + chunk + data[33:]


def _vary_heic(data: bytes, comment: bytes) -> bytes:
    return data + struct.pack(">I", 8 + len(comment)) + b"free" + comment


KINDS: dict[str, tuple[tuple[int, int], str, Encode, Callable[[bytes, bytes], bytes]]] = {
    "JPEG 12 MP": (LARGE, ".jpg", _jpeg, _vary_jpeg),
    "JPEG 500x375": (SMALL, ".jpg", _jpeg, _vary_jpeg),
    "HEIC 12 MP": (LARGE, ".heic", _heic, _vary_heic),
    "HEIC 12 MP, tiles": (LARGE, ".heic", _heic_in_tiles, _vary_heic),
    "HEIC 12 MP, thumbnail": (LARGE, ".heic", _heic_with_thumbnail, _vary_heic),
    "PNG 12 MP": (LARGE, ".png", _png, _vary_png),
}
"""By name: the size, the suffix, what writes a picture and what varies its file."""
