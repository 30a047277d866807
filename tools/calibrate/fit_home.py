"""Finds how the networks' numbers are joined, on photos whose content is known.

1. *Weights.* For each kind of label a logistic regression over all labels of all photos of
   which a network says at least :data:`LEAST_SAID` and of which it is known whether they are
   right. Every photo is used with each choice of networks, so that the weights hold where one
   is missing; those with all of them count most. The weights of the networks' log-odds are
   drawn towards 1 and kept from becoming negative, all others are drawn towards 0.
2. *Thresholds.* Kinds that ImageNet's photos show plenty of (:data:`BY_DOUBT`) are given from the
   probability on whose odds are :data:`DOUBT` times worse than those of the precision, because
   most labels are far surer than they have to be. For all others photos are left out in turn
   (:data:`FOLDS`), their labels' probabilities taken from weights fitted to the others. The
   threshold of a kind for a precision is the least from which on its labels are right that
   often on photos of homes: the mean of the share that was right and the share that their
   probabilities promise, less half of :data:`ERRORS` standard errors, because only the half that
   was counted scatters.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tagger.config.schema import LabelsConfig
from tagger.labels.calibration import Calibration, load_calibration
from tagger.labels.evidence import Evidence
from tagger.labels.fusion import KINDS, TERMS, FusedKind, Fusion, FusionCalibration, Readings
from tagger.labels.label_tree import LabelTree
from tagger.labels.single_choice import SingleChoice
from tagger.labels.vocabulary import Vocabulary
from tools.calibrate.home_photos import HomePhoto

LEAST_SAID = 0.03
FOLDS = 10
ERRORS = 1.0
LEAST_PROBABLE = 0.1
COMMON_DOUBT: dict[FusedKind, float] = {"person": 0.6, "group": 0.6, "outdoors": 0.5}
"""What kinds that are asked of every photo are allowed of the doubt that others are: a wrong one
is a false alarm wherever there is none."""
OF_HOMES = frozenset(("person", "group", "indoors", "outdoors"))
"""Kinds of which ImageNet's photos tell nothing: there may be people, whatever the photo is of."""
SEEN_BESIDE = 0.25
"""From this number of another network on, a label may be right of an ImageNet photo that is of
something else."""
BY_DOUBT: frozenset[FusedKind] = frozenset(("beast", "animal", "vague", "family", "object"))
DOUBT = 4.75
STRENGTH = 1.0
"""How strongly the weights are drawn to where they start from."""
PRECISIONS = (0.5, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.97, 0.98, 0.99, 0.999)
ODDS = np.arange(-1.0, 5.01, 0.1)
"""Thresholds that are tried, in log-odds."""

SUBSETS = [s for n in (3, 2, 1) for s in itertools.combinations(("subjects", "scenes", "boxes"), n)]
_COUNTS = {3: 1.0, 2: 0.15, 1: 0.1}  # what a photo counts with so many networks


def only(evidence: Evidence, networks: Sequence[str]) -> Evidence:
    """Return what the ``networks`` said."""
    return Evidence(**{name: getattr(evidence, name) for name in networks})


@dataclass(frozen=True)
class Examples:
    """What is known of M pairs of photo and label, of one kind of label.

    ``terms`` (M, TERMS), ``right`` (M,), ``counts`` (M,), ``photos`` (M,): the photo's number.
    """

    terms: NDArray[np.float64]
    right: NDArray[np.float64]
    counts: NDArray[np.float64]
    photos: NDArray[np.intp]


@dataclass(frozen=True)
class Outcomes:
    """What became of M labels of one kind: their ``probabilities``, whether ``right``, of which
    ``photos``; each (M,)."""

    probabilities: NDArray[np.float64]
    right: NDArray[np.bool_]
    photos: NDArray[np.intp]


