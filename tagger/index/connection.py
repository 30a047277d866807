"""Opening the index, and transactions.

WAL with ``synchronous=FULL``: what was acknowledged survives a power cut. Every method
may be called from any thread; other processes (``tagger retry``) may write too, each
change being one short ``BEGIN IMMEDIATE`` transaction.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from tagger.errors import StateError
from tagger.index.migrations import migrate
from tagger.index.shared_queries import SharedQueries
from tagger.index.sql_values import Connection, read_text

INDEX_NAME = "index.sqlite3"


def index_path(state_dir: str) -> str:
    """Return where the index of ``state_dir`` is."""
    return os.path.join(state_dir, INDEX_NAME)


FILES = ("", "-wal")
"""The endings of the files of an index: the database, and its log."""


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def concerns_index(error: BaseException) -> bool:
    """Whether it is the index that cannot be used (a full disk, damage), not one value for it."""
    if isinstance(error, sqlite3.OperationalError | StateError):
        return True
    return type(error) is sqlite3.DatabaseError


class Database(SharedQueries):
    """The index, opened for writing. Close it, or use it as a context manager.

    ``clock`` gives seconds since the epoch. Raise StateError when the file cannot be
    opened, is not a database, or comes from a newer tagger.
    """

    def __init__(self, state_dir: str, *, clock: Callable[[], float] = time.time) -> None:
        self.path = index_path(state_dir)
        self.now = clock
        self._lock = threading.RLock()
        self._closed = False
        self._open()

    def _open(self) -> None:
        state_dir = os.path.dirname(self.path)
        try:
            os.makedirs(state_dir, mode=0o750, exist_ok=True)
            self._db = sqlite3.connect(
                self.path,
                isolation_level=None,
                check_same_thread=False,
                timeout=30,
                factory=Connection,
            )
            self._db.text_factory = read_text
            self._db.row_factory = sqlite3.Row
            for pragma in (
                "journal_mode=WAL",
                "synchronous=FULL",
                "foreign_keys=ON",
                "wal_autocheckpoint=1000",
                "journal_size_limit=67108864",
            ):
                self._db.execute(f"PRAGMA {pragma}")
            migrate(self._db, self.path)
        except OSError as error:
            raise StateError(
                f"cannot use the state directory {state_dir}: {error.strerror}",
                "correct `state_dir` in the config, or the rights of the folder",
            ) from error
        except sqlite3.Error as error:
            raise StateError(
                f"cannot open the index {self.path}: {error}",
                "check the rights and the free space; if it is damaged, move it away and "
                "tagger will build a new one",
            ) from error
        self._files = [_identity(self.path + suffix) for suffix in FILES]

    def is_here(self) -> bool:
        """Whether the files of the index are still those that are open."""
        return all(
            known is None or _identity(self.path + suffix) == known
            for suffix, known in zip(FILES, self._files, strict=True)
        )

    def put_back(self) -> bool:
        """Close the index, whose files are not those that are open, so that it can be opened anew.

        If it was deleted, all that it held is there again: return True then. What is there instead
        of it is left alone. Raise StateError when that cannot be done; nothing is closed then.
        """
        new = self.path + ".new"
        with self._lock:
            gone = _identity(self.path) is None
            try:
                os.makedirs(os.path.dirname(self.path), mode=0o750, exist_ok=True)
                if gone:
                    self._copy_to(new)
            except (OSError, sqlite3.Error) as error:
                raise StateError(
                    f"the index {self.path} was deleted and cannot be put back: {error}",
                    "free some space, then start tagger again",
                ) from error
            self._db.close()
            self._closed = True
            # SQLite leaves the log of a database that is gone; another would take it for its own.
            other = _identity(self.path) != self._files[0]
            if other and _identity(self.path + "-wal") == self._files[1]:
                for suffix in ("-wal", "-shm"):
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(self.path + suffix)
            if gone:
                os.rename(new, self.path)
        return gone

    def _copy_to(self, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with contextlib.closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    def open_again(self) -> None:
        """Open the index that is there now, after :meth:`put_back`; raise as at the first time."""
        with self._lock:
            self._open()
            self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave a plain file without WAL behind, which other users may read, and close."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            # Not while somebody is reading; readers know how to cope with a WAL.
            with contextlib.suppress(sqlite3.OperationalError):
                self._db.execute("PRAGMA busy_timeout=200")
                self._db.execute("PRAGMA journal_mode=DELETE")
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Run the block as one transaction: all of it on disk at the end, or nothing."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                yield self._db
                # An error if SQLite took all back by itself, as on a full disk; the end of the
                # block would pass over it.
                self._db.execute("COMMIT")

    def read(self, sql: str, values: Sequence[object] = ()) -> list[sqlite3.Row]:
        """Return what a SELECT finds."""
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    @contextmanager
    def asking(self) -> Iterator[sqlite3.Connection]:
        """Give the connection, to be asked several questions while nobody else is using it."""
        with self._lock:
            yield self._db
