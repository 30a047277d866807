"""Learns all taught labels together, from their examples and a sample of the library.

Every example of one label is a counter-example of the others that are not above it in the tree, and
so are some photos of the library: hardly any of them shows the label, and those that seem to are
taken as undecided. Of many keywords set in other programs some are wrong; those that fit the others
worst are left out, and asked about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from tagger.labels.personal.fall import Fall, fall_of
from tagger.labels.personal.model import LabelFit, TaughtModel
from tagger.labels.personal.moments import Moments
from tagger.labels.personal.ridge import Ridge
from tagger.labels.personal.stored_features import rows_of
from tagger.labels.personal.thresholds import Thresholds, thresholds
from tagger.labels.personal.whitening import SHRINKAGES, Whitening
from tagger.records import Example, TaughtLabel

if TYPE_CHECKING:
    from numpy.typing import NDArray

BACKGROUND, BACKGROUND_SHARE = 100, 0.1
"""Photos of the library that are counter-examples: so many, and at most such a share of it. Of more
of them some may show the label, which harms words for much of a library."""
MOST_ROWS = 3000
"""Examples of all labels together that are fitted; 3,000 take a second."""
MANY_KEYWORDS = 20
DOUBTFUL_SHARE = 0.12
"""Of so many keywords, the share that is left out."""
FEW = 3
"""With fewer examples the shrinkage is not looked for."""
USUAL_SHRINKAGE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class LabelLesson:
    """What was learned of one label, before the library was gone through.

    ``fall`` is how the library's scores end, ``answers`` (score, yes) what the user answered,
    ``refused`` the scores of what the user named as not showing it, ``doubtful`` its keywords that
    were left out, ``left_out`` the scores of its examples: as if each, with all of its occasion,
    were unknown; ``shown`` those of the examples that the user chose himself.
    """

    fall: Fall
    answers: list[tuple[float, bool]]
    refused: list[float]
    doubtful: list[Example]
    left_out: list[float]
    shown: list[float]

    def thresholds(self, best: NDArray[np.float32], precision: float) -> Thresholds:
        """Return from where on the label is given, and asked about.

        ``best`` are the library's highest scores, sorted from the best on.
        """
        if len(self.left_out) < 2:
            return Thresholds(float("inf"), self.fall.cut - 3 * self.fall.width, 1)
        found = thresholds(self.fall, best, self.answers, precision, self.shown)
        if not self.answers and self.refused:
            highest = max(self.refused) + self.fall.width
            found = replace(found, write=max(found.write, highest))
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What was learned, before the library was gone through."""

    model: TaughtModel
    labels: list[LabelLesson]

    def finished(self, best: Sequence[NDArray[np.float32]], precision: float) -> TaughtModel:
        """Return the model with its thresholds; ``best`` as in :meth:`LabelLesson.thresholds`."""
        fits = (
            replace(fit, thresholds=one.thresholds(scores, precision), width=one.fall.width)
            for fit, one, scores in zip(self.model.fits, self.labels, best, strict=True)
        )
        return replace(self.model, fits=tuple(fits))


def learn(
    labels: Sequence[TaughtLabel],
    examples: Sequence[Example],
    library: NDArray[np.float16],
    *,
    model_id: str,
    precision: float,
    whitening: Whitening | None = None,
    count: int | None = None,
    seed: int = 0,
) -> Lesson:
    """Return what ``examples`` teach of ``labels``; those without features, or a
    word of the user's, are passed over.

    ``library`` (N, F) are features of a random sample of the library's ``count`` photos, N from 1
    on; ``whitening`` that of an earlier lesson. ``seed`` decides which photos are counter-examples.
    """
    whitening = whitening or Whitening.of(Moments.of(library))
    size = whitening.size
    seen = [one for one in examples if len(one.features) == 2 * size and one.positive is not None]
    table = _Table(labels, _limited(seen, labels), library, size, seed)
    ridges = {s: table.fitted(whitening, s) for s in SHRINKAGES}
    doubtful = table.doubtful(ridges[USUAL_SHRINKAGE])
    if any(doubtful):
        gone = {(one.label, one.content_hash) for some in doubtful for one in some}
        kept = [one for one in table.examples if (one.label, one.content_hash) not in gone]
        table = _Table(labels, kept, library, size, seed)
        ridges = {s: table.fitted(whitening, s) for s in SHRINKAGES}
    chosen = [table.best_shrinkage(number, ridges) for number in range(len(labels))]
    fits = tuple(
        LabelFit(label, ridges[s].weights[:, number], s, Thresholds(float("inf"), float("inf")))
        for number, (label, s) in enumerate(zip(labels, chosen, strict=True))
    )
    left_out = np.stack([ridges[s].left_out[:, n] for n, s in enumerate(chosen)], axis=1)
    model = TaughtModel(
        model_id, whitening, fits, table.said(), table.unbiased(left_out.astype(np.float32))
    )
    blobs = [row.tobytes() for row in library]
    scores = model.scores_of([blob for blob in blobs if blob not in model.said])
    learned = [
        LabelLesson(
            fall_of(scores[:, n], precision, count),
            table.answers(n, left_out[:, n]),
            table.refused(n, left_out[:, n]),
            doubtful[n],
            left_out[table.positive(n), n].tolist(),
            table.shown(n, left_out[:, n]),
        )
        for n in range(len(labels))
    ]
    return Lesson(model, learned)


