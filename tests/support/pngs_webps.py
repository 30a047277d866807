"""Builds PNG and WebP files of every structure."""

from __future__ import annotations

import functools
import io
import struct
import zlib
from collections.abc import Callable

from PIL import Image

from tests.support import packets
from tests.support.jpegs import iim, picture

KEYWORD = b"XML:com.adobe.xmp\0"


@functools.cache
def png(**options: object) -> bytes:
    buffer = io.BytesIO()
    picture().save(buffer, "PNG", **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def itxt(packet: bytes, *, packed: bool = False, language: bytes = b"") -> bytes:
    text = zlib.compress(packet, 1) if packed else packet
    return chunk(b"iTXt", KEYWORD + bytes([packed, 0]) + language + b"\0\0" + text)


def raw_profile(name: bytes, data: bytes, *, packed: bool = True) -> bytes:
    """Return a text chunk as ImageMagick writes it."""
    text = b"\n%s\n%8d\n%s\n" % (name, len(data), data.hex().encode())
    if packed:
        return chunk(b"zTXt", b"Raw profile type " + name + b"\0\0" + zlib.compress(text))
    return chunk(b"tEXt", b"Raw profile type " + name + b"\0" + text)


def early(*chunks: bytes, data: bytes | None = None) -> bytes:
    """Insert chunks behind the header, which ends at 33."""
    data = data or png()
    return data[:33] + b"".join(chunks) + data[33:]


def late(*chunks: bytes, data: bytes | None = None) -> bytes:
    """Insert chunks before the end, behind the pixels."""
    data = data or png()
    return data[:-12] + b"".join(chunks) + data[-12:]


def moving_png() -> bytes:
    buffer = io.BytesIO()
    more = [picture(seed) for seed in (1, 2)]
    picture().save(buffer, "PNG", save_all=True, append_images=more, duration=80)
    return buffer.getvalue()


def split_pixels(between: bytes = b"") -> bytes:
    """Return a PNG whose pixels are in two chunks, as Apple's parallel decoder wants them."""
    data = png()
    start = data.index(b"IDAT") - 4
    size = struct.unpack_from(">I", data, start)[0]
    body = data[start + 8 : start + 8 + size]
    half = len(body) // 2
    first, second = chunk(b"IDAT", body[:half]), chunk(b"IDAT", body[half:])
    dots = struct.pack(">IIIIIII", 2, 0, 48, 24, 24, 40 + len(between) + len(first), 0)
    return data[:start] + chunk(b"iDOT", dots) + between + first + second + data[-12:]


def palette() -> bytes:
    buffer = io.BytesIO()
    image = picture().quantize(16)
    image.info["transparency"] = 3
    image.save(buffer, "PNG", transparency=3)
    return buffer.getvalue()


TIFF = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
"""An EXIF block that says only how the picture is turned."""


PNG_MAKERS: dict[str, Callable[[], bytes]] = {
    "png": png,
    "palette": palette,
    "apng": moving_png,
    "early-xmp": lambda: early(itxt(packets.LIGHTROOM)),
    "late-xmp": lambda: late(itxt(packets.rated(padding=600))),
    "packed-xmp": lambda: early(itxt(packets.DIGIKAM, packed=True)),
    "late-packed": lambda: late(itxt(packets.rated(), packed=True)),
    "exif": lambda: early(chunk(b"eXIf", TIFF)),
    "late-exif": lambda: late(chunk(b"eXIf", TIFF), itxt(packets.rated())),
    "raw-iptc": lambda: early(raw_profile(b"iptc", iim("raw", "Zoë"))),
    "raw-exif": lambda: early(raw_profile(b"exif", b"Exif\0\0" + TIFF, packed=False)),
    "trailer": lambda: png() + b"something behind the end",
    "text": lambda: early(chunk(b"tEXt", b"Comment\0hello"), chunk(b"zzZz", b"unknown")),
    "idot": split_pixels,
    "idot-xmp": lambda: early(itxt(packets.rated()), data=split_pixels()),
    "odd-names": lambda: early(chunk(b"tEXt", b"Raw profile type " + b"\0x")),
}
PNG_REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "two-packets": (lambda: early(itxt(packets.rated()), itxt(packets.rated())), "more than one"),
    "cabx": (lambda: early(chunk(b"caBX", bytes(40))), "C2PA"),
    "raw-xmp": (lambda: early(raw_profile(b"xmp", packets.rated())), "more than one"),
    "raw-app1": (
        lambda: early(raw_profile(b"APP1", b"http://ns.adobe.com/xap/1.0/\0" + packets.rated())),
        "more than one",
    ),
    "text-xmp": (lambda: early(chunk(b"tEXt", KEYWORD + packets.rated())), "more than one"),
    "language": (lambda: early(itxt(packets.rated(), language=b"en")), "damaged"),
    "bad-packing": (lambda: early(chunk(b"iTXt", KEYWORD + b"\1\0\0\0nonsense")), "damaged"),
    "bad-crc": (lambda: early(itxt(packets.rated())[:-1] + b"?"), "damaged"),
    "idot-between": (lambda: split_pixels(itxt(packets.rated())), "iDOT"),
    "two-exif": (lambda: early(chunk(b"eXIf", TIFF), chunk(b"eXIf", TIFF)), "EXIF"),
    "cut": (lambda: png()[:-6], "broken"),
    **{
        f"packet-{name}": (lambda packet=packet: early(itxt(packet)), reason)
        for name, (packet, reason) in packets.REFUSED.items()
        if name != "large"
    },
}


