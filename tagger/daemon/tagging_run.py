"""The watcher and the worker of one config: from a start, or a reload, to the next."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from tagger.daemon.backlog import BacklogCount
from tagger.daemon.candidate_queue import CandidateQueue
from tagger.daemon.progress import Progress
from tagger.daemon.resources import DaemonResources
from tagger.daemon.worker import Worker
from tagger.errors import SilentDiskError, TaggerError
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.pipeline.context import Context, RootHealth, WorkerEvents
from tagger.pipeline.networks import NetworksLoader
from tagger.records import Outcome
from tagger.watch.context import WatchSettings
from tagger.watch.watcher import Watcher

log = logging.getLogger(__name__)


class TaggingRun:
    """Watches and tags in threads, as the present config of ``session`` says.

    ``observer`` is called with every outcome, in the working thread. ``single``: handle what is
    there now, then end.
    """

    def __init__(
        self,
        session: DaemonResources,
        loader: NetworksLoader,
        progress: Progress,
        observer: Callable[[Outcome], None],
        *,
        single: bool,
    ) -> None:
        config, store, lifecycle = session.config, session.store, session.lifecycle
        ring, pause = lifecycle.wakeup.ring, lifecycle.pausing
        self.single = single
        self._lifecycle, self._progress = lifecycle, progress
        self._backlog: BacklogCount | None = None
        self._scanned = threading.Event()
        progress.expect(None)
        session.claims.wanted = config.write.target != "none"
        blocked = BlockedRoots(config, ring, single=single)
        context = Context(config, store, RootHealth(session.is_online, blocked), pause)
        candidates = CandidateQueue(context, full=self._count_backlog, first=ring)
        self.watcher = session.watcher = Watcher(
            config.watch,
            store,
            candidates,
            config.state_dir,
            WatchSettings(config.settle_seconds, config.rescan_seconds, claims=session.claims),
            changed=ring,
        )
        self.worker = session.worker = Worker(
            context,
            loader,
            candidates,
            progress,
            WorkerEvents(observer, ring, self.watcher.rescan),
            # A single run was asked for now.
            held=(lambda: None) if single else session.paused_reason,
            until=self._scanned if single else None,
        )
        self._work = lifecycle.thread("work", self.worker.run)
        self._watch = (
            lifecycle.thread("scan", self._scan_once)
            if single
            else lifecycle.thread("watch", self.watcher.run, pause)
        )

    def start(self) -> None:
        """Begin to watch and to work."""
        self._watch.start()
        self._work.start()

    @property
    def working(self) -> bool:
        """Whether the worker has not ended yet."""
        return self._work.is_alive()

    def tick(self) -> None:
        """Look whether work hangs, and whether all that was counted is done. From time to time."""
        if self._backlog is not None and self._backlog.is_over():
            self._backlog = None
        if (error := self._lifecycle.stalls.hang(self.watcher, self.worker)) is not None:
            self._lifecycle.fail(error)

    def end(self) -> SilentDiskError | None:
        """Wait for all threads, but not for dead disks; return the error if the work hangs on one.

        Photos that are not finished wait for the next run.
        """
        stalls = self._lifecycle.stalls
        self._lifecycle.pausing.set()
        self.worker.wake()
        self._watch.join()  # it ends by itself, whatever its disks do
        left = stalls.join(self._work, self.watcher, self.worker)
        if self._backlog is not None:
            stalls.join(self._backlog, self.watcher)
        return left

    def _scan_once(self) -> None:
        try:
            self.watcher.scan_once(stop=self._lifecycle.pausing)
        except Exception as error:
            if not isinstance(error, TaggerError):
                log.exception("scanning the folders failed")
            # Raised when what was found is done.
            self._lifecycle.error = self._lifecycle.error or error
        finally:
            self._scanned.set()

    def _count_backlog(self) -> None:
        """Find out, when more was found than fits the queue, how much there is."""
        if self._backlog is None:
            life = self._lifecycle
            self._backlog = BacklogCount(
                self.watcher, self._progress, life.pausing, life.wakeup.ring
            )
