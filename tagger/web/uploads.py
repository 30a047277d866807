"""Pictures on their way to the decoding processes: known by their first bytes, kept briefly."""

from __future__ import annotations

import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from tagger.web.services import WebError

if TYPE_CHECKING:
    from tagger.decode.worker import DecodePool
    from tagger.photo import DecodedPhoto

_CHUNK = 1 << 20

KINDS = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG"),
    (re.compile(rb"GIF8[79]a"), "GIF"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP"),
    (re.compile(rb"....ftyp(?:avif|avis)", re.DOTALL), "AVIF"),
    (re.compile(rb"....ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL), "HEIC"),
)
"""How the files begin that may be sent; the daemon reads more kinds from its folders."""


def sniff(head: bytes) -> str | None:
    """Return the kind of picture that begins with ``head`` (12 bytes); None for others."""
    return next((kind for start, kind in KINDS if start.match(head)), None)


class Spool:
    """A folder of this user's alone, for files that are gone when they have been read."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tagger-web-")
        self._numbers = itertools.count()

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()

    @contextmanager
    def file(self, source: IO[bytes], *, suffix: str = "", limit: int) -> Iterator[str]:
        """Copy ``source`` to a file, give its path, and remove it at the end.

        Raise WebError when there are more than ``limit`` bytes.
        """
        path = os.path.join(self._folder.name, f"{next(self._numbers)}{suffix}")
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as target:
                left = limit
                while chunk := source.read(_CHUNK):
                    left -= len(chunk)
                    if left < 0:
                        raise too_large(limit)
                    target.write(chunk)
            yield path
        finally:
            os.unlink(path)


def decode(pool: DecodePool, path: str) -> DecodedPhoto:
    """Return the decoded file; raise PhotoError, WebError when ``pool`` is being closed."""
    try:
        return pool.submit(path).result()
    except (CancelledError, RuntimeError) as error:
        raise closing() from error


def closing() -> WebError:
    """Return the error for what comes while the page ends."""
    return WebError(
        "the page is being closed", "try again when it is back", status=503, retry_after=5
    )


def too_large(limit: int) -> WebError:
    """Return the error for more than ``limit`` bytes."""
    return WebError(
        f"the file is larger than {limit // 1_000_000} MB",
        "send a smaller picture, or raise `web.max_upload_mb` in the config",
        status=413,
    )
