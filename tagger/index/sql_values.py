"""The one way into SQLite: whatever a photo, a name or a clock holds becomes something storable.

SQLite holds integers of 64 bits, text of whole characters and finite numbers. Python, file
systems and strangers' metadata hold more; a photo with such a value keeps the nearest one.
"""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Iterable
from typing import Any

from tagger.text.unicode import well_formed

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1


def storable(value: Any) -> Any:
    """Return ``value`` as SQLite can hold it.

    Integers beyond 64 bits become the nearest one, numbers that are none (NaN, infinite) NULL;
    in text what is no Unicode is made visible. NumPy's numbers become Python's.
    """
    kind = type(value)
    if kind is bytes or kind is bool or value is None:
        return value
    if kind is str:
        return well_formed(value)
    if kind is int:
        return min(max(value, _LEAST), _MOST)
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, bytes | bytearray | memoryview):
        return value
    for base in (int, float, str):
        if isinstance(value, base):
            return storable(base(value))
    item = getattr(value, "item", None)
    return storable(item()) if item is not None else well_formed(str(value))


class Connection(sqlite3.Connection):
    """A connection to which only storable values get."""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Run one statement."""
        return super().execute(sql, tuple(map(storable, parameters)))

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Run one statement with each of ``parameters``."""
        return super().executemany(sql, (tuple(map(storable, one)) for one in parameters))


def uri_of(path: str) -> str:
    """Return the URI of a database to be read only; "?", "#" and "%" mean something in one."""
    # As pathlib's as_uri() has it, which is slow to import.
    escaped = "".join(f"%{byte:02x}" for byte in os.fsencode(os.path.abspath(path)))
    return f"file:{escaped}?mode=ro"


def read_text(data: bytes) -> str:
    r"""Return text as it is stored; of damaged text, which SQLite cannot see, what is left."""
    return data.decode("utf-8", "replace")
