"""A single scan of all roots: delivers what is there now, and waits for unfinished files."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence

from tagger.system.files import no_descriptors
from tagger.watch.context import WatchSettings
from tagger.watch.root_watcher import NO_ANSWER, RootWatcher

log = logging.getLogger(__name__)

DESCRIPTOR_TRIES = 10
"""How often a root is tried for which there was no file descriptor."""
RETRY_SECONDS = 5.0
"""How long to wait between two tries."""
STOP_SECONDS = 5.0
"""How long, once all is to stop, to wait for a disk that does not answer."""
GIVE_UP_SECONDS = 30.0
"""How long to wait for files that go on changing."""


def scan_once(
    watchers: Sequence[RootWatcher],
    settings: WatchSettings,
    stop: threading.Event,
    *,
    wait_settle: bool,
) -> None:
    """Scan roots once, see :meth:`tagger.watch.watcher.Watcher.scan_once`."""
    for watcher in watchers:
        watcher.begin(stop, listen=False)
    left = [watcher for watcher in watchers if _run(watcher, watcher.scan, stop)]
    while wait_settle and not stop.is_set():
        left = _settle(left, settings, stop)
        again = [watcher for watcher in left if watcher.files.take_overflow()]
        if not again:
            break
        left = [one for one in left if one not in again or _run(one, one.scan, stop)]
    for watcher in left:
        for path in watcher.files.settling.paths():
            log.warning("%r is still being written and is left for the next time", path)


def _settle(
    watchers: list[RootWatcher], settings: WatchSettings, stop: threading.Event
) -> list[RootWatcher]:
    """Wait for unfinished files; return the roots whose disks answer."""
    until = settings.clock() + max(GIVE_UP_SECONDS, 6 * settings.settle_seconds)
    while not stop.is_set():
        due = min((one.files.settling.next_due() for one in watchers), default=math.inf)
        if due > until:
            break
        stop.wait(max(0.0, due - settings.clock()))
        watchers = [one for one in watchers if _run(one, one.files.check_due, stop)]
    return watchers


def _run(watcher: RootWatcher, task: Callable[[], None], stop: threading.Event) -> bool:
    """Call ``task`` of ``watcher`` in a thread, which is abandoned when the disk does not answer.

    Return whether it has answered.
    """
    errors: list[Exception] = []

    def run() -> None:
        for left in reversed(range(DESCRIPTOR_TRIES)):
            try:
                # The disk is watched, too, while a single scan uses it.
                with watcher.context.stall.running():
                    task()
                break
            except Exception as error:  # noqa: BLE001 - raised again below
                if not left or not no_descriptors(error):
                    errors.append(error)
                    break
            log.warning("%r is looked at again: no file descriptor is left", watcher.root.path)
            stop.wait(RETRY_SECONDS)

    thread = threading.Thread(target=run, name=f"scan {watcher.root.path!r}", daemon=True)
    thread.start()
    stopped_at = math.inf
    while thread.is_alive():
        thread.join(0.5)
        if stop.is_set():
            stopped_at = min(stopped_at, time.monotonic())
        if watcher.silent or time.monotonic() - stopped_at > STOP_SECONDS:
            log.warning("%r is left out: %s", watcher.root.path, NO_ANSWER)
            return False
    if errors:
        raise errors[0]
    return True
