"""Decodes the usual HEIC by FFmpeg's HEVC decoder, and makes it smaller before it becomes RGB.

That takes less than half the time of libheif and libde265 for the pictures of phones: FFmpeg's
decoder has more of its code in assembly, and planes that are made smaller at once leave few pixels
to convert. It runs in one thread, in the processes of :mod:`~tagger.decode.pool`. How large a
picture is, is known before FFmpeg sees it. Whatever is not understood, or makes FFmpeg doubt, is
left to libheif; so is all without PyAV. Conversion: ITU-T H.273, equations 38 to 43.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from tagger.decode.heic_items import CodedPicture, UnusualError, read_picture, read_spans
from tagger.decode.hevc_header import Coding, check_units, read_coding
from tagger.decode.pixels import Loaded

log = logging.getLogger(__name__)

_LARGEST = 4_000_000
"""Pixels in RGB. Where more are needed libheif's way takes less memory."""
_PAD = 64
"""A coded picture is so much larger at most than what is shown of it."""
_MOST_CODED, _SMALL = 2, 1 << 20
"""How much may be coded for a pixel that is shown, above so many pixels: the limit on the size of
photos holds for what is shown."""
_WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}
"""Those of red and blue for the matrices that photos have (H.273, table 4)."""
_UNSAID = 2
_FULL = 2
"""What FFmpeg calls all of the range."""
_STEPS = {0: (1, 1), 1: (2, 2), 2: (2, 1), 3: (1, 1)}
"""Pixels of a picture for one of its chroma planes, across and down, by chroma_format_idc."""
_NAMES = {0: "gray", 1: "yuv420p", 2: "yuv422p", 3: "yuv444p"}
_BROKEN = (ValueError, LookupError, OSError, MemoryError, RuntimeError, ArithmeticError)
"""What is raised of files that are damaged or unusual, besides what FFmpeg raises."""


@functools.cache
def load_ffmpeg() -> Any:
    """Load FFmpeg, unless that was tried before; return the package, or None without it.

    It takes 17 MB, most of which processes share, so those that get no HEIC go without: once
    confined they cannot load it any more.
    """
    try:
        import av
        import av.logging
    except (ImportError, OSError) as error:  # not installed, not for this system, or too late
        log.debug("no FFmpeg: %s", error)
        return None
    av.logging.set_libav_level(av.logging.PANIC)  # of each broken file it would say much
    av.CodecContext.create("hevc", "r")
    return av


