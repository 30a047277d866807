"""Making prepared writes visible: the one order that makes a crash harmless.

Sidecar or photo are written beside the old ones already, and are fsynced first. Then the intention
is committed to the index, then the files are renamed into place and their folders fsynced, then
the row is written. A crash in between leaves a pending intention, which :func:`settle` confirms or
drops. A batch is fsynced together: a disk does that for many files in nearly the time of one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tagger.index.connection import concerns_index
from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.metadata.prepared_write import PreparedWrite
from tagger.metadata.recovery import recover
from tagger.records import JournalEntry, WriteReceipt

log = logging.getLogger(__name__)

SYNC_THREADS = 16
"""So many files are fsynced at a time."""
Pending = tuple[int, str, JournalEntry]
"""A write that was not confirmed: its number in the journal, the photo, and what it is."""
Decision = tuple[frozenset[str], bool]
"""What the user decided about a photo: removed labels, and whether it is to have no tags."""


@dataclass(slots=True, eq=False)
class ReadyPhoto:
    """A photo whose row and files are ready to be written (``write`` None: index only).

    ``decided`` is what the user had decided about it when its tags were chosen; with another
    decision by now it is due again. None: who commits is the one who decides.
    """

    saved: SavedPhoto
    write: PreparedWrite | None
    decided: Decision | None = None

    def discard(self) -> None:
        try:
            if self.write is not None:
                self.write.discard()
        except Exception:  # what is left is removed at the next start
            log.exception("what was prepared for %s cannot be removed", self.saved.path)


T = TypeVar("T", bound=ReadyPhoto)
OnFailure = Callable[[T, Exception], bool]


def commit(store: Store, ready: Sequence[T], failed: OnFailure[T]) -> list[T]:
    """Make prepared writes visible and remember them; return those that are remembered.

    One photo stops no other. ``failed`` is told of each whose intention, files or row could not
    be written; if it returns True for files, the row, ``saved`` as it is then, is written all the
    same. Raise what says that the index cannot be used, and what ``failed`` raises; nothing
    that was prepared is left behind then.
    """
    waiting = list(ready)
    done: list[T] = []
    try:
        unwritten = _sync(ready)
        writes = [one for one in ready if one.write is not None and one.write.intents]
        writes = [one for one in writes if one not in unwritten]
        intended = _each(lambda some: _intend(store, some), writes, failed)
        for one in writes:
            if one not in intended:
                waiting.remove(one)
                one.discard()
        while waiting:
            one = waiting.pop(0)
            try:
                if one in unwritten:
                    raise unwritten[one]
                if one.write is not None:
                    receipt = one.write.commit(sync_folders=False)
                    one.saved = _as_written(one.saved, receipt)
            except Exception as error:  # noqa: BLE001 - one photo stops no other
                one.discard()
                if not failed(one, error):
                    continue
            done.append(one)
    finally:
        for one in waiting:
            one.discard()
    folders: set[tuple[int, int]] = set()
    for one in ready:
        if one.write is not None:
            one.write.sync_folders(folders)
    done = _each(lambda some: _save(store, some), done, failed)
    if left := {one.saved.path: one.saved.root for one in intended if one not in done}:
        for pending in store.pending():
            if (root := left.get(pending[1])) is not None:
                settle(store, pending, root)
    return done


def _sync(ready: Sequence[T]) -> dict[T, Exception]:
    """Let all that was prepared reach the disk; return those for which that failed, and why."""
    errors: dict[T, Exception] = {}
    left = [(one, one.write) for one in ready if one.write is not None]
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                if not left:
                    return
                one, write = left.pop()
            try:
                write.sync()
            except Exception as error:  # noqa: BLE001 - one photo stops no other
                errors[one] = error

    # Daemons: the interpreter does not wait for a disk that never answers.
    threads = [
        threading.Thread(target=work, name="sync", daemon=True)
        for _ in range(min(len(left), SYNC_THREADS) - 1)
    ]
    for thread in threads:
        thread.start()
    work()
    for thread in threads:
        thread.join()
    return errors


def commit_one(store: Store, ready: ReadyPhoto) -> None:
    """:meth:`commit` one photo. Raise what keeps its files or its row from being written."""
    errors: list[Exception] = []

    def failed(_: ReadyPhoto, error: Exception) -> bool:
        errors.append(error)
        return False

    commit(store, [ready], failed)
    if errors:
        raise errors[0]


def settle(
    store: Store, pending: Pending, root: str, happened: Collection[str] = ("after",)
) -> str:
    """Confirm or drop a write that was intended; return its state.

    ``happened`` are the states in which it is confirmed, see
    :func:`tagger.metadata.recovery.recover`; ``root`` is the watched folder.
    """
    journal_id, _, entry = pending
    state = recover(entry, root)
    store.settle_pending(journal_id, happened=state in happened)
    return state


def _each(do: Callable[[Sequence[T]], None], items: Sequence[T], failed: OnFailure[T]) -> list[T]:
    """Do something, one transaction, for all of ``items``; return those it worked for.

    When it does not work for all, each is tried alone.
    """
    try:
        if items:
            do(items)
    except Exception as error:
        if concerns_index(error):
            raise
        if len(items) > 1:
            return [one for item in items for one in _each(do, [item], failed)]
        failed(items[0], error)
        return []
    return list(items)


def _intend(store: Store, ready: Sequence[ReadyPhoto]) -> None:
    store.intend(
        [(one.saved.path, one.saved.root, one.write.intents) for one in ready if one.write]
    )


def _save(store: Store, ready: Sequence[ReadyPhoto]) -> None:
    for one in ready:
        if one.decided is not None and _is_late(store, one):
            one.saved = replace(one.saved, keywords_hash=None)
    store.save([one.saved for one in ready])


def _is_late(store: Store, one: ReadyPhoto) -> bool:
    """Whether the user has decided something about a photo since its tags were chosen."""
    row = store.photo(one.saved.path)
    if row is None:
        return False
    return (store.tombstones(row.id), row.keep_out) != one.decided


def _as_written(saved: SavedPhoto, receipt: WriteReceipt) -> SavedPhoto:
    # A photo not written to is remembered as it was when its bytes were read: whoever changed it
    # since, and put its date back, is seen by the next look.
    return replace(
        saved,
        stat=receipt.stat if receipt.content_hash else saved.stat,
        sidecar=receipt.sidecar,
        entries=receipt.entries,
        content_hash=receipt.content_hash or saved.content_hash,
    )
