"""Pictures whose corners tell how they were read, and files made of bytes."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
GREYS = (80, 255, 160, 0)
"""The quarters of a grey picture, and their levels in 8 bits."""

STORED_AS = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""How a picture is transposed to be stored under each EXIF orientation."""


def quarters(width: int = 400, height: int = 300) -> Image.Image:
    """Return red and green above blue and black."""
    pixels = np.zeros((height, width, 3), np.uint8)
    top, left = height // 2, width // 2
    pixels[:top, :left], pixels[:top, left:], pixels[top:, :left] = RED, GREEN, BLUE
    return Image.fromarray(pixels)


def grey_quarters(top: float, kind: str, size: tuple[int, int] = (400, 300)) -> NDArray[Any]:
    """Return GREYS in four quarters, as numbers of ``kind`` in 0…``top``."""
    pixels = np.zeros(size[::-1], np.float64)
    half = size[1] // 2, size[0] // 2
    pixels[: half[0], : half[1]], pixels[: half[0], half[1] :] = GREYS[0], GREYS[1]
    pixels[half[0] :, : half[1]] = GREYS[2]
    return (pixels / 255 * top).astype(kind)


def stored(picture: Image.Image, orientation: int) -> Image.Image:
    """Return the picture as a camera stores it that writes ``orientation``."""
    method = STORED_AS[orientation]
    return picture if method is None else picture.transpose(Image.Transpose(method))


def exif(orientation: int) -> bytes:
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    # Copies: Pillow keeps options of one save in the picture, and trips over them in another.
    if "append_images" in options:
        options["append_images"] = [frame.copy() for frame in options["append_images"]]
    picture.copy().save(out, kind, **options)
    return out.getvalue()


