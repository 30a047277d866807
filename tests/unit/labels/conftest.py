"""The shipped vocabulary, and predictions made by hand for it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tagger.config.schema import LabelsConfig
from tagger.labels.calibration import Calibration
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Evidence
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
