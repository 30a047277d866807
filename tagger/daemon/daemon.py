"""The long-running process: its main thread, which keeps time and reports.

One thread watches the folders, one handles photos (:mod:`tagger.daemon.tagging_run`); the main
thread follows signals, reports how the daemon fares, and has failures tried again when they are
due. A reload stops the other two and starts them with the new config.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tagger import __version__
from tagger.config.schema import Config
from tagger.daemon.lifecycle import Lifecycle, logged_thread_errors
from tagger.daemon.metrics import Metrics
from tagger.daemon.progress import Progress
from tagger.daemon.reporting import BUSY_SECONDS, IDLE_SECONDS, StatusReporter
from tagger.daemon.resources import DaemonResources
from tagger.daemon.tagging_run import TaggingRun
from tagger.errors import ConfigError
from tagger.index.salvage import open_sound, take_up
from tagger.library.daemon_status import (
    DaemonStatus,
    NetworkStatus,
    ProgressSnapshot,
    UnexpectedErrors,
)
from tagger.pipeline.networks import NetworksLoader
from tagger.pipeline.outcome import Outcome
from tagger.system.control_socket import ControlServer
from tagger.system.logs import Unforeseen, set_up_logging
from tagger.system.sd_notify import Notifier
from tagger.system.state_dir import state_lock
from tagger.web.embedded import EmbeddedPage

log = logging.getLogger(__name__)

BURST_SECONDS = 0.02
"""Rings of the main thread come in bursts, and are followed together."""
CHECK_SECONDS = 0.5
"""So long READY waits until it is known how each folder is watched."""


class Daemon:
    """The daemon of one config.

    ``read_config`` gives the config again on SIGHUP. ``observer`` is called with every
    outcome, in the working thread; ``show`` every few seconds with how far the work is;
    ``notifier`` reports to systemd. ``take_over``: it writes the tags from now on where
    another tagger does.
    """

    def __init__(
        self,
        config: Config,
        *,
        read_config: Callable[[], Config] | None = None,
        observer: Callable[[Outcome], None] = lambda outcome: None,
        show: Callable[[ProgressSnapshot], None] = lambda progress: None,
        notifier: Notifier | None = None,
        take_over: bool = False,
    ) -> None:
        self._config, self._take_over = config, take_over
        self._read_config = read_config or (lambda: config)
        self._observer = observer
        self._lifecycle = Lifecycle()
        self._loader = NetworksLoader(self._lifecycle.pausing.is_set)
        self._progress = Progress()
        self._metrics = Metrics()
        self._page = EmbeddedPage(self._loader, self._lifecycle.wakeup.ring)
        self._reporter = StatusReporter(
            config.state_dir, notifier or Notifier({}), self._metrics, show
        )
        self._unforeseen = Unforeseen()
        self._started_at = time.time()

    @property
    def left_behind(self) -> bool:
        """Whether threads still run that dead disks keep: the process must end at once then."""
        return self._lifecycle.stalls.left_behind

    def stop(self) -> None:
        """Ask the daemon to stop; what it has not finished waits for the next start."""
        self._lifecycle.request(signal.SIGTERM)

    def reload(self) -> None:
        self._lifecycle.request(signal.SIGHUP)

    def _asked_to_reload(self, request: Mapping[str, Any]) -> str:
        self.reload()
        return "the daemon reads its config again"

    def run(self) -> None:
        """Watch and tag until :meth:`stop`.

        Raise StateError when the state directory cannot be used, SilentDiskError when the work
        hangs on a disk, and whatever ended a thread unexpectedly. See :attr:`left_behind` then.
        """
        lifecycle = self._lifecycle
        with self._session() as session:
            while not lifecycle.stopping.is_set():
                lifecycle.pausing.clear()
                if lifecycle.error is not None:
                    break  # of a repair that took long
                if not session.store.is_here():  # it was deleted, or replaced, while in use
                    session.notice = take_up(session.store)
                run = self._tagging_run(session, single=False)
                self._metrics.use(session.config.metrics, session.store.counts)
                self._page.use(session.config, session.commands)
                paths = ", ".join(root.path for root in session.config.watch)
                log.info("watching %s", paths or "nothing")
                self._supervise(session, run)

    def run_once(self) -> None:
        """Handle all that is there now, then return.

        Raise ModelError when there are no weights, else as :meth:`run`.
        """
        with self._session() as session:
            self._supervise(session, self._tagging_run(session, single=True))

    @contextmanager
    def _session(self) -> Iterator[DaemonResources]:
        config, lifecycle = self._config, self._lifecycle
        with (
            self._unforeseen,
            logged_thread_errors(),
            state_lock(config.state_dir),
            open_sound(config.state_dir) as store,
        ):
            session = DaemonResources(config, store, lifecycle, take_over=self._take_over)
            session.repairs.wait()
            lifecycle.raise_error()
            actions = {**session.commands.actions(), "reload": self._asked_to_reload}
            control = ControlServer(config.state_dir, actions)
            with lifecycle.signals(), session.rebuilding(), control, self._metrics, self._page:
                yield session
            self._reporter.heartbeat.write(self._status(session, "stopped"), always=True)
        lifecycle.raise_error()

    def _tagging_run(self, session: DaemonResources, *, single: bool) -> TaggingRun:
        def observed(outcome: Outcome) -> None:
            try:
                self._metrics.count(outcome)
                session.commands.tell(outcome)
                self._observer(outcome)
            except Exception:  # the photo is done
                log.exception("reporting the outcome of %s failed", outcome.path)

        return TaggingRun(session, self._loader, self._progress, observed, single=single)

    def _supervise(self, session: DaemonResources, run: TaggingRun) -> None:
        """Run the threads until they are to pause; keep time meanwhile."""
        lifecycle, notifier = self._lifecycle, self._reporter.notifier
        run.start()
        if not run.single:
            run.watcher.await_checks(CHECK_SECONDS)
        next_due = 0.0
        with self._reporter.guarded():  # whoever waits for READY may read it
            self._reporter.heartbeat.write(self._status(session, "running", run), always=True)
        notifier.ready()
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        try:
            while not lifecycle.pausing.is_set() and run.working:
                now = time.monotonic()
                run.tick()
                if lifecycle.stopping.is_set():
                    break
                if not run.single and not session.store.is_here():
                    break  # all that works with it has to end first
                is_due = now >= next_due
                if is_due:
                    next_due = now + IDLE_SECONDS
                    with self._reporter.guarded():
                        for path in session.store.due(online=session.is_online):
                            run.watcher.hint(path)
                status = self._report(session, run, always=is_due)
                busy = status is None or status.progress is None or status.progress.remaining
                seconds = BUSY_SECONDS if busy else next_due - now
                if lifecycle.wakeup.wait(min(seconds, notifier.interval or seconds)):
                    self._follow_requests(session, run)
                    time.sleep(BURST_SECONDS)
        finally:
            lifecycle.pausing.set()
            if lifecycle.stopping.is_set():
                notifier.stopping()
                self._page.stop()
            left = run.end()
            self._follow_requests(session, run)  # what was asked for meanwhile
            if left is not None and not lifecycle.told_to_stop:
                lifecycle.fail(left)  # an abandoned thread may yet go on: nothing may follow here

    def _report(
        self, session: DaemonResources, run: TaggingRun, *, always: bool
    ) -> DaemonStatus | None:
        """Make the record of this tick and hand it on; return it, None when it cannot be made.

        ``always``: into the status file even when nothing has changed.
        """
        status: DaemonStatus | None = None
        with self._reporter.guarded():
            status = session.commands.status = self._status(session, "running", run)
            self._reporter.report(status, session.store.counts, always=always)
        return status

    def _status(
        self, session: DaemonResources, state: str, run: TaggingRun | None = None
    ) -> DaemonStatus:
        engine, error = self._loader.engine, self._loader.error
        worker, watcher = session.worker, session.watcher
        notices = (session.notice, self._page.notice)
        errors = self._unforeseen.told()
        unconfined = worker.unconfined if worker else None
        return DaemonStatus(
            state=state,
            pid=os.getpid(),
            version=__version__,
            started_at=self._started_at,
            updated_at=time.time(),
            memory_mb=self._reporter.memory.megabytes(),
            model=engine.model_id if engine else None,
            engine=engine.name if engine else None,
            networks=tuple(NetworkStatus(**one) for one in self._loader.further.states()),
            int8=worker.precision.states if worker else (),
            problem=str(error) if error and not engine else worker.problem if worker else None,
            notice="; ".join(filter(None, notices)) or None,
            paused_reason=worker.paused_reason if worker else None,
            moving=worker.moves() if worker else True,
            errors=UnexpectedErrors(**errors) if errors else None,
            unconfined=None if unconfined is None else tuple(unconfined),
            queue=worker.queued if worker else 0,
            incomplete=worker.incomplete if worker else 0,
            progress=worker.standing() if worker else None,
            last=worker.last if worker else None,
            rules=run.rules_status() if run else None,
            cluster=worker.cluster if worker else None,
            roots=tuple(watcher.status()) if watcher else (),
        )

    def _follow_requests(self, session: DaemonResources, run: TaggingRun) -> None:
        for number in self._lifecycle.requests():
            if number != signal.SIGHUP:
                self._lifecycle.stop()
            elif not run.single and not self._lifecycle.stopping.is_set():
                self._reload(session)

    def _reload(self, session: DaemonResources) -> None:
        """Read the config again; keep the old one when the new one is wrong."""
        notifier = self._reporter.notifier
        notifier.reloading()
        try:
            new = self._read_config()
        except ConfigError as error:
            log.error("the config is not reloaded: %s", error)
            notifier.ready()
            return
        if new.state_dir != session.config.state_dir:
            log.error("`state_dir` cannot change while running; restart the daemon for that")
            notifier.ready()
            return
        session.config = new
        set_up_logging(new.log.level, new.log.format)
        log.info("config reloaded")
        self._lifecycle.pausing.set()