class HomeFit:
    """Fits the join of networks to ``photos``."""

    def __init__(
        self,
        photos: Sequence[HomePhoto],
        vocabulary: Vocabulary,
        scenes_temperature: float = 1.0,
        calibration: Calibration | None = None,
    ) -> None:
        self.photos, self.vocabulary = photos, vocabulary
        self.temperature = scenes_temperature
        self.tree = LabelTree(vocabulary, LabelsConfig())
        self.fusion = Fusion(vocabulary)
        number = {label: n for n, label in enumerate(vocabulary.nodes)}
        leaves = np.array([number[vocabulary.leaf_of(c)] for c in range(1000)])
        calibration = calibration or load_calibration("mobilenet_v2")
        self.single = SingleChoice(self.tree, leaves, LabelsConfig(), calibration)
        self.labels = list(vocabulary.nodes)
        self.examples = self._examples()
        names = sorted({photo.series for photo in photos})
        order = np.random.default_rng(0).permutation(len(names))
        fold = {name: int(order[n]) % FOLDS for n, name in enumerate(names)}
        self.fold = np.array([fold[photo.series] for photo in photos])

    def sums(self, evidence: Evidence) -> NDArray[np.float64] | None:
        """Return what the subjects' network says of each label."""
        return self.single.sums(evidence.subjects) if evidence.subjects else None

    def read(self, evidence: Evidence) -> Readings:
        """Return what each network says of each label."""
        sums = self.sums(evidence)
        return self.fusion.read(sums, evidence.scenes, evidence.boxes, self.temperature)

    def _verdicts(self, photo: HomePhoto) -> NDArray[np.float64]:
        """Return for each label 1 where it is right, 0 where it is wrong, NaN where unknown."""
        known = [photo.verdict(label, self.vocabulary) for label in self.labels]
        found = np.array([np.nan if one is None else float(one) for one in known])
        if photo.judged == "class":
            # What the subjects' network alone says there is, is right only of the photo's class.
            parts = self.read(photo.evidence).parts
            beside = np.nan_to_num(parts[:, 1:]).max(axis=1) >= SEEN_BESIDE
            above = self.tree.above[beside]
            beside[above[above < len(beside)]] = True
            told = ~np.isnan(parts[:, 0]) & ~beside & ~np.isin(self.fusion.kinds, list(OF_HOMES))
            found[np.isnan(found) & told] = 0.0
        return found

    def _examples(self) -> dict[FusedKind, Examples]:
        rows: dict[FusedKind, list[tuple[NDArray[np.float64], float, float, int]]]
        rows = {kind: [] for kind in KINDS}
        for place, photo in enumerate(self.photos):
            verdicts = self._verdicts(photo)
            for subset in SUBSETS:
                readings = self.read(only(photo.evidence, subset))
                said = np.nan_to_num(readings.parts, nan=0.0).max(axis=1)
                terms = self.fusion.terms(readings)
                for n in np.flatnonzero((said >= LEAST_SAID) & ~np.isnan(verdicts)).tolist():
                    row = (terms[n], float(verdicts[n]), _COUNTS[len(subset)], place)
                    rows[self.fusion.kinds[n]].append(row)
        return {
            kind: Examples(*map(np.array, zip(*found, strict=True))) for kind, found in rows.items()
        }

    def weights(self, known: NDArray[np.bool_] | None = None) -> dict[FusedKind, tuple[float, ...]]:
        """Return the weights found on the photos ``known`` (as a mask); on all by default."""
        found = {}
        for kind, examples in self.examples.items():
            used = np.ones(len(examples.right), bool) if known is None else known[examples.photos]
            weights = logistic(examples.terms[used], examples.right[used], examples.counts[used])
            found[kind] = tuple(round(float(weight), 4) for weight in weights)
        return found

    @functools.cached_property
    def left_out(self) -> list[dict[FusedKind, tuple[float, ...]]]:
        """By fold the weights that were found without its photos."""
        return [self.weights(self.fold != number) for number in range(FOLDS)]

    @functools.cached_property
    def outcomes(self) -> dict[FusedKind, Outcomes]:
        """By kind what became of its labels on photos of homes, each from weights found without
        its photo."""
        rows: dict[FusedKind, list[tuple[float, bool, int]]] = {kind: [] for kind in KINDS}
        for place, photo in enumerate(self.photos):
            if photo.judged != "all":
                continue
            calibration = FusionCalibration(self.temperature, self.left_out[self.fold[place]], {})
            readings = self.read(photo.evidence)
            found = self.fusion.probabilities(readings, calibration)
            for n in np.flatnonzero(found >= LEAST_PROBABLE).tolist():
                verdict = photo.verdict(self.labels[n], self.vocabulary)
                if verdict is not None:
                    rows[self.fusion.kinds[n]].append((float(found[n]), verdict, place))
        return {
            kind: Outcomes(*(np.array(column) for column in zip(*found, strict=True)))
            for kind, found in rows.items()
            if kind not in BY_DOUBT
        }

    def curves(
        self, known: NDArray[np.bool_] | None = None
    ) -> dict[FusedKind, tuple[tuple[float, float], ...]]:
        """Return by kind the points (precision, threshold), from photos left out of the weights.

        ``known`` (a mask) says which photos are used; all by default.
        """
        thresholds = 1 / (1 + np.exp(-ODDS))
        plain = [precision / (precision + DOUBT * (1 - precision)) for precision in PRECISIONS]
        limited = np.clip(plain, thresholds[0], thresholds[-1]).round(4).tolist()
        curves: dict[FusedKind, tuple[tuple[float, float], ...]] = {
            kind: tuple(zip(PRECISIONS, limited, strict=True)) for kind in KINDS if kind in BY_DOUBT
        }
        for kind, outcomes in self.outcomes.items():
            used = np.ones(len(outcomes.photos), bool) if known is None else known[outcomes.photos]
            sure, right = outcomes.probabilities[used], outcomes.right[used]
            clears = sure >= thresholds[:, None]
            count = np.maximum(clears.sum(axis=1), 1)
            share, promised = (
                (clears * right).sum(axis=1) / count,
                (clears * sure).sum(axis=1) / count,
            )
            mean = np.where(clears.any(axis=1), (share + promised) / 2, 1.0)
            low = mean - ERRORS / 2 * np.sqrt(np.maximum(mean * (1 - mean), 1e-4) / count)
            low[-1] = 1.0
            least, points = 0, []
            for precision in PRECISIONS:
                wanted = 1 - (1 - precision) * COMMON_DOUBT.get(kind, 1.0)
                least = max(least, int(np.argmax(low >= wanted)))
                points.append((precision, round(float(thresholds[least]), 4)))
            curves[kind] = tuple(points)
        return curves

    def calibration(self, known: NDArray[np.bool_] | None = None) -> FusionCalibration:
        """Return the whole calibration, found on the photos ``known``."""
        return FusionCalibration(self.temperature, self.weights(known), self.curves(known))


