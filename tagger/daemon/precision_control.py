"""Has int8 versions made and judged in the background, and goes over to them and back."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from tagger.errors import ModelError, PhotoError, StoppedError, TaggerError
from tagger.library.daemon_status import Int8Status, ProgressSnapshot
from tagger.pipeline.context import Context
from tagger.pipeline.networks import NetworksLoader
from tagger.records import DecodedPhoto

if TYPE_CHECKING:
    from tagger.classify.int8_files import FullNetwork
    from tagger.pipeline.int8_judge import Int8Judge
    from tagger.pipeline.pipeline import Pipeline

log = logging.getLogger(__name__)

START_SECONDS = 15.0
"""So long after the start int8 versions are made that are missing; at once with MANY to do."""
MANY = 256
WORTH_MAKING = 512
"""A single run with less to do than this is nearly over before int8 pays."""
AGAIN_SECONDS = 3600.0
"""When a version that could not be made, and photos to judge by where there were none, are tried
again."""
JUDGE_SECONDS = 1.0
"""How often one more photo is judged while there is nothing else to do."""
MOST_JUDGED = 4000
"""By so many photos nothing is proven: more are judged only as they come."""
SAMPLED = 64
"""Photos that are taken from the index at a time."""
KNOWN_IN_A_ROW = 32
"""After so many that were counted before it rests: there are hardly others."""


class PrecisionControl:
    """Makes int8 versions, judges them, and takes up what comes of it. Used by one thread.

    ``single``: the run ends when all is done. ``ended`` is called, in another thread, when a
    version has been made. ``clock`` is monotonic seconds. :attr:`states` is for any thread.
    """

    def __init__(
        self,
        context: Context,
        loader: NetworksLoader,
        *,
        single: bool,
        ended: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.states: tuple[Int8Status, ...] = ()
        self._context, self._loader = context, loader
        self._single, self._ended, self._clock = single, ended, clock
        self._started = clock()
        self._making: _Making | None = None
        self._make_due = 0.0
        self._judge: Int8Judge | None = None
        self._judged: Pipeline | None = None
        self._photos = _IdlePhotos(context, clock)
        self._known = 0

    def tick(self, pipeline: Pipeline, progress: ProgressSnapshot) -> None:
        """Do what is due, in milliseconds; one photo is judged, if one was put aside for that."""
        if self._context.config.model.precision == "fp32":
            return
        making = self._making
        if making is not None and making.done:
            self._making = None
            if making.failed:
                self._make_due = self._clock() + AGAIN_SECONDS
            self._renew(making.made, pipeline)
        elif making is None and self._is_due(progress):
            self._make()
        if self._judged is not pipeline:
            self._begin_judging(pipeline)
        if self._judge is not None and (photo := pipeline.local.sample.take()) is not None:
            self._judge_by(photo, pipeline)

    @property
    def wait(self) -> float:
        """In how many seconds :meth:`idle` has something to do; infinity: never."""
        if self._judge is None or not self._judge.has_open or self._single:
            return math.inf
        counted = max(trial.counts.judged for trial in self._judge.trials.values())
        return self._photos.wait if counted < MOST_JUDGED else math.inf

    def idle(self, pipeline: Pipeline) -> None:
        """Judge by one of the photos that are in the index, if one is due. When all is done."""
        if self._judge is None or self.wait > 0:
            return
        photo = self._photos.take(pipeline)
        if photo is None:
            return
        self._known = self._known + 1 if self._judge.knows(photo.crop_hash) else 0
        if self._known >= KNOWN_IN_A_ROW:
            self._known = 0
            self._photos.rest()
        self._judge_by(photo, pipeline)

    def join(self) -> None:
        """Wait for the end of what is being made; keep what was counted."""
        if self._making is not None:
            self._making.join()
        if self._judge is not None:
            self._judge.close()
            self._judge = self._judged = None

    def _is_due(self, progress: ProgressSnapshot) -> bool:
        now = self._clock()
        if now < self._make_due:
            return False
        if self._single:
            return progress.remaining >= WORTH_MAKING
        return progress.remaining >= MANY or now - self._started >= START_SECONDS

    def _make(self) -> None:
        """Make the int8 versions that are missing; nothing, when none is."""
        config = self._context.config
        missing = {}
        for kind, (loader, own) in self._loader.loaders(config).items():
            state, full = loader.int8_state(own), loader.full(own)
            if full is not None and state is not None and state.state == "missing":
                missing[kind] = full
        self._make_due = self._clock() + AGAIN_SECONDS if not missing else 0.0
        if missing:
            self._making = _Making(missing, self._loader.stop, self._ended)

    def _renew(self, kinds: list[str], pipeline: Pipeline) -> None:
        """Load the networks of ``kinds`` anew, in the precision that serves now."""
        loaders = self._loader.loaders(self._context.config)
        for kind in kinds:
            if kind in loaders:
                loader, own = loaders[kind]
                loader.renew(own)
        networks = self._loader.networks
        if networks is not None and networks.differ_in_precision(pipeline.networks):
            pipeline.use(networks)
        self._begin_judging(pipeline)

    def _begin_judging(self, pipeline: Pipeline) -> None:
        from tagger.pipeline.int8_judge import Int8Judge, fp32_opener, open_trials

        if self._judge is not None:
            self._judge.close()
        loaders = self._loader.loaders(self._context.config)
        trials = open_trials(loaders)
        chooser = pipeline.tagging.chooser
        judge = Int8Judge(pipeline.networks, trials, chooser, fp32_opener(loaders))
        self._judge, self._judged = judge if trials else None, pipeline
        pipeline.local.sample.wanted = judge.has_open
        self._tell()

    def _judge_by(self, photo: DecodedPhoto, pipeline: Pipeline) -> None:
        judge = self._judge
        assert judge is not None
        try:
            decided = judge.judge(photo)
        except StoppedError:
            return
        except (TaggerError, OSError, RuntimeError) as error:
            log.warning("int8 is not judged for now: %s", error)
            self._judge, pipeline.local.sample.wanted = None, False
            return
        self._tell()
        if not decided:
            return
        for kind in decided:
            state = judge.trials[kind].state
            level = logging.WARNING if state.state == "refused" else logging.INFO
            log.log(level, "int8 of %s is %s", state.model, state)
        refused = [kind for kind in decided if judge.trials[kind].state.state == "refused"]
        if refused and self._context.config.model.precision != "int8":
            log.warning("going back to fp32; what int8 looked at is classified again")
            self._renew(refused, pipeline)
        pipeline.local.sample.wanted = self._judge is not None and self._judge.has_open

    def _tell(self) -> None:
        """Note for the status how the int8 versions are."""
        trials = self._judge.trials if self._judge is not None else {}
        told = []
        for kind, (loader, own) in self._loader.loaders(self._context.config).items():
            trial = trials.get(kind)
            state = trial.state if trial is not None else loader.int8_state(own)
            if state is not None:
                told.append(Int8Status.of(kind, state))
        self.states = tuple(told)


class _IdlePhotos:
    """Photos of the index in random order, decoded one by one while nothing else is to do."""

    def __init__(self, context: Context, clock: Callable[[], float]) -> None:
        self._context, self._clock = context, clock
        self._paths: deque[str] = deque()
        self._future: Future[DecodedPhoto] | None = None
        self._due = clock() + JUDGE_SECONDS

    @property
    def wait(self) -> float:
        """In how many seconds :meth:`take` is to be called."""
        return max(0.0, self._due - self._clock())

    def take(self, pipeline: Pipeline) -> DecodedPhoto | None:
        """Return a photo that is decoded; have another one decoded."""
        self._due = self._clock() + JUDGE_SECONDS
        photo = None
        if self._future is not None:
            if not self._future.done():
                return None
            try:
                photo = self._future.result()
            except PhotoError as error:
                log.debug("passed over: %s", error)
            self._future = None
        if not self._paths:
            self._paths.extend(self._context.store.sample_paths(SAMPLED))
        if self._paths:
            path = self._paths.popleft()
            root = self._context.config.root_of(path)
            if root is not None and self._context.health.is_online(path):
                self._future = pipeline.decoded(path, root.path)
        return photo

    def rest(self) -> None:
        """Give none for long: there are no others."""
        self._paths.clear()
        self._due = self._clock() + AGAIN_SECONDS


class _Making(threading.Thread):
    """Makes int8 versions, by kind. Starts at once.

    When it is ``done``, ``made`` has the kinds whose version is there, and ``failed`` says
    whether one could not be made for now; then ``ended`` is called.
    """

    def __init__(
        self,
        missing: dict[str, FullNetwork],
        stop: Callable[[], bool],
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="optimize", daemon=True)
        self.made: list[str] = []
        self.failed = self.done = False
        self._missing, self._stop, self._ended = missing, stop, ended
        self.start()

    def run(self) -> None:
        try:
            for kind, full in self._missing.items():
                self._make(kind, full)
        finally:
            self.done = True
            self._ended()

    def _make(self, kind: str, full: FullNetwork) -> None:
        from tagger.classify.int8_agreement import int8_state
        from tagger.classify.int8_files import make_int8

        try:
            make_int8(full, stop=self._stop)
        except StoppedError:
            pass  # the next start tries it again
        except (ModelError, OSError, RuntimeError) as error:
            self.failed = True
            log.warning("int8 is not used: %s", error)
        else:
            self.made.append(kind)
            log.info("int8 of %s: %s", full.model_id, int8_state(full))
