"""The thread that handles photos: it takes what was found, and drives the pipeline."""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tagger.classify.loader import EngineLoader
from tagger.config.schema import Config
from tagger.daemon.progress import Progress, ProgressSnapshot
from tagger.decode.pool import decode_pool, decoded_crops
from tagger.errors import ConfigError, ModelError, TaggerError
from tagger.index.connection import concerns_index
from tagger.index.store import Store
from tagger.labels.chooser import make_chooser
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.pipeline.pipeline import WriterStage
from tagger.pipeline.serial_executor import SerialExecutor
from tagger.records import Candidate, Outcome, Tagged, Unchanged
from tagger.system.process import trim_memory

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.decode.pool import DecodePool
    from tagger.pipeline.job import Job
    from tagger.pipeline.pipeline import Pipeline

log = logging.getLogger(__name__)

BATCH = 16
DISK_FULL_SECONDS = 10.0
TROUBLE_SECONDS, MOST_TROUBLE_SECONDS = 1.0, 300.0
"""How long the work rests after an error that nobody foresaw; twice as long after each."""
MOST_TROUBLES = 4
"""After so many in a row a single run gives up."""
ENGINE_SECONDS = 2.0
"""How often, without an engine, the loader is asked."""
ASK_SECONDS = 0.2
"""How often a single run looks whether all is done."""
OPTIMIZE_STEP = 256
"""After so many photos more it is asked whether int8 can be proved; after four times as many,
and so on, each time that there was trouble with it."""
REST_SECONDS = 20.0
"""How often, while photos are to wait, it is asked whether they still are."""
STUCK_SECONDS = 900.0
"""A batch that takes longer hangs: sixteen photos may each be given up after a minute."""
TRIM_STEP = 128
"""After so many photos in a row free memory is given back, in some ms."""
WORTH_OPTIMIZING = 1000
"""A single run with less to do than this is over before int8 pays."""

Queue = queue.Queue[Candidate | None]
"""What the watch found; None wakes the worker."""


@dataclass(slots=True)
class Last:
    """The photo that was handled last: seconds since the epoch, and what it took."""

    path: str
    at: float
    milliseconds: float


