"""Opens a photo of any format, once, and has it reduced to what the networks want.

Meant to run in the processes of :mod:`~tagger.decode.pool`: the files come from strangers. ICC
profiles are ignored, as the models were trained without them.
"""

from __future__ import annotations

import errno
import io
import os
import re
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
from tagger.decode.crops import cut, shorter_side
from tagger.decode.descriptors import open_file
from tagger.decode.facts import BROKEN_EXIF, read_facts
from tagger.decode.heic import decode_heic
from tagger.decode.pixels import LARGE, Loaded, Rows, reduced_by, shrink
from tagger.errors import DamagedImageError, ImageTooLargeError, NotAnImageError, PhotoError
from tagger.records import NO_VIEWS, CropSpec, DecodedPhoto, ExtraViews, PhotoFacts
from tagger.system.files import unreadable
from tagger.system.paths import is_raw_name

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "HEIF", "AVIF")
"""All that is opened; Pillow knows many more, each with its own bugs. MPO opens as JPEG."""

_JPEG_FACTOR = 4

MAX_SCANS = 100
"""Of a progressive JPEG, with those of the pictures in its metadata; encoders make about ten."""

_BROKEN = (*BROKEN_EXIF, EOFError, AssertionError, zlib.error, Image.DecompressionBombError)
"""What decoders raise on damaged files, as fuzzing them shows."""

_HEADS = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|GIF8[79]a|RIFF....WEBP|....ftyp(hei|hev|mif1|msf1|avi[fs])",
    re.DOTALL,
)
"""How files begin that can only be images of a kind that is read."""

_OUT_OF_MEMORY = ("unexpected C++ exception", "Memory allocation error")
"""How libheif says that it could not get, or would not ask for, so much."""

_THUMBNAIL_SIDE = 224


pillow_heif.register_heif_opener(thumbnails=True)
Image.init()  # now, while no limit holds yet
# The limit is checked here, from the header, with a clear message.
Image.MAX_IMAGE_PIXELS = None
warnings.simplefilter("ignore")


def decode(
    path: str,
    spec: CropSpec,
    *,
    fd: int | None = None,
    max_pixels: int = 200_000_000,
    more: bool = False,
    whole: bool = False,
    views: ExtraViews = NO_VIEWS,
) -> DecodedPhoto:
    """Return the centre crop of the photo at ``path``, and what it says of itself.

    With ``fd`` its file is open already, and nothing is opened by that name. ``more`` adds the two
    end squares of a photo that is clearly not square, ``views`` what further networks want;
    ``whole`` takes no thumbnail. Of a JPEG that is not progressive, four times ``max_pixels`` may
    be there: it is decoded smaller; a HEIF file whose thumbnail is taken may have any size. Raise
    NotAnImageError, DamagedImageError, ImageTooLargeError (more than ``max_pixels``),
    PhotoVanishedError or PhotoUnreadableError.
    """
    with open_photo(path, fd) as file:
        source, raw_size = image_in(path, file)
        whole = whole and raw_size is None
        short = shorter_side(spec, views)
        with open_image(source, path, max_pixels, thumbnail=not whole) as (image, facts):
            draft(image, short, whole=whole)
            small = image.format == "HEIF" and image.size != (facts.width, facts.height)
            loaded = load(image, source, short, facts)
            if raw_size is not None:
                kind = os.path.splitext(path)[1][1:].upper()
                facts = replace(facts, format=kind, width=raw_size[0], height=raw_size[1])
            return cut(loaded, facts, spec, views, more=more, from_thumbnail=small)


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


def image_in(path: str, file: BinaryIO) -> tuple[BinaryIO, tuple[int, int] | None]:
    """Return the image in a photo's file, and of a camera RAW file its displayed size.

    Of a RAW file, as its name says and its beginning does not deny, it is the largest preview that
    it carries, with the orientation it still needs in its EXIF block. Without a preview that is
    read it is developed, at half its size.
    """
    if not is_raw_name(path):
        return file, None
    head = file.read(16)
    file.seek(0)
    if _HEADS.match(head):
        return file, None
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
        facts = read_facts(image, source, os.path.basename(path), (width, height))
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


def draft(image: Image.Image, short: int, *, whole: bool) -> None:
    """Ask the decoder for a smaller picture, its shorter side no less than ``short`` pixels.

    Of a HEIF file its thumbnail serves, unless the ``whole`` is wanted.
    """
    width, height = image.size
    if image.format == "HEIF":
        if not whole:
            _use_thumbnail(image)
    elif image.format in ("JPEG", "MPO"):
        scale = short / min(width, height)
        if scale < 1:
            image.draft(None, (round(width * scale), round(height * scale)))


def load(image: Image.Image, source: BinaryIO, short: int, facts: PhotoFacts) -> Loaded:
    """Return the decoded picture; that of a HEIF file smaller, if much less is wanted.

    Its shorter side stays at least twice as long as ``short``. Made smaller while it is decoded,
    its pixels are not there twice.
    """
    width, height = image.size
    if (
        image.format == "HEIF"
        and image.mode in ("L", "RGB")
        and image.size == (facts.width, facts.height)
    ):
        found = decode_heic(source, image.size, short)
        if found is not None:
            return found
    factor = shrink(image.size, short)
    if image.format == "HEIF" and width * height > LARGE and factor > 1:
        source.seek(0)
        heif = pillow_heif.open_heif(source, remove_stride=False)
        if heif.size == image.size and heif.mode == image.mode:
            small = reduced_by(Rows(heif.mode, heif.size, heif.data, heif.stride), factor)
            return Loaded(small, width / factor, height / factor, facts.orientation)
    image.load()
    return Loaded(image, *image.size, facts.orientation)


def _use_thumbnail(image: Image.Image) -> bool:
    """Let pillow-heif decode a thumbnail instead, if one is large enough; return whether one is."""
    width, height = image.size
    scale = _THUMBNAIL_SIDE / min(width, height)
    if image.format != "HEIF" or scale >= 1:
        return False
    # Rounded down: a thumbnail whose long side was rounded will do.
    return image.draft(None, (int(width * scale), int(height * scale))) is not None
