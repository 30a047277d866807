"""One calibrated probability for each label, from every network that speaks of it.

Each network's part is one number for each label that it knows: the summed probability of the
classes or scenes below it, or the best score of the detector's boxes. A label below a thing of
the detector's (``tabby`` below ``cat``) is read with that thing's score, because it cannot be
there without it. The numbers are joined by logistic regression in log-odds: what a label's
kind needs for a start, and for each network that speaks and has seen the photo a constant and
a weight. A network that is missing adds nothing. A parent is at least as probable as what is
below it. ``bench/labels/fit_home.py`` finds the weights on photos of homes.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import yaml

from tagger.labels.evidence import PERSON, Boxes, Ranking
from tagger.labels.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE = Path(__file__).parent / "fusion.yaml"

FusedKind = Literal["people", "animal", "thing", "doubtful", "place", "setting", "object"]
"""Kinds of labels that are weighed alike: people; animals; what the detector knows, and of that
what it often mistakes; places; indoors and outdoors; everything else."""

KINDS: tuple[FusedKind, ...] = get_args(FusedKind)
NETWORKS = ("subjects", "scenes", "things")
"""What each network is called in explanations."""

DOUBTFUL = frozenset(
    "truck, bench, handbag, backpack, suitcase, tie, book, spoon, fork, knife, vase, orange, apple,"
    " microwave, toaster, scissors, hair drier, toothbrush, remote, cell phone, sports ball, kite,"
    " baseball bat, baseball glove, tennis racket, frisbee, bowl, donut, carrot, hot dog, sandwich,"
    " fire hydrant, stop sign, parking meter, skis, snowboard".split(", ")
)
"""Things that the detector often sees where there are none, or that are mostly minor matters."""

LEAST = 0.004
"""Below this a network's number says no more than that it saw nothing."""

TERMS = 1 + 2 * len(NETWORKS) + 1
"""Weights of a kind: its constant; a constant and a weight for each network; how much a person
that fills the picture matters."""


@dataclass(frozen=True, slots=True)
class FusionCalibration:
    """How the networks' numbers are joined.

    ``scenes_temperature`` as ``Calibration.temperature``; ``weights`` has by kind :data:`TERMS`
    numbers; ``curve`` the points (precision, threshold), both rising, of all labels.
    """

    scenes_temperature: float
    weights: Mapping[FusedKind, tuple[float, ...]]
    curve: tuple[tuple[float, float], ...]

    @property
    def digest(self) -> str:
        """A text that changes with the calibration."""
        text = repr((self.scenes_temperature, sorted(self.weights.items()), self.curve))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def threshold(self, precision: float) -> float:
        """Return the least probability at which a label is given."""
        return float(np.interp(precision, [p for p, _ in self.curve], [t for _, t in self.curve]))


@functools.cache
def load_fusion_calibration() -> FusionCalibration:
    """Return the calibration that is shipped, ``fusion.yaml``."""
    content = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    curve = tuple((float(p), float(t)) for p, t in content["thresholds"])
    weights: dict[FusedKind, tuple[float, ...]] = {
        kind: tuple(map(float, content["weights"][kind])) for kind in KINDS
    }
    return FusionCalibration(float(content["scenes_temperature"]), weights, curve)


@dataclass(frozen=True, slots=True)
class Readings:
    """What each network says of each of N labels, in 0…1; NaN where it does not speak.

    ``parts`` is (N, 3) in the order of :data:`NETWORKS`. ``fill`` is how much of the picture the
    largest person takes, 0 without one.
    """

    parts: NDArray[np.float64]
    fill: float


