"""Builds JPEG files of every structure that cameras and programs make."""

from __future__ import annotations

import base64
import functools
import io
import struct
from collections.abc import Callable

import piexif
from PIL import Image, ImageCms

from tests.support import packets

XMP = b"http://ns.adobe.com/xap/1.0/\0"
# A drawn picture of 32x32, `cjpeg -quality 75`, then `jpegtran -arithmetic` (SOF9), and with
# `-progressive` as well (SOF10): what Pillow cannot write.
ARITHMETIC = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwc"
    "KDcpLDAxNDQ0Hyc5PTgyPC4zNDL/2wBDAQkJCQwLDBgNDRgyIRwhMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIy"
    "MjIyMjIyMjIyMjIyMjIyMjIyMjL/yQARCAAgACADASIAAhEBAxEB/8wACgAQEAUBEBEF/9oADAMBAAIRAxEAPwD/AHMd"
    "x2z21HpPF/hq5wlIqLs+MIKPlw7dtbihOis+wK88tOu9LO4fPNwbTOeoREvKTlY4695cU3cSFXZZSgToyANVErHzffRP"
    "Cd39tdaVIKuay46XRwJIIS6P2fd/8foeyWo0wKyANrYFdRhNFjmevV0D+pAyLH51fD15Vz5zO4RSRxBNvVAxnoCClRF+"
    "vcr6Wt6osnm1IfyRIlQh0jRj/C2GeHYblo3xtJrC2Eyr2+IFIVnV5xqMEqp5TAJGVfd1R8YlKHU7YJvljBkxmCW3+1vS"
    "Mhn4/KmrtGSjZMrT19cKMMJBjX1tr791/dC+/wDa6VdrfY68rITZ+bT2ZX5aDlM+JZb+A8Styu21pbVLfzuNWIiPAYTy"
    "K45ltH8RqfWkVhsFnx7JJpQHKQyqQq7cGEhLnRGcEfrx+p9uMpTZEj0q36dlAq8B1rWGLSjYKZ05TAWfELaPnKRyX4WX"
    "jxdHzEjr6kosWOfoyudefgj0casdhWP/2Q=="
)
ARITHMETIC_PROGRESSIVE = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwc"
    "KDcpLDAxNDQ0Hyc5PTgyPC4zNDL/2wBDAQkJCQwLDBgNDRgyIRwhMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIyMjIy"
    "MjIyMjIyMjIyMjIyMjIyMjIyMjL/ygARCAAgACADASIAAhEBAxEB/8wABgAQARD/2gAMAwEAAhADEAAAAf7l51GdS6LM"
    "WQU7epu/FVF2VAebnu32wP/MAAQQBf/aAAgBAQABBQL0QhagRUuay2t9LuNOFKRmaGMpkKHHy2BGvcoa1gTP5sEoiS5j"
    "Q702hP/MAAQRBf/aAAgBAwEBPwEVJNAyJlqtReXcSIblxsbA3rHX/wBlovqA/8wABBEF/9oACAECAQE/ATpZ4dcgRuPW"
    "Rncy5h7GVF2XTs/i81OY/8wABBAF/9oACAEBAAY/AvqkBD9ILdKy5sg5XOxbHrx4baR9MzlIoXERbFlAz2Wqkb5acIj/"
    "zAAEEAX/2gAIAQEAAT8htaOmPIAkb5XeQ7/5xQ5waxYYrZ7Vko0P1vhaDILP3mDi1WvoHbkKEOUhCIFCcCWauFj/2gAM"
    "AwEAAgADAAAAEPJno//MAAQRBf/aAAgBAwEBPxD5fw3VGnvyikOmwdofHLX1bhteLt1gu53QbQS9qoD/zAAEEQX/2gAI"
    "AQIBAT8QbYuqAF1UbdEe/rvch6rZmUvHPXO7XflKi+/A/8wABBAF/9oACAEBAAE/EK8JHdh6MZ3ozqCZmlC63MAEqJDm"
    "pYKR6vbwsGi2m4fYjrmndTsQi/00czj0MjOl850fCFovJmuk70Ibhe6gE2vOMubBwEm+zISAXOuBdJliOPdHjtaYRAHx"
    "MmiXpmw1uGb67hYTdBbq2vHA/9k="
)


