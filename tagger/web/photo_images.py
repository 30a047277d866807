"""Photos of the library as small JPEGs: opened safely, decoded elsewhere, kept a while."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Container
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, BinaryIO, Literal, NamedTuple

from tagger.config.schema import Config, WatchRoot
from tagger.errors import PhotoError
from tagger.index.rows import PhotoRow
from tagger.pipeline.decoding import decode_pool
from tagger.records import CropSpec, FileStat
from tagger.system.open_beneath import open_regular
from tagger.system.paths import is_raw_name
from tagger.web.errors import WebError
from tagger.web.thumbnail_cache import ThumbnailCache
from tagger.web.uploads import Spool, closing

if TYPE_CHECKING:
    from tagger.decode.pool import DecodePool

Size = Literal["thumbnail", "view"]

SIDES: dict[Size, int] = {"thumbnail": 320, "view": 1600}
"""In pixels. A thumbnail is the square in the middle; a view is whole, and no longer."""

VIEW_BYTES = 24_000_000
"""Of large pictures that are kept in memory; one has a third of a megabyte."""

_VERSION = 1
"""To be raised when pictures are made in another way, so that all are made anew."""

WAITING = 12
"""Pictures being made, or waited for, at once."""
PATIENCE_SECONDS = 30.0

MAX_BYTES = 500_000_000
"""Of a photo, which is copied to be decoded."""


def open_inside(path: str, root: WatchRoot) -> BinaryIO:
    """Open the photo at ``path`` without following any link below the folder ``root``.

    Raise WebError when it is not there, is no regular file, or does not lie in ``root``.
    """
    try:
        return open(open_regular(root.path, path), "rb")
    except PermissionError as error:
        raise WebError(
            "the photo cannot be read by this user", "check its rights", status=403
        ) from error
    except (OSError, ValueError) as error:
        raise _gone() from error


def _gone() -> WebError:
    return WebError(
        "the photo is not there, or not in a watched folder",
        "see `tagger status` for the folders",
        status=404,
    )


class Picture(NamedTuple):
    """A JPEG to be shown, without metadata; ``etag`` changes with the photo."""

    jpeg: bytes
    etag: str


class PhotoImages:
    """Makes pictures for pages, each once. For any thread.

    Thumbnails are kept on the disk, the latest large pictures in memory.
    """

    def __init__(self, config: Config, spool: Spool) -> None:
        self._config, self._spool = config, spool
        self._thumbnails = ThumbnailCache(config.state_dir, config.web.thumbnails_mb * 1_000_000)
        self._pool: DecodePool | None = None
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(WAITING)
        self._views: OrderedDict[str, bytes] = OrderedDict()
        self._closed = False

    def close(self) -> None:
        """Stop the decoding process."""
        with self._lock:
            self._closed = True
            if self._pool is not None:
                self._pool.close()

    def picture(self, row: PhotoRow, size: Size, have: Container[str] = ()) -> Picture:
        """Return the photo, oriented. Raise WebError when it must or can not be shown.

        Its ``jpeg`` is empty when ``have``, the etags of what the browser has, holds its.
        """
        root = self._config.root_of(row.path)
        if root is None:
            raise _gone()
        with open_inside(row.path, root) as photo:
            st = os.fstat(photo.fileno())
            if st.st_size > MAX_BYTES:
                raise WebError("the photo is too large to be shown", "open it itself", status=422)
            key = _key(row, size, st)
            if key in have:
                return Picture(b"", key)
            jpeg = self._kept(key, size)
            if jpeg is None:
                jpeg = self._made(photo, row.path, size)
                self._keep(key, size, jpeg)
        return Picture(jpeg, key)

    def _made(self, photo: BinaryIO, path: str, size: Size) -> bytes:
        from PIL import Image

        if not self._free.acquire(timeout=PATIENCE_SECONDS):
            raise WebError(
                "too many pictures are being made", "try again", status=503, retry_after=5
            )
        try:
            suffix = os.path.splitext(path)[1].lower() if is_raw_name(path) else ""
            with self._spool.file(photo, suffix=suffix, limit=MAX_BYTES) as copy:
                try:
                    square = size == "thumbnail"
                    pixels = self._ready().view(copy, SIDES[size], square=square).result()
                except PhotoError as error:
                    message = error.message.replace(copy, "the photo")
                    raise WebError(message, error.remedy, status=422) from error
                except (CancelledError, RuntimeError) as error:
                    raise closing() from error
            out = io.BytesIO()
            # A new picture: it has nothing but the pixels.
            Image.fromarray(pixels).save(out, "JPEG", quality=82, optimize=True)
            return out.getvalue()
        finally:
            self._free.release()

    def _ready(self) -> DecodePool:
        with self._lock:
            if self._closed:
                raise closing()
            if self._pool is None:
                self._pool = decode_pool(self._config, CropSpec(), workers=1)
            return self._pool

    def _kept(self, key: str, size: Size) -> bytes | None:
        if size == "thumbnail":
            return self._thumbnails.get(key)
        with self._lock:
            if (kept := self._views.get(key)) is not None:
                self._views.move_to_end(key)
            return kept

    def _keep(self, key: str, size: Size, jpeg: bytes) -> None:
        if size == "thumbnail":
            self._thumbnails.put(key, jpeg)
            return
        with self._lock:
            self._views[key] = jpeg
            while len(self._views) > 1 and sum(map(len, self._views.values())) > VIEW_BYTES:
                self._views.popitem(last=False)


def _key(row: PhotoRow, size: Size, st: os.stat_result) -> str:
    """Return what a picture is kept under: it is another one when the photo's bytes are.

    A photo whose digest is known keeps it when it is moved, or only touched.
    """
    known = row.stat is not None and FileStat.of(st).same_version(row.stat)
    if known and row.source_hash:  # which our own writes into the photo do not change
        of = row.source_hash.hex()
    else:
        of = f"{st.st_dev:x}-{st.st_ino:x}-{st.st_size:x}-{st.st_mtime_ns:x}"
    made = f"{_VERSION}-{size}-{SIDES[size]}-{of}"
    return hashlib.blake2b(made.encode(), digest_size=16).hexdigest()