class Fusion:
    """Joins the networks' parts over the labels of ``vocabulary``, in its order.

    ``scenes`` says what each output of the scenes' network means, if it is not Places365's own
    365: a scene's name, a label, or nothing.
    """

    def __init__(self, vocabulary: Vocabulary, scenes: Sequence[str] | None = None) -> None:
        nodes = list(vocabulary.nodes.values())
        number = {node.label: n for n, node in enumerate(nodes)}
        parents = [number.get(node.parent or "", -1) for node in nodes]
        paths = [vocabulary.path(node.label) for node in nodes]
        self._scenes = self._scene_matrix(vocabulary, number, scenes)
        has_class = [bool(node.classes) for node in nodes]
        things = [node.things for node in nodes]
        for n in range(len(nodes) - 1, -1, -1):  # children come after their parents
            if parents[n] >= 0:
                has_class[parents[n]] |= has_class[n]
        self._inherits = np.zeros(len(nodes), bool)
        for n, parent in enumerate(parents):
            # Nobody sees a car from inside: what is a scene itself needs no box.
            if not things[n] and parent >= 0 and not nodes[n].scenes:
                things[n], self._inherits[n] = things[parent], bool(things[parent])
        self.speaks = np.stack(
            [has_class, self._scenes.any(axis=0), [bool(found) for found in things]], axis=1
        )
        self.kinds: list[FusedKind] = [
            self._kind(path, self.speaks[n], [vocabulary.things[thing] for thing in things[n]])
            for n, path in enumerate(paths)
        ]
        needs = [(n, thing, nodes[n].at_least) for n, found in enumerate(things) for thing in found]
        self._needs = tuple(np.array(column, np.intp) for column in zip(*needs, strict=True))
        self._most = max((node.at_least for node in nodes), default=1)
        levels = sorted({len(path) for path in paths} - {1}, reverse=True)
        self._upward = [
            (np.array(below), np.array([parents[n] for n in below]))
            for level in levels
            for below in [[n for n, path in enumerate(paths) if len(path) == level]]
        ]

    def _scene_matrix(
        self, vocabulary: Vocabulary, number: Mapping[str, int], scenes: Sequence[str] | None
    ) -> NDArray[np.bool_]:
        """Return for each output of the scenes' network (rows) which labels it shows."""
        own = [_scene_name(name) for name in (vocabulary.scenes if scenes is None else scenes)]
        index = {_scene_name(name): at for at, name in enumerate(vocabulary.scenes)}
        shown: list[list[str]] = [[] for _ in vocabulary.scenes]
        for node in vocabulary.nodes.values():
            for scene in {*node.scenes, *node.implied_by}:
                shown[scene].append(node.label)
        matrix = np.zeros((len(own), len(number)), bool)
        for row, name in enumerate(own):
            known = index.get(name)
            for label in shown[known] if known is not None else [name]:
                if label in number:
                    matrix[row, [number[step] for step in vocabulary.path(label)]] = True
        return matrix

    @staticmethod
    def _kind(path: Sequence[str], speaks: NDArray[np.bool_], things: Sequence[str]) -> FusedKind:
        if path[0] == "person":
            return "people"
        if path[0] == "animal":
            return "animal"
        if things:
            return "doubtful" if set(things) <= DOUBTFUL else "thing"
        if speaks[NETWORKS.index("scenes")]:
            return "setting" if path in (("indoors",), ("outdoors",)) else "place"
        return "object"

    def read(
        self,
        sums: NDArray[np.float64] | None,
        scenes: Ranking | None,
        boxes: Boxes | None,
        temperature: float,
    ) -> Readings:
        """Return what each network says of each label.

        ``sums`` (N,) are the summed, calibrated probabilities of the subjects' network,
        ``temperature`` is that of the scenes'.
        """
        parts = np.full(self.speaks.shape, np.nan)
        if sums is not None:
            parts[:, 0] = sums
        if scenes is not None and scenes.class_count == len(self._scenes):
            masses = tempered(scenes, temperature)
            parts[:, 1] = masses @ self._scenes[scenes.indices]
        fill = 0.0
        if boxes is not None:
            parts[:, 2] = self._best(boxes)
            people = boxes.rects[boxes.classes == PERSON]
            areas = boxes.scores[boxes.classes == PERSON] * people[:, 2] * people[:, 3]
            fill = float(areas.max(initial=0.0))
        parts[~self.speaks] = np.nan
        # A box of a cat alone says nothing of tabbies.
        parts[self._inherits & np.isnan(parts[:, :2]).all(axis=1)] = np.nan
        return Readings(parts, fill)

    def _best(self, boxes: Boxes) -> NDArray[np.float64]:
        """Return for each label the best score of what it needs, 0 where there is too little."""
        table = np.zeros((self._most, 256))  # row k: the score that k + 1 boxes of a kind have
        seen = np.zeros(256, int)
        for kind, score in zip(boxes.classes.tolist(), boxes.scores.tolist(), strict=True):
            if seen[kind] < self._most:  # best first, as the boxes are
                table[seen[kind], kind] = score
                seen[kind] += 1
        found = np.zeros(len(self.kinds))
        nodes, things, counts = self._needs
        np.maximum.at(found, nodes, table[counts - 1, things])
        return found

    def terms(self, readings: Readings) -> NDArray[np.float64]:
        """Return what is weighed for each label: (N, :data:`TERMS`)."""
        present = ~np.isnan(readings.parts)
        numbers = np.clip(np.where(present, readings.parts, 0.5), LEAST, 1 - LEAST)
        odds = np.log(numbers / (1 - numbers))
        table = np.ones((len(numbers), TERMS))
        table[:, 1:-1:2] = present
        table[:, 2:-1:2] = np.where(present, odds, 0.0)
        table[:, -1] = readings.fill
        return table

    def probabilities(
        self, readings: Readings, calibration: FusionCalibration
    ) -> NDArray[np.float64]:
        """Return the probability of each label, (N,), each parent's at least its children's."""
        weights = np.array([calibration.weights[kind] for kind in self.kinds])
        odds = (self.terms(readings) * weights).sum(axis=1)
        found = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        # Of what no network speaks there is nothing to say.
        found[np.isnan(readings.parts).all(axis=1)] = 0.0
        for nodes, parents in self._upward:
            np.maximum.at(found, parents, found[nodes])
        return np.asarray(found)


def tempered(ranking: Ranking, temperature: float) -> NDArray[np.float64]:
    """Return the probabilities kept (K,) at ``temperature``.

    What is not kept counts as spread evenly: only its share of the total matters.
    """
    kept = ranking.probabilities.astype(np.float64)
    power = 1 / temperature
    others = ranking.class_count - len(kept)
    rest = max(0.0, 1 - float(kept.sum()))
    tail = others * (rest / others) ** power if others else 0.0
    raised = kept**power
    total = float(raised.sum()) + tail
    return np.asarray(raised / total if total > 0 else raised)


def _scene_name(name: str) -> str:
    return name.replace("_", " ")