def _limited(examples: Sequence[Example], labels: Sequence[TaughtLabel]) -> list[Example]:
    """Return examples of each label, evenly spread, so that all together are not too many."""
    if len(examples) <= MOST_ROWS:
        return list(examples)
    most = max(FEW, MOST_ROWS // max(len(labels), 1))
    found: list[Example] = []
    for label in labels:
        own = [one for one in examples if one.label == label.label]
        places = np.unique(np.linspace(0, len(own) - 1, min(most, len(own))).astype(int))
        found += [own[place] for place in places]
    return found


class _Table:
    """The rows that are fitted: each photo of an example once, then the counter-examples."""

    def __init__(
        self,
        labels: Sequence[TaughtLabel],
        examples: Sequence[Example],
        library: NDArray[np.float16],
        size: int,
        seed: int,
    ) -> None:
        self.examples = list(examples)
        self._numbers = {label.label: number for number, label in enumerate(labels)}
        self._above = [
            [n for n, other in enumerate(labels) if one.path[: len(other.path)] == other.path]
            for one in labels
        ]
        self._own: list[list[Example]] = [[] for _ in labels]
        self._rows: dict[bytes, int] = {}
        blocks: list[str] = []
        for one in self.examples:
            self._own[self._number(one)].append(one)
            if self._rows.setdefault(one.features, len(self._rows)) == len(blocks):
                blocks.append(one.occasion)
        own = rows_of(list(self._rows), size)
        chance = np.random.default_rng(seed)
        most = min(BACKGROUND, int(BACKGROUND_SHARE * len(library)))
        picked = chance.permutation(len(library))[:most]
        others = [blob for n in sorted(picked) if (blob := library[n].tobytes()) not in self._rows]
        self._background = others
        self._features = np.concatenate([own, rows_of(others, size)])
        self._blocks = [*blocks, *[""] * len(others)]
        self._targets = np.zeros((len(self._features), len(labels)))
        for one in self.examples:
            if one.positive:
                self._targets[self._row(one), self._above[self._number(one)]] = 1.0
        for one in self.examples:  # what is said of the very label counts for more
            if not one.positive:
                self._targets[self._row(one), self._number(one)] = 0.0

    def _number(self, one: Example) -> int:
        return self._numbers[one.label]

    def _row(self, one: Example) -> int:
        return self._rows[one.features]

    def fitted(self, whitening: Whitening, shrinkage: float) -> Ridge:
        """Return the fit; counter-examples that look like examples are half believed."""
        ridge = Ridge(whitening.vectors(self._features, shrinkage), self._targets, self._blocks)
        targets = self._targets.copy()
        begin = len(self._rows)
        for number in range(targets.shape[1]):
            known = ridge.left_out[self.positive(number), number]
            if len(known) >= FEW:
                found = ridge.left_out[begin:, number]
                seems = found >= max(float(np.quantile(known, 0.25)), 1e-3)
                targets[begin:, number][seems] = np.clip(found[seems], 0, 1)
        if (targets != self._targets).any():
            ridge.aim(targets)
        return ridge

    def positive(self, number: int) -> list[int]:
        """Return the rows of the photos that show a label."""
        return list(dict.fromkeys(self._row(one) for one in self._own[number] if one.positive))

    def best_shrinkage(self, number: int, ridges: Mapping[float, Ridge]) -> float:
        """Return the shrinkage that tells a label's left out examples best from other photos."""
        rows = self.positive(number)
        if len(rows) < FEW or len({self._blocks[row] or str(row) for row in rows}) < 2:
            return USUAL_SHRINKAGE
        others = np.setdiff1d(np.arange(len(self._features)), rows)
        if len(others) < 2:
            return USUAL_SHRINKAGE

        def distance(shrinkage: float) -> float:
            left_out = ridges[shrinkage].left_out[:, number]
            spread = float(left_out[others].std()) or 1.0
            return float(np.median(left_out[rows]) - left_out[others].mean()) / spread

        return max(ridges, key=lambda s: (distance(s), s))

    def doubtful(self, ridge: Ridge) -> list[list[Example]]:
        """Return for each label those of its many keywords that fit the others worst."""
        found: list[list[Example]] = []
        for number, every in enumerate(self._own):
            own = [one for one in every if one.positive and one.origin == "keyword"]
            own.sort(key=lambda one: ridge.left_out[self._row(one), number])
            count = round(DOUBTFUL_SHARE * len(own)) if len(own) >= MANY_KEYWORDS else 0
            found.append(own[:count])
        return found

    def answers(self, number: int, left_out: NDArray[np.float64]) -> list[tuple[float, bool]]:
        """Return the user's answers on a label, with the scores that the photos have left out."""
        return [
            (float(left_out[self._row(one)]), bool(one.positive))
            for one in self._own[number]
            if one.origin == "answer"
        ]

    def shown(self, number: int, left_out: NDArray[np.float64]) -> list[float]:
        """Return the scores, left out, of photos that the user chose as showing a label."""
        own = (one for one in self._own[number] if one.positive and one.origin != "answer")
        return [float(left_out[row]) for row in dict.fromkeys(map(self._row, own))]

    def refused(self, number: int, left_out: NDArray[np.float64]) -> list[float]:
        """Return the scores, left out, of photos that were named as not showing a label."""
        return [
            float(left_out[self._row(one)])
            for one in self._own[number]
            if not one.positive and one.origin != "answer"
        ]

    def said(self) -> dict[bytes, dict[int, bool]]:
        """Return by features what the user said of photos, by label."""
        found: dict[bytes, dict[int, bool]] = {}
        for one in self.examples:
            found.setdefault(one.features, {})[self._number(one)] = bool(one.positive)
        return found

    def unbiased(self, left_out: NDArray[np.float32]) -> dict[bytes, NDArray[np.float32]]:
        """Return by features the scores of the counter-examples, as if they were none."""
        begin = len(self._rows)
        return {blob: left_out[begin + n] for n, blob in enumerate(self._background)}
