"""What is kept twice, decisions and taught labels: in the index, and in a database beside it.

Changes are numbered; ``meta`` of the index has the number of the last one that the index knows.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Callable

from tagger.index.sql_values import Connection, read_text

TIMEOUT = 5.0
"""Seconds to wait for another program that has the database locked."""


def open_beside(path: str, prepare: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
    """Open a database, made if there is none, and let ``prepare`` make and check what is in it.

    With ``synchronous=FULL``: what was committed survives a power cut. Raise OSError or
    sqlite3.Error when it cannot be used.
    """
    try:
        # Never followed, waited for or changed: whatever else has that name.
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
    except FileNotFoundError:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        os.close(os.open(path, flags, 0o640))  # SQLite would let everybody read it
    db = sqlite3.connect(path, isolation_level=None, timeout=TIMEOUT, factory=Connection)
    try:
        db.text_factory = read_text
        db.execute("PRAGMA synchronous=FULL")
        prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def move_aside(path: str) -> str:
    """Rename a damaged database ``x.sqlite3`` to ``x.damaged-<time>.sqlite3``; return that path.

    With its write-ahead log. Raise OSError when it cannot be renamed.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    new = f"{path.removesuffix('.sqlite3')}.damaged-{stamp}.sqlite3"
    for suffix in ("-wal", "-shm", ""):
        if os.path.lexists(path + suffix):
            os.replace(path + suffix, new + suffix)
    return new


def number_in(db: sqlite3.Connection, key: str) -> int | None:
    """Return the number that the ``meta`` of an index has; None for none."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return int(row[0]) if row is not None and str(row[0]).isdecimal() else None


def put_meta(db: sqlite3.Connection, key: str, value: object) -> None:
    """Remember a value in the ``meta`` of an index."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value)))


def why(error: OSError | sqlite3.Error) -> str:
    """Return what an error says of a database, whose path is told otherwise."""
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)
