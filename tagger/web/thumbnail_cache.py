"""Small pictures kept on the disk: made once, bounded in size, and only a cache.

Each is a file of its own, named by a digest of what it was made of, which begins with a digest
of its content: what is damaged is made again. Nothing here fails for its own sake.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator

import xxhash

from tagger.system.files import replace_atomically

log = logging.getLogger(__name__)

FOLDER = "thumbnails"
KEPT_SHARE = 0.9
"""How much of what is allowed is left when the oldest had to go."""

USED_SECONDS = 86_400.0
"""How often it is noted that one was used: it counts as new again."""

STRAY_SECONDS = 3600.0
"""A file of this age that was not finished is left from a killed process."""

_DIGEST = 16
_PART = ".part"


class ThumbnailCache:
    """The cache in ``state_dir``, of about ``max_bytes`` at most. For any thread.

    Several processes may use one. ``clock`` is seconds since the epoch.
    """

    def __init__(
        self, state_dir: str, max_bytes: int, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = os.path.join(state_dir, FOLDER)
        self._max_bytes, self._clock = max_bytes, clock
        self._lock = threading.Lock()
        self._bytes: int | None = None  # not counted yet

    def get(self, key: str) -> bytes | None:
        """Return what was put under ``key``, a word in hexadecimal; None if it is not there."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                used_at = os.fstat(file.fileno()).st_mtime
                digest, content = file.read(_DIGEST), file.read()
        except OSError:
            return None
        if not content or xxhash.xxh3_128_digest(content) != digest:
            log.info("%s is damaged and made again", path)
            with contextlib.suppress(OSError):
                os.unlink(path)
            return None
        now = self._clock()
        if abs(now - used_at) > USED_SECONDS:
            with contextlib.suppress(OSError):  # it is older than it looks, no more
                os.utime(path, (now, now))
        return content

    def put(self, key: str, content: bytes) -> None:
        """Keep ``content``; let the oldest go when there is too much."""
        path = self._path(key)
        try:
            os.makedirs(self.folder, mode=0o750, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.dirname(path), 0o750)
            data = xxhash.xxh3_128_digest(content) + content
            replace_atomically(path, data, mode=0o640, durable=False, unique=True)
            os.utime(path, (self._clock(),) * 2)
        except OSError as error:  # a full disk, or another user's state directory
            log.debug("a thumbnail is not kept: %s", error)
            return
        with self._lock:
            if self._bytes is not None:
                self._bytes += _DIGEST + len(content)
            if self._bytes is None or self._bytes > self._max_bytes:
                self._bytes = self._tidied()

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, key[:2], key)

    def _tidied(self) -> int:
        """Remove the oldest if there is too much; return how many bytes there are."""
        files = sorted(self._files(), reverse=True)
        total = sum(size for _, size, _ in files)
        if total <= self._max_bytes:
            return total
        while files and total > self._max_bytes * KEPT_SHARE:
            _, size, path = files.pop()
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass  # another process was faster
            except OSError as error:
                log.debug("a thumbnail cannot be removed: %s", error)
                continue
            total -= size
        return total

    def _files(self) -> Iterator[tuple[float, int, str]]:
        """Yield when each was used, its size and its path; remove what was never finished."""
        now = self._clock()
        try:
            folders = [entry.path for entry in os.scandir(self.folder) if len(entry.name) == 2]
        except OSError:
            return
        for folder in folders:
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):  # gone meanwhile
                        st = entry.stat(follow_symlinks=False)
                        if entry.name.endswith(_PART) and now - st.st_mtime > STRAY_SECONDS:
                            os.unlink(entry.path)
                        elif not entry.name.endswith(_PART):
                            yield st.st_mtime, st.st_size, entry.path
