"""How the watched folders lie among each other."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

from tagger.config import WatchRoot, is_inside

ANSWER_SECONDS = 2.0
"""For so long the disk of another folder is waited for: it may not answer at all."""


class Layout:
    """How the roots lie among each other, links resolved. Thread-safe."""

    def __init__(self, roots: Sequence[WatchRoot]) -> None:
        self._roots = list(roots)
        self._lock = threading.Lock()
        self._real: dict[str, str] = {}
        self._asking: dict[str, threading.Thread] = {}

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

    def _realpath(self, path: str) -> str:
        """Return where ``path`` leads: what was known last, if its disk does not answer."""
        with self._lock:
            asking = self._asking.get(path)
            if asking is None:
                asking = threading.Thread(target=self._ask, args=(path,), daemon=True)
                self._asking[path] = asking
                asking.start()
        asking.join(ANSWER_SECONDS)
        return self._real.get(path, path)

    def _ask(self, path: str) -> None:
        real = os.path.realpath(path)
        with self._lock:
            self._real[path] = real
            del self._asking[path]
