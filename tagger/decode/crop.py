"""Opens a photo of any format and reduces it to the square the model wants.

One resize goes straight from the (drafted) picture to the crop; it gives what torchvision's
``Resize`` and ``CenterCrop`` give one after the other. Meant to run in the processes of
:mod:`~tagger.decode.pool`: the files come from strangers. ICC profiles are ignored, as the
models were trained without them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from tagger.decode import part_limits
from tagger.decode.descriptors import open_file
from tagger.decode.facts import read_exif, read_facts, read_orientation
from tagger.decode.pixels import (
    LARGE,
    Rows,
    brightest,
    from_deep,
    is_deep,
    reduced,
    reduced_by,
    shrink,
    to_rgb,
    turn,
)
from tagger.errors import (
    DamagedImageError,
    ImageTooLargeError,
    NotAnImageError,
    PhotoError,
)
from tagger.paths import RAW_SUFFIXES
from tagger.records import CropSpec, DecodedPhoto, PhotoFacts
from tagger.system.files import unreadable

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "HEIF", "AVIF")
"""All that is opened; Pillow knows many more, each with its own bugs. MPO opens as JPEG."""

TURNED = ("HEIF", "TIFF")
"""Pillow gives these as they are to be seen, whatever EXIF says."""

WIDE = 1.15
"""From this ratio of the sides on, crops of both ends are looked at as well."""

_JPEG_FACTOR = 4

MAX_SCANS = 100
"""Of a progressive JPEG, with those of the pictures in its metadata; encoders make about ten."""

_RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    EOFError,
    OverflowError,
    ZeroDivisionError,
    struct.error,
    RuntimeError,
    AssertionError,
    zlib.error,
    Image.DecompressionBombError,
)
"""What decoders raise on damaged files, as fuzzing them shows."""

_HEADS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|RIFF....WEBP|....ftyp(hei|hev|mif1|msf1|avi[fs])",
    re.DOTALL,
)
"""How files begin that can only be images of a kind that is read."""

_OUT_OF_MEMORY = ("unexpected C++ exception", "Memory allocation error")
"""How libheif says that it could not get, or would not ask for, so much."""

_FLIPS_X, _FLIPS_Y = (2, 3, 7, 8), (3, 4, 6, 7)
"""Which orientations turn the stored x or y axis around."""

_THUMBNAIL_SIDE = 224


def _prepare_pillow() -> None:
    pillow_heif.register_heif_opener(thumbnails=True)
    Image.init()  # now, while no limit holds yet
    # The limit is checked here, from the header, with a clear message.
    Image.MAX_IMAGE_PIXELS = None
    warnings.simplefilter("ignore")


_prepare_pillow()


def decode(
    path: str,
    spec: CropSpec,
    *,
    fd: int | None = None,
    max_pixels: int = 200_000_000,
    more: bool = False,
    whole: bool = False,
) -> DecodedPhoto:
    """Return the centre crop of the photo at ``path``, and what it says of itself.

    With ``fd`` its file is open already, and nothing is opened by that name.

    ``more`` adds the two end squares of a photo that is clearly not square; ``whole`` takes
    no thumbnail. Of a JPEG that is not progressive, four times ``max_pixels`` may be there:
    it is decoded smaller; a HEIF file whose thumbnail is taken may have any size. Raise
    NotAnImageError, DamagedImageError, ImageTooLargeError (more than ``max_pixels``),
    PhotoVanishedError or PhotoUnreadableError.
    """
    with open_photo(path, fd) as file:
        if is_raw(path, file):
            return _decode_raw(file, path, spec, max_pixels, more)
        return _decode(file, path, spec, max_pixels, more, whole=whole)


@contextmanager
def open_photo(path: str, fd: int | None = None) -> Iterator[BinaryIO]:
    """Open a photo's file; what libraries raise of it becomes as :func:`decode` raises.

    With ``fd`` it is open already, and the path serves messages only; it is closed then, too.
    """
    with open(open_file(path) if fd is None else fd, "rb") as file:
        try:
            part_limits.check(file.fileno(), path)
            yield file
        except PhotoError:
            raise
        except MemoryError as error:
            raise _too_much_memory(path) from error
        except UnidentifiedImageError as error:
            file.seek(0)
            if _HEADS.match(file.read(16)):
                raise _damaged(path, ValueError("its header makes no sense")) from error
            raise NotAnImageError(
                f"{path} is no image, or of a kind that is not read", "nothing to do"
            ) from error
        except _BROKEN as error:
            raise _damaged(path, error) from error


def is_raw(path: str, file: BinaryIO) -> bool:
    """Whether it is a camera RAW file, by its name, and its beginning does not deny it."""
    if os.path.splitext(path)[1].lower() not in RAW_SUFFIXES:
        return False
    head = file.read(16)
    file.seek(0)
    return _HEADS.match(head) is None


def _too_much_memory(path: str) -> ImageTooLargeError:
    return ImageTooLargeError(
        f"{path} needs more memory than its process may use",
        "raise `decode.memory_mb`, or leave it untagged",
    )


def _damaged(path: str, error: Exception) -> PhotoError:
    if isinstance(error, OSError) and error.errno in (errno.EIO, errno.ESTALE, errno.EACCES):
        return unreadable(path, error)
    said = error.args[0] if error.args else ""
    what = said.decode("ascii", "replace") if isinstance(said, bytes) else str(error)
    what = what or type(error).__name__
    if any(words in what for words in _OUT_OF_MEMORY):
        return _too_much_memory(path)
    return DamagedImageError(
        f"{path} is damaged or truncated: {what[:200]}", "copy it again from its source"
    )


def _decode_raw(
    file: BinaryIO, path: str, spec: CropSpec, max_pixels: int, more: bool
) -> DecodedPhoto:
    """Decode the preview of a camera RAW file; format and size are those of the RAW."""
    preview, size = raw_preview(path, file)
    photo = _decode(preview, path, spec, max_pixels, more)
    kind = os.path.splitext(path)[1][1:].upper()
    facts = replace(photo.facts, format=kind, width=size[0], height=size[1])
    return replace(photo, facts=facts)


def raw_preview(path: str, file: BinaryIO) -> tuple[BinaryIO, tuple[int, int]]:
    """Return the largest preview that a camera RAW file carries, and the RAW's displayed size.

    The preview is an image file, with the orientation it still needs in its EXIF block. A
    RAW file without a preview that is read is developed, at half its size.
    """
    import rawpy

    try:
        with rawpy.imread(file) as raw:
            flip = raw.sizes.flip
            size = (raw.sizes.width, raw.sizes.height)
            if flip in (5, 6):
                size = size[::-1]
            try:
                preview = raw.extract_thumb()
            except (
                rawpy.LibRawNoThumbnailError,
                rawpy.LibRawUnsupportedThumbnailError,
                NotImplementedError,
            ):
                preview = None
            if preview is None:  # rawpy turns what it develops
                return _bitmap(raw.postprocess(half_size=True), 1), size
            if isinstance(preview.data, bytes):
                return io.BytesIO(preview.data), size
            return _bitmap(preview.data, {3: 3, 5: 8, 6: 6}.get(flip, 1)), size
    except rawpy.LibRawFileUnsupportedError as error:
        raise NotAnImageError(
            f"{path} is no camera RAW file that is read", "nothing to do"
        ) from error
    except rawpy.LibRawError as error:
        raise _damaged(path, error) from error


def _bitmap(pixels: NDArray[np.uint8], orientation: int) -> BinaryIO:
    out = io.BytesIO()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(pixels).save(out, "PNG", compress_level=0, exif=exif)
    out.seek(0)
    return out


def _decode(
    source: BinaryIO,
    path: str,
    spec: CropSpec,
    max_pixels: int,
    more: bool,
    *,
    whole: bool = False,
) -> DecodedPhoto:
    with open_image(source, path, max_pixels, thumbnail=not whole) as (image, facts):
        orientation = facts.orientation
        draft(image, spec, whole=whole)
        small = image.format == "HEIF" and image.size != (facts.width, facts.height)
        picture = load(image, source, spec.resize)
        centre, ends = _crops(picture, orientation, spec, more)
    digest = hashlib.blake2b(centre.tobytes(), digest_size=16).digest()
    return DecodedPhoto(centre, digest, facts, ends, small)


@contextmanager
def open_image(
    source: BinaryIO, path: str, max_pixels: int, *, thumbnail: bool = True
) -> Iterator[tuple[Image.Image, PhotoFacts]]:
    """Open what may be decoded, and read its facts, among them how it is still to be turned.

    Of a HEIF file that is too large its ``thumbnail`` is opened, when there is one that serves.
    Raise as :func:`decode`.
    """
    with Image.open(source, formats=FORMATS) as image:
        width, height = image.size
        allowed = max_pixels
        if image.format in ("JPEG", "MPO") and not image.info.get("progressive"):
            allowed *= _JPEG_FACTOR
        if width * height > allowed and not (thumbnail and _use_thumbnail(image)):
            raise ImageTooLargeError(
                f"{path} has {width} x {height} pixels, more than {allowed / 1e6:.0f} million",
                "raise `decode.max_megapixels`, if it is a photo",
            )
        exif = read_exif(image)
        orientation = 1 if image.format in TURNED else read_orientation(exif)
        facts = read_facts(
            exif,
            image_format="JPEG" if image.format == "MPO" else image.format or "",
            size=(width, height),
            orientation=orientation,
        )
        if image.info.get("progressive") and _scans(source) > MAX_SCANS:
            raise DamagedImageError(
                f"{path} repeats its picture {_scans(source)} times, to cost time",
                "leave it untagged, it is no camera's",
            )
        yield image, facts


def _scans(source: BinaryIO) -> int:
    """Return how many scans a JPEG file has; their marker occurs nowhere else (T.81 B.1.1.5)."""
    at = source.tell()
    source.seek(0)
    count = 0
    last = b""
    while chunk := source.read(1 << 20):
        count += (last + chunk).count(b"\xff\xda")
        last = chunk[-1:]
    source.seek(at)
    return count


def draft(image: Image.Image, spec: CropSpec, *, whole: bool) -> None:
    """Ask the decoder for a smaller picture, never one smaller than is needed."""
    width, height = image.size
    if image.format == "HEIF":
        if not whole:
            _use_thumbnail(image)
    elif image.format in ("JPEG", "MPO"):
        scale = spec.resize / min(width, height)
        if scale < 1:
            image.draft(None, (round(width * scale), round(height * scale)))


def load(image: Image.Image, source: BinaryIO, short: int) -> Image.Image:
    """Return the decoded picture; a large one of a HEIF file as :func:`reduced` returns it.

    That is done while it is decoded: else its pixels were there twice.
    """
    factor = shrink(image.size, short)
    if image.format == "HEIF" and image.width * image.height > LARGE and factor > 1:
        source.seek(0)
        heif = pillow_heif.open_heif(source, remove_stride=False)
        if heif.size == image.size and heif.mode == image.mode:
            pixels = heif.data
            return reduced_by(Rows(heif.mode, heif.size, pixels, heif.stride), factor)
    image.load()
    return image


def _use_thumbnail(image: Image.Image) -> bool:
    """Let pillow-heif decode a thumbnail instead, when there is one that is large enough.

    Return whether there is.
    """
    width, height = image.size
    scale = _THUMBNAIL_SIDE / min(width, height)
    if image.format != "HEIF" or scale >= 1:
        return False
    # Rounded down: a thumbnail whose long side was rounded will do.
    return image.draft(None, (int(width * scale), int(height * scale))) is not None


def _crops(
    image: Image.Image, orientation: int, spec: CropSpec, more: bool
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    deep = is_deep(image)
    mode = image.mode
    if image.width * image.height > LARGE:
        image = reduced(image, spec.resize)
    width, height = image.size
    short = min(width, height)
    # As torchvision: the short side becomes `resize`, the long one is truncated.
    out_width = spec.resize if width == short else int(spec.resize * width / short)
    out_height = spec.resize if height == short else int(spec.resize * height / short)
    limit = brightest(image, mode) if deep else None
    shares: list[float | None] = [None]
    if more and max(width, height) >= WIDE * short:
        shares += [0.0, 1.0]
    wide, side = out_width > out_height, spec.size
    corners = [
        (
            _offset(out_width - side, share, wide, orientation in _FLIPS_X),
            _offset(out_height - side, share, not wide, orientation in _FLIPS_Y),
        )
        for share in shares
    ]
    # They overlap: what they cover is resized in one piece.
    left, top = (min(axis) for axis in zip(*corners, strict=True))
    right, bottom = (max(axis) + side for axis in zip(*corners, strict=True))
    piece = _resized(image, spec, (out_width, out_height), (left, top, right, bottom))
    if limit is not None:
        piece = from_deep(piece, limit)
    squares = [(x - left, y - top, x - left + side, y - top + side) for x, y in corners]
    arrays = [np.asarray(turn(piece.crop(square), orientation)) for square in squares]
    return arrays[0], np.array(arrays[1:], np.uint8).reshape(-1, side, side, 3)


def _resized(
    image: Image.Image,
    spec: CropSpec,
    out_size: tuple[int, int],
    area: tuple[int, int, int, int],
) -> Image.Image:
    """Return the ``area`` of ``image`` as it is when that is resized to ``out_size``.

    RGB, or as deep as ``image``, and still to be turned. Sizes are (width, height).
    """
    x, y = image.width / out_size[0], image.height / out_size[1]
    box = (area[0] * x, area[1] * y, area[2] * x, area[3] * y)
    # A crop larger than the picture does not exist: `size` is never above `resize` by much.
    box = (max(box[0], 0), max(box[1], 0), min(box[2], image.width), min(box[3], image.height))
    # Only what is needed is converted: a margin around the box serves the filter.
    margin_x, margin_y = int(4 * x) + 2, int(4 * y) + 2
    needed = (
        max(int(box[0]) - margin_x, 0),
        max(int(box[1]) - margin_y, 0),
        min(int(box[2]) + margin_x, image.width),
        min(int(box[3]) + margin_y, image.height),
    )
    part = image.crop(needed)
    if not is_deep(part):
        part = to_rgb(part)
    elif part.mode not in ("F", "I;16"):
        part = part.convert("I")
    inner = (box[0] - needed[0], box[1] - needed[1], box[2] - needed[0], box[3] - needed[1])
    size = (area[2] - area[0], area[3] - area[1])
    return part.resize(size, _RESAMPLING[spec.interpolation], inner)


def _offset(room: int, share: float | None, longer: bool, flipped: bool) -> int:
    """Return where a crop begins, with ``room`` pixels to spare along its side."""
    offset = round(room / 2) if share is None or not longer else round(room * share)
    # Counted from the other side, so that the same pixels are cut as from a turned picture.
    return room - offset if flipped else offset
