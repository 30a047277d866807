"""Teaching in the daemon: what the user said becomes tags, while nothing else is to be done.

The worker asks :class:`Teaching` again and again; each step is short, or ends when it is to stop.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from tagger.errors import PhotoError
from tagger.index.connection import concerns_index
from tagger.pipeline.context import Context
from tagger.pipeline.examples import FolderExamples, UnseenExamples
from tagger.pipeline.inference import predict
from tagger.pipeline.lessons import Lessons
from tagger.records import Candidate, DecodedPhoto

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.pipeline.taught_tags import TaughtTags

log = logging.getLogger(__name__)

STEP_SECONDS = 1.0
"""How often it is looked whether something was taught, while photos are being handled."""


class Teaching:
    """What is to be learned, and the photos that change for it. Used by one thread.

    ``engine`` gives the present network of subjects, ``decoded`` the future of a photo in a folder;
    ``clock`` is monotonic seconds.
    """

    def __init__(
        self,
        context: Context,
        tags: TaughtTags,
        engine: Callable[[], Engine],
        decoded: Callable[[str, str], Future[DecodedPhoto]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context, self._engine, self._decoded = context, engine, decoded
        self._clock = clock
        config, store = context.config, context.store
        self._folders = FolderExamples(store, config)
        self._unseen = UnseenExamples(store)
        self._lessons = Lessons(store, config.labels.precision, tags, context.stop.is_set)
        self._next = self._folders_due = 0.0
        self._due: deque[str] = deque()

    @property
    def wait_seconds(self) -> float:
        """After how long the folders of examples are to be looked at again; infinity: never."""
        if not self._context.config.teach:
            return math.inf
        return max(0.0, self._folders_due - self._clock())

    def step(self, *, idle: bool) -> bool:
        """Do one thing that is to be done; return whether there was one.

        Unless ``idle``, only what is most urgent.
        """
        now = self._clock()
        if not idle and now < self._next:
            return False
        self._next = now + STEP_SECONDS
        try:
            return self._step(now, idle)
        except Exception as error:
            if concerns_index(error):
                raise
            log.exception("the taught labels could not be learned; photos are tagged all the same")
            self._lessons.give_up()
            return False

    def _step(self, now: float, idle: bool) -> bool:
        if idle and self._context.config.teach and now >= self._folders_due:
            self._folders_due = now + self._context.config.rescan_seconds
            self._folders.update()
        if idle and self._unseen.update(self._engine().model_id, self._look):
            return True
        if not self._lessons.is_due(sizes=idle):
            return False
        self._due.extend(self._lessons.update())
        return True

    def take(self, limit: int) -> list[Candidate]:
        """Return so many photos, at most, that are to be tagged anew for what was learned."""
        found: list[Candidate] = []
        while self._due and len(found) < limit:
            row = self._context.store.photo(self._due.popleft())
            if row is None or row.stat is None or not self._context.health.is_online(row.path):
                continue  # it is due, another time
            found.append(Candidate(row.path, row.root, row.stat, row.sidecar))
        return found

    def _look(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Return the features that the present network makes of photos."""
        found: dict[str, bytes] = {}
        real = {path: os.path.realpath(path) for path in paths}
        begun = [(p, self._decoded(r, os.path.dirname(r))) for p, r in real.items()]
        for path, future in begun:
            try:
                [stored] = predict(self._engine(), [future.result()])
            except PhotoError as error:
                log.info("an example cannot be looked at: %s", error)
                continue
            found[path] = stored.features
        return found
