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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from tagger.config.yaml_text import load_shipped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tagger.config.schema import LabelsConfig

Curve = tuple[tuple[float, float], ...]
"""Points (precision, threshold), both rising."""
Kind = Literal["leaf", "group", "root"]
_K = TypeVar("_K", bound=str)

RELUCTANCE = 0.2
"""What a reluctant label leaves of the doubt (1 - threshold) that a normal one allows."""

_FILE = Path(__file__).parent / "calibration.yaml"


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of one model; ``curves`` by kind of label."""

    temperature: float
    curves: Mapping[Kind, Curve]

    @property
    def digest(self) -> str:
        """A text that changes with the calibration."""
        return digest_of(self.temperature, sorted(self.curves.items()))


def load_calibration(model_name: str = "") -> Calibration:
    """Return the calibration of the torchvision model ``model_name``, or the default one."""
    content = _content()
    models, default = content["models"], content["default"]
    model = models.get(model_name, {})
    thresholds = model.get("thresholds") or models[default["thresholds_of"]]["thresholds"]
    curves: dict[Kind, Curve] = {kind: curve(points) for kind, points in thresholds.items()}
    return Calibration(float(model.get("temperature", default["temperature"])), curves)


def curve(points: Sequence[Sequence[float]]) -> Curve:
    """Return the points that a file holds."""
    return tuple((float(precision), float(threshold)) for precision, threshold in points)


def thresholds(
    kinds: Sequence[_K], curves: Mapping[_K, Curve], config: LabelsConfig
) -> NDArray[np.float64]:
    """Return the least probability at which each of N labels of these ``kinds`` is given, (N,)."""
    if config.threshold is not None:
        return np.full(len(kinds), config.threshold)
    by_kind = {kind: at_precision(points, config.precision) for kind, points in curves.items()}
    return np.array([by_kind[kind] for kind in kinds])


def at_precision(points: Curve, precision: float) -> float:
    """Return the threshold for a wanted ``precision``."""
    return float(np.interp(precision, [p for p, _ in points], [t for _, t in points]))


def digest_of(*values: object) -> str:
    """Return a text that changes with the numbers of a calibration."""
    return hashlib.blake2b(repr(values).encode(), digest_size=8).hexdigest()


@functools.cache
def _content() -> dict[str, Any]:
    found: dict[str, Any] = load_shipped(_FILE.read_text(encoding="utf-8"))
    return found
