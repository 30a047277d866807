"""The long-running process: signals, threads and wiring.

Three threads: the main one keeps time (signals, heartbeat, due retries), one watches the
folders, one handles photos. A reload stops the last two and starts them with the new config.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import TYPE_CHECKING, Any

from tagger import __version__
from tagger.config import Config
from tagger.errors import ConfigError, StateError
from tagger.handover import Found, Writing
from tagger.index.store import Store
from tagger.loading import EngineLoader
from tagger.logs import set_up_logging
from tagger.outcome import Outcome
from tagger.photo import Candidate
from tagger.state import state_lock, write_heartbeat
from tagger.watch.watcher import Watcher

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.intake import Job
    from tagger.pipeline import Pipeline

log = logging.getLogger(__name__)

BATCH = 16
QUEUE = 256
HEARTBEAT_SECONDS = 2.0
DUE_SECONDS = 15.0
DISK_FULL_SECONDS = 10.0


class Daemon:
    """The daemon of one config.

    ``read_config`` gives the config again on SIGHUP. ``observer`` is called with every
    outcome, in the working thread.
    """

    def __init__(
        self,
        config: Config,
        *,
        read_config: Callable[[], Config] | None = None,
        observer: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self.config = config
        self._read_config = read_config or (lambda: self.config)
        self._observer = observer
        self._stop = threading.Event()  # the whole daemon
        self._pause = threading.Event()  # watching and working: for a reload, or the end
        self._wake = threading.Event()  # the main thread
        self._reload = False
        self._queue: queue.Queue[Candidate] = queue.Queue(QUEUE)
        self._loader = EngineLoader(self._pause.is_set)
        self._watcher: Watcher | None = None
        self._in_work = 0
        self._writing: Writing
        self._error: BaseException | None = None
        self._started_at = time.time()

    def stop(self) -> None:
        """Ask the daemon to stop; what it has not finished waits for the next start."""
        self._stop.set()
        self._pause.set()
        self._wake.set()

    def reload(self) -> None:
        """Ask the daemon to read its config again."""
        self._reload = True
        self._wake.set()

    def run(self) -> None:
        """Watch and tag until :meth:`stop`.

        Raise StateError when the state directory cannot be used, and whatever ended a
        thread unexpectedly.
        """
        with self._session() as store:
            while not self._stop.is_set():
                self._pause.clear()
                self._run_until_paused(store)

    def run_once(self) -> None:
        """Handle all that is there now, then return.

        Raise ModelError when there are no weights, else as :meth:`run`.
        """
        with self._session() as store:
            watcher = self._start_watcher(store)
            if self._loader.get(self.config) is None and self._loader.error is not None:
                raise self._loader.error
            scanned = threading.Event()
            scan = threading.Thread(target=self._scan_once, args=(watcher, scanned), name="scan")
            scan.start()
            try:
                self._work(store, until=scanned)
            finally:
                self._pause.set()
                scan.join()

    @contextmanager
    def _session(self) -> Iterator[Store]:
        from tagger.upkeep import repair

        with state_lock(self.config.state_dir), Store(self.config.state_dir) as store:
            repair(store)
            with self._signals():
                yield store
            self._heartbeat("stopped")
        if self._error is not None:
            raise self._error

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Let SIGTERM and SIGINT stop and SIGHUP reload, when in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        calls = {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self.stop,
            signal.SIGHUP: self.reload,
        }

        def handle(number: int, frame: FrameType | None) -> None:
            calls[signal.Signals(number)]()

        old = {number: signal.signal(number, handle) for number in calls}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _run_until_paused(self, store: Store) -> None:
        watcher = self._start_watcher(store)
        threads = [
            threading.Thread(target=self._guard, args=(watcher.run, self._pause), name="watch"),
            threading.Thread(target=self._guard, args=(self._work, store), name="work"),
        ]
        for thread in threads:
            thread.start()
        log.info("watching %s", ", ".join(root.path for root in self.config.watch) or "nothing")
        next_due = 0.0
        try:
            while not self._pause.is_set() and not self._stop.is_set():
                self._heartbeat("running")
                if time.monotonic() >= next_due:
                    next_due = time.monotonic() + DUE_SECONDS
                    for path in store.due():
                        watcher.hint(path)
                self._wake.wait(HEARTBEAT_SECONDS)
                self._wake.clear()
                if self._reload and not self._stop.is_set():
                    self._reload = False
                    self._apply_new_config()
        finally:
            self._pause.set()
            for thread in threads:
                thread.join()

    def _guard(self, target: Callable[..., None], *args: Any) -> None:
        """Run a thread; if it ends by an error stop the daemon, which systemd then restarts."""
        try:
            target(*args)
        except BaseException as error:
            log.critical("the %s thread failed", threading.current_thread().name, exc_info=True)
            self._error = error
            self.stop()

    def _apply_new_config(self) -> None:
        """Read the config again; keep the old one when the new one is wrong."""
        try:
            new = self._read_config()
        except ConfigError as error:
            log.error("the config is not reloaded: %s", error)
            return
        if new.state_dir != self.config.state_dir:
            log.error("`state_dir` cannot change while running; restart the daemon for that")
            return
        self.config = new
        set_up_logging(new.log)
        log.info("config reloaded")
        self._pause.set()

    def _heartbeat(self, state: str) -> None:
        engine, error = self._loader.engine, self._loader.error
        roots = self._watcher.status() if self._watcher is not None else []
        write_heartbeat(
            self.config.state_dir,
            {
                "state": state,
                "pid": os.getpid(),
                "version": __version__,
                "started_at": self._started_at,
                "updated_at": time.time(),
                "model": engine.model_id if engine else None,
                "engine": engine.name if engine else None,
                "problem": str(error) if error and not engine else None,
                "queue": self._queue.qsize() + self._in_work,
                "roots": [asdict(root) for root in roots],
            },
        )

    # Watching

    def _start_watcher(self, store: Store) -> Watcher:
        self._queue = queue.Queue(QUEUE)
        self._watcher = Watcher(
            self.config.watch,
            store,
            Found(self._queue, store, self._pause),
            settle_seconds=self.config.settle_seconds,
            rescan_seconds=self.config.rescan_seconds,
            state_dir=self.config.state_dir,
        )
        return self._watcher

    def _scan_once(self, watcher: Watcher, scanned: threading.Event) -> None:
        try:
            self._guard(watcher.scan_once)
        finally:
            scanned.set()

    def _online(self, path: str) -> bool:
        root = self.config.root_of(path)
        if root is None or self._watcher is None:
            return False
        return any(
            status.path == root.path and status.state == "online"
            for status in self._watcher.status()
        )

    # Working

    def _work(self, store: Store, until: threading.Event | None = None) -> None:
        """Handle what the watcher finds, until paused (or ``until`` is set and all is done)."""
        pipeline: Pipeline | None = None
        jobs: list[Job] = []
        writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        try:
            while not self._pause.is_set():
                if pipeline is None:
                    engine = self._loader.get(self.config)
                    if engine is None:
                        self._note_waiting(store)
                    else:
                        pipeline = self._start_pipeline(store, engine)
                        self._writing = Writing(writer, pipeline)
                        self._relabel(pipeline)
                        self._look_again()
                    continue
                idle = not jobs and not pipeline.intake.deferred and not self._writing.busy
                if idle and until is not None and until.is_set() and self._queue.empty():
                    return
                jobs = self._turn(pipeline, jobs, wait=idle)
        finally:
            self._in_work = 0
            writer.shutdown()
            if pipeline is not None:
                pipeline.pool.close()

    def _turn(self, pipeline: Pipeline, jobs: list[Job], *, wait: bool) -> list[Job]:
        """Begin the next batch, classify the one that is decoded, have it written.

        Return the begun batch. Decoding, the network and writing so overlap.
        """
        batch, pipeline.intake.deferred = pipeline.intake.deferred, []
        batch += self._take(wait=wait)
        self._in_work = len(batch) + len(jobs) + self._writing.busy
        outcomes: list[Outcome] = []
        try:
            begun, outcomes = pipeline.intake.begin(batch)
            self._in_work = len(begun) + len(jobs) + self._writing.busy
            recognised, failed = pipeline.recogniser.run(jobs)
            outcomes += failed + self._writing.result()
            self._writing.start(jobs, recognised)
        except (sqlite3.OperationalError, StateError) as error:
            # A full disk: nothing was acknowledged, so the next scan finds it all again.
            log.error("the index cannot be written: %s; trying again soon", error)
            self._writing.forget()
            pipeline.intake.forget()
            self._pause.wait(DISK_FULL_SECONDS)
            self._look_again()
            begun = []
        self._in_work = len(begun) + self._writing.busy
        for outcome in outcomes:
            self._observer(outcome)
        return begun

    def _take(self, *, wait: bool) -> list[Candidate]:
        batch: list[Candidate] = []
        try:
            if wait:
                batch.append(self._queue.get(timeout=0.2))
            while len(batch) < BATCH:
                batch.append(self._queue.get_nowait())
        except queue.Empty:
            pass  # what is there is the batch
        return batch

    def _note_waiting(self, store: Store) -> None:
        """Without an engine yet: remember what was found, so that the status can tell."""
        if batch := self._take(wait=self._loader.error is not None):
            store.mark_waiting((candidate.path, candidate.root) for candidate in batch)

    def _look_again(self) -> None:
        if self._watcher is not None:
            self._watcher.rescan()

    def _start_pipeline(self, store: Store, engine: Engine) -> Pipeline:
        from tagger.decode.worker import DecodePool
        from tagger.labels.choose import Chooser
        from tagger.labels.vocabulary import own_vocabulary
        from tagger.pipeline import Pipeline

        decode = self.config.decode
        chooser = Chooser(
            own_vocabulary(self.config.state_dir),
            self.config.labels,
            class_count=len(engine.categories),
            model_name=self.config.model.name,
            categories=engine.categories,
        )
        pool = DecodePool(
            engine.spec,
            workers=decode.workers,
            max_pixels=decode.max_megapixels * 1_000_000,
            timeout=decode.timeout_seconds,
            memory_mb=decode.memory_mb,
            more=self.config.labels.crops > 1,
        )
        return Pipeline(
            self.config,
            store,
            engine,
            pool,
            chooser,
            online=self._online,
            stop=self._pause.is_set,
        )

    def _relabel(self, pipeline: Pipeline) -> None:
        from tagger.upkeep import relabel

        def handle(candidates: Sequence[Candidate]) -> None:
            jobs, outcomes = pipeline.intake.begin(candidates)
            for outcome in outcomes + pipeline.finish(jobs):
                self._observer(outcome)

        started = time.monotonic()
        if count := relabel(pipeline, handle):
            log.info("relabelled %d photos in %.1f s", count, time.monotonic() - started)
