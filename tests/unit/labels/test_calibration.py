"""The calibration that is shipped."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tagger.config.schema import LabelsConfig
from tagger.labels.calibration import at_precision, load_calibration
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Evidence

KINDS = ("root", "group", "leaf")
PRECISIONS = np.linspace(0.5, 0.999, 60)


@pytest.mark.parametrize("model", ["mobilenet_v2", "resnet18", "no_such_model"])
@pytest.mark.parametrize("kind", KINDS)
def test_thresholds_rise_with_the_precision(model, kind):
    calibration = load_calibration(model)
    thresholds = [at_precision(calibration.curves[kind], p) for p in PRECISIONS]
    assert thresholds == sorted(thresholds)
    assert thresholds[0] < 0.5 < 0.99 < thresholds[-1] < 1


def test_a_more_specific_claim_is_never_less_sure():
    curves = load_calibration("mobilenet_v2").curves
    for precision in PRECISIONS:
        root, group, leaf = (at_precision(curves[kind], precision) for kind in KINDS)
        assert root <= group <= leaf


def test_a_model_that_is_not_known_gets_the_default():
    known, other = load_calibration("mobilenet_v2"), load_calibration("resnet18")
    assert other.temperature == 1 != known.temperature
    assert other.curves == known.curves
    assert other == load_calibration() == load_calibration("no_such_model")
    assert other.digest != known.digest == load_calibration("mobilenet_v2").digest


def test_higher_precision_says_less_and_changes_the_hash(vocabulary):
    lemon = vocabulary.nodes["lemon"].classes[0]
    said, hashes = [], set()
    for precision in (0.8, 0.95, 0.999):
        chooser = Chooser(vocabulary, LabelsConfig(precision=precision), model_name="resnet18")
        hashes.add(chooser.config_hash)
        steps = [p for p in np.linspace(0.1, 0.999, 200) if _tagged(chooser, lemon, p)]
        said.append(min(steps, default=math.inf))
    assert said == sorted(said)
    assert len(set(said)) == len(hashes) == 3


def _tagged(chooser: Chooser, index: int, probability: float) -> bool:
    values = np.full(1000, (1 - probability) / 999, np.float32)
    values[index] = probability
    return any(tag.label == "lemon" for tag in chooser.choose(Evidence.of(values)))
