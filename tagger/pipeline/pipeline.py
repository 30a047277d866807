"""The pipeline: batches of photos on their way from candidate to outcome.

:meth:`Pipeline.advance` takes each batch one stage further: while one is decoded
(:mod:`~tagger.pipeline.intake`), the one before it is classified
(:mod:`~tagger.pipeline.inference`), and the one before that is written
(:mod:`~tagger.pipeline.writer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from tagger.labels.chooser import Chooser
from tagger.pipeline.completion import Completion
from tagger.pipeline.context import Context
from tagger.pipeline.grouping import Grouping
from tagger.pipeline.inference import InferenceStage, Sample
from tagger.pipeline.intake import Intake
from tagger.pipeline.job import Job
from tagger.pipeline.tagging import Tagging
from tagger.pipeline.teaching import Teaching
from tagger.pipeline.writer import WriterStage
from tagger.records import Candidate, DecodedPhoto, Outcome

if TYPE_CHECKING:
    from tagger.decode.pool import DecodePool
    from tagger.pipeline.networks import Networks


class Pipeline:
    """The stages, and the batches in them. Used by one thread; a context manager.

    ``pool`` is closed with it. :attr:`in_work` and :attr:`roots` may be read by any thread.
    """

    def __init__(
        self, context: Context, networks: Networks, pool: DecodePool, chooser: Chooser
    ) -> None:
        self._context, self.networks = context, networks
        self.completion = Completion(context, networks)
        self.grouping = Grouping(
            context.store, context.config.state_dir, stacks=context.config.labels.stacks
        )
        self.tagging = Tagging(context, chooser)
        self.teaching = Teaching(
            context, self.tagging.taught, lambda: self.networks.subjects, self.decoded
        )
        self._pool = pool
        self._intake = Intake(context, pool)
        self._inference = InferenceStage(context, networks, pool)
        self._writer = WriterStage(context, self.tagging)
        self._candidates: Sequence[Candidate] = ()
        self._decoding: Sequence[Job] = ()
        self._classifying: Sequence[Job] = ()
        self._outcomes: list[Outcome] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def advance(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        """Begin ``candidates``, classify the batch that is decoded, have the next one written.

        Return the outcomes that are known by now. Raise what says that the index cannot be used:
        then :meth:`forget` all that is on its way, none of which was acknowledged. Jobs that are
        not reached before ``stop`` have no outcome and leave no trace.
        """
        return self._step([*self._intake.take_deferred(), *candidates])

    def drain(self) -> list[Outcome]:
        """As :meth:`advance`, but begin nothing."""
        return self._step([])

    def _step(self, candidates: Sequence[Candidate]) -> list[Outcome]:
        self._candidates = candidates
        self._classifying, self._decoding = self._decoding, ()
        self._decoding, outcomes = self._intake.begin(candidates)
        self._candidates = ()
        self._outcomes += outcomes
        recognised, outcomes = self._inference.run(self._classifying)
        self._outcomes += outcomes
        self._take_written()
        self._writer.start(self._classifying, recognised)
        self._classifying = ()
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _take_written(self) -> None:
        written = self._writer.jobs
        try:
            self._outcomes += self._writer.result()
        finally:
            self._intake.done(written)

    def forget(self) -> None:
        """Drop all that is on its way, as soon as what is being written is; it is found again."""
        self._writer.forget()
        self._intake.done([*self._decoding, *self._classifying])
        self._intake.forget()
        self._candidates = self._decoding = self._classifying = ()

    def close(self) -> None:
        """Drop all that is on its way, see :meth:`forget`, and close the pool."""
        self.forget()
        self._writer.close()
        self.grouping.close()
        self._pool.close()

    def use(self, networks: Networks) -> None:
        """Have the same networks in other precision look at photos from now on."""
        refused = self.networks.refused
        self.networks = networks
        self._inference.use(networks)
        if networks.refused - refused:
            self.completion = Completion(self._context, networks)

    def decoded(self, path: str, root: str) -> Future[DecodedPhoto]:
        """Return the future of a photo outside the batches, after what waits already."""
        return self._pool.submit(path, root=root, later=True, whole=True)

    @property
    def sample(self) -> Sample:
        """A share of the photos that were classified."""
        return self._inference.sample

    @property
    def in_work(self) -> int:
        """How many photos are in a stage."""
        stages = (self._candidates, self._decoding, self._classifying, self._writer.jobs)
        return sum(map(len, stages))

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do but to begin other candidates."""
        return not self.in_work and not self._intake.has_deferred

    @property
    def roots(self) -> frozenset[str]:
        """The watched folders of the photos that are in a stage."""
        jobs = (*self._decoding, *self._classifying, *self._writer.jobs)
        return frozenset(one.root for one in (*self._candidates, *(j.candidate for j in jobs)))

    @property
    def unconfined(self) -> list[str] | None:
        """What decoding processes could not do to confine themselves; None when none started."""
        return self._pool.missing
