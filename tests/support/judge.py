"""What must be true of photos and index after whatever happened."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from tests.conftest import Home

MARKER = ".tagger-root"
Files = dict[str, tuple[bytes, int]]
"""The bytes of each file by its name, and the mtime in ns of a photo (0 of others)."""


def contents(folder: Path) -> Files:
    found = {}
    for place in sorted(folder.rglob("*")):
        if place.is_file() and place.name != MARKER:
            told = place.suffix not in (".xmp", ".json")
            name = str(place.relative_to(folder))
            found[name] = (place.read_bytes(), place.stat().st_mtime_ns if told else 0)
    return found


def put(folder: Path, files: Files) -> None:
    for name, (data, mtime) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if mtime:
            os.utime(path, ns=(mtime, mtime))


def differences(now: Files, wanted: Files) -> list[str]:
    return [
        f"{name}: {'is there' if name not in wanted else 'gone' if name not in now else 'differs'}"
        for name in sorted(now.keys() | wanted.keys())
        if now.get(name) != wanted.get(name)
    ]


def index_problems(home: Home, photos: int) -> list[str]:
    """Return what is wrong with the index, which is to know so many tagged photos."""
    with sqlite3.connect(f"file:{home.state}/index.sqlite3?mode=ro", uri=True) as db:
        sound = db.execute("PRAGMA integrity_check").fetchall()
        status = dict(db.execute("SELECT status, count(*) FROM photos GROUP BY status").fetchall())
        [pending] = db.execute("SELECT count(*) FROM journal WHERE pending").fetchone()
        [orphans] = db.execute(
            "SELECT count(*) FROM tags WHERE photo_id NOT IN (SELECT id FROM photos)"
        ).fetchone()
    db.close()
    found = []
    if sound != [("ok",)]:
        found.append(f"integrity_check: {sound}")
    if status != {"tagged": photos}:
        found.append(f"photos: {status}")
    if pending or orphans:
        found.append(f"{pending} writes pending, {orphans} tags without a photo")
    return found


def strays(home: Home) -> list[str]:
    """Return temporary files, of ours or of our libraries, in the inbox and the state."""
    return [
        str(path.relative_to(home.folder))
        for folder in (home.inbox, home.state)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and (
            (path.name.startswith(".tagger-") and path.name != MARKER)
            or path.name.endswith((".part", ".new", ".tmp", "-wal", "-shm", "-journal"))
        )
    ]