def seen(crop: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """Return the mean colours of the four quarters, row by row, away from the edges."""
    half, edge = crop.shape[0] // 2, crop.shape[0] // 16
    parts = [
        crop[top + edge : top + half - edge, left + edge : left + half - edge]
        for top in (0, half)
        for left in (0, half)
    ]
    return [tuple(round(float(level)) for level in part.mean((0, 1))) for part in parts]


def near(found: list[tuple[int, ...]], wanted: list[tuple[int, ...]], by: int = 8) -> bool:
    return bool(np.abs(np.array(found) - np.array(wanted)).max() <= by)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, depth: int, colour: int, rows: bytes, *, interlaced: bool = False
) -> bytes:
    """Return a PNG file with these raw ``rows`` (each begins with its filter type)."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(rows, 9))
        + png_chunk(b"IEND", b"")
    )


def interlaced_png(picture: Image.Image) -> bytes:
    """Return an Adam7-interlaced PNG of an RGB picture, which Pillow does not write."""
    pixels = np.asarray(picture)
    rows = b""
    for x, y, step_x, step_y in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for row in pixels[y::step_y, x::step_x]:
            rows += b"\0" + row.tobytes()
    return png(*picture.size, 8, 2, rows, interlaced=True)


def deep_png(picture: Image.Image) -> bytes:
    """Return a PNG with three channels of 16 bits, which Pillow does not write."""
    rows = (np.asarray(picture).astype(">u2") * 257).reshape(picture.height, -1)
    return png(*picture.size, 16, 2, b"".join(b"\0" + row.tobytes() for row in rows))


Entry = tuple[int, list[int] | bytes]
_TIFF_FORMS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "I", 10: "i"}


def tiff_directory(entries: dict[int, Entry], at: int, following: int = 0) -> bytes:
    """Return a little-endian TIFF directory that stands ``at`` bytes into its file."""
    out, extra = struct.pack("<H", len(entries)), b""
    base = at + 2 + 12 * len(entries) + 4
    for tag, (kind, values) in sorted(entries.items()):
        form = _TIFF_FORMS[kind]
        data = (
            values if isinstance(values, bytes) else struct.pack(f"<{len(values)}{form}", *values)
        )
        count = len(data) // (struct.calcsize(form) * (2 if kind in (5, 10) else 1))
        if len(data) <= 4:
            out += struct.pack("<HHI", tag, kind, count) + data.ljust(4, b"\0")
        else:
            out += struct.pack("<HHII", tag, kind, count, base + len(extra))
            extra += data + b"\0" * (len(data) % 2)
    return out + struct.pack("<I", following) + extra


def dng(preview: bytes, preview_size: tuple[int, int] = (400, 300), orientation: int = 1) -> bytes:
    """Return a grey camera RAW file of 64 x 48 pixels with a JPEG preview (or, b"", without)."""
    width, height = 64, 48
    raw = np.full((height, width), 2000, "<u2").tobytes()
    main: dict[int, Entry] = {
        254: (4, [0]),
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [16]),
        259: (3, [1]),
        262: (3, [32803]),  # a colour filter array
        271: (2, b"Acme\0"),
        272: (2, b"Raw One\0"),
        273: (4, [0]),
        274: (3, [orientation]),
        277: (3, [1]),
        278: (4, [height]),
        279: (4, [len(raw)]),
        306: (2, b"2021:05:06 07:08:09\0"),
        330: (4, [0]),
        33421: (3, [2, 2]),
        33422: (1, bytes([0, 1, 1, 2])),
        50706: (1, bytes([1, 4, 0, 0])),  # the version of DNG
        50708: (2, b"Acme Raw One\0"),
        50717: (3, [4095]),  # the white level
        50721: (10, [1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1]),
        50728: (5, [1, 1, 1, 1, 1, 1]),
        50778: (3, [21]),
    }
    small: dict[int, Entry] = {
        254: (4, [1]),  # a preview
        256: (4, [preview_size[0]]),
        257: (4, [preview_size[1]]),
        258: (3, [8, 8, 8]),
        259: (3, [7]),
        262: (3, [6]),
        273: (4, [0]),
        277: (3, [3]),
        278: (4, [preview_size[1]]),
        279: (4, [len(preview)]),
    }
    if not preview:
        del main[330]
    second = 8 + len(tiff_directory(main, 8))
    pixels = second + len(tiff_directory(small, second))
    main[273], small[273] = (4, [pixels]), (4, [pixels + len(raw)])
    if preview:
        main[330] = (4, [second])
    head = b"II*\0" + struct.pack("<I", 8) + tiff_directory(main, 8)
    return head + tiff_directory(small, second) + raw + preview


def grid_heic(columns: int, rows: int, *, thumbnail: bool = False, side: int = 512) -> bytes:
    """Return a HEIC of ``columns`` x ``rows`` tiles, as phones make them: all the same tile.

    Optionally with a picture of 320 pixels as its ``thumbnail``. ISO/IEC 23008-12, 6.6.2.3.
    """

    def box(kind: bytes, content: bytes, version: int | None = None, flags: int = 0) -> bytes:
        if version is not None:
            content = bytes((version,)) + flags.to_bytes(3) + content
        return (len(content) + 8).to_bytes(4) + kind + content

    def coded(width: int, height: int) -> tuple[bytes, bytes]:
        """Return the decoder's configuration, and the coded picture."""
        out = io.BytesIO()
        flat = Image.new("RGB", (width, height), (200, 30, 60))
        pillow_heif.from_pillow(flat).save(out, format="HEIF", quality=20)
        data = out.getvalue()
        at = data.index(b"hvcC")
        return data[at + 4 : at - 4 + int.from_bytes(data[at - 4 : at])], data[
            data.index(b"mdat") + 4 :
        ]

    def ispe(width: int, height: int) -> bytes:
        return box(b"ispe", width.to_bytes(4) + height.to_bytes(4), 0)

    count = columns * rows
    whole = (columns * side, rows * side)
    small = (320, 320 * whole[1] // whole[0] // 2 * 2)
    tile_setup, tile = coded(side, side)
    setup, picture = coded(*small)
    grid = bytes((0, 1, rows - 1, columns - 1)) + whole[0].to_bytes(4) + whole[1].to_bytes(4)
    # Items 1…count are the tiles, then the grid, then the thumbnail.
    first, last = count + 1, count + 2
    items = [(n, b"hvc1", 1) for n in range(1, count + 1)] + [(first, b"grid", 0)]
    used = dict.fromkeys(range(1, count + 1), (1, 2)) | {first: (3,)}
    refers = b"".join(n.to_bytes(2) for n in range(1, count + 1))
    refers = box(b"dimg", first.to_bytes(2) + count.to_bytes(2) + refers)
    if thumbnail:
        items.append((last, b"hvc1", 0))
        used[last] = (4, 5)
        refers += box(b"thmb", last.to_bytes(2) + (1).to_bytes(2) + first.to_bytes(2))
    shared = (
        box(b"hvcC", tile_setup)
        + ispe(side, side)
        + ispe(*whole)
        + box(b"hvcC", setup)
        + ispe(*small)
    )
    uses = b"".join(
        n.to_bytes(2) + bytes((len(which), *which)) for n, which in sorted(used.items())
    )
    infos = b"".join(box(b"infe", n.to_bytes(2) + bytes(2) + kind + b"\0", 2, flag)
                     for n, kind, flag in items)  # fmt: skip

    def meta(start: int) -> bytes:
        places = {n: (start, len(tile)) for n in range(1, count + 1)}
        places[first] = (start + len(tile), len(grid))
        places[last] = (start + len(tile) + len(grid), len(picture))
        extents = b"".join(
            n.to_bytes(2) + bytes(2) + (1).to_bytes(2) + places[n][0].to_bytes(4)
            + places[n][1].to_bytes(4)
            for n, _, _ in items
        )  # fmt: skip
        return box(
            b"meta",
            box(b"hdlr", bytes(4) + b"pict" + bytes(13), 0)
            + box(b"pitm", first.to_bytes(2), 0)
            + box(b"iloc", b"\x44\0" + len(items).to_bytes(2) + extents, 0)
            + box(b"iinf", len(items).to_bytes(2) + infos, 0)
            + box(b"iref", refers, 0)
            + box(b"iprp", box(b"ipco", shared) + box(b"ipma", len(used).to_bytes(4) + uses, 0)),
            0,
        )

    kind = box(b"ftyp", b"heic\0\0\0\0mif1heic")
    start = len(kind) + len(meta(0)) + 8
    return kind + meta(start) + box(b"mdat", tile + grid + picture)
