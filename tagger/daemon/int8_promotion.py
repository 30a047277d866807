"""Runs the int8 trial in the background, and switches engines if it passes."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from tagger.classify.loader import EngineLoader
from tagger.errors import ModelError, TaggerError
from tagger.library.daemon_status import ProgressSnapshot
from tagger.pipeline.context import Context

if TYPE_CHECKING:
    from tagger.pipeline.pipeline import Pipeline

log = logging.getLogger(__name__)

TRIAL_STEP = 256
"""The trial starts after so many photos more; after a failed one four times as many."""
WORTH_A_TRIAL = 1000
"""A single run with less to do than this is over before int8 pays."""


class Int8Promotion:
    """Starts trials, and takes up their result. Used by one thread.

    ``single``: the run ends when all is done. ``ended`` is called, in the trial's thread, when a
    trial is over.
    """

    def __init__(
        self, context: Context, loader: EngineLoader, *, single: bool, ended: Callable[[], None]
    ) -> None:
        self._context, self._loader = context, loader
        self._single, self._ended = single, ended
        self._trial: _Trial | None = None
        self._started_at, self._step = -TRIAL_STEP, TRIAL_STEP

    def tick(self, pipeline: Pipeline, progress: ProgressSnapshot) -> None:
        """Start a trial once enough photos were seen; take up the result of one that is over."""
        if (trial := self._trial) is not None:
            if not trial.done:
                return
            self._trial = None
            if trial.failed:
                self._step *= 4  # photos are decoded anew for each
            if trial.accepted:
                pipeline.use(self._loader.renew(self._context.config))
            return
        if progress.done - self._started_at < self._step:
            return
        if self._single and progress.remaining < WORTH_A_TRIAL:
            return
        self._started_at = progress.done
        self._trial = _Trial(self._context, self._loader, pipeline, self._ended)

    def join(self) -> None:
        """Wait for the end of a trial that is running."""
        if self._trial is not None:
            self._trial.join()


class _Trial(threading.Thread):
    """Tries int8 on photos of the index. Starts at once.

    When it is ``done``, ``accepted`` says whether int8 may be used, ``failed`` that this was not
    found out; then ``ended`` is called.
    """

    def __init__(
        self,
        context: Context,
        loader: EngineLoader,
        pipeline: Pipeline,
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="optimize", daemon=True)
        self.accepted = self.failed = self.done = False
        self._context, self._loader, self._pipeline = context, loader, pipeline
        self._ended = ended
        self.start()

    def run(self) -> None:
        try:
            self._try()
        finally:
            self.done = True
            self._ended()

    def _try(self) -> None:
        from tagger.classify.child_process import StoppedError

        config, store = self._context.config, self._context.store
        try:
            seen = store.classified()
            crops = self._pipeline.crops(store.sample_paths(), self._loader.stop)
            verdict = self._loader.maybe_optimize(config, seen, crops)
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