@functools.cache
def picture(seed: int = 0, size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Return a picture that no two seeds have in common."""
    ramp = Image.radial_gradient("L").resize(size)
    return Image.merge("RGB", (ramp, ramp.rotate(40 + seed * 30), ramp.rotate(200)))


def plain(seed: int = 0, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture(seed).save(buffer, "JPEG", **options)
    return buffer.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def put(data: bytes, *segments: bytes, at: int = 20) -> bytes:
    """Insert segments; Pillow's JFIF header ends at 20."""
    return data[:at] + b"".join(segments) + data[at:]


def xmp(packet: bytes) -> bytes:
    return segment(0xE1, XMP + packet)


def exif(*, maker_note: bytes = b"", rating: int | None = None) -> bytes:
    main = {piexif.ImageIFD.Make: b"Maker", piexif.ImageIFD.Orientation: 6}
    if rating is not None:
        main[piexif.ImageIFD.Rating] = rating
    details = {piexif.ExifIFD.DateTimeOriginal: b"2024:05:06 07:08:09"}
    if maker_note:
        details[piexif.ExifIFD.MakerNote] = maker_note
    return segment(0xE1, piexif.dump({"0th": main, "Exif": details}))


def iim(*words: str, encoding: str = "utf-8", declared: bool = False) -> bytes:
    """Return IPTC datasets with keywords."""
    out = b"\x1c\x01\x5a\0\x03\x1b%G" if declared else b""
    out += b"\x1c\x02\x00\x00\x02\x00\x04"
    for word in words:
        value = word.encode(encoding)
        out += b"\x1c\x02\x19" + struct.pack(">H", len(value)) + value
    return out


def photoshop(data: bytes, before: bytes = b"") -> bytes:
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
    return segment(0xED, b"Photoshop 3.0\0" + before + resource)


def mpf(first: int, second: int, offset: int, order: str = ">") -> bytes:
    """Return an MPF segment that lists two pictures; ``offset`` counts from its header."""
    head = b"MM\0*\0\0\0\x08" if order == ">" else b"II*\0\x08\0\0\0"
    tags = [(0xB000, 7, 4, b"0100"), (0xB001, 4, 1, struct.pack(order + "I", 2))]
    out = head + struct.pack(order + "H", 3)
    for tag, kind, count, value in tags:
        out += struct.pack(order + "HHI", tag, kind, count) + value
    out += struct.pack(order + "HHIII", 0xB002, 7, 32, 50, 0)
    out += struct.pack(order + "IIIHH", 0x030000, first, 0, 0, 0)
    out += struct.pack(order + "IIIHH", 0, second, offset, 0, 0)
    return segment(0xE2, b"MPF\0" + out)


def two_pictures(*before: bytes, after: tuple[bytes, ...] = (), order: str = ">") -> bytes:
    """Return a file with a second picture behind the first, found by MPF.

    ``before`` and ``after`` are segments on either side of the MPF segment.
    """
    second, empty = plain(1), mpf(0, 0, 0, order)
    first = put(plain(), *before, empty, *after)
    head = 20 + sum(map(len, before)) + 8
    ready = mpf(len(first), len(second), len(first) - head, order)
    return first.replace(empty, ready) + second


def ultra_hdr() -> bytes:
    """Return a photo with a gain map, named in its XMP as in its MPF."""
    second = plain(1)
    directory = packets.packet(
        packets.description(
            "\n<Container:Directory><rdf:Seq>"
            '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="Primary" '
            'Item:Mime="image/jpeg"/></rdf:li>'
            '<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="GainMap" '
            f'Item:Mime="image/jpeg" Item:Length="{len(second)}"/></rdf:li>'
            "</rdf:Seq></Container:Directory>",
            'hdrgm:Version="1.0"',
        )
    )
    return two_pictures(exif(), xmp(directory))


def movie() -> bytes:
    box = struct.pack(">I", 24) + b"ftypmp42\0\0\0\0mp42isom"
    return box + struct.pack(">I", 4008) + b"mdat" + bytes(range(250)) * 16


def motion_photo() -> bytes:
    clip = movie()
    about = packets.packet(
        packets.description(
            "\n<Container:Directory><rdf:Seq>"
            '<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="image/jpeg" '
            'Item:Semantic="Primary"/></rdf:li><rdf:li rdf:parseType="Resource"><Container:Item '
            f'Item:Mime="video/mp4" Item:Semantic="MotionPhoto" Item:Length="{len(clip)}"/>'
            "</rdf:li></rdf:Seq></Container:Directory>"
        )
    )
    return put(plain(), exif(maker_note=b"MAKER\0\1\2"), xmp(about)) + clip


def afcp() -> bytes:
    data = plain()
    entry = b"IPTC" + struct.pack(">II", 10, len(data) + 24)
    return data + b"AXS!0100" + b"\0" * 4 + entry + bytes(30) + b"AXS!" + struct.pack(
        ">II", len(data), 0
    )  # fmt: skip


def fill_bytes() -> bytes:
    """Put fill bytes before some markers, which T.81 B.1.1.2 allows."""
    data = put(plain(), b"\xff\xff\xff" + exif(), b"\xff" + xmp(packets.rated()))
    quantization = data.index(b"\xff\xdb")
    return data[:quantization] + b"\xff\xff" + data[quantization:]


def preview_by_pointer() -> bytes:
    """Return a photo whose EXIF says where its preview is, behind the picture."""
    main = {piexif.ImageIFD.Make: b"M", 0x0111: 0x7FFFFFFF, 0x0117: 1234}
    block = segment(0xE1, piexif.dump({"0th": main}))
    data = put(plain(), block)
    place = len(data) - 20 - 10  # counted from the TIFF header
    return data.replace(struct.pack(">I", 0x7FFFFFFF), struct.pack(">I", place)) + plain(1)


def with_profile() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = plain(icc_profile=profile)
    return put(
        data,
        exif(),
        photoshop(iim("beach", "Zoë", declared=True), b"8BIM\x03\xed\0\0\0\0\0\x02ab"),
    )


def jumbf() -> bytes:
    return segment(0xEB, b"JP\0\1\0\0\0\1" + struct.pack(">I", 40) + b"jumb" + bytes(32))


def gray_cmyk(mode: str) -> bytes:
    buffer = io.BytesIO()
    picture().convert(mode).save(buffer, "JPEG")
    return buffer.getvalue()


MAKERS: dict[str, Callable[[], bytes]] = {
    "baseline": plain,
    "progressive": lambda: plain(progressive=True),
    "restarts": lambda: plain(restart_marker_blocks=2),
    "arithmetic": lambda: ARITHMETIC,
    "arithmetic-progressive": lambda: ARITHMETIC_PROGRESSIVE,
    "arithmetic-xmp": lambda: put(ARITHMETIC, exif(maker_note=b"M" * 9), xmp(packets.rated())),
    "gray": lambda: gray_cmyk("L"),
    "cmyk": lambda: gray_cmyk("CMYK"),
    "no-jfif": lambda: plain()[:2] + plain()[20:],
    "exif-first": lambda: put(plain()[:2] + plain()[20:], exif(), at=2),
    "fill-bytes": fill_bytes,
    "profile-iptc": with_profile,
    "iptc-latin": lambda: put(plain(), photoshop(iim("Übung", "sea", encoding="latin-1"))),
    "xmp": lambda: put(plain(), exif(), xmp(packets.rated())),
    "xmp-before-exif": lambda: put(plain(), xmp(packets.rated()), exif(maker_note=b"M" * 40)),
    "xmp-first": lambda: put(plain(), xmp(packets.rated()), at=2),
    "xmp-late": lambda: put(plain(), segment(0xFE, b"a comment"), xmp(packets.rated())),
    "padded": lambda: put(plain(), exif(), xmp(packets.rated(padding=4000))),
    "nearly-full": lambda: put(plain(), xmp(packets.rated(padding=64000))),
    "lightroom": lambda: put(plain(), exif(rating=4), xmp(packets.LIGHTROOM)),
    "digikam": lambda: put(plain(), xmp(packets.DIGIKAM), photoshop(iim("Anna", "Eva"))),
    "minimal-xmp": lambda: put(plain(), xmp(packets.MINIMAL)),
    "comments": lambda: put(plain(), xmp(packets.COMMENTED)),
    "empty-arrays": lambda: put(plain(), xmp(packets.EMPTY_ARRAYS)),
    "nul-padded": lambda: put(plain(), xmp(packets.rated() + bytes(50))),
    "read-only-packet": lambda: put(plain(), xmp(packets.rated().replace(b'"w"', b'"r"'))),
    "mpf": two_pictures,
    "mpf-exif": lambda: two_pictures(exif(maker_note=b"MAKER" * 9)),
    "mpf-little": lambda: two_pictures(exif(), order="<"),
    "mpf-after-xmp": lambda: two_pictures(exif(), xmp(packets.rated())),
    "mpf-before-xmp": lambda: two_pictures(exif(), after=(xmp(packets.rated()),)),
    "ultra-hdr": ultra_hdr,
    "motion-photo": motion_photo,
    "zero-trailer": lambda: put(plain(), exif()) + bytes(100),
    "samsung-trailer": lambda: plain() + b"\0\0\x01\x0a\x0e\0\0\0Image_UTC_Data12345SEFHSEFT",
    "second-without-note": lambda: put(plain(), exif()) + plain(1),
    "comment-first": lambda: put(plain()[:2] + plain()[20:], segment(0xFE, b"hello"), at=2),
    "no-end": lambda: plain()[:-2],
    "app-segments": lambda: put(plain(), segment(0xE4, b"x" * 65533), segment(0xE1, b"FLIR\0")),
}
"""Files that are embedded into."""

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "c2pa": (lambda: put(plain(), jumbf()), "C2PA"),
    "afcp": (afcp, "AFCP"),
    "two-packets": (lambda: put(plain(), xmp(packets.rated()), xmp(packets.rated())), "more than"),
    "two-exif": (lambda: put(plain(), exif(), exif()), "more than one EXIF"),
    "extension": (
        lambda: put(plain(), segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40))),
        "continues elsewhere",
    ),
    "odd-head": (
        lambda: put(plain(), segment(0xE1, b"http://ns.adobe.com/xap/1.0/" + packets.rated())),
        "unusual",
    ),
    "note-and-preview": (lambda: put(plain(), exif(maker_note=b"M" * 9)) + plain(1), "preview"),
    "pointer-to-preview": (preview_by_pointer, "preview"),
    "bad-mpf": (lambda: put(plain(), segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff")), "MPF"),
    "two-mpf": (lambda: put(plain(), mpf(0, 0, 0), mpf(0, 0, 0)), "MPF"),
    "mpf-into-header": (lambda: put(plain(), mpf(0, 9, 1), exif(), xmp(packets.rated())), "MPF"),
    "cut-in-header": (lambda: plain()[:100], "broken"),
    **{
        f"packet-{name}": (lambda packet=packet: put(plain(), xmp(packet)), reason)
        for name, (packet, reason) in packets.REFUSED.items()
    },
}
"""Files that are not embedded into, and a part of the reason."""
