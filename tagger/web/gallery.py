"""Photos of the library as small JPEGs: opened safely, decoded elsewhere, kept a while."""

from __future__ import annotations

import io
import os
import stat
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, BinaryIO

from tagger.config import Config, WatchRoot
from tagger.errors import PhotoError
from tagger.index.records import PhotoRow
from tagger.photo import RAW_SUFFIXES, CropSpec
from tagger.web.services import Picture, Size, WebError
from tagger.web.uploads import Spool, closing, decode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tagger.decode.worker import DecodePool
    from tagger.photo import DecodedPhoto

SIDES: dict[Size, int] = {"thumbnail": 320, "view": 1024}
"""The short side in pixels. A thumbnail is the square in the middle."""

WAITING = 12
"""Pictures being made, or waited for, at once."""
PATIENCE_SECONDS = 30.0

MAX_BYTES = 500_000_000
"""Of a photo, which is copied to be decoded."""

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def open_inside(path: str, root: WatchRoot) -> BinaryIO:
    """Open the photo at ``path`` without following any link below the folder ``root``.

    Raise WebError when it is not there, is no regular file, or does not lie in ``root``.
    """
    folder = root.path.rstrip(os.sep) + os.sep
    names = path.removeprefix(folder).split(os.sep)
    if not path.startswith(folder) or any(name in ("", ".", "..") for name in names):
        raise _gone()
    try:
        at = os.open(folder, _DIRECTORY)
        try:
            for name in names[:-1]:
                inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
                os.close(at)
                at = inner
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            file = os.open(names[-1], flags, dir_fd=at)
        finally:
            os.close(at)
    except PermissionError as error:
        raise WebError(
            "the photo cannot be read by this user", "check its rights", status=403
        ) from error
    except (OSError, ValueError) as error:
        raise _gone() from error
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise _gone()
    return open(file, "rb")


def _gone() -> WebError:
    return WebError(
        "the photo is not there, or not in a watched folder",
        "see `tagger status` for the folders",
        status=404,
    )


class Gallery:
    """Makes pictures for pages, each once: the latest are kept in memory. For any thread."""

    def __init__(self, config: Config, spool: Spool) -> None:
        self._config, self._spool = config, spool
        self._pools: dict[Size, DecodePool] = {}
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(WAITING)
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._kept_bytes = 0
        self._closed = False

    def close(self) -> None:
        """Stop the decoding processes."""
        with self._lock:
            self._closed = True
            for pool in self._pools.values():
                pool.close()

    def picture(self, row: PhotoRow, size: Size) -> Picture:
        """See :class:`tagger.web.services.Shows`."""
        root = self._config.root_of(row.path)
        if root is None:
            raise _gone()
        with open_inside(row.path, root) as photo:
            st = os.fstat(photo.fileno())
            if st.st_size > MAX_BYTES:
                raise WebError("the photo is too large to be shown", "open it itself", status=422)
            etag = f"{size}-{st.st_dev:x}-{st.st_ino:x}-{st.st_size:x}-{st.st_mtime_ns:x}"
            with self._lock:
                kept = self._kept.get(etag)
                if kept is not None:
                    self._kept.move_to_end(etag)
            if kept is None:
                kept = self._made(photo, row.path, size)
                self._keep(etag, kept)
        return Picture(kept, etag)

    def _made(self, photo: BinaryIO, path: str, size: Size) -> bytes:
        if not self._free.acquire(timeout=PATIENCE_SECONDS):
            raise WebError(
                "too many pictures are being made", "try again", status=503, retry_after=5
            )
        try:
            suffix = os.path.splitext(path)[1].lower()
            suffix = suffix if suffix in RAW_SUFFIXES else ""
            with self._spool.file(photo, suffix=suffix, limit=MAX_BYTES) as copy:
                try:
                    decoded = decode(self._pool(size), copy)
                except PhotoError as error:
                    message = error.message.replace(copy, "the photo")
                    raise WebError(message, error.remedy, status=422) from error
            return _jpeg(_whole(decoded) if size == "view" else decoded.crop, decoded)
        finally:
            self._free.release()

    def _pool(self, size: Size) -> DecodePool:
        from tagger.decode.worker import DecodePool

        with self._lock:
            if self._closed:
                raise closing()
            if size not in self._pools:
                limits, side = self._config.decode, SIDES[size]
                self._pools[size] = DecodePool(
                    CropSpec(side, side),
                    workers=1,
                    max_pixels=limits.max_megapixels * 1_000_000,
                    timeout=limits.timeout_seconds,
                    memory_mb=limits.memory_mb,
                    more=size == "view",
                )
            return self._pools[size]

    def _keep(self, etag: str, jpeg: bytes) -> None:
        with self._lock:
            if etag in self._kept:
                return
            self._kept[etag] = jpeg
            self._kept_bytes += len(jpeg)
            while self._kept_bytes > self._config.web.thumbnails_mb * 1_000_000:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= len(oldest)


def _whole(decoded: DecodedPhoto) -> NDArray[np.uint8]:
    """Return the picture (H, W, 3) put together from its square in the middle and both ends.

    A panorama with more than three such squares in a row is its middle only.
    """
    import numpy as np

    middle, facts = decoded.crop, decoded.facts
    if decoded.more is None or len(decoded.more) != 2 or not facts.width or not facts.height:
        return middle
    side = len(middle)
    wide = facts.width > facts.height
    ratio = max(facts.width, facts.height) / min(facts.width, facts.height)
    length = int(side * ratio)
    if length > 3 * side:
        return middle
    axis = 1 if wide else 0
    shape = (side, length, 3) if wide else (length, side, 3)
    whole = np.empty(shape, np.uint8)
    # Ends last: where the middle's offset was rounded, they are right to the pixel.
    for start, part in (
        (round((length - side) / 2), middle),
        (0, decoded.more[0]),
        (length - side, decoded.more[1]),
    ):
        if axis:
            whole[:, start : start + side] = part
        else:
            whole[start : start + side] = part
    return whole


def _jpeg(pixels: NDArray[np.uint8], decoded: DecodedPhoto) -> bytes:
    """Return a JPEG of nothing but the pixels, no larger than the photo is."""
    from PIL import Image

    image = Image.fromarray(pixels)
    facts = decoded.facts
    short = min(facts.width or 1, facts.height or 1)
    if short < min(image.size):
        scale = short / min(image.size)
        image = image.resize([max(1, round(n * scale)) for n in image.size])
    out = io.BytesIO()
    image.save(out, "JPEG", quality=82)
    return out.getvalue()
