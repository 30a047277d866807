"""The watcher and the worker of one config: from a start, or a reload, to the next."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tagger.daemon.backlog import BacklogCount
from tagger.daemon.candidate_queue import CandidateQueue
from tagger.daemon.progress import Progress
from tagger.daemon.resources import DaemonResources
from tagger.daemon.worker import Worker
from tagger.errors import SilentDiskError, TaggerError
from tagger.index.connection import concerns_index
from tagger.index.rule_photos import RulePhotos
from tagger.index.rule_tasks import RuleTasks
from tagger.library.daemon_status import RulesStatus
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.pipeline.context import Context, WorkerEvents
from tagger.pipeline.networks import NetworksLoader
from tagger.pipeline.outcome import Outcome
from tagger.watch.context import WatchSettings
from tagger.watch.watcher import Watcher

if TYPE_CHECKING:
    from tagger.library.rules.worker import RuleWorker

log = logging.getLogger(__name__)


RULES_SECONDS = 4.0
"""So long a stop waits for what a rule does; it may be at a disk that is not watched."""
QUIET_SECONDS = 0.5
"""So long no photo must be waiting before a folder counts as looked through."""


class KnownFolders:
    """Notes, once, which folders have been looked through, with all that was in them then.

    From then on a photo that is seen first is new to the rules. ``clock`` is monotonic seconds.
    """

    def __init__(self, photos: RulePhotos, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._photos, self._known, self._clock = photos, photos.scanned(), clock
        self._lock = threading.RLock()
        self._quiet_since: float | None = None

    def look(self, scanned: Sequence[str], queued: int) -> None:
        """Note the ``scanned`` folders, when no photo has been waiting for a moment."""
        with self._lock:
            if {*scanned} <= self._known:
                return
            now = self._clock()
            if queued or self._quiet_since is None:
                self._quiet_since = None if queued else now
            elif now - self._quiet_since >= QUIET_SECONDS:
                self._quiet_since = None
                self.note(scanned)

    def note(self, scanned: Sequence[str]) -> None:
        with self._lock:
            for root in scanned:
                if root not in self._known:
                    self._photos.note_scanned(root)
                    self._known.add(root)


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
        self._known_folders = KnownFolders(RulePhotos(store))
        progress.expect(None)
        session.claims.wanted = config.write.target != "none"
        health = BlockedRoots(config, ring, is_online=session.is_online, single=single)
        context = Context(config, store, health, pause)
        candidates = CandidateQueue(context, full=self._count_backlog, first=ring)
        self.watcher = session.watcher = Watcher(
            config.watch,
            store,
            candidates,
            config.state_dir,
            WatchSettings(config.settle_seconds, config.rescan_seconds, claims=session.claims),
            changed=ring,
        )
        # A single run was asked for now.
        held = (lambda: None) if single else session.paused_reason
        self._rules: RuleWorker | None = None
        self._rule_work: threading.Thread | None = None
        if config.rules or RuleTasks(store).interrupted():
            from tagger.library.rules.worker import RuleWorker  # most have no rules

            self._rules = RuleWorker(
                context,
                candidates.found,
                awaited=loader.further.awaited,
                # Which folders are there is known to a single run when it has scanned them.
                held=self._before_scanned if single else held,
                look=self._note_folders,
                changed=ring,
            )
            self._rule_work = lifecycle.thread("rules", self._rules.run)

        def observed(outcome: Outcome) -> None:
            observer(outcome)
            self._wake_rules()

        self.worker = session.worker = Worker(
            context,
            loader,
            candidates,
            progress,
            WorkerEvents(observed, ring, self.watcher.rescan),
            held=held,
            until=self._is_all_done if single else None,
        )
        self._work = lifecycle.thread("work", self.worker.run)
        self._watch = (
            lifecycle.thread("scan", self._scan_once)
            if single
            else lifecycle.thread("watch", self.watcher.run, pause)
        )

    def start(self) -> None:
        self._watch.start()
        self._work.start()
        if self._rule_work is not None:
            self._rule_work.start()

    @property
    def working(self) -> bool:
        return self._work.is_alive()

    def tick(self) -> None:
        """Look whether work hangs, and whether all that was counted is done. From time to time."""
        self._note_folders()
        if self._backlog is not None and self._backlog.is_over():
            self._backlog = None
        if (error := self._lifecycle.stalls.hang(self.watcher, self.worker)) is not None:
            self._lifecycle.fail(error)

    def end(self) -> SilentDiskError | None:
        """Wait for all threads, but for no dead disk; return the error if the work hangs on one."""
        stalls = self._lifecycle.stalls
        self._lifecycle.pausing.set()
        self.worker.wake()
        self._wake_rules()
        self._watch.join()  # it ends by itself, whatever its disks do
        left = stalls.join(self._work, self.watcher, self.worker)
        if self._backlog is not None:
            stalls.join(self._backlog, self.watcher)
        if self._rule_work is not None:
            stalls.leave(self._rule_work, RULES_SECONDS)
        return left

    def rules_status(self) -> RulesStatus | None:
        """Return how the rules of the config fare; None without any."""
        return self._rules.status() if self._rules is not None else None

    def _wake_rules(self) -> None:
        if self._rules is not None:
            self._rules.wake()

    def _before_scanned(self) -> str | None:
        return None if self._scanned.is_set() else "the folders are being looked through"

    def _is_all_done(self) -> bool:
        """Whether a single run has nothing left to do, when no photo is on its way."""
        if not self._scanned.is_set():
            return False
        if self._rules is not None and self._rule_work is not None and self._rule_work.is_alive():
            self._rules.wake()
            if not self._rules.settled():
                return False
        self._known_folders.note(self._scanned_folders())
        return True

    def _note_folders(self) -> None:
        if self.single:
            return
        try:
            self._known_folders.look(self._scanned_folders(), self.worker.queued)
        except Exception as error:
            if not concerns_index(error):
                raise
            log.debug("folders are noted when the index can be written again: %s", error)

    def _scanned_folders(self) -> list[str]:
        return [
            root.path
            for root in self.watcher.status()
            if root.last_scan is not None and root.state == "online"
        ]

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
