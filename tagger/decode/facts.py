"""What a photo says of itself in its EXIF block: when, where, with what."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

from PIL import ExifTags, Image

from tagger.decode.kinds import kinds_of, packet_of, parts_of
from tagger.records import PhotoFacts
from tagger.text.dates import moment

_TURNED = ("HEIF", "TIFF")
"""Pillow gives these as they are to be seen, whatever EXIF says."""
_DATES = (ExifTags.Base.DateTimeOriginal, ExifTags.Base.DateTimeDigitized, ExifTags.Base.DateTime)

BROKEN_EXIF = (
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    OSError,
    SyntaxError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
)
"""What Pillow raises on damaged EXIF blocks, as fuzzing them shows."""


def _read_exif(image: Image.Image) -> Image.Exif:
    """Return the EXIF block of an opened image; an empty one when it cannot be read."""
    try:
        exif = image.getexif()
        dict(exif)  # reads all its values
    except BROKEN_EXIF:
        return Image.Exif()
    return exif


def read_facts(
    image: Image.Image, source: BinaryIO, name: str, size: tuple[int, int]
) -> PhotoFacts:
    """Return the facts in the EXIF block of an opened image, whatever is wrong with parts of it.

    ``source`` is its file, of that ``name``, and ``size`` (width, height) in pixels as stored. The
    orientation is what is still to be applied. Tags: Exif 2.32, tables 4, 7 and 15.
    """
    exif = _read_exif(image)
    main, details = dict(exif), _block(exif, ExifTags.IFD.Exif)
    place = _block(exif, ExifTags.IFD.GPSInfo)
    orientation = 1 if image.format in _TURNED else _orientation(main)
    width, height = size if orientation < 5 else size[::-1]
    return PhotoFacts(
        format="JPEG" if image.format == "MPO" else image.format or "",
        width=width,
        height=height,
        orientation=orientation,
        taken_at=_taken_at(details | {k: v for k, v in main.items() if k == _DATES[2]}),
        camera=_camera(main),
        latitude=_degrees(place, 1, "S", 90),
        longitude=_degrees(place, 3, "W", 180),
        kinds=kinds_of(name, main, details, packet_of(image), parts_of(image.format, source)),
    )


def _orientation(main: Mapping[int, Any]) -> int:
    """Return EXIF's orientation, 1 when it is missing or nonsense."""
    value = main.get(ExifTags.Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _block(exif: Image.Exif, kind: int) -> dict[int, Any]:
    try:
        return dict(exif.get_ifd(kind))
    except BROKEN_EXIF:
        return {}  # a broken block says nothing; the picture may be fine


def _text(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return " ".join(str(value).split("\0")[0].split()) if value is not None else ""


def _taken_at(tags: Mapping[int, Any]) -> str | None:
    said = (moment(_text(tags.get(tag))) for tag in _DATES)
    return next((found for found in said if found is not None), None)


def _camera(tags: Mapping[int, Any]) -> str | None:
    make, model = _text(tags.get(ExifTags.Base.Make)), _text(tags.get(ExifTags.Base.Model))
    if make and model.casefold().startswith(make.split()[0].casefold()):
        make = ""
    return f"{make} {model}".strip()[:100] or None


def _degrees(gps: Mapping[int, Any], tag: int, negative: str, limit: float) -> float | None:
    """Return latitude or longitude in degrees from its reference and three rationals."""
    try:
        degrees, minutes, seconds = (float(part) for part in gps[tag + 1])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    value = degrees + minutes / 60 + seconds / 3600
    if not 0 <= value <= limit:  # also false for NaN
        return None
    return round(-value if _text(gps.get(tag)).upper().startswith(negative) else value, 7)
