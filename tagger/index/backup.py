"""A copy of the index, of one moment, while others write to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from tagger.errors import StateError
from tagger.system.files import move_into_place


def back_up(source: sqlite3.Connection, target: str, *, replace: bool = False) -> int:
    """Copy a database to the file ``target``, durably; return the number of its photos.

    By SQLite's online backup, see https://sqlite.org/backup.html. Raise StateError when there
    is such a file already (unless ``replace``), or it cannot be written; nothing is left then.
    """
    if os.path.lexists(target) and not replace:
        raise StateError(f"there is a file {target} already", "name another, or say --force")
    part = f"{target}.part"
    try:
        # Others may not read it, whatever the folder: it tells where all photos are.
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            count = _copy(source, part)
            move_into_place(part, target)
        finally:
            if os.path.lexists(part):
                os.unlink(part)
    except OSError as error:
        raise StateError(
            f"cannot write {target}: {error.strerror or error}",
            "check the rights and the free space, or remove what an earlier try left there",
        ) from error
    except sqlite3.Error as error:
        raise StateError(
            f"cannot copy the index to {target}: {error}", "check the free space, and try again"
        ) from error
    return count


def _copy(source: sqlite3.Connection, part: str) -> int:
    with closing(sqlite3.connect(part, isolation_level=None)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
        [found] = copy.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise StateError(
                f"the index is damaged: {found}", "start the daemon anew, which builds a new one"
            )
        return int(copy.execute("SELECT count(*) FROM photos").fetchone()[0])
