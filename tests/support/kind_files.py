"""Photos that say of themselves what kind they are, as phones and programs write them."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping

import pillow_heif
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

IFD = ExifTags.Base


def apple_note(*entries: tuple[int, int, int, int]) -> bytes:
    """Return a MakerNote as iOS writes it: (tag, type, count, value)."""
    note = b"Apple iOS\0\0\1MM" + struct.pack(">H", len(entries))
    for tag, kind, count, value in entries:
        note += struct.pack(">HHI", tag, kind, count)
        note += struct.pack(">HH", value, 0) if kind == 3 else struct.pack(">I", value)
    return note + bytes(64)


def packet(inside: str) -> bytes:
    """Return an XMP packet with some attributes."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description ' + inside + "/></rdf:RDF>"
        "</x:xmpmeta>"
    ).encode()


def exif_of(details: Mapping[int, object], main: Mapping[int, object] = {}) -> Image.Exif:
    """Return an EXIF block with entries in its Exif directory and its first one."""
    exif = Image.Exif()
    exif.update(main)
    exif.get_ifd(ExifTags.IFD.Exif).update(details)
    return exif


def _jpeg(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=92, **options)
    return file.getvalue()


def _heic(picture: Image.Image, **options: object) -> bytes:
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    picture.save(file, "HEIF", quality=90, **options)
    return file.getvalue()


def _png(picture: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def _described(text: bytes) -> PngInfo:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", text.decode())
    return info


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


_COMMENT = {IFD.UserComment: b"ASCII\0\0\0Screenshot"}
_FRONT = {IFD.LensModel: "iPhone 12 front camera 2.71mm f/2.2"}
_LIVE = {IFD.MakerNote: apple_note((0x11, 2, 37, 200))}
_BURST = {IFD.MakerNote: apple_note((1, 9, 1, 14), (0x0B, 2, 37, 200))}
_SPECIAL = (
    'GCamera:SpecialTypeID="com.google.android.apps.camera.gallery.specialtype.'
    'SpecialType-PORTRAIT"'
)
_XMP_COMMENT = (
    "><exif:UserComment><rdf:Alt><rdf:li xml:lang='x-default'>Screenshot</rdf:li></rdf:Alt>"
    "</exif:UserComment></rdf:Description><rdf:Description"
)

Make = Callable[[Image.Image], bytes]
FILES: dict[str, tuple[str, str, Make]] = {
    "iOS, screenshot": ("screenshot", "png", lambda p: _png(p, exif=exif_of(_COMMENT).tobytes())),
    "iOS, screenshot in XMP": (
        "screenshot",
        "png",
        lambda p: _png(p, pnginfo=_described(packet(_XMP_COMMENT))),
    ),
    "iOS, panorama": ("panorama", "jpg", lambda p: _jpeg(p, exif=exif_of({IFD.CustomRendered: 6}))),
    "iOS, panorama in HEIC": (
        "panorama",
        "heic",
        lambda p: _heic(p, exif=exif_of({IFD.CustomRendered: 6}).tobytes()),
    ),
    "Android, panorama": (
        "panorama",
        "jpg",
        lambda p: _jpeg(p, xmp=packet('GPano:ProjectionType="cylindrical"')),
    ),
    "iOS, selfie": ("selfie", "heic", lambda p: _heic(p, exif=exif_of(_FRONT).tobytes())),
    "Android, selfie": (
        "selfie",
        "jpg",
        lambda p: _jpeg(p, exif=exif_of({IFD.LensModel: "Pixel 7 front camera 2.74mm f/2.2"})),
    ),
    "iOS, portrait": (
        "portrait",
        "heic",
        lambda p: _heic(p, exif=exif_of({IFD.CustomRendered: 8}).tobytes()),
    ),
    "Android, portrait": ("portrait", "jpg", lambda p: _jpeg(p, xmp=packet(_SPECIAL))),
    "iOS, burst": ("burst", "jpg", lambda p: _jpeg(p, exif=exif_of(_BURST))),
    "Android, burst": (
        "burst",
        "jpg",
        lambda p: _jpeg(p, xmp=packet('GCamera:BurstID="5e8d2c1f"')),
    ),
    "iOS, live photo": ("motion photo", "heic", lambda p: _heic(p, exif=exif_of(_LIVE).tobytes())),
    "Android, motion photo": (
        "motion photo",
        "jpg",
        lambda p: _jpeg(p, xmp=packet('Camera:MotionPhoto="1"')) + bytes(5000),
    ),
    "Samsung, film behind a HEIC": (
        "motion photo",
        "heic",
        lambda p: _heic(p) + _box(b"free", bytes(1 << 17)) + _box(b"mpvd", bytes(5000)),
    ),
    "Lightroom, edited": (
        "edited",
        "jpg",
        lambda p: _jpeg(p, exif=exif_of({}, {IFD.Software: "Adobe Lightroom 6.0 (Macintosh)"})),
    ),
    "Camera Raw, edited": (
        "edited",
        "jpg",
        lambda p: _jpeg(p, xmp=packet('crs:HasSettings="True"')),
    ),
}
"""By who wrote it and what: the kind, the suffix, and what makes the file of a picture.

No name tells anything.
"""
