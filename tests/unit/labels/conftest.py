"""The shipped vocabulary, and predictions made by hand for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tagger.config.schema import LabelsConfig
from tagger.labels.calibration import Calibration
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Boxes, Evidence, Ranking
from tagger.labels.fusion import KINDS, NETWORKS, FusionCalibration
from tagger.labels.vocabulary import Vocabulary, load_vocabulary


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return load_vocabulary()


@pytest.fixture(scope="session")
def plain() -> Calibration:
    """Return a calibration that is easy to reckon with: 0.8 for leaves, 0.7, 0.6 for roots."""

    def level(threshold: float) -> tuple[tuple[float, float], ...]:
        return (0.5, threshold), (1.0, threshold)

    return Calibration(1.0, {"leaf": level(0.8), "group": level(0.7), "root": level(0.6)})


@pytest.fixture(scope="session")
def chooser(vocabulary: Vocabulary, plain: Calibration) -> Callable[..., Chooser]:
    """Return a maker of choosers with the given settings of ``labels``."""

    def make(**settings: object) -> Chooser:
        return Chooser(vocabulary, LabelsConfig(**settings), calibration=plain)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def evidence(vocabulary: Vocabulary) -> Callable[..., Evidence]:
    """Return a maker of predictions: probability by leaf label, what is left spread evenly."""

    def make(**probabilities: float) -> Evidence:
        shares = {label.replace("_", " "): p for label, p in probabilities.items()}
        values = np.zeros(1000, np.float32)
        for label, probability in shares.items():
            classes = vocabulary.nodes[label].classes
            values[list(classes)] = probability / len(classes)
        empty = values == 0
        values[empty] = max(0.0, 1 - float(values.sum())) / int(empty.sum())
        return Evidence.of(values)

    return make


@pytest.fixture(scope="session")
def joined() -> FusionCalibration:
    """Return a calibration that adds up log-odds, with 0.8 for every label."""
    weights = {kind: (0.0, *(0.0, -5.0, 1.0) * len(NETWORKS), 0.0) for kind in KINDS}
    curves = dict.fromkeys(KINDS, ((0.5, 0.8), (1.0, 0.8)))
    return FusionCalibration(1.0, weights, curves)


@pytest.fixture(scope="session")
def joint_chooser(
    vocabulary: Vocabulary, plain: Calibration, joined: FusionCalibration
) -> Callable[..., Chooser]:
    """Return a maker of choosers that join networks as ``joined`` says."""

    def make(**settings: object) -> Chooser:
        config = LabelsConfig(**settings)  # type: ignore[arg-type]
        return Chooser(vocabulary, config, calibration=plain, fusion=joined)

    return make


@pytest.fixture(scope="session")
def scenes(vocabulary: Vocabulary) -> Callable[..., Ranking]:
    """Return a maker of what the scenes' network says: probability by scene."""

    def make(**probabilities: float) -> Ranking:
        values = np.zeros(365, np.float32)
        for scene, probability in probabilities.items():
            values[vocabulary.scenes.index(scene.replace("_", " "))] = probability
        empty = values == 0
        values[empty] = max(0.0, 1 - float(values.sum())) / int(empty.sum())
        return Ranking.of(values)

    return make


@pytest.fixture(scope="session")
def boxes(vocabulary: Vocabulary) -> Callable[..., Boxes]:
    """Return a maker of what the detector saw: (thing, score), (thing, score, rectangle), …"""

    def make(*seen: tuple[object, ...]) -> Boxes:
        classes = [vocabulary.things.index(str(one[0])) for one in seen]
        rects = [one[2] if len(one) > 2 else (0.4, 0.4, 0.1, 0.1) for one in seen]
        scores = np.array([one[1] for one in seen], float)
        return Boxes.of(np.array(classes, int), scores, np.array(rects, float).reshape(-1, 4))

    return make
