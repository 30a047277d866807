"""Changes that are made on the page: what `tagger untag`, `restore` and `retry` do, for a photo.

Inside the daemon its own index is written to, otherwise it is opened for each change, as those
commands do beside a running daemon. A photo's files are replaced only while nobody else has
changed them since they were read.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tagger.config.schema import Config
from tagger.errors import MetadataError, PhotoError, StateError
from tagger.index.groups import GroupWriter
from tagger.index.store import Store
from tagger.library.edit import TagEditor
from tagger.metadata.xmp.keywords import keyword_problem
from tagger.system.control_socket import send_command
from tagger.system.state_dir import daemon_runs
from tagger.web.errors import WebError
from tagger.web.photo_images import open_inside

if TYPE_CHECKING:
    from tagger.index.rows import PhotoRow
    from tagger.web.services import TagCommands

log = logging.getLogger(__name__)

AT_ONCE = 200
"""Photos that a running daemon is asked to look at now; others have their turn in a minute."""


@contextmanager
def writing() -> Iterator[None]:
    """Raise StateError when the index cannot be written to."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StateError(
            f"the index cannot be written to: {error}",
            "free some space, or check its rights; then try again",
        ) from error


class Edits:
    """Makes changes, one after the other. For any thread.

    All methods raise WebError, which says what could not be done, and StateError when the
    index cannot be written to.
    """

    def __init__(self, config: Config, manager: TagCommands | None) -> None:
        self._config, self._manager = config, manager
        self._lock = threading.Lock()

    def remove(self, row: PhotoRow, label: str | None) -> None:
        """Take a label and what is below it, or all tags of ours, away from a photo."""
        with self._untagger(row) as untagger:
            untagger.remove(row.path, (label,) if label is not None else ())

    def restore(self, row: PhotoRow, label: str | None) -> None:
        """Let a label, or all, come back to a photo; a running daemon writes it at once."""
        with self._untagger(row) as untagger:
            untagger.restore(row.path, (label,) if label is not None else ())
        self._look_at([row.path])

    def add(self, row: PhotoRow, word: str) -> None:
        """Write a keyword of the user's own into a photo's file."""
        if (problem := keyword_problem(word)) is not None:
            raise WebError(f"that cannot be a keyword: {problem}", "write another word")
        with self._untagger(row) as untagger:
            untagger.add(row.path, word)

    def keep(self, row: PhotoRow) -> None:
        """Note that a photo is to be kept of those that show the same picture."""
        with self._store() as store:
            if not GroupWriter(store).keep(row.id):
                raise WebError(
                    "there is no other photo of this picture", "nothing is to be chosen", status=409
                )

    def retry(self, row: PhotoRow) -> None:
        """Try a photo again, whether it failed or is tagged."""
        with self._store() as store:
            TagEditor(self._config, store).retry(row.path)
        self._look_at([row.path])

    def retry_all(self, paths: Sequence[str]) -> int:
        """Try all failures again, which are those of ``paths``; return how many there are."""
        with self._store() as store:
            count = store.retry()
        self._look_at(paths[:AT_ONCE])
        return count

    @contextmanager
    def _untagger(self, row: PhotoRow) -> Iterator[TagEditor]:
        root = self._config.root_of(row.path)
        if root is None:
            raise WebError(
                "the photo is not in a watched folder", "see `watch` in the config", status=404
            )
        open_inside(row.path, root).close()
        with self._store() as store:
            try:
                yield TagEditor(self._config, store)
            except (StateError, MetadataError, PhotoError) as error:
                remedy = error.remedy or "look at it again"
                raise WebError(error.message, remedy, status=409) from error

    @contextmanager
    def _store(self) -> Iterator[Store]:
        with self._lock, writing():
            if self._manager is not None:
                yield self._manager.store
                return
            with Store(self._config.state_dir) as store:
                yield store

    def _look_at(self, paths: Sequence[str]) -> None:
        """Have a running daemon look at photos now; it would by itself within a minute."""
        watched = [path for path in paths if self._config.root_of(path) is not None]
        if not watched:
            return
        try:
            if self._manager is not None:
                self._manager.scan(watched)
            elif daemon_runs(self._config.state_dir):
                send_command(self._config.state_dir, "scan", paths=watched)
        except StateError as error:
            log.debug("the daemon is not asked: %s", error)
