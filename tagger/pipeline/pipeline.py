"""The pipeline: batches of photos on their way from candidate to outcome.

:meth:`Pipeline.advance` takes each batch one stage further: while one is decoded
(:mod:`~tagger.pipeline.intake`), the one before it is classified
(:mod:`~tagger.pipeline.inference`), and the one before that is written
(:mod:`~tagger.pipeline.writer`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Self

from tagger.labels.chooser import Chooser
from tagger.pipeline.completion import Completion
from tagger.pipeline.context import Context
from tagger.pipeline.grouping import Grouping
from tagger.pipeline.inference import InferenceStage
from tagger.pipeline.intake import Intake
from tagger.pipeline.job import Job
from tagger.pipeline.local_recognition import LocalRecognition
from tagger.pipeline.outcome import Outcome
from tagger.pipeline.recognition import Recognition
from tagger.pipeline.tagging import Tagging
from tagger.pipeline.teaching import Teaching
from tagger.pipeline.writer import WriterStage
from tagger.records import Candidate, DecodedPhoto

if TYPE_CHECKING:
    from tagger.decode.pool import DecodePool
    from tagger.pipeline.networks import Networks

Shared = Callable[[LocalRecognition], Recognition]
"""Makes, of this machine's recognition, one that others have a share in."""
TOGETHER, WRITTEN = 16, 64
"""Photos of a cluster that are waited for together, and that are written together at most."""
WAIT_SECONDS, GATHER_SECONDS = 0.5, 0.02
"""How long the first of them is waited for, and the others then."""


class Pipeline:
    """The stages, and the batches in them. Used by one thread; a context manager.

    ``pool`` is closed with it; ``shared`` makes the recognition that is used of that of this
    machine (``local``). :attr:`in_work`, :attr:`roots` and :attr:`recognition` are for any thread.
    """

    def __init__(
        self,
        context: Context,
        networks: Networks,
        pool: DecodePool,
        chooser: Chooser,
        shared: Shared | None = None,
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
        self.local = LocalRecognition(networks, pool)
        self.recognition: Recognition = self.local if shared is None else shared(self.local)
        self._inference = InferenceStage(context, networks, self.recognition)
        self._intake = Intake(context, self._inference.begin)
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
        begun, outcomes = self._intake.begin(candidates)
        self._decoding, self._candidates = begun, ()
        self._outcomes += outcomes
        if self.recognition.ahead:
            self._part([*self._classifying, *begun], wait=not begun)
        recognised, outcomes = self._inference.run(self._classifying)
        self._outcomes += outcomes
        self._take_written()
        self._writer.start(self._classifying, recognised)
        self._classifying = ()
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _part(self, jobs: Sequence[Job], *, wait: bool) -> None:
        """Go on with those that were looked at, in their order; the others stay where they are."""
        if wait:
            self._wait(jobs)
        self._decoding, self._classifying = jobs, ()
        done = [job for job in jobs if _is_looked_at(job)][:WRITTEN]
        taken = {id(job) for job in done}
        self._classifying = done
        self._decoding = [job for job in jobs if id(job) not in taken]

    def _wait(self, jobs: Sequence[Job]) -> None:
        """Wait until one of ``jobs`` was looked at, and a moment for some others."""
        self._inference.looked.clear()
        looked = sum(map(_is_looked_at, jobs))
        if not looked:
            self._inference.looked.wait(WAIT_SECONDS)
        if looked < min(TOGETHER, len(jobs)):
            self._context.stop.wait(GATHER_SECONDS)

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
        if self.recognition is not self.local:
            self.recognition.close()
        self.local.pool.close()
        self.local.close()

    def use(self, networks: Networks) -> None:
        """Have the same networks in other precision look at photos from now on."""
        refused = self.networks.refused
        self.networks = networks
        self.recognition.use(networks)
        self._inference.use(networks)
        if networks.refused - refused:
            self.completion = Completion(self._context, networks)

    def decoded(self, path: str, root: str) -> Future[DecodedPhoto]:
        """Return the future of a photo outside the batches, after what waits already."""
        return self.local.pool.submit(path, root=root, later=True, whole=True)

    @property
    def in_work(self) -> int:
        stages = (self._candidates, self._decoding, self._classifying, self._writer.jobs)
        return sum(map(len, stages))

    @property
    def room(self) -> int | None:
        """How many more photos may be begun; None: as many as come."""
        ahead = self.recognition.ahead
        return max(ahead - len(self._decoding), 0) if ahead else None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do but to begin other candidates."""
        return not self.in_work and not self._intake.has_deferred

    @property
    def roots(self) -> frozenset[str]:
        """The watched folders of the photos that are in a stage."""
        jobs = (*self._decoding, *self._classifying, *self._writer.jobs)
        return frozenset(one.root for one in (*self._candidates, *(j.candidate for j in jobs)))


def _is_looked_at(job: Job) -> bool:
    return job.future is None or job.future.done()