def decode_heic(source: BinaryIO, shown: tuple[int, int], short: int) -> Loaded | None:
    """Return the picture of a HEIC file, its shorter side twice ``short`` pixels or more.

    ``shown`` is its size (width, height) as libheif tells it. None if that has to decode it.
    """
    if (av := load_ffmpeg()) is None:
        return None
    try:
        picture = read_picture(source)
        coding = read_coding(picture.setup)
        _check(picture, coding, shown)
        factor = _factor(picture, coding, short)
        left, top, right, bottom = picture.box
        if (right - left) * (bottom - top) > _LARGEST * factor * factor:
            return None
        image = _put_together(source, picture, coding, factor)
    except (*_BROKEN, av.error.FFmpegError) as error:
        # All is tried again by libheif, which says what is wrong.
        log.debug("left to libheif: %r", error)
        return None
    box = (left // factor, top // factor, -(-right // factor), -(-bottom // factor))
    if box != (0, 0, *image.size):
        image = image.crop(box)
    width, height = (right - left) / factor, (bottom - top) / factor
    return Loaded(image, width, height, picture.orientation)


def _check(picture: CodedPicture, coding: Coding, shown: tuple[int, int]) -> None:
    """Raise UnusualError if the file contradicts itself, or much more is coded than is shown."""
    if picture.shown != shown:
        raise UnusualError("a size that libheif does not tell")
    if coding.shown != picture.tile_size or any(
        coded > side + _PAD for coded, side in zip(coding.size, coding.shown, strict=True)
    ):
        raise UnusualError("a coded picture of another size")
    width, height = coding.size
    if width * height * len(picture.tiles) > _MOST_CODED * shown[0] * shown[1] + _SMALL:
        raise UnusualError("most of the picture is cut off")
    if coding.depth not in (8, 10, 12):
        raise UnusualError("a picture of another depth")


def _factor(picture: CodedPicture, coding: Coding, short: int) -> int:
    """Return how many pixels a side become one: as many as tiles, crop and planes allow."""
    across, down = _STEPS[coding.chroma]
    left, top, right, bottom = picture.box
    whole = [left, top]  # a pixel begins where what is shown begins, and every tile
    if len(picture.tiles) > 1:
        whole += picture.tile_size
    for factor in range(min(right - left, bottom - top) // (2 * short), 1, -1):
        if factor % across == factor % down == 0 == sum(length % factor for length in whole):
            return factor
    if sum(length % across + length % down for length in whole):
        raise UnusualError("tiles or a crop between the pixels of its colours")
    return 1


def _put_together(
    source: BinaryIO, picture: CodedPicture, coding: Coding, factor: int
) -> Image.Image:
    """Return all of the picture as RGB (or L, in grey), reduced by ``factor``."""
    steps = [(1, 1)] + [_STEPS[coding.chroma]] * (2 if coding.chroma else 0)
    # What a pixel of each plane becomes; colours are made as large as the rest at the end.
    shares = [(max(factor // x, 1), max(factor // y, 1)) for x, y in steps]
    if factor > 1:
        steps = [(1, 1)] * len(steps)
    planes = [
        Image.new("L", (-(-picture.size[0] // (factor * x)), -(-picture.size[1] // (factor * y))))
        for x, y in steps
    ]
    colour = picture.colour
    for number, frame in enumerate(_frames(source, picture, coding)):
        row, column = divmod(number, picture.columns)
        for plane, data, share, (x, y) in zip(planes, frame.planes, shares, steps, strict=True):
            part = _plane(data, coding.depth)
            corner = (column * picture.tile_size[0], row * picture.tile_size[1])
            at = (corner[0] // (factor * x), corner[1] // (factor * y))
            plane.paste(part.reduce(share) if share != (1, 1) else part, at)
        said = int(frame.colorspace), int(frame.color_range) == _FULL
        if picture.colour is None and number and said != colour:
            raise UnusualError("tiles of several colours")
        colour = picture.colour or said
    assert colour is not None
    if not coding.chroma:
        return planes[0]
    for number, (x, y) in enumerate(steps):
        if (x, y) != (1, 1):
            width, height = planes[number].size
            large = planes[number].resize((width * x, height * y), Image.Resampling.NEAREST)
            planes[number] = large.crop((0, 0, *planes[0].size))
    return Image.merge("RGB", planes).convert("RGB", _matrix(*colour))


def _frames(source: BinaryIO, picture: CodedPicture, coding: Coding) -> Iterator[Any]:
    """Yield the decoded tiles. Raise ValueError, or what FFmpeg raises, when one is damaged."""
    av = load_ffmpeg()
    context = av.CodecContext.create("hevc", "r")
    context.extradata = picture.setup
    context.thread_count = 1
    width, height = coding.size
    context.options = {
        "err_detect": "explode",
        "max_pixels": str((width + _PAD) * (height + _PAD)),
    }
    name = _NAMES[coding.chroma]
    names = (name, f"yuvj{name[3:]}") if coding.depth == 8 else (f"{name}{coding.depth}le",)
    for spans in picture.tiles:
        data = read_spans(source, spans)
        check_units(data, picture.setup)
        found = context.decode(av.Packet(data))
        if not found:
            found = context.decode(None)
            context.flush_buffers()
        if len(found) != 1 or (found[0].width, found[0].height) != coding.shown:
            raise UnusualError("not one picture")
        if found[0].format.name not in names or found[0].is_corrupt:
            raise UnusualError("a picture of another format")
        yield found[0]


def _plane(plane: Any, depth: int) -> Image.Image:
    """Return one plane of a frame in 8 bits, without a copy if it has them."""
    size = plane.width, plane.height
    if depth == 8:
        return Image.frombuffer("L", size, plane, "raw", "L", plane.line_size, 1)
    deep = np.frombuffer(plane, "<u2").reshape(size[1], plane.line_size // 2)[:, : size[0]]
    return Image.fromarray((deep >> (depth - 8)).astype(np.uint8))


def _matrix(matrix: int, full: bool) -> tuple[float, ...]:
    """Return the three rows by which Y, Cb, Cr and 1 become red, green and blue, 0 to 255."""
    red, blue = _WEIGHTS[6 if matrix == _UNSAID else matrix]
    green = 1 - red - blue
    light, black, colour = (1.0, 0, 1.0) if full else (255 / 219, 16, 255 / 224)
    of_red, of_blue = 2 * (1 - red) * colour, 2 * (1 - blue) * colour
    rows = (
        (light, 0.0, of_red),
        (light, -of_blue * blue / green, -of_red * red / green),
        (light, of_blue, 0.0),
    )
    return tuple(value for y, cb, cr in rows for value in (y, cb, cr, -y * black - 128 * (cb + cr)))
