"""The small EXIF block that a photo without one may get: keywords that Windows shows.

Exif 2.32 for the fields that every block must have; XPKeywords (0x9C9E) is Microsoft's: UTF-16,
little-endian, ended by a NUL, keywords separated by semicolons.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import piexif

PROPERTY = "Exif:XPKeywords"
"""How the journal names what stands in the block."""
_SRGB = 1


def build(names: Iterable[str], size: tuple[int, int], *, jpeg: bool) -> bytes | None:
    """Return the TIFF structure of an EXIF block with keywords, None without any.

    ``size`` is (width, height) in pixels. The same arguments give the same bytes: by that
    a block of ours is known again.
    """
    words = [name.replace(";", ",") for name in names]
    if not words:
        return None
    main = {
        piexif.ImageIFD.XResolution: (72, 1),
        piexif.ImageIFD.YResolution: (72, 1),
        piexif.ImageIFD.ResolutionUnit: 2,
        piexif.ImageIFD.XPKeywords: tuple((";".join(words) + "\0").encode("utf-16-le")),
    }
    details = {
        piexif.ExifIFD.ExifVersion: b"0232",
        piexif.ExifIFD.FlashpixVersion: b"0100",
        piexif.ExifIFD.ColorSpace: _SRGB,
    }
    if jpeg:
        main[piexif.ImageIFD.YCbCrPositioning] = 1
        details[piexif.ExifIFD.ComponentsConfiguration] = b"\1\2\3\0"
        details[piexif.ExifIFD.PixelXDimension] = size[0]
        details[piexif.ExifIFD.PixelYDimension] = size[1]
    block: bytes = piexif.dump({"0th": main, "Exif": details})
    return _in_order(block.removeprefix(b"Exif\0\0"))


def _in_order(block: bytes) -> bytes:
    """Return the block with its first directory sorted, as TIFF wants it; piexif does not."""
    count = struct.unpack_from(">H", block, 8)[0]
    entries = [block[at : at + 12] for at in range(10, 10 + 12 * count, 12)]
    return block[:10] + b"".join(sorted(entries)) + block[10 + 12 * count :]
