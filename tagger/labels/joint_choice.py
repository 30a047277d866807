"""Chooses by all networks that have seen a photo.

Each label has one probability (:mod:`tagger.labels.fusion`). The most specific labels that
clear their threshold are tagged, with the labels above them: of people, animals and things at
most ``labels.max_subjects``, of places :data:`MOST_PLACES`, and indoors or outdoors. A label that
is given makes those above it as sure as itself; one that is not makes nothing sure.

A root is given without anything below it only when it is surer than that, one that says little
(``vehicle``) only when it is nearly certain. A person that fills the picture explains what he or
she wears, but for what few people wear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagger.config.schema import LabelsConfig
from tagger.labels.calibration import thresholds
from tagger.labels.evidence import Evidence
from tagger.labels.fusion import VAGUE, Fusion, FusionCalibration
from tagger.labels.label_tree import NEVER, Decision, LabelTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORN = frozenset(("clothing", "cosmetics"))
"""Roots that a person who fills the picture explains away."""
COSTUMES = frozenset(("hat", "robe", "uniform", "dress", "feather boa"))
"""What is worn so seldom that it is told of such a person as well, with what is below it."""
COSTUME_DOUBT = 0.5
"""What a costume leaves of the doubt that it is allowed where nobody fills the picture."""
FILLED = 0.25
"""The share of the picture that the largest person takes, times its score, to fill it."""
ALONE = 0.7
"""What a root alone leaves of the doubt that it is allowed above another label."""
VAGUE_ALONE = 0.2
"""What one that says little leaves."""
ALONE_OF = {"animal": 0.3, "landscape": 0.015, "architecture": 0.015}
"""What others of these leave: an animal is at least what the photo is of; of a landscape or of
buildings ``outdoors`` says nearly as much."""
MOST_PLACES = 2

_ORDER = {"place": 1, "indoors": 2, "outdoors": 2}  # after people, animals and things


class JointChoice:
    """Decides by all evidence over the labels of ``tree``, that of a vocabulary."""

    def __init__(
        self, tree: LabelTree, fusion: Fusion, config: LabelsConfig, calibration: FusionCalibration
    ) -> None:
        self._tree, self._fusion = tree, fusion
        self._config, self._calibration = config, calibration
        usual = thresholds(fusion.kinds, calibration.curves, config)
        self._thresholds = tree.with_reluctance(usual)
        self._needed = tree.needed(self._thresholds)
        names = [path[0] for path in tree.paths]
        roots = np.array([kind == "root" for kind in tree.kinds()])
        self._broad = roots & np.isin(fusion.kinds, ("vague", "family", "object"))
        usually = [VAGUE_ALONE if name in VAGUE else ALONE for name in names]
        left = [ALONE_OF.get(name, doubt) for name, doubt in zip(names, usually, strict=True)]
        alone = np.where(self._broad, 1 - (1 - usual) * left, usual)
        self._alone = self._thresholds if config.threshold is not None else alone
        self._worn = np.array([name in WORN for name in names])
        costume = np.array([bool(COSTUMES & set(path)) for path in tree.paths])
        costumed = 1 - (1 - self._needed) * COSTUME_DOUBT
        explained = np.where(costume, costumed, np.where(self._worn, NEVER, self._needed))
        self._beside_person = explained

    def decide(self, sums: NDArray[np.float64] | None, evidence: Evidence) -> Decision:
        """Return what is chosen.

        ``sums`` (N,) are the summed, calibrated probabilities of the subjects' network.
        """
        tree, calibration = self._tree, self._calibration
        readings = self._fusion.read(
            sums, evidence.scenes, evidence.boxes, calibration.scenes_temperature
        )
        found = self._fusion.probabilities(readings, calibration)
        needed, told = self._needed, self._thresholds
        notes: dict[int, str] = {}
        if readings.fill >= FILLED and self._config.threshold is None:
            needed = self._beside_person
            worn = np.flatnonzero(self._worn & (found < needed)).tolist()
            notes = dict.fromkeys(worn, "a person wears it")
        clears = (found >= needed) & (found > 0)
        # A label that is given makes those above it as sure; what is not sure enough makes nothing.
        for n in np.flatnonzero(clears).tolist():
            above = tree.above[n, 1:]
            above = above[above < tree.count]
            found[above] = np.maximum(found[above], found[n])
        lowest = tree.lowest(clears)
        alone = {n for n in lowest if self._broad[n] and found[n] < self._alone[n]}
        if alone:
            notes |= dict.fromkeys(alone, "says too little alone")
            told = np.where(self._broad, np.maximum(told, self._alone), told)
        ranked = sorted(
            (n for n in lowest if n not in alone),
            key=lambda n: (_ORDER.get(self._fusion.kinds[n], 0), -found[n], n),
        )
        subjects = self._limited(ranked)
        return Decision(subjects, found, told, readings.parts, notes)

    def _limited(self, ranked: list[int]) -> list[int]:
        """Return what of ``ranked`` there is room for."""
        room = {0: self._config.max_subjects, 1: MOST_PLACES, 2: 1}
        subjects = []
        for node in ranked:
            group = _ORDER.get(self._fusion.kinds[node], 0)
            if room[group] > 0:
                room[group] -= 1
                subjects.append(node)
        return subjects
