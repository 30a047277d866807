"""An engine that many threads use at once."""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from concurrent.futures import Future
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tagger.classify.engine import Engine
    from tagger.records import Prediction

log = logging.getLogger(__name__)

TOGETHER = 4
"""Crops of several pictures in one run of the network at most: ONNX Runtime takes no more at
once, and the first need not wait for all."""


class _Asked(NamedTuple):
    """Crops of one picture, and what the network says of them."""

    crops: NDArray[np.uint8]
    found: Future[list[Prediction]]


class SharedEngine:
    """An engine for many threads that takes together what waits for it.

    The network uses all cores for one run, so that another has to wait; what has come
    meanwhile goes in one run, which costs less. Nothing waits for others to come.
    """

    def __init__(self, engine: Engine) -> None:
        self.shared = engine
        self.name, self.model_id = engine.name, engine.model_id
        self.categories, self.spec = engine.categories, engine.spec
        self._one = threading.Lock()
        self._waiting: deque[_Asked] = deque()

    def predict(self, crops: NDArray[np.uint8]) -> list[Prediction]:
        """See :class:`~tagger.classify.engine.Engine`."""
        asked = _Asked(crops, Future())
        self._waiting.append(asked)
        with self._one:
            # Another may have done it meanwhile.
            while not asked.found.done():
                self._run()
        return asked.found.result()

    def _run(self) -> None:
        """Classify those that have waited longest, and at least one."""
        taken = [self._waiting.popleft()]
        count = len(taken[0].crops)
        while self._waiting and count + len(self._waiting[0].crops) <= TOGETHER:
            taken.append(self._waiting.popleft())
            count += len(taken[-1].crops)
        if len(taken) > 1:
            try:
                self._answer(taken)
                return
            except Exception as error:  # noqa: BLE001 - each is tried alone, and hears of its own
                log.debug("%d pictures could not be classified together: %s", len(taken), error)
        for asked in taken:
            try:
                self._answer([asked])
            except Exception as error:  # noqa: BLE001 - raised in the thread that asked
                asked.found.set_exception(error)

    def _answer(self, taken: list[_Asked]) -> None:
        import numpy as np

        alone = len(taken) == 1
        crops = taken[0].crops if alone else np.concatenate([asked.crops for asked in taken])
        found = iter(self.shared.predict(crops))
        for asked in taken:
            asked.found.set_result(list(itertools.islice(found, len(asked.crops))))
