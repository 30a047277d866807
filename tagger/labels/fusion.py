"""One calibrated probability for each label, from every network that speaks of it.

Each network's part is one number for each label that it knows: the summed probability of the
classes or scenes below it, or the best score of the detector's boxes. A label below a thing of
the detector's (``tabby`` below ``cat``) is read with that thing's score, because it cannot be
there without it. The numbers are joined by logistic regression in log-odds: what a label's
kind needs for a start, and for each network that speaks and has seen the photo a constant and
a weight. A network that is missing adds nothing. ``tools/calibrate/fit_home.py`` finds the weights
on photos of homes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from tagger.config.yaml_text import load_shipped
from tagger.labels.calibration import Curve, curve, digest_of
from tagger.labels.evidence import PERSON, Boxes, Ranking
from tagger.labels.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FILE = Path(__file__).parent / "fusion.yaml"

FusedKind = Literal[
    "person",
    "group",
    "beast",
    "animal",
    "thing",
    "doubtful",
    "variety",
    "indoors",
    "outdoors",
    "place",
    "vague",
    "family",
    "object",
]
"""Kinds of labels that are weighed alike: people, and several of them; animals that the detector
knows, and others; things that it knows, and those that it often mistakes; what is below such a
thing; indoors; outdoors; places; roots that say little; what has such things below it; everything
else."""

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

VAGUE = frozenset(
    "animal vehicle clothing household electronics architecture landscape sport".split()
)
"""Roots that say little alone."""

SILENT = 0.01
"""Below this number a network says only that it sees nothing, as it mostly does."""
HINTED = 0.8
"""How sure the surest hint makes of what it is a hint for."""
MOST = 0.996
"""Above this a network's number makes nothing surer."""

TERMS = 1 + 3 * len(NETWORKS) + 1
"""Weights of a kind: its constant; for each network a constant, what it matters that it sees
nothing, and the weight of its log-odds; how much it matters that there is something else."""


@dataclass(frozen=True, slots=True)
class FusionCalibration:
    """How the networks' numbers are joined.

    ``scenes_temperature`` as ``Calibration.temperature``; ``weights`` has by kind :data:`TERMS`
    numbers; ``curves`` are by kind.
    """

    scenes_temperature: float
    weights: Mapping[FusedKind, tuple[float, ...]]
    curves: Mapping[FusedKind, Curve]

    @property
    def digest(self) -> str:
        """A text that changes with the calibration."""
        weights, curves = sorted(self.weights.items()), sorted(self.curves.items())
        return digest_of(self.scenes_temperature, weights, curves)


@functools.cache
def load_fusion_calibration() -> FusionCalibration:
    """Return the calibration that is shipped, ``fusion.yaml``."""
    content = load_shipped(_FILE.read_text(encoding="utf-8"))
    weights = {kind: tuple(map(float, content["weights"][kind])) for kind in KINDS}
    curves = {kind: curve(content["thresholds"][kind]) for kind in KINDS}
    return FusionCalibration(float(content["scenes_temperature"]), weights, curves)


