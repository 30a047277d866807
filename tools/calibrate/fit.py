"""Fits temperature and thresholds to photos of known class; no files, no model.

The method is told in the docstring of ``tagger.labels.calibration``.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.config.schema import LabelsConfig
from tagger.labels.calibration import Calibration, Kind
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Evidence
from tagger.labels.vocabulary import Vocabulary

PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.999)
DEFAULT_PRECISION = LabelsConfig().precision
ERRORS = 1.28
"""Standard errors taken off an estimate: it then holds nine times of ten."""

EXACT_WORTH = 0.5
"""What naming the class itself is worth beside saying anything, when steps are compared."""

RESAMPLES = 200
"""How many samples, drawn with replacement, a threshold is the mean of."""

# Log-odds: root thresholds from 0.25 to 0.995, and how much surer groups and leaves must be.
_ROOTS = np.arange(-1.1, 5.31, 0.1)
_STEPS = tuple((g, g + leaf) for g in (0.0, 0.25, 0.5) for leaf in (0.0, 0.25, 0.5))

Kinds = dict[Kind, float]


@dataclass(frozen=True)
class Photo:
    """A photo of known class: the evidence of its centre crop and of all its crops."""

    truth: int
    centre: Evidence
    together: Evidence


@dataclass(frozen=True)
class Outcomes:
    """What became of N photos, each array of shape (N,).

    ``tagged``; ``right``: the most specific tag is the true class or above it; ``exact``: it
    is the class itself; ``promised``: its summed probability; ``wrong``: how many tags are
    neither the class nor above it; ``tags``: how many there are.
    """

    tagged: NDArray[np.float64]
    right: NDArray[np.float64]
    exact: NDArray[np.float64]
    promised: NDArray[np.float64]
    wrong: NDArray[np.float64]
    tags: NDArray[np.float64]


def outcomes(chooser: Chooser, photos: Sequence[Photo], vocabulary: Vocabulary) -> Outcomes:
    """Return what ``chooser`` makes of each photo."""
    rows = []
    for photo in photos:
        tags = chooser.choose(photo.together)
        path = vocabulary.path(vocabulary.leaf_of(photo.truth))
        first = tags[0] if tags else None
        rows.append(
            (
                first is not None,
                first is not None and first.label in path,
                first is not None and first.label == path[-1],
                first.confidence if first else 0.0,
                sum(tag.label not in path for tag in tags),
                len(tags),
            )
        )
    return Outcomes(*np.array(rows, np.float64).T)


def fit_temperature(photos: Sequence[Photo]) -> float:
    """Return the temperature that makes the true classes most likely, to 0.01."""
    views = [(p.truth, view) for p in photos for view in (p.centre, p.together)]
    grid = np.arange(0.5, 2.005, 0.01)
    losses = [sum(_loss(view, truth, t) for truth, view in views) for t in grid]
    return round(float(grid[int(np.argmin(losses))]), 2)


def _loss(evidence: Evidence, truth: int, temperature: float) -> float:
    assert evidence.subjects is not None
    kept = evidence.subjects.probabilities.astype(np.float64)
    others = evidence.class_count - len(kept)
    rest = max(1e-9, 1 - float(kept.sum())) / others
    raised, tail = kept ** (1 / temperature), rest ** (1 / temperature)
    found = np.flatnonzero(evidence.subjects.indices == truth)
    own = float(raised[found[0]]) if len(found) else tail
    return -math.log(max(own, 1e-12) / (float(raised.sum()) + others * tail))


def flat_calibration(temperature: float, thresholds: Kinds) -> Calibration:
    """Return a calibration of ``thresholds`` in log-odds that are the same at every precision."""
    curves = {
        kind: ((0.0, probability(odds)), (1.0, probability(odds)))
        for kind, odds in thresholds.items()
    }
    return Calibration(temperature, curves)


def at(root: float, steps: tuple[float, float]) -> Kinds:
    """Return the thresholds in log-odds: the root's, and what groups and leaves add."""
    return {"leaf": root + steps[1], "group": root + steps[0], "root": root}


