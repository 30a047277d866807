"""How the watched folders lie among each other, links resolved, and whether their disks answer."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tagger.config.schema import WatchRoot
from tagger.system.paths import is_inside

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0
"""How long to wait for the disk of another folder, which may not answer at all."""
FIRST_SECONDS = 10.0
"""The same, while it is not known yet where that folder is."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a path leads; ``identity`` is device and inode number of a folder that is there."""

    real: str
    identity: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Query:
    """A question to a disk that is not answered yet."""

    thread: threading.Thread
    began: float


class RootLayout:
    """How the roots lie among each other, links resolved. Thread-safe."""

    def __init__(self, roots: Sequence[WatchRoot]) -> None:
        self._roots = list(roots)
        self._lock = threading.Lock()
        self._places: dict[str, _Place] = {}
        self._queries: dict[str, _Query] = {}

    def inside(self, root: WatchRoot) -> frozenset[str]:
        """Return the folders below ``root``, relative to it, that are roots of their own."""
        real = self._place(root.path).real
        others = {self._place(other.path).real for other in self._roots if other is not root}
        return frozenset(
            other[len(real.rstrip(os.sep)) + 1 :]
            for other in others
            if other != real and is_inside(other, real)
        )

    def twin(self, root: WatchRoot) -> str | None:
        """Return an earlier root that is the same folder, if there is one."""
        real = self._place(root.path).real
        for other in self._roots:
            if other is root:
                return None
            if self._place(other.path).real == real:
                return other.path
        return None

    def is_watched(self, path: str) -> bool:
        return any(root.path == path for root in self._roots)

    def renamed(self, former: str, root: str) -> tuple[str, str] | None:
        """Return which folder of ``former``, watched before, is which folder of ``root`` now.

        None when they have nothing in common, or the same path in it. Both must be there.
        """
        before, now = self._place(former), self._place(root)
        if before.identity is None or now.identity is None:
            return None
        old, new = former, root
        if before.identity != now.identity:
            if is_inside(before.real, now.real):
                new = os.path.join(root, os.path.relpath(before.real, now.real))
            elif is_inside(now.real, before.real):
                old = os.path.join(former, os.path.relpath(now.real, before.real))
            else:
                return None
        return (old, new) if old != new else None

    def silent(self, seconds: float) -> list[str]:
        """Return the roots whose disks were asked ``seconds`` ago and have not answered yet.

        Does not wait: who wants to know calls it again so much later.
        """
        late = time.monotonic() - seconds
        return [root.path for root in self._roots if self._query(root.path).began < late]

    def _place(self, path: str) -> _Place:
        """Return where ``path`` leads: what was known last, if its disk does not answer."""
        query = self._query(path)
        seconds = ANSWER_SECONDS if path in self._places else FIRST_SECONDS
        query.thread.join(max(0.0, query.began + seconds - time.monotonic()))
        return self._places.get(path) or _Place(path)

    def _query(self, path: str) -> _Query:
        """Return the question to the disk that is not answered yet, or a new one."""
        with self._lock:
            query = self._queries.get(path)
            if query is None:
                thread = threading.Thread(target=self._resolve, args=(path,), daemon=True)
                query = self._queries[path] = _Query(thread, time.monotonic())
                thread.start()
        return query

    def _resolve(self, path: str) -> None:
        try:
            self._places[path] = _Place(os.path.realpath(path), _identity(path))
        except OSError as error:
            log.debug("where %r leads is not known: %s", path, error)
        finally:
            with self._lock:
                del self._queries[path]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
