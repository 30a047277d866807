"""Opening the index for reading.

A reader may be another user than the daemon. SQLite then cannot make the files that a
WAL database needs (``attempt to write a readonly database``), and ``immutable=1`` would
answer without what is still in the WAL; so such a reader works on a private copy.
"""

from __future__ import annotations

import functools
import math
import os
import sqlite3
import time

from tagger.errors import IndexNotReadyError, StateError
from tagger.index.conditions import EARTH_RADIUS_KM
from tagger.index.folding import fold
from tagger.index.migrations import MIGRATIONS
from tagger.index.sql_values import Connection, uri_of
from tagger.system.path_spelling import same_letters


def connect(path: str) -> sqlite3.Connection:
    """Open a database for reading, with the functions that queries use."""
    db = sqlite3.connect(uri_of(path), uri=True, timeout=10, factory=Connection)
    db.row_factory = sqlite3.Row
    _add_functions(db)
    return db


def steps_of(db: sqlite3.Connection) -> set[str]:
    """Return the steps of the schema that the index has."""
    return {row["name"] for row in db.execute("SELECT name FROM migrations")}


def check_steps(steps: set[str], path: str) -> None:
    """Raise StateError if the index does not have the schema that we know."""
    known = {name for name, _ in MIGRATIONS}
    if steps - known:
        raise StateError(
            f"the index {path} was written by a newer tagger ({max(steps - known)})",
            "use that version",
        )
    if known - steps:
        raise IndexNotReadyError(
            f"the index {path} was written by an older tagger",
            "start the daemon (`tagger run`), or wait if it is starting: it brings it up to date",
        )


def snapshot(path: str, folder: str) -> str:
    """Copy the database with its WAL until both are of one moment; return the copy's path."""
    import shutil

    copy = os.path.join(folder, "index.sqlite3")
    for _ in range(20):
        before = _version(path)
        for suffix in ("", "-wal"):
            if os.path.exists(path + suffix):
                shutil.copyfile(path + suffix, copy + suffix)
        if _version(path) == before:
            break
        time.sleep(0.05)
    return copy


def _version(path: str) -> list[tuple[int, int] | None]:
    versions: list[tuple[int, int] | None] = []
    for suffix in ("", "-wal"):
        try:
            st = os.stat(path + suffix)
            versions.append((st.st_size, st.st_mtime_ns))
        except FileNotFoundError:
            versions.append(None)
    return versions


def _add_functions(db: sqlite3.Connection) -> None:
    """Give a connection the functions that the conditions of queries use."""
    # Thousands of photos share a folder, all of them a few cameras.
    folder = functools.lru_cache(100_000)(lambda path: fold(os.fsdecode(path)))
    text = functools.lru_cache(10_000)(fold)
    letters = functools.lru_cache(100_000)(
        # What is not UTF-8 stays apart from every name that is.
        lambda path: same_letters(path.decode("utf-8", "backslashreplace"))
    )

    def in_folder(path: bytes, fragment: str) -> bool:
        return fragment in folder(path[: path.rfind(b"/") + 1])

    def below(path: bytes, prefix: str) -> bool:
        return letters(path[: path.rfind(b"/") + 1]).startswith(prefix)

    def has_text(value: str | None, fragment: str) -> bool:
        return value is not None and fragment in text(value)

    db.create_function("in_folder", 2, in_folder, deterministic=True)
    db.create_function("below", 2, below, deterministic=True)
    db.create_function("has_text", 2, has_text, deterministic=True)
    db.create_function("distance_km", 4, distance_km, deterministic=True)


def distance_km(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Return the great-circle distance of two places in degrees, by the haversine formula.

    (R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984.)
    """
    a, b = math.radians(lat1), math.radians(lat2)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, half)))
