"""Counting, beside a scan that is held back, how much there is to do."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from tagger.daemon.progress import Progress
from tagger.watch.watcher import Watcher

log = logging.getLogger(__name__)


class BacklogCount(threading.Thread):
    """Tells ``progress`` how many photos there are to be handled. Starts at once.

    ``ended`` is called when they are counted; ``pause`` ends it early.
    """

    def __init__(
        self,
        watcher: Watcher,
        progress: Progress,
        pause: threading.Event,
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="survey", daemon=True)  # its disk may never answer
        self._began = time.time()
        self._watcher, self._progress, self._pause, self._ended = watcher, progress, pause, ended
        self.start()

    def run(self) -> None:
        try:
            count = self._watcher.survey(self._pause)
        except Exception:  # it is only for the progress
            log.exception("the photos to be done could not be counted")
            return
        if not self._pause.is_set():
            self._progress.expect(count)
            self._ended()

    def is_over(self) -> bool:
        """Whether all that was counted has been delivered; it is then forgotten."""
        if self.is_alive():
            return False
        scans = [root.last_scan for root in self._watcher.status() if root.state == "online"]
        over = all(ended is not None and ended > self._began for ended in scans)
        if over:
            self._progress.expect(None)
        return over
