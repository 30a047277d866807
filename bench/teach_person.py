"""Somebody who teaches one word, and answers what he is asked."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tagger.labels.personal.learner import Lesson, learn
from tagger.labels.personal.questions import next_question
from tagger.labels.personal.whitening import Whitening
from tagger.records import Example, Origin, TaughtLabel

WORD = "word"
PRECISION = 0.95
"""What is promised: `labels.precision` as it comes."""


class Person:
    """Knows of the photos of a library, ``features`` (N, F), which show the word: ``shows`` (N,).

    ``known`` are the photos of which something was said, ``yes`` how many answers were yes.
    """

    def __init__(
        self,
        features: NDArray[np.float16],
        shows: NDArray[np.bool_],
        examples: Iterable[int],
        white: Whitening,
    ) -> None:
        self._features, self._shows, self._white = features, shows, white
        self._blobs = [row.tobytes() for row in features]
        self._examples = [self._example(int(row), True, "given") for row in examples]
        self.known = {int(one.content_hash) for one in self._examples}
        self.yes = 0
        self.lesson: Lesson
        self.best: NDArray[np.float32]
        self.others: NDArray[np.intp]
        self._learn()

    def _example(self, row: int, positive: bool, origin: Origin) -> Example:
        blob = self._blobs[row]
        return Example(WORD, str(row).encode(), "", positive, origin, features=blob)

    def _learn(self) -> None:
        """Learn; ``best`` and ``others`` are scores and numbers of the other photos, best first."""
        self.lesson = learn(
            [TaughtLabel((WORD,))],
            self._examples,
            self._features,
            model_id="net",
            precision=PRECISION,
            whitening=self._white,
        )
        left = np.array([n for n in range(len(self._blobs)) if n not in self.known])
        scores = self.lesson.model.scores_of([self._blobs[n] for n in left])[:, 0]
        order = np.argsort(-scores, kind="stable")
        self.best, self.others = scores[order], left[order]

    def answer(self) -> None:
        """Be asked once, if there is something to ask."""
        own = self.lesson.labels[0]
        known = (own.fall, own.answers, own.shown)
        place = next_question(self.best, *known)
        if place is None:
            return
        row = int(self.others[place])
        shows = bool(self._shows[row])
        self.yes += shows
        self.known.add(row)
        self._examples.append(self._example(row, shows, "answer"))
        self._learn()

    @property
    def write(self) -> float:
        """From which score on the word is given."""
        return self.lesson.labels[0].thresholds(self.best, PRECISION).write

    def written(self) -> NDArray[np.intp]:
        """Return the photos, beside those that something was said of, that are given the word."""
        found: NDArray[np.intp] = self.others[self.best >= self.write]
        return found

    def steps(self, steps: Sequence[int]) -> Iterator[int]:
        """Answer questions; yield after so many of them."""
        for count in range(max(steps) + 1):
            if count in steps:
                yield count
            if count < max(steps):
                self.answer()
