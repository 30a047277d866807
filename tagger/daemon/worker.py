"""The thread that handles photos: it takes what was found, and drives the pipeline."""

from __future__ import annotations

import enum
import logging
import threading
import time
from collections.abc import Callable, Sequence, Set
from typing import TYPE_CHECKING

from tagger.daemon.candidate_queue import CandidateQueue
from tagger.daemon.precision_control import PrecisionControl
from tagger.daemon.progress import Progress
from tagger.errors import ConfigError, ModelError
from tagger.index.connection import concerns_index
from tagger.library.daemon_status import LastPhoto, ProgressSnapshot
from tagger.pipeline.cluster_state import ClusterState
from tagger.pipeline.context import Context, WorkerEvents
from tagger.pipeline.decoding import decode_pool
from tagger.pipeline.networks import Networks, NetworksLoader
from tagger.pipeline.outcome import Outcome, Tagged, Unchanged
from tagger.records import Candidate
from tagger.system.process import trim_memory

if TYPE_CHECKING:
    from tagger.pipeline.pipeline import Pipeline, Shared

log = logging.getLogger(__name__)

BATCH = 16
SHARED_BATCH = 32
"""With workers elsewhere, which have many at a time: what a batch costs is shared by more."""
FEW = 8
"""Photos that are completed at a time, so that a new one need not wait long."""
DISK_FULL_SECONDS = 10.0
TROUBLE_SECONDS, MOST_TROUBLE_SECONDS = 1.0, 300.0
"""How long the work rests after an error that nobody foresaw; twice as long after each."""
MOST_TROUBLES = 4
"""After so many in a row a single run gives up."""
ENGINE_SECONDS = 2.0
"""How often, without an engine, the loader is asked."""
ASK_SECONDS = 0.2
"""How often a single run looks whether all is done."""
REST_SECONDS = 20.0
"""How often, while photos are to wait, it is asked whether they still are."""
STUCK_SECONDS = 900.0
"""A batch that takes longer hangs: sixteen photos may each be given up after a minute."""
TRIM_STEP = 32
"""After so many photos in a row free memory is given back, in some ms."""


class _Mode(enum.Enum):
    """What the worker does next."""

    WORK = enum.auto()
    IDLE = enum.auto()
    """There is nothing to do: it waits for a candidate."""
    DRAIN = enum.auto()
    """Photos are to wait; those that were begun are finished."""
    PAUSED = enum.auto()
    RENEW = enum.auto()
    """Another network has come: the pipeline is made anew."""
    FINISHED = enum.auto()
    """A single run has done all."""


