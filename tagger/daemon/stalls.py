"""Stalls: disks that do not answer, such as NFS mounted `hard` whose server is off.

A system call on such a disk never returns, the thread that made it cannot be ended, and its work
cannot be given to another, for it may yet go on. This is the whole rule:

1. Each root has a thread of its own (:mod:`tagger.watch.watcher`), so that one dead disk keeps no
   other folder waiting. Its :class:`~tagger.watch.stall_timer.StallTimer` runs while it waits for
   the disk: after 30 s the root is offline. Roots inside a root share its fate
   (:mod:`tagger.watch.root_layout`).
2. Photos of an offline root are not begun (:meth:`tagger.watch.watcher.Watcher.is_online`). When
   its disk responds again it is scanned anew, as what was found meanwhile may have been dropped.
3. The one thread that works at photos may be caught too. When it has been at one batch for
   :data:`HANG_SECONDS` and the disk of one of its photos does not answer, :meth:`StallGuard.hang`
   gives the error that ends the daemon, as after a crash. Its service starts it again.
4. The next start asks each disk in a thread what became of the last writes there, and waits 5 s at
   most; the photos of a disk that is still silent wait (:mod:`tagger.daemon.crash_repair`).
5. Who stops waits for no dead disk either: :meth:`StallGuard.join` abandons a thread that such a
   disk keeps. A library may be in use by it, so that the interpreter must not be taken down around
   it: the process then ends by ``os._exit`` (:func:`tagger.cli.main`).
6. A single run (`tagger run --once`) leaves such a root out, and names it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from tagger.daemon.worker import STUCK_SECONDS, Worker
from tagger.errors import SilentDiskError
from tagger.watch.single_scan import STOP_SECONDS
from tagger.watch.stall_timer import SILENT_SECONDS
from tagger.watch.watcher import Watcher

log = logging.getLogger(__name__)

HANG_SECONDS = 45.0
"""A batch that takes longer may hang on a disk."""
JOIN_SECONDS = 0.2
"""How often a thread that is waited for is looked at."""


class StallGuard:
    """Tells when work hangs on a disk, and abandons threads that do when all is to stop."""

    def __init__(self) -> None:
        self._abandoned: list[threading.Thread] = []

    @property
    def left_behind(self) -> bool:
        """Whether abandoned threads still run: nothing may be taken from under them."""
        return any(thread.is_alive() for thread in self._abandoned)

    def hang(self, watcher: Watcher, worker: Worker) -> SilentDiskError | None:
        """Return what is to end the daemon, if its work hangs on a disk; ask every few seconds."""
        if worker.at_it < HANG_SECONDS - SILENT_SECONDS:
            return None  # the disks are asked from then on, so that it is known in time
        away = watcher.silent(SILENT_SECONDS)
        if worker.at_it < STUCK_SECONDS:
            # Photos that take long, of other folders, are not to be begun again and again.
            away = [root for root in away if root in worker.roots]
        return _error(away) if away else None

    def join(
        self, thread: threading.Thread, watcher: Watcher, worker: Worker | None = None
    ) -> SilentDiskError | None:
        """Wait for the end of ``thread``; return the error when a silent disk has not let it end.

        For the thread of ``worker`` only the disks count of whose photos it works at.
        """
        while thread.is_alive():
            thread.join(JOIN_SECONDS)
            if not thread.is_alive():
                break
            away = watcher.silent(STOP_SECONDS)
            if worker is not None:
                away = [root for root in away if root in worker.roots]
            if away:
                error = _error(away)
                log.warning("%s; thread abandoned", error.message)
                self._abandoned.append(thread)
                return error
        return None

    def leave(self, thread: threading.Thread, seconds: float) -> None:
        """Wait so long for the end of ``thread``, and abandon it then."""
        if thread.is_alive():
            thread.join(seconds)
        if thread.is_alive():
            log.warning("the thread %s does not end; it is abandoned", thread.name)
            self._abandoned.append(thread)


def _error(away: Sequence[str]) -> SilentDiskError:
    return SilentDiskError(
        f"the work hangs: the disk of {', '.join(away)} does not answer",
        "start it again, as a service does by itself: it then works without that disk",
    )
