"""Work that hangs on a disk that never answers, such as NFS mounted `hard` whose server is off.

Nothing can be done for a thread that has asked such a disk, nor can its work be given to
another: it may yet go on. So the daemon ends, as after a crash, and its next start keeps off
that disk until it answers.
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

_left: list[threading.Thread] = []
HANG_SECONDS = 45.0
"""A batch that takes longer may hang on a disk."""


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
        "start it again, as a service does by itself: it then works without that disk",
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
            log.warning("%s; thread abandoned", error.message)
            _left.append(thread)
            return error
    return None


def left_behind() -> bool:
    """Whether threads were left behind that still run: nothing may be taken from under them."""
    return any(thread.is_alive() for thread in _left)
