"""Libraries of which it is counted how many are given what was promised.

Two kinds. *Made up*: 100 subjects, and a word for one of them, two others of which look like it, or
for many of them. Judged on twenty times as many photos of the same kind, so that what is measured
is the precision that is to be expected. *Stored*: a random half of the real photos, and any of
their words; judged on what is written in that half, and on the other half as photos that come
later. There a word is written to some ten photos, so that one that is wrong by chance breaks the
promise: it is also counted how many libraries have more wrong photos than chance explains.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.teach_person import PRECISION, Person
from bench.teach_photos import Library
from tagger.labels.personal.moments import Moments
from tagger.labels.personal.whitening import Whitening

SUBJECTS, SIZE, NOISE = 100, 512, 0.25
MANY = 0.3
"""The share of made-up words that many subjects show."""
BY_CHANCE = 0.05


@dataclass
class Count:
    """What became of simulated libraries, after so many answers."""

    precisions: list[float] = field(default_factory=list)
    recalls: list[float] = field(default_factory=list)
    likely: list[float] = field(default_factory=list)
    right: float = 0
    given: float = 0

    def add(self, right: float, wrong: float, recall: float, likely: float = 1.0) -> None:
        """Count a library with so many photos given the word; ``likely`` by chance."""
        given = right + wrong
        self.precisions.append(right / given if given else 1.0)
        self.recalls.append(recall)
        self.likely.append(likely)
        self.right += right
        self.given += given

    def result(self) -> dict[str, float]:
        """Return shares of libraries, and means."""
        precisions = np.array(self.precisions)
        return {
            "libraries": len(precisions),
            "held": float((precisions >= PRECISION).mean()),
            "not_by_chance": float((np.array(self.likely) < BY_CHANCE).mean()),
            "wrote": float((np.array(self.recalls) > 0).mean()),
            "lowest": float(precisions.min()),
            "precision": self.right / max(self.given, 1),
            "recall": float(np.mean(self.recalls)),
        }


def made_up(draws: int, steps: Sequence[int]) -> dict[int, dict[str, float]]:
    """Return what becomes of made-up libraries, by the number of answers."""
    counts = {step: Count() for step in steps}
    for draw in range(draws):
        chance = np.random.default_rng(draw)
        centres = chance.gamma(1.5, 0.4, (SUBJECTS, SIZE))
        for sibling in (1, 2):
            centres[sibling] = centres[0] + chance.normal(0, chance.uniform(0.1, 0.4), SIZE)
        photos = chance.integers(5, 40, SUBJECTS)
        photos[0] = chance.integers(15, 80)
        meant = np.zeros(SUBJECTS, np.bool_)
        meant[0] = True
        if chance.random() < MANY:
            meant[chance.integers(0, SUBJECTS, int(chance.integers(3, 40)))] = True

        def drawn(
            subjects: NDArray[Any], centres: NDArray[Any] = centres, by: Any = chance
        ) -> NDArray[np.float16]:
            found = centres[subjects] + by.normal(0, NOISE, (len(subjects), SIZE))
            return np.asarray(np.maximum(found, 0) ** 2, np.float16)

        subjects = np.repeat(np.arange(SUBJECTS), photos)
        features = drawn(subjects)
        shows = meant[subjects]
        examples = chance.permutation(np.flatnonzero(shows))[: int(chance.integers(3, 11))]
        # The subjects that matter most in full, of the others one photo for ten.
        times = np.where(np.arange(SUBJECTS) < 3, 20, 2)
        fresh = np.repeat(np.arange(SUBJECTS), photos * times)
        weights = 20 / times[fresh]
        later = drawn(fresh)
        person = Person(features, shows, examples, Whitening.of(Moments.of(features)))
        for step in person.steps(steps):
            given = person.lesson.model.scores(later)[:, 0] >= person.write
            right = float(weights[given & meant[fresh]].sum())
            wrong = float(weights[given & ~meant[fresh]].sum())
            counts[step].add(right, wrong, right / float(weights[meant[fresh]].sum()))
    return {step: one.result() for step, one in counts.items()}


def stored(library: Library, draws: int, steps: Sequence[int]) -> dict[int, dict[str, float]]:
    """Return what becomes of halves of the real photos, by the number of answers."""
    counts = {step: Count() for step in steps}
    kinds = list(library.kinds.values())
    for draw in range(draws):
        chance = np.random.default_rng(draw)
        words = kinds[int(chance.integers(len(kinds)))]
        word = words[int(chance.integers(len(words)))]
        there = chance.permutation(np.flatnonzero(library.shows[word] | library.lacks[word]))
        half = len(there) // 2
        features, shows = library.features[there], library.shows[word][there]
        own = np.flatnonzero(shows[:half])
        examples = chance.permutation(own)[: min(int(chance.integers(3, 11)), len(own) // 2)]
        white = Whitening.of(Moments.of(features[:half]))
        person = Person(features[:half], shows[:half], examples, white)
        for step in person.steps(steps):
            scores = person.lesson.model.scores(features[half:])[:, 0]
            later = half + np.flatnonzero(scores >= person.write)
            given = shows[np.concatenate([person.written(), later])]
            right, wrong = int(given.sum()), int((~given).sum())
            unknown = int(shows.sum()) - len(examples) - person.yes
            counts[step].add(right, wrong, right / max(unknown, 1), by_chance(wrong, right + wrong))
    return {step: one.result() for step, one in counts.items()}


def by_chance(wrong: int, given: int) -> float:
    """Return how likely it is that so many, or more, of those given are wrong at the precision
    that was promised."""
    share = 1 - PRECISION
    fewer = sum(math.comb(given, n) * share**n * (1 - share) ** (given - n) for n in range(wrong))
    return 1 - fewer
