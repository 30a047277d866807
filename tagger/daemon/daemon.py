"""The long-running process: signals, threads and wiring.

The main thread keeps time (signals, heartbeat, due retries); one thread watches the folders,
one handles photos (:mod:`tagger.daemon.worker`). A reload stops the last two and starts them
with the new config.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from types import FrameType
from typing import Any

from tagger import __version__
from tagger.classify.loader import EngineLoader
from tagger.config.schedule import DailyWindow
from tagger.config.schema import Config
from tagger.daemon.backlog import BacklogCount
from tagger.daemon.candidate_queue import CandidateQueue
from tagger.daemon.commands import DaemonCommands
from tagger.daemon.crash_repair import CrashRepair
from tagger.daemon.metrics import Metrics, Sources
from tagger.daemon.progress import Progress, ProgressSnapshot
from tagger.daemon.reporting import HeartbeatWriter, SystemdReporter
from tagger.daemon.stalls import hang, join
from tagger.daemon.wakeup import WakeupFd
from tagger.daemon.worker import Worker
from tagger.errors import ConfigError, TaggerError
from tagger.index.connection import concerns_index
from tagger.index.salvage import open_sound, take_up
from tagger.index.store import Store
from tagger.metadata.user_edits import ANOTHER
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.pipeline.context import Context, RootHealth, WorkerEvents
from tagger.records import Outcome
from tagger.system.control_socket import ControlServer
from tagger.system.logs import Unforeseen, set_up_logging
from tagger.system.sd_notify import Notifier
from tagger.system.state_dir import state_lock
from tagger.watch.context import WatchSettings
from tagger.watch.root_owner import OwnerClaims, writers_of
from tagger.watch.watcher import Watcher
from tagger.web.embedded import EmbeddedPage

log = logging.getLogger(__name__)

BUSY_SECONDS = 2.0
"""How often the heartbeat is written while there is work."""
IDLE_SECONDS = 60.0
"""How often otherwise, and how often failures are looked at whose time has come."""


class Daemon:
    """The daemon of one config.

    ``read_config`` gives the config again on SIGHUP. ``observer`` is called with every
    outcome, in the working thread; ``show`` every few seconds with how the work stands;
    ``notifier`` tells the service manager. ``take_over``: it writes the tags from now on where
    another tagger does.
    """

    def __init__(
        self,
        config: Config,
        *,
        read_config: Callable[[], Config] | None = None,
        observer: Callable[[Outcome], None] = lambda outcome: None,
        show: Callable[[ProgressSnapshot], None] | None = None,
        notifier: Notifier | None = None,
        take_over: bool = False,
    ) -> None:
        self.config = config
        self._take_over = take_over
        self._claims: OwnerClaims
        self._read_config = read_config or (lambda: self.config)
        self._observer = observer
        self._show = show or (lambda standing: None)
        self._manager = SystemdReporter(notifier or Notifier({}))
        self._heartbeat = HeartbeatWriter(config.state_dir)
        self._stop = threading.Event()  # the whole daemon
        self._pause = threading.Event()  # watching and working: for a reload, or the end
        self._bell = WakeupFd()  # wakes the main thread
        self._asked: deque[int] = deque()  # signals to be followed
        self._loader = EngineLoader(self._pause.is_set)
        self._progress = Progress()
        self._metrics = Metrics()
        self._page = EmbeddedPage(self._loader, self._bell.ring)
        self._manage: DaemonCommands
        self._watcher: Watcher
        self._repairs: CrashRepair
        self._worker: Worker
        self._survey: BacklogCount | None = None
        self._error: BaseException | None = None
        self._started_at = time.time()
        self._notice: str | None = None
        self._unforeseen = Unforeseen()
        self._quiet_until = 0.0
        self._told_to_stop = False  # by a signal, not by an error

    def stop(self) -> None:
        """Ask the daemon to stop; what it has not finished waits for the next start."""
        self._asked.append(signal.SIGTERM)
        self._bell.ring()

    def reload(self) -> None:
        """Ask the daemon to read its config again."""
        self._asked.append(signal.SIGHUP)
        self._bell.ring()

    def run(self) -> None:
        """Watch and tag until :meth:`stop`.

        Raise StateError when the state directory cannot be used, and whatever ended a
        thread unexpectedly.
        """
        with self._session() as store:
            while not self._stop.is_set():
                self._pause.clear()
                if self._error is not None:
                    break  # of a repair that took long
                if not store.is_here():
                    self._notice = take_up(store)
                self._set_up(store)
                log.info(
                    "watching %s", ", ".join(root.path for root in self.config.watch) or "nothing"
                )
                self._supervise(store, [self._thread("watch", self._watcher.run, self._pause)])

    def run_once(self) -> None:
        """Handle all that is there now, then return.

        Raise ModelError when there are no weights, else as :meth:`run`.
        """
        scanned = threading.Event()

        def scan() -> None:
            try:
                self._watcher.scan_once(stop=self._pause)
            except Exception as error:
                if not isinstance(error, TaggerError):
                    log.exception("scanning the folders failed")
                self._error = self._error or error  # raised when what was found is done
            finally:
                scanned.set()

        with self._session() as store:
            self._set_up(store, until=scanned)
            self._supervise(store, [self._thread("scan", scan)])

    @contextmanager
    def _session(self) -> Iterator[Store]:
        state_dir = self.config.state_dir
        with (
            self._unforeseen,
            self._hearing(),
            state_lock(state_dir),
            open_sound(state_dir) as store,
        ):
            self._repairs = CrashRepair(store, self._root_of, self._thread, self._look_again)
            self._repairs.wait()
            if self._error is not None:
                raise self._error
            self._manage = self._managing(store)
            self._claims = OwnerClaims(
                writers_of(state_dir),
                lambda root: store.write_anew(root, ANOTHER),
                take_over=self._take_over,
            )
            control = ControlServer(self.config.state_dir, self._manage.actions())
            with self._signals(), self._rebuilding(store), control, self._metrics, self._page:
                yield store
            self._tell("stopped")
        if self._error is not None:
            raise self._error

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Log what ends a thread of a library, instead of printing it among the log's lines."""

        def hear(end: threading.ExceptHookArgs) -> None:
            name = end.thread.name if end.thread is not None else "unknown"
            if isinstance(end.exc_value, RecursionError):  # a thousand lines say nothing more
                log.warning("the thread %s ended: %s", name, end.exc_value)
            elif end.exc_value is not None:
                log.error("the thread %s ended", name, exc_info=end.exc_value)

        before, threading.excepthook = threading.excepthook, hear
        try:
            yield
        finally:
            threading.excepthook = before

    @contextmanager
    def _rebuilding(self, store: Store) -> Iterator[None]:
        """When the index was damaged, fill it from the tags in files, beside the work."""
        problem = store.meta("rebuild")
        if not problem:
            yield
            return
        from tagger.pipeline.rebuild import fill

        self._notice = f"the index was damaged and is built anew: {problem}"
        thread = self._thread("rebuild", fill, store, self.config.watch, lambda: self._told_to_stop)
        thread.start()
        try:
            yield
        finally:
            join(thread, self._watcher)

    def _managing(self, store: Store) -> DaemonCommands:
        """Return what others may ask of this daemon."""

        def changed() -> None:
            self._worker.wake()
            self._bell.ring()

        return DaemonCommands(
            store,
            config=lambda: self.config,
            watcher=lambda: self._watcher,
            online=self._online,
            changed=changed,
        )

    def _held(self) -> str | None:
        """Return why photos are to wait now."""
        if self._manage.paused:
            return "paused; `tagger resume` lets it go on"
        schedule = self.config.schedule
        if schedule is not None:
            window = DailyWindow.parse(schedule)
            if not window.holds(datetime.now()):
                return f"photos wait until {window.opens()} (schedule)"
        return None

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop and SIGHUP reload, when in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: FrameType | None) -> None:
            self._asked.append(number)
            self._bell.ring()

        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        old = {number: signal.signal(number, handle) for number in numbers}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _set_up(self, store: Store, until: threading.Event | None = None) -> None:
        """Make the watcher and the worker of the present config."""
        self._single = until is not None
        self._survey = None
        self._progress.expect(None)
        self._claims.wanted = self.config.write.target != "none"
        blocked = BlockedRoots(self.config, self._bell.ring, single=self._single)
        context = Context(self.config, store, RootHealth(self._online, blocked), self._pause)
        found = CandidateQueue(context, full=self._begin_survey, first=self._bell.ring)
        self._watcher = watcher = Watcher(
            self.config.watch,
            store,
            found,
            self.config.state_dir,
            WatchSettings(
                self.config.settle_seconds, self.config.rescan_seconds, claims=self._claims
            ),
            changed=self._bell.ring,
        )
        self._worker = Worker(
            context,
            self._loader,
            found,
            self._progress,
            WorkerEvents(self._observed, self._bell.ring, watcher.rescan),
            # A single run was asked for now.
            held=self._held if until is None else lambda: None,
            until=until,
        )
        if until is None:  # a single run is over too soon
            now = Sources(
                self._worker,
                self._loader,
                self._heartbeat,
                watcher.status,
                store.counts,
                lambda: self._unforeseen.count,
            )
            self._metrics.use(self.config.metrics, now)
            self._page.use(self.config, self._manage)

    def _observed(self, outcome: Outcome) -> None:
        try:
            self._metrics.count(outcome)
            self._manage.tell(outcome)
            self._observer(outcome)
        except Exception:  # the photo is done
            log.exception("reporting the outcome of %s failed", outcome.path)

    def _thread(self, name: str, target: Callable[..., None], *args: Any) -> threading.Thread:
        """Return a thread; if it ends by an error the daemon stops, and systemd restarts it.

        The interpreter does not wait for it: :func:`join` decides whether to.
        """

        def guarded() -> None:
            try:
                target(*args)
            except BaseException as error:
                if not isinstance(error, TaggerError):
                    log.critical("the %s thread failed", name, exc_info=True)
                self._fail(error)
            finally:
                self._bell.ring()

        return threading.Thread(target=guarded, name=name, daemon=True)

    def _fail(self, error: BaseException) -> None:
        """Have the daemon stop by ``error``."""
        self._error = self._error or error
        self._stop.set()
        self._pause.set()

    def _supervise(self, store: Store, threads: list[threading.Thread]) -> None:
        """Run ``threads`` and the worker until they are to pause; keep time meanwhile."""
        work = self._thread("work", self._worker.run)
        for thread in (*threads, work):
            thread.start()
        next_due = next_beat = 0.0
        self._tell("running")
        self._manager.notifier.ready()
        try:
            while not self._pause.is_set() and work.is_alive():
                now = time.monotonic()
                self._tend_survey()
                if (error := hang(self._watcher, self._worker)) is not None:
                    self._fail(error)
                    break
                if not self._single and not store.is_here():
                    break  # all that works with it has to end first
                standing = self._worker.standing()
                with self._going_on():
                    if now >= next_due:
                        next_due = now + IDLE_SECONDS
                        for path in store.due(online=self._online):
                            self._watcher.hint(path)
                with self._going_on():
                    self._show(standing)
                with self._going_on():
                    always, next_beat = now >= next_beat, max(next_beat, now)
                    self._tell("running", always=always)
                    next_beat += IDLE_SECONDS * always
                with self._going_on():
                    self._manager.tell(self._worker, self._loader, standing, store.counts)
                seconds = BUSY_SECONDS if standing.remaining else next_due - now
                if self._bell.wait(min(seconds, self._manager.notifier.interval or seconds)):
                    self._follow()
                    time.sleep(0.02)  # rings come in bursts
        finally:
            self._pause.set()
            if self._stop.is_set():
                self._manager.notifier.stopping()
                self._page.stop()
            self._worker.wake()
            for thread in threads:  # each ends by itself, whatever its disks do
                thread.join()
            left = join(work, self._watcher, self._worker)
            if self._survey is not None:
                join(self._survey, self._watcher)
            self._follow()  # what was asked meanwhile
            if left is not None and not self._told_to_stop:
                self._fail(left)  # what was left behind may yet go on: nothing may follow here

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Keep what goes wrong with telling how things are from ending the work."""
        try:
            yield
        except Exception as error:
            if time.monotonic() < self._quiet_until:
                return
            self._quiet_until = time.monotonic() + IDLE_SECONDS
            if concerns_index(error):
                log.warning("the index cannot be read: %s", error)
            else:
                log.error("error in the main thread", exc_info=error)

    def _follow(self) -> None:
        """Do what signals have asked for."""
        while self._asked:
            if self._asked.popleft() != signal.SIGHUP:
                self._told_to_stop = True
                self._stop.set()
                self._pause.set()
            elif not self._single and not self._stop.is_set():
                self._apply_new_config()

    def _apply_new_config(self) -> None:
        """Read the config again; keep the old one when the new one is wrong."""
        self._manager.notifier.reloading()
        try:
            new = self._read_config()
        except ConfigError as error:
            log.error("the config is not reloaded: %s", error)
            self._manager.notifier.ready()
            return
        if new.state_dir != self.config.state_dir:
            log.error("`state_dir` cannot change while running; restart the daemon for that")
            self._manager.notifier.ready()
            return
        self.config = new
        set_up_logging(new.log.level, new.log.format)
        log.info("config reloaded")
        self._pause.set()

    def _tell(self, state: str, *, always: bool = True) -> None:
        """Write down how things are, if that has changed or ``always``."""
        engine, error, last = self._loader.engine, self._loader.error, self._worker.last
        self._heartbeat.write(
            {
                "state": state,
                "pid": os.getpid(),
                "version": __version__,
                "started_at": self._started_at,
                "model": engine.model_id if engine else None,
                "engine": engine.name if engine else None,
                "problem": str(error) if error and not engine else self._worker.problem,
                "notice": "; ".join(filter(None, (self._notice, self._page.notice))) or None,
                "errors": self._unforeseen.told(),
                "paused_reason": self._worker.paused_reason,
                "unconfined": self._worker.unconfined,
                "queue": self._worker.queued,
                "progress": asdict(self._worker.standing()),
                "last": asdict(last) if last else None,
                "roots": [asdict(root) for root in self._watcher.status()],
            },
            always=always,
        )

    # The folders

    def _look_again(self) -> None:
        watcher: Watcher | None = getattr(self, "_watcher", None)
        if watcher is not None:  # else the first scan is still to come
            watcher.rescan()

    def _root_of(self, path: str) -> str:
        root = self.config.root_of(path)
        return root.path if root is not None else ""

    def _online(self, path: str) -> bool:
        root = self._root_of(path)
        return not self._repairs.hold(root) and any(
            status.path == root and status.state == "online" for status in self._watcher.status()
        )

    def _begin_survey(self) -> None:
        """Find out, when more was found than fits the queue, how much there is."""
        if self._survey is None:
            self._survey = BacklogCount(self._watcher, self._progress, self._pause, self._bell.ring)

    def _tend_survey(self) -> None:
        if self._survey is not None and self._survey.is_over():
            self._survey = None
