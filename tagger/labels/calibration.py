"""Reads the calibration: a temperature for each model, thresholds for a wanted precision.

How the numbers in ``calibration.yaml`` are found (``tools/calibrate/calibrate.py`` does it,
from photos whose class is known):

1. *Temperature.* The model's probabilities p become p^(1/T), scaled to sum 1; T minimises the
   negative log-likelihood of the true classes, over photos seen through one crop and through
   three together (Guo et al., "On Calibration of Modern Neural Networks", 2017).
2. *Sums.* They are summed up the tree. After step 1 the sums of all labels, pooled, are
   calibrated: corrections for the kind of label or for the branch of the tree made the
   likelihood of photos left out (10-fold) no better, so there are none.
3. *Thresholds.* A label is a leaf, a group or a root; a claim that is more specific may have
   to be surer, by steps that are the same (in log-odds) at every precision and may be 0, as
   they are for the photos that were used. What is left is one
   number: the least threshold at which the most specific tags are right as often as wanted.
   How often they are right is estimated as the mean of the share that was right and the share
   that the sums promise, less 1.28 standard errors, so that the promise holds on other photos
   nine times of ten.

A reluctant label, and what is below it, leaves only :data:`RELUCTANCE` of the doubt that its
kind allows.

Without photos of known class a user gets these thresholds. They speak of summed, calibrated
probabilities and so carry over to other models. A model that is not in the file gets
temperature 1: ResNet-18's probabilities are well calibrated as they are, and weights trained
with smoothed labels are less sure than they could be, which costs tags but makes none wrong.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml

Kind = Literal["leaf", "group", "root"]

RELUCTANCE = 0.2
"""What a reluctant label leaves of the doubt (1 - threshold) that a normal one allows."""

_FILE = Path(__file__).parent / "calibration.yaml"


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of one model.

    ``curves`` has by kind of label the points (precision, threshold), both rising.
    """

    temperature: float
    curves: Mapping[Kind, tuple[tuple[float, float], ...]]

    def threshold(self, kind: Kind, precision: float) -> float:
        """Return the least summed probability at which a label of ``kind`` is given."""
        points = self.curves[kind]
        return float(np.interp(precision, [p for p, _ in points], [t for _, t in points]))

    @property
    def digest(self) -> str:
        """A text that changes with the calibration."""
        text = repr((self.temperature, sorted(self.curves.items())))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def load_calibration(model_name: str = "") -> Calibration:
    """Return the calibration of the torchvision model ``model_name``, or the default one."""
    content = _content()
    models, default = content["models"], content["default"]
    model = models.get(model_name, {})
    thresholds = model.get("thresholds") or models[default["thresholds_of"]]["thresholds"]
    curves: dict[Kind, tuple[tuple[float, float], ...]] = {
        kind: tuple((float(p), float(t)) for p, t in points) for kind, points in thresholds.items()
    }
    return Calibration(float(model.get("temperature", default["temperature"])), curves)


@functools.cache
def _content() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return found