def webp(mode: str = "RGB", *, size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    buffer = io.BytesIO()
    image = picture(size=size).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.radial_gradient("L").resize(size))
    image.save(buffer, "WEBP", **options)
    return buffer.getvalue()


def moving_webp() -> bytes:
    buffer = io.BytesIO()
    more = [picture(seed) for seed in (1, 2)]
    picture().save(buffer, "WEBP", save_all=True, append_images=more, duration=80)
    return buffer.getvalue()


def riff(data: bytes, *chunks: tuple[bytes, bytes], flags: int = 0) -> bytes:
    """Append chunks to an extended WebP."""
    body = data[8:20] + bytes([data[20] | flags]) + data[21:]
    for kind, content in chunks:
        body += kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def odd_webp() -> bytes:
    """Return a simple WebP whose only chunk has an odd length and a byte of padding."""
    data = webp()
    body = data[20:] + b"\0\0"
    return b"RIFF" + struct.pack("<I4s4sI", len(body) + 12, b"WEBP", b"VP8 ", len(body) - 1) + body


def extended() -> bytes:
    return webp("RGBA", quality=80)


WEBP_MAKERS: dict[str, Callable[[], bytes]] = {
    "vp8": webp,
    "vp8-odd": odd_webp,
    "vp8l": lambda: webp(lossless=True),
    "vp8l-alpha": lambda: webp("RGBA", lossless=True),
    "vp8x-alpha": extended,
    "animated": moving_webp,
    "vp8x-xmp": lambda: riff(extended(), (b"XMP ", packets.LIGHTROOM), flags=4),
    "vp8x-odd-xmp": lambda: riff(extended(), (b"XMP ", packets.MINIMAL + b" "), flags=4),
    "vp8x-exif": lambda: riff(extended(), (b"EXIF", TIFF), flags=8),
    "vp8x-jpeg-exif": lambda: riff(extended(), (b"EXIF", b"Exif\0\0" + TIFF), flags=8),
    "xmp-then-exif": lambda: riff(
        extended(), (b"XMP ", packets.rated()), (b"EXIF", TIFF), flags=12
    ),
    "wrong-flags": lambda: riff(extended(), (b"XMP ", packets.rated()), flags=8),
    "unknown-chunk": lambda: riff(extended(), (b"ZZZZ", b"abc")),
    "trailer": lambda: webp() + b"behind",
    "trailer-vp8x": lambda: extended() + b"behind",
}
WEBP_REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "two-packets": (
        lambda: riff(extended(), (b"XMP ", packets.rated()), (b"XMP ", packets.rated()), flags=4),
        "more than one",
    ),
    "c2pa": (lambda: riff(extended(), (b"C2PA", bytes(40))), "C2PA"),
    "two-exif": (lambda: riff(extended(), (b"EXIF", TIFF), (b"EXIF", TIFF), flags=8), "EXIF"),
    "chunks-without-head": (lambda: riff(webp(), (b"ZZZZ", b"abc")), "unusual"),
    "cut": (lambda: webp()[:-20], "broken"),
    "no-width": (lambda: webp()[:26] + b"\0\0" + webp()[28:], "unusual"),
    "dtd": (lambda: riff(extended(), (b"XMP ", packets.REFUSED["dtd"][0]), flags=4), "DTD"),
}