def logistic(
    terms: NDArray[np.float64], right: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the weights (TERMS,) that make what is right most likely.

    By Newton's method, each step halved until it is none for the worse; weights of log-odds
    that would become negative are held at 0 for as long as they would.
    """
    start = np.zeros(TERMS)
    start[3:-1:3] = 1.0
    bounded = start > 0

    def loss(weights: NDArray[np.float64]) -> float:
        odds = terms @ weights
        missed = np.logaddexp(0, odds) - right * odds
        return float(counts @ missed + STRENGTH / 2 * ((weights - start) ** 2).sum())

    weights, now = start, loss(start)
    for _ in range(100):
        sure = 1 / (1 + np.exp(-np.clip(terms @ weights, -30, 30)))
        slope = terms.T @ (counts * (sure - right)) + STRENGTH * (weights - start)
        free = ~(bounded & (weights <= 0) & (slope > 0))
        spread = counts * sure * (1 - sure)
        bend = (terms * spread[:, None]).T @ terms + STRENGTH * np.eye(TERMS)
        step = np.zeros(TERMS)
        step[free] = np.linalg.solve(bend[np.ix_(free, free)], slope[free])
        size, before = 1.0, now
        while size > 1e-6:
            tried = weights - size * step
            tried[bounded] = np.maximum(tried[bounded], 0.0)
            if (found := loss(tried)) < now:
                weights, now = tried, found
                break
            size /= 2
        if before - now < 1e-7:
            break
    return weights


def told(calibration: FusionCalibration) -> str:
    """Return the content of ``fusion.yaml``."""
    lines = [
        "# How the networks' numbers are joined. Written by tools/calibrate/calibrate_home.py;",
        "# the method is told in fusion.py and tools/calibrate/fit_home.py. `weights` has by kind",
        "# of label: its constant; for subjects, scenes and things a constant, what silence counts",
        "# and the weight of the log-odds; what anything else that the detector sees counts.",
        "# `thresholds` has the points [precision, threshold].",
        f"scenes_temperature: {calibration.scenes_temperature}",
        "weights:",
        *(f"  {kind}: {list(weights)}" for kind, weights in calibration.weights.items()),
        "thresholds:",
        *(
            f"  {kind}: [{', '.join(f'[{p}, {t}]' for p, t in points)}]"
            for kind, points in calibration.curves.items()
        ),
    ]
    return "\n".join(lines) + "\n"
