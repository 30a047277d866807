"""SHA-256 of large files, remembered so that a start does not read 45 MB again."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable

from tagger.classify.weights import file_digest
from tagger.system.files import replace_atomically
from tagger.text.parsing import parse_json

RACY_NS = 2_000_000_000
"""A file changed so recently may change again without another mtime: not remembered."""


class DigestCache:
    """The digests of files, kept in ``digests.json`` in ``folder``.

    A file with the same size, mtime and inode is not read again. A memory that cannot be
    read or written costs time only. ``clock`` is nanoseconds since the epoch.
    """

    def __init__(self, folder: str, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._path = os.path.join(folder, "digests.json")
        self._clock = clock

    def of(self, path: str) -> str:
        """Return the SHA-256 of a file in hexadecimal. Raise ModelError when unreadable."""
        path = os.path.abspath(path)
        try:
            before = _version(path)
        except OSError:
            return file_digest(path)  # raises, and says why
        known = self._read()
        row = known.get(path)
        if isinstance(row, list) and row[:-1] == before and isinstance(row[-1], str):
            return row[-1]
        digest = file_digest(path)
        if before[1] < self._clock() - RACY_NS and _version(path) == before:
            known[path] = [*before, digest]
            self._write({old: row for old, row in known.items() if os.path.exists(old)})
        return digest

    def _read(self) -> dict[str, object]:
        try:
            with open(self._path, encoding="ascii") as file:
                known = parse_json(file.read())
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def _write(self, known: dict[str, object]) -> None:
        with contextlib.suppress(OSError):  # no such folder yet, or not ours
            replace_atomically(self._path, json.dumps(known).encode(), durable=False)


def _version(path: str) -> list[int]:
    st = os.stat(path)
    return [st.st_size, st.st_mtime_ns, st.st_ino]