class Worker:
    """Handles the photos of ``candidates`` until the context's ``stop`` is set.

    ``held`` says why photos are to wait, if they are. ``until``: when this says so and all is
    done, the work ends (a single run). :attr:`paused_reason` is why photos wait now,
    :attr:`last` the photo handled last. All but :meth:`run` is for any thread.
    """

    def __init__(
        self,
        context: Context,
        loader: NetworksLoader,
        candidates: CandidateQueue,
        progress: Progress,
        events: WorkerEvents,
        *,
        held: Callable[[], str | None] = lambda: None,
        until: Callable[[], bool] | None = None,
    ) -> None:
        self.paused_reason: str | None = None
        self.last: LastPhoto | None = None
        self._context, self._loader = context, loader
        self._candidates, self._progress, self._events = candidates, progress, events
        self._held, self._until = held, until
        self._pipeline: Pipeline | None = None
        loader.further.changed = self.wake
        self._activity = _Activity(events.state_changed)
        self.precision = PrecisionControl(
            context, loader, single=until is not None, ended=self.wake
        )
        self._awake = threading.Event()
        self._troubles = 0
        self._index_problem: str | None = None

    @property
    def queued(self) -> int:
        """The photos that wait, or are being handled."""
        pipeline = self._pipeline
        return len(self._candidates) + (pipeline.in_work if pipeline is not None else 0)

    @property
    def roots(self) -> Set[str]:
        """The watched folders of the photos that are begun, decoded or written now."""
        pipeline = self._pipeline
        return pipeline.roots if pipeline is not None else frozenset()

    def standing(self) -> ProgressSnapshot:
        return self._progress.standing(self.queued)

    @property
    def at_it(self) -> float:
        """For how many seconds the work has been at one batch."""
        return self._activity.seconds

    def moves(self) -> bool:
        """Whether the work goes on: there is none, or it has not been at one batch for long."""
        return self.at_it < STUCK_SECONDS

    @property
    def problem(self) -> str | None:
        """Why photos wait; None when none do."""
        cluster = self.cluster
        waits = cluster.problem if cluster and self._context.config.cluster.lost == "wait" else None
        return self._index_problem or self._context.health.problem() or waits

    @property
    def cluster(self) -> ClusterState | None:
        """How the cluster is; None without one in the config."""
        pipeline = self._pipeline
        return pipeline.recognition.state() if pipeline is not None else None

    @property
    def unconfined(self) -> list[str] | None:
        """What decoding processes could not do to confine themselves; None when none started."""
        pipeline = self._pipeline
        return pipeline.local.pool.missing if pipeline is not None else None

    @property
    def incomplete(self) -> int:
        """How many photos wait to be looked at by a network that came after them."""
        pipeline = self._pipeline
        return pipeline.completion.remaining if pipeline is not None else 0

    def wake(self) -> None:
        """Have a waiting worker look whether it is to pause, or a network has come."""
        self._awake.set()
        self._candidates.wake()

    def run(self) -> None:
        """Work. Raise ModelError when a single run finds no weights.

        After an error that nobody foresaw all that it works with is made anew, at most every
        few minutes; a single run gives up after some, and raises it.
        """
        stop = self._context.stop
        try:
            while not stop.is_set():
                try:
                    if self._pipeline is None:
                        self._start_pipeline()
                    elif self._round(self._pipeline):
                        return
                except ConfigError:
                    raise
                except Exception as error:
                    if isinstance(error, ModelError) and self._until is not None:
                        raise
                    self._begin_anew(error)
        finally:
            stop.set()
            self.precision.join()
            if self._pipeline is not None:
                self._pipeline.close()

    def _round(self, pipeline: Pipeline) -> bool:
        """Do what is next; return whether a single run is done."""
        mode = self._mode(pipeline)
        if mode is _Mode.FINISHED:
            if pipeline.teaching.step(idle=True):
                return False
            if batch := pipeline.teaching.take(FEW):
                self._advance(pipeline, batch)
                return False
            return True
        self._activity.set(busy=mode in (_Mode.WORK, _Mode.DRAIN))
        if mode is _Mode.PAUSED:
            self._awake.wait(REST_SECONDS)
            self._awake.clear()
            return False
        if mode is _Mode.RENEW:
            pipeline.close()
            self._pipeline = None
            return False
        self.precision.tick(pipeline, self.standing())
        if mode is _Mode.DRAIN:
            self._take_outcomes(pipeline, pipeline.drain)
            return False
        teaching = pipeline.teaching
        if teaching.step(idle=mode is _Mode.IDLE):
            return False
        if pipeline.room == 0:  # the workers of the cluster have enough
            self._advance(pipeline, ())
            return False
        # A few that were taught something else, or lack what a network says, when nothing else is
        # to be done.
        batch = []
        if not len(self._candidates):
            batch = teaching.take(FEW) or pipeline.completion.take(FEW)
            batch = batch or pipeline.grouping.take(FEW)
        if not batch:
            wait = min(self.precision.wait, pipeline.grouping.rest, teaching.wait_seconds)
            if self._until is not None:
                wait = min(wait, ASK_SECONDS)
            room = pipeline.room
            most = BATCH if room is None else min(room, SHARED_BATCH)
            batch = self._candidates.take(most, wait if mode is _Mode.IDLE else 0.0)
            if mode is _Mode.IDLE and not batch:
                self.precision.idle(pipeline)
        if mode is _Mode.WORK or batch:
            self._advance(pipeline, batch)
        elif not len(self._candidates):
            pipeline.grouping.step()
        return False

    def _mode(self, pipeline: Pipeline) -> _Mode:
        idle = pipeline.is_idle and not len(self._candidates)
        done = idle and pipeline.completion.is_done and pipeline.grouping.is_done
        if done and self._until is not None and self._until():
            # What it asked about may have given something to do meanwhile.
            return _Mode.WORK if len(self._candidates) else _Mode.FINISHED
        self.paused_reason = self._held()
        if self.paused_reason is not None:
            return _Mode.DRAIN if pipeline.in_work else _Mode.PAUSED
        loaded = self._loader.networks
        if loaded is not None and loaded != pipeline.networks:  # another has come
            return _Mode.DRAIN if pipeline.in_work else _Mode.RENEW
        return _Mode.IDLE if idle else _Mode.WORK

    def _advance(self, pipeline: Pipeline, batch: Sequence[Candidate]) -> None:
        self._activity.set(busy=True)
        self._take_outcomes(pipeline, lambda: pipeline.advance(batch))

    def _take_outcomes(self, pipeline: Pipeline, step: Callable[[], list[Outcome]]) -> None:
        """Take the pipeline a step further, and report what comes of it.

        While the index cannot be written to, photos wait.
        """
        try:
            outcomes = step()
        except Exception as error:
            if not concerns_index(error):
                raise
            # A full disk: nothing was acknowledged, so the next scan finds it all again.
            self._index_problem = f"the index cannot be written: {error}; it is tried again soon"
            log.error("%s", self._index_problem)
            self._events.state_changed()
            pipeline.forget()
            self._context.stop.wait(DISK_FULL_SECONDS)
            self._events.rescan_wanted()
            return
        if self._index_problem is not None and any(isinstance(o, Tagged) for o in outcomes):
            self._index_problem = None
            self._events.state_changed()
        self._report(outcomes)

    def _report(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            if isinstance(outcome, Tagged):
                self._troubles = 0
                self.last = LastPhoto(outcome.path, time.time(), sum(outcome.milliseconds.values()))
            self._events.photo_done(outcome)
        handled = sum(not isinstance(outcome, Unchanged) for outcome in outcomes)
        self._progress.add(handled)
        self._activity.handled(handled)
        if line := self._progress.line(self.queued):
            log.info("%s", line, extra={"event": "progress"})

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
            self._pipeline.close()
        self._pipeline = None
        self._activity.set(busy=False)
        self._events.state_changed()
        seconds = TROUBLE_SECONDS * 2.0 ** min(self._troubles - 1, 10)
        self._context.stop.wait(min(seconds, MOST_TROUBLE_SECONDS))
        self._events.rescan_wanted()

    def _networks(self) -> Networks | None:
        """Return what can classify; without it remember what was found, for the status."""
        networks = self._loader.load(self._context.config, now=self._until is not None)
        if networks is None:
            if self._until is not None and self._loader.error is not None:
                raise self._loader.error
            self._events.state_changed()
            waits = self._loader.error is not None
            if batch := self._candidates.take(BATCH, ENGINE_SECONDS if waits else 0.0):
                self._context.store.mark_waiting((one.path, one.root) for one in batch)
        return networks

    def _start_pipeline(self) -> None:
        """Make the pipeline if there is an engine, and choose anew what other settings chose."""
        from tagger.pipeline.pipeline import Pipeline
        from tagger.pipeline.relabel import relabel

        networks = self._networks()
        if networks is None:
            return
        config = self._context.config
        chooser = networks.chooser(config, store=self._context.store)
        pool = decode_pool(config, networks.subjects.spec, views=networks.views)
        shared = self._shared(networks) if config.cluster.scheduler else None
        pipeline = Pipeline(self._context, networks, pool, chooser, shared)
        self._pipeline = pipeline

        def handle(candidates: Sequence[Candidate]) -> None:
            if self._held() is not None:
                return  # they are due, and written when photos no longer wait
            self._advance(pipeline, candidates)
            while pipeline.in_work and not self._context.stop.is_set():
                self._advance(pipeline, ())
            self._activity.set(busy=False)

        started = time.monotonic()
        present = networks.subjects.model_id
        if count := relabel(self._context, pipeline.tagging, handle, subjects=present):
            log.info("relabelled %d photos in %.1f s", count, time.monotonic() - started)
        self._events.rescan_wanted()

    def _shared(self, networks: Networks) -> Shared:
        """Return what gives workers of other machines a share in looking at photos."""
        from tagger.cluster.recognition import ClusterRecognition

        config, loader, changed = self._context.config, self._loader, self._events.state_changed
        return lambda local: ClusterRecognition(config, networks, loader, local, changed)


class _Activity:
    """Whether the work is at a batch, and since when; ``changed`` when that begins or ends.

    Free memory is given back at the end, and after many photos.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._busy = False
        self._since = time.monotonic()
        self._untrimmed = 0

    @property
    def seconds(self) -> float:
        """For how many seconds the work has been at one batch."""
        return time.monotonic() - self._since if self._busy else 0.0

    def set(self, *, busy: bool) -> None:
        """Note that a batch begins now, or that there is none."""
        self._since = time.monotonic()
        if busy != self._busy:
            self._busy = busy
            if not busy:
                self._trim()
            self._changed()

    def handled(self, count: int) -> None:
        """Note that so many photos were handled."""
        self._untrimmed += count
        if self._untrimmed >= TRIM_STEP:
            self._trim()

    def _trim(self) -> None:
        trim_memory()
        self._untrimmed = 0
