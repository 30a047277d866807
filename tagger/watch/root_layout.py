"""How the watched folders lie among each other, and whether their disks answer."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tagger.config.schema import WatchRoot
from tagger.paths import is_inside

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0
"""For so long the disk of another folder is waited for: it may not answer at all."""
FIRST_SECONDS = 10.0
"""The same, while it is not known at all where that folder is."""


@dataclass(frozen=True, slots=True)
class _Asking:
    thread: threading.Thread
    began: float


class RootLayout:
    """How the roots lie among each other, links resolved. Thread-safe."""

    def __init__(self, roots: Sequence[WatchRoot]) -> None:
        self._roots = list(roots)
        self._lock = threading.Lock()
        self._real: dict[str, str] = {}
        self._asking: dict[str, _Asking] = {}

    def inside(self, root: WatchRoot) -> frozenset[str]:
        """Return the folders below ``root``, relative to it, that are roots of their own."""
        real = self._realpath(root.path)
        others = {self._realpath(other.path) for other in self._roots if other is not root}
        return frozenset(
            other[len(real.rstrip(os.sep)) + 1 :]
            for other in others
            if other != real and is_inside(other, real)
        )

    def twin(self, root: WatchRoot) -> str | None:
        """Return an earlier root that is the same folder, if there is one."""
        real = self._realpath(root.path)
        for other in self._roots:
            if other is root:
                return None
            if self._realpath(other.path) == real:
                return other.path
        return None

    def silent(self, seconds: float) -> list[str]:
        """Return the roots whose disks were asked ``seconds`` ago and have not answered yet.

        Does not wait: who wants to know calls it again so much later.
        """
        late = time.monotonic() - seconds
        return [root.path for root in self._roots if self._ask(root.path).began < late]

    def _realpath(self, path: str) -> str:
        """Return where ``path`` leads: what was known last, if its disk does not answer."""
        asking = self._ask(path)
        seconds = ANSWER_SECONDS if path in self._real else FIRST_SECONDS
        asking.thread.join(max(0.0, asking.began + seconds - time.monotonic()))
        return self._real.get(path, path)

    def _ask(self, path: str) -> _Asking:
        """Return the question to the disk that is not answered yet, or a new one."""
        with self._lock:
            asking = self._asking.get(path)
            if asking is None:
                thread = threading.Thread(target=self._resolve, args=(path,), daemon=True)
                asking = self._asking[path] = _Asking(thread, time.monotonic())
                thread.start()
        return asking

    def _resolve(self, path: str) -> None:
        try:
            self._real[path] = os.path.realpath(path)
        except OSError as error:
            log.debug("where %r leads is not known: %s", path, error)
        finally:
            with self._lock:
                del self._asking[path]
