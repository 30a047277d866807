"""Settles what a crash left, per folder, without waiting for a silent disk."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from tagger.index.store import Store
from tagger.pipeline.commit import Pending
from tagger.pipeline.recovery import repair

log = logging.getLogger(__name__)

REPAIR_SECONDS = 5.0
"""For so long the start waits until it is known what became of the last writes."""


class CrashRepair:
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