@dataclass(frozen=True, slots=True)
class Readings:
    """What each network says of each of N labels, in 0…1; NaN where it does not speak.

    ``parts`` is (N, 3) in the order of :data:`NETWORKS`. ``rest`` (N,) is how much the detector
    sees of anything else: the best score of a box, times the root of the share of the picture
    that it takes. ``fill`` is the share that the largest person takes, times its score.
    """

    parts: NDArray[np.float64]
    rest: NDArray[np.float64]
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
        has_scene = [bool(node.scenes) for node in nodes]
        things = [node.things for node in nodes]
        for n in range(len(nodes) - 1, -1, -1):  # children come after their parents
            if parents[n] >= 0:
                has_class[parents[n]] |= has_class[n]
                has_scene[parents[n]] |= has_scene[n]
        self._inherits = np.zeros(len(nodes), bool)
        for n, parent in enumerate(parents):
            # Nobody sees a car from inside: what is a scene itself needs no box.
            if not things[n] and parent >= 0 and not nodes[n].scenes:
                things[n], self._inherits[n] = things[parent], bool(things[parent])
        self.speaks = np.stack(
            [has_class, self._scenes.any(axis=0), [bool(found) for found in things]], axis=1
        )
        # Related are the things of a label itself, of those below it and of the one above it.
        self._related = np.zeros((len(nodes), len(vocabulary.things)), bool)
        for n, found in enumerate(things):
            self._related[n, list(found)] = True
        for n in range(len(nodes) - 1, -1, -1):
            if parents[n] >= 0:
                self._related[parents[n]] |= self._related[n]
        self.kinds: list[FusedKind] = [
            self._kind(
                path,
                has_scene[n],
                [vocabulary.things[thing] for thing in things[n]],
                bool(self._inherits[n]),
                bool(self._related[n].any()),
            )
            for n, path in enumerate(paths)
        ]
        self._people = np.array([kind in ("person", "group") for kind in self.kinds])
        self._kind_numbers = np.array([KINDS.index(kind) for kind in self.kinds])
        self._hints = []
        told_by_things = [node for node in nodes if node.implied_by and node.hints]
        for n, node in enumerate(nodes):
            if not node.hints:
                continue
            own = [number[hint] for hint in node.hints]
            # Of two places that are told by what is there, one speaks against the other.
            others = told_by_things if node.implied_by else ()
            against = [
                number[hint] for other in others if other is not node for hint in other.hints
            ]
            told = (not has_class[n], not things[n])
            self._hints.append((n, own, against, told))
            self.speaks[n, [0, 2]] = True
        needs = [(n, thing, nodes[n].at_least) for n, found in enumerate(things) for thing in found]
        self._needs = tuple(np.array(column, np.intp) for column in zip(*needs, strict=True))
        self._most = max((node.at_least for node in nodes), default=1)

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
    def _kind(
        path: Sequence[str], has_scene: bool, things: Sequence[str], inherits: bool, related: bool
    ) -> FusedKind:
        if path[0] == "person":
            return "person" if len(path) == 1 else "group"
        if len(path) == 1 and path[0] in VAGUE:
            return "vague"
        if path[0] == "animal":
            return "beast" if things and not inherits else "animal"
        if things:
            own: FusedKind = "doubtful" if set(things) <= DOUBTFUL else "thing"
            return "variety" if inherits else own
        if path == ("indoors",):
            return "indoors"
        if path == ("outdoors",):
            return "outdoors"
        if has_scene:
            return "place"
        return "family" if related else "object"

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
        fill, rest = 0.0, np.zeros(len(self.kinds))
        if boxes is not None:
            parts[:, 2] = self._best(boxes)
            areas = (boxes.rects[:, 2] * boxes.rects[:, 3]).astype(np.float64)
            people = boxes.classes == PERSON
            fill = float((boxes.scores * areas)[people].max(initial=0.0))
            seen = np.zeros(256)
            np.maximum.at(seen, boxes.classes, boxes.scores * np.sqrt(areas))
            rest = np.where(self._related, 0.0, seen[: self._related.shape[1]]).max(axis=1)
        self._tell(parts)
        parts[~self.speaks] = np.nan
        # A box of a cat alone says nothing of tabbies.
        parts[self._inherits & np.isnan(parts[:, :2]).all(axis=1)] = np.nan
        return Readings(parts, rest, fill)

    def _tell(self, parts: NDArray[np.float64]) -> None:
        """Put in how much there is of what tells of a label: 0.5 is neither for nor against."""
        known = np.where(self.speaks, np.nan_to_num(parts), 0.0)
        for n, own, against, (by_class, by_thing) in self._hints:
            if by_class and not np.isnan(parts[n, 0]):
                balance = known[own, 0].sum() - known[against, 0].sum()
                parts[n, 0] = (1 + HINTED * np.clip(balance, -1, 1)) / 2
            if by_thing and not np.isnan(parts[n, 2]):
                balance = known[own, 2].max() - known[against, 2].max(initial=0.0)
                parts[n, 2] = (1 + HINTED * balance) / 2

    def _best(self, boxes: Boxes) -> NDArray[np.float64]:
        """Return for each label the best score of what it needs, 0 where there is too little.

        Of people it is how probable it would be that any box is right, if they knew nothing of
        each other: a small one alone is often wrong, three seldom are. (Of things it is no better.)
        """
        table = np.zeros((self._most, 256))  # row k: the score that k + 1 boxes of a kind have
        seen = np.zeros(256, int)
        for kind, score in zip(boxes.classes.tolist(), boxes.scores.tolist(), strict=True):
            if seen[kind] < self._most:  # best first, as the boxes are
                table[seen[kind], kind] = score
                seen[kind] += 1
        table[0, PERSON] = 1 - np.prod(1 - boxes.scores[boxes.classes == PERSON].astype(float))
        found = np.zeros(len(self.kinds))
        nodes, things, counts = self._needs
        np.maximum.at(found, nodes, table[counts - 1, things])
        return found

    def terms(self, readings: Readings) -> NDArray[np.float64]:
        """Return what is weighed for each label: (N, :data:`TERMS`)."""
        present = ~np.isnan(readings.parts)
        numbers = np.where(present, readings.parts, 0.5)
        silent = present & (numbers < SILENT)
        numbers = np.minimum(np.where(silent, 0.5, numbers), MOST)
        table = np.ones((len(numbers), TERMS))
        table[:, 1:-1:3] = present
        table[:, 2:-1:3] = silent
        table[:, 3:-1:3] = np.log(numbers / (1 - numbers))
        table[:, -1] = readings.rest
        return table

    def probabilities(
        self, readings: Readings, calibration: FusionCalibration
    ) -> NDArray[np.float64]:
        """Return the probability of each label, (N,), by what is said of it."""
        weights = np.array([calibration.weights[kind] for kind in KINDS])[self._kind_numbers]
        odds = (self.terms(readings) * weights).sum(axis=1)
        found = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        # Of what no network sees anything there is nothing to say.
        found[~(readings.parts >= SILENT).any(axis=1)] = 0.0
        # A coat may hang in a wardrobe: people have to be seen.
        found[self._people & ~(readings.parts[:, 2] >= SILENT)] = 0.0
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