class Worker:
    """Handles the photos of ``found`` until ``pause`` is set.

    ``online`` says whether the watched folder of a path can be trusted to be there,
    ``look_again`` has all folders looked at. ``until``: when this is set and all is done,
    the work ends (a single run). ``roots`` are the watched folders of the photos that are begun,
    decoded or written now. ``changed`` is called when the work begins and ends;
    ``observer`` with every outcome; both in the working thread. ``held`` says why photos are
    to wait, if they are.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        loader: EngineLoader,
        found: Queue,
        pause: threading.Event,
        progress: Progress,
        *,
        online: Callable[[str], bool],
        look_again: Callable[[], None],
        observer: Callable[[Outcome], None],
        changed: Callable[[], None],
        held: Callable[[], str | None] = lambda: None,
        until: threading.Event | None = None,
        refusing: BlockedRoots | None = None,
    ) -> None:
        self.resting: str | None = None
        self.last: Last | None = None
        self._config, self._store, self._loader = config, store, loader
        self._found, self._pause, self._progress = found, pause, progress
        self._online, self._look_again = online, look_again
        self._observer, self._changed, self._until = observer, changed, until
        self._hand: SerialExecutor
        self._writing: WriterStage
        self._pipeline: Pipeline | None = None
        self._jobs: list[Job] = []
        self._troubles = 0
        self._in_work = 0
        self._was_busy = False
        self._turned_at = time.monotonic()
        self.roots: Set[str] = frozenset()
        self._roots_before: Set[str] = frozenset()
        self._held, self._awake = held, threading.Event()
        self._optimizing: _Optimizing | None = None
        self._asked_at, self._step = -OPTIMIZE_STEP, OPTIMIZE_STEP
        self._refusing = refusing
        self._index_problem: str | None = None
        self._untrimmed = 0

    @property
    def queued(self) -> int:
        """The photos that wait, or are being handled."""
        return self._found.qsize() + self._in_work

    def standing(self) -> ProgressSnapshot:
        """Return how the work stands."""
        return self._progress.standing(self.queued)

    @property
    def at_it(self) -> float:
        """For how many seconds the work has been at one batch."""
        return time.monotonic() - self._turned_at if self._was_busy else 0.0

    def moves(self) -> bool:
        """Whether the work goes on: there is none, or it has not been at one batch for long."""
        return self.at_it < STUCK_SECONDS

    @property
    def problem(self) -> str | None:
        """Why photos wait; None when none do."""
        return self._index_problem or (self._refusing.problem() if self._refusing else None)

    @property
    def unconfined(self) -> list[str] | None:
        """What decoding processes could not do to confine themselves; None when none started."""
        return self._pipeline.pool.missing if self._pipeline else None

    def wake(self) -> None:
        """Have a waiting worker look whether it is to pause."""
        self._awake.set()
        with contextlib.suppress(queue.Full):  # then it does not wait
            self._found.put_nowait(None)

    def run(self) -> None:
        """Work. Raise ModelError when a single run finds no weights.

        After an error that nobody foresaw all that it works with is made anew, at most every
        few minutes; a single run gives up after some, and raises it.
        """
        self._hand = SerialExecutor("write")
        try:
            while not self._pause.is_set():
                try:
                    if self._round():
                        return
                except ConfigError:
                    raise
                except Exception as error:
                    if isinstance(error, ModelError) and self._until is not None:
                        raise
                    self._begin_anew(error)
        finally:
            self._in_work = 0
            self._pause.set()
            self._hand.close()
            if self._optimizing is not None:
                self._optimizing.join()
            if self._pipeline is not None:
                self._pipeline.pool.close()

    def _round(self) -> bool:
        """Do what is next; return whether a single run is done."""
        pipeline = self._pipeline
        if pipeline is None:
            if (engine := self._engine()) is not None:
                pipeline = self._pipeline = self._start_pipeline(engine)
                self._writing = WriterStage(self._hand, pipeline)
                self._relabel(pipeline)
                self._look_again()
            return False
        jobs = self._jobs
        idle = not jobs and not pipeline.intake.deferred and not self._writing.busy
        idle = idle and self._found.empty()
        if idle and self._until is not None and self._until.is_set():
            return True
        self._turned_at = time.monotonic()
        if self._rests(idle=not jobs and not self._writing.busy):
            return False
        self._note(busy=not idle)
        self._optimize(pipeline)
        self._jobs = self._turn(pipeline, jobs, wait=idle)
        return False

    def _begin_anew(self, error: Exception) -> None:
        """Drop what is on its way, which is found again, and go on after a while."""
        self._troubles += 1
        if concerns_index(error):
            self._index_problem = f"the index cannot be used: {error}; it is tried again soon"
            log.error("%s", self._index_problem)
        else:
            log.error("the work met an error that nobody foresaw", exc_info=error)
        if self._until is not None and self._troubles >= MOST_TROUBLES:
            raise error
        if self._pipeline is not None:
            self._writing.forget()
            self._pipeline.pool.close()
        self._pipeline, self._jobs = None, []
        self._in_work = 0
        self.roots = self._roots_before = frozenset()
        self._note(busy=False)
        self._changed()
        seconds = TROUBLE_SECONDS * 2.0 ** min(self._troubles - 1, 10)
        self._pause.wait(min(seconds, MOST_TROUBLE_SECONDS))
        self._look_again()

    def _rests(self, *, idle: bool) -> bool:
        """Wait a while if no photo is to be begun now, and none is on its way."""
        self.resting = self._held()
        if self.resting is None or not idle:
            return False
        self._note(busy=False)
        self._awake.wait(REST_SECONDS)
        self._awake.clear()
        return True

    def _begin_turn(self) -> None:
        self._turned_at = time.monotonic()
        self._note(busy=True)

    def _note(self, *, busy: bool) -> None:
        if busy != self._was_busy:
            self._was_busy = busy
            if not busy:
                self._trim()
            self._changed()

    def _trim(self) -> None:
        trim_memory()
        self._untrimmed = 0

    def _engine(self) -> Engine | None:
        """Return the engine; without one remember what was found, so that the status can tell."""
        engine = self._loader.get(self._config)
        if engine is None:
            if self._until is not None and self._loader.error is not None:
                raise self._loader.error
            self._changed()
            waits = self._loader.error is not None
            if batch := self._take(ENGINE_SECONDS if waits else 0.0):
                self._store.mark_waiting((one.path, one.root) for one in batch)
        return engine

    def _turn(self, pipeline: Pipeline, jobs: list[Job], *, wait: bool) -> list[Job]:
        """Begin the next batch, classify the one that is decoded, have it written.

        Return the begun batch. Decoding, the network and writing so overlap.
        """
        batch: list[Candidate] = []
        if self.resting is None:
            batch, pipeline.intake.deferred = pipeline.intake.deferred, []
        seconds = ASK_SECONDS if self._until is not None else None
        if self.resting is None:
            batch += self._take(seconds if wait else 0.0)
        if wait and batch:
            self._begin_turn()  # it has waited until now
        self._in_work = len(batch) + len(jobs) + self._writing.busy
        roots = {one.root for one in batch} | {job.candidate.root for job in jobs}
        self.roots, self._roots_before = roots | self._roots_before, roots
        outcomes: list[Outcome] = []
        try:
            begun, outcomes = pipeline.intake.begin(batch)
            self._in_work = len(begun) + len(jobs) + self._writing.busy
            recognised, failed = pipeline.recogniser.run(jobs)
            outcomes += failed + self._writing.result()
            self._writing.start(jobs, recognised)
        except Exception as error:
            if not concerns_index(error):
                raise
            # A full disk: nothing was acknowledged, so the next scan finds it all again.
            self._index_problem = f"the index cannot be written: {error}; it is tried again soon"
            log.error("%s", self._index_problem)
            self._changed()
            self._writing.forget()
            pipeline.intake.forget()
            self._pause.wait(DISK_FULL_SECONDS)
            self._look_again()
            begun = []
        else:
            if self._index_problem is not None and any(isinstance(o, Tagged) for o in outcomes):
                self._index_problem = None
                self._changed()
        self._in_work = len(begun) + self._writing.busy
        self._tell(outcomes)
        return begun

    def _tell(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Tagged):
                self._troubles = 0
                self.last = Last(outcome.path, time.time(), sum(outcome.milliseconds.values()))
            self._observer(outcome)
        handled = sum(not isinstance(outcome, Unchanged) for outcome in outcomes)
        self._progress.add(handled)
        self._untrimmed += handled
        if self._untrimmed >= TRIM_STEP:
            self._trim()
        if line := self._progress.line(self.queued):
            log.info("%s", line, extra={"event": "progress"})

    def _take(self, seconds: float | None) -> list[Candidate]:
        """Return what was found; wait ``seconds`` for the first (None: until there is one)."""
        batch: list[Candidate] = []
        try:
            if seconds != 0.0 and not self._pause.is_set():
                if (one := self._found.get(timeout=seconds)) is None:
                    return batch
                batch.append(one)
            while len(batch) < BATCH:
                if (one := self._found.get_nowait()) is not None:
                    batch.append(one)
        except queue.Empty:
            pass  # what is there is the batch
        return batch

    def _start_pipeline(self, engine: Engine) -> Pipeline:
        from tagger.labels.vocabulary import own_vocabulary
        from tagger.pipeline.pipeline import Pipeline

        chooser = make_chooser(
            engine.categories, self._config, own_vocabulary(self._config.state_dir)
        )
        pool = decode_pool(self._config, engine.spec)
        return Pipeline(
            self._config,
            self._store,
            engine,
            pool,
            chooser,
            online=self._online,
            stop=self._pause.is_set,
            refusing=self._refusing,
        )

    def _relabel(self, pipeline: Pipeline) -> None:
        from tagger.pipeline.relabel import relabel

        def handle(candidates: Sequence[Candidate]) -> None:
            self.roots = {one.root for one in candidates}
            self._begin_turn()
            jobs, outcomes = pipeline.intake.begin(candidates)
            for outcome in outcomes + pipeline.finish(jobs):
                self._observer(outcome)
            self.roots = frozenset()
            self._note(busy=False)

        started = time.monotonic()
        if count := relabel(pipeline, handle):
            log.info("relabelled %d photos in %.1f s", count, time.monotonic() - started)

    def _optimize(self, pipeline: Pipeline) -> None:
        """Have int8 proved beside the work when enough photos were seen, and take it up."""
        if (running := self._optimizing) is not None:
            if not running.done:
                return
            self._optimizing = None
            if running.failed:
                self._step *= 4  # photos are decoded anew for each
            if running.accepted:
                pipeline.use(self._loader.renew(self._config))
            return
        standing = self.standing()
        if standing.done - self._asked_at < self._step:
            return
        if self._until is not None and standing.remaining < WORTH_OPTIMIZING:
            return
        self._asked_at = standing.done
        self._optimizing = _Optimizing(
            self._loader, self._config, self._store, pipeline.pool, self.wake
        )


class _Optimizing(threading.Thread):
    """Proves int8 on photos of the index. Starts at once.

    When it is ``done``, ``accepted`` says whether int8 may be used, ``failed`` that this was not
    found out; then ``ended`` is called.
    """

    def __init__(
        self,
        loader: EngineLoader,
        config: Config,
        store: Store,
        pool: DecodePool,
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="optimize", daemon=True)
        self.accepted = self.failed = self.done = False
        self._ended = ended
        self._given = (loader, config, store, pool)
        self.start()

    def run(self) -> None:
        try:
            self._prove()
        finally:
            self.done = True
            self._ended()

    def _prove(self) -> None:
        from tagger.classify.child_process import StoppedError

        loader, config, store, pool = self._given
        try:
            seen = store.classified()
            crops = decoded_crops(pool, store.sample_paths(), loader.stop)
            verdict = loader.maybe_optimize(config, seen, crops)
        except StoppedError:
            return  # the next start tries it again
        except ModelError as error:
            self.failed = True
            log.warning("int8 is not used: %s", error)
        except (TaggerError, OSError, RuntimeError, sqlite3.Error):
            self.failed = True
            log.exception("int8 could not be tried")
        else:
            self.accepted = verdict is not None and verdict.accepted
