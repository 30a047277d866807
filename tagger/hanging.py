"""Work that hangs on a disk that never answers, such as NFS mounted `hard` whose server is off.

Nothing can be done for a thread that has asked such a disk, nor can its work be given to
another: it may yet go on. So the daemon ends, as after a crash, and its next start keeps off
that disk until it answers.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from tagger.errors import SilentDiskError
from tagger.index.store import Store
from tagger.upkeep import Pending, repair
from tagger.watch.pulse import SILENT_SECONDS
from tagger.watch.watcher import STOP_SECONDS, Watcher
from tagger.work import STUCK_SECONDS, Worker

log = logging.getLogger(__name__)

_left: list[threading.Thread] = []

HANG_SECONDS = 45.0
"""A batch that takes longer may hang on a disk."""
REPAIR_SECONDS = 5.0
"""For so long the start waits until it is known what became of the last writes."""


def hang(watcher: Watcher, worker: Worker) -> SilentDiskError | None:
    """Return what is to end the daemon, if its work hangs on a disk; ask every few seconds."""
    if worker.at_it < HANG_SECONDS - SILENT_SECONDS:
        return None  # the disks are asked from then on, so that it is known in time
    away = watcher.silent(SILENT_SECONDS)
    if worker.at_it < STUCK_SECONDS:
        # Photos that take long, of other folders, are not to be begun again and again.
        away = [root for root in away if root in worker.roots]
    return _error(away) if away else None


def _error(away: Sequence[str]) -> SilentDiskError:
    return SilentDiskError(
        f"the work hangs: the disk of {', '.join(away)} does not answer",
        "start it again, as a service does by itself: it goes on without that disk",
    )


def join(
    thread: threading.Thread, watcher: Watcher, worker: Worker | None = None
) -> SilentDiskError | None:
    """Wait for the end of ``thread``; return what to tell if a silent disk has not let it.

    That of ``worker`` cares for the disks only of whose photos it works at.
    """
    while thread.is_alive():
        thread.join(0.2)
        if not thread.is_alive():
            break
        away = watcher.silent(STOP_SECONDS)
        if worker is not None:
            away = [root for root in away if root in worker.roots]
        if away:
            error = _error(away)
            log.warning("%s; it is left behind", error.message)
            _left.append(thread)
            return error
    return None


def left_behind() -> bool:
    """Whether threads were left behind that still run: nothing may be taken from under them."""
    return any(thread.is_alive() for thread in _left)


class Repairs:
    """Finds out what became of the writes that a crash left, each folder's for itself.

    ``root_of`` tells the watched folder of a photo ("" when there is none), ``thread`` makes
    a thread; ``late`` is called when one is done that :meth:`wait` did not wait for.
    """

    def __init__(
        self,
        store: Store,
        root_of: Callable[[str], str],
        thread: Callable[..., threading.Thread],
        late: Callable[[], None],
    ) -> None:
        self._store, self._late = store, late
        self._waited = False
        pending: defaultdict[str, list[Pending]] = defaultdict(list)
        for one in store.pending():
            pending[root_of(one[1])].append(one)
        self._threads = {
            root: thread("repair", self._repair, writes) for root, writes in pending.items()
        }
        for one_thread in self._threads.values():
            one_thread.start()

    def wait(self) -> None:
        """Wait until all is found out, but not for disks that do not answer."""
        until = time.monotonic() + REPAIR_SECONDS
        for root, thread in self._threads.items():
            thread.join(max(0.0, until - time.monotonic()))
            if thread.is_alive():
                log.warning("%r waits: what a crash left there is not repaired yet", root)
        self._waited = True

    def hold(self, root: str) -> bool:
        """Whether the photos of a watched folder are to wait."""
        thread = self._threads.get(root)
        return thread is not None and thread.is_alive()

    def _repair(self, pending: Sequence[Pending]) -> None:
        repair(self._store, pending)
        if self._waited:
            self._late()