def probability(log_odds: float) -> float:
    """Return the probability of ``log_odds``."""
    return 1 / (1 + math.exp(-log_odds))


class Fit:
    """Finds thresholds. Every setting is tried once on every photo, at the start."""

    def __init__(self, photos: Sequence[Photo], vocabulary: Vocabulary, temperature: float) -> None:
        self.photos, self.vocabulary, self.temperature = photos, vocabulary, temperature
        self._tried = {steps: self._try(steps) for steps in _STEPS}

    def _try(self, steps: tuple[float, float]) -> list[NDArray[np.float64]]:
        found = [self.outcomes(at(float(root), steps)) for root in _ROOTS]
        names = ("tagged", "right", "exact", "promised")
        return [np.array([getattr(one, name) for one in found]) for name in names]

    def outcomes(self, thresholds: Kinds) -> Outcomes:
        """Return what the thresholds, in log-odds, make of the photos."""
        calibration = flat_calibration(self.temperature, thresholds)
        chooser = Chooser(self.vocabulary, LabelsConfig(), calibration=calibration)
        return outcomes(chooser, self.photos, self.vocabulary)

    def thresholds(self, precision: float, known: NDArray[np.intp] | None = None) -> Kinds:
        """Return the thresholds in log-odds for ``precision``, found on the photos ``known``."""
        everything = np.arange(len(self.photos)) if known is None else known
        dice = np.random.default_rng(0)
        drawn = dice.choice(everything, (RESAMPLES, len(everything)))
        samples = np.stack([np.bincount(row, minlength=len(self.photos)) for row in drawn])
        places = {steps: self._places(steps, precision, samples) for steps in _STEPS}
        # The steps that say most, on average over the samples.
        steps = max(_STEPS, key=lambda s: (self._worth(s, places[s], samples), -s[1]))
        return at(float(_ROOTS[places[steps]].mean()), steps)

    def _places(
        self, steps: tuple[float, float], precision: float, samples: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """Return for each sample the least root threshold from which on the precision holds."""
        tagged, right, _, promised = self._tried[steps]
        count = np.maximum(tagged @ samples.T, 1)
        mean = ((right + promised) @ samples.T) / (2 * count)
        # Only the half that was counted scatters from sample to sample.
        error = 0.5 * np.sqrt(np.maximum(mean * (1 - mean), 1e-4) / count)
        holds = mean - ERRORS * error >= precision
        holds[-1] = True
        return np.asarray(len(holds) - np.argmin(holds[::-1], axis=0)) % len(holds)

    def _worth(
        self, steps: tuple[float, float], places: NDArray[np.intp], samples: NDArray[np.intp]
    ) -> float:
        tagged, _, exact, _ = self._tried[steps]
        return float(((tagged + EXACT_WORTH * exact)[places] * samples).sum())

    def curves(self) -> dict[Kind, list[list[float]]]:
        """Return the thresholds by kind of label: points [precision, threshold], both rising.

        The steps between the kinds are those of the default precision.
        """
        usual = self.thresholds(DEFAULT_PRECISION)
        steps = (usual["group"] - usual["root"], usual["leaf"] - usual["root"])
        curves: dict[Kind, list[list[float]]] = {"leaf": [], "group": [], "root": []}
        least = -math.inf
        for precision in PRECISIONS:
            found = self.thresholds(precision)
            least = max(least, found["root"])
            for kind, odds in at(least, steps).items():
                curves[kind].append([precision, round(probability(odds), 3)])
        return curves

    def cross_validate(self, precision: float, folds: int = 10, repeats: int = 3) -> Outcomes:
        """Return the outcomes on photos left out of the search for thresholds."""
        dice = np.random.default_rng(0)
        parts = []
        for _ in range(repeats):
            fold = dice.permutation(len(self.photos)) % folds
            for number in range(folds):
                found = self.outcomes(self.thresholds(precision, np.flatnonzero(fold != number)))
                columns = [getattr(found, field.name) for field in dataclasses.fields(found)]
                parts.append(np.array(columns)[:, fold == number])
        return Outcomes(*np.concatenate(parts, axis=1))
