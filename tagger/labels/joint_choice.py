"""Chooses by all networks that have seen a photo.

Each label has one probability (:mod:`tagger.labels.fusion`). The most specific labels that
clear their threshold are tagged, with the labels above them: of people, animals and things at
most ``labels.max_subjects``, of places :data:`MOST_PLACES`, and indoors or outdoors.

A root that says little (``animal``, ``vehicle``) is given without anything below it only when
it is nearly certain. A person that fills the picture explains what he or she wears.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagger.config.schema import LabelsConfig
from tagger.labels.evidence import Evidence
from tagger.labels.fusion import VAGUE, Fusion, FusionCalibration
from tagger.labels.label_tree import NEVER, Decision, LabelTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORN = frozenset(("clothing", "cosmetics"))
"""Roots that a person who fills the picture explains away."""
FILLED = 0.25
"""The share of the picture that the largest person takes, times its score, to fill it."""
ALONE = 0.1
"""What a vague root alone leaves of the doubt that it is allowed above another label."""
MOST_PLACES = 2

_ORDER = {"place": 1, "indoors": 2, "outdoors": 2}  # after people, animals and things


class JointChoice:
    """Decides by all evidence over the labels of ``tree``, that of a vocabulary."""

    def __init__(
        self,
        tree: LabelTree,
        fusion: Fusion,
        config: LabelsConfig,
        calibration: FusionCalibration,
    ) -> None:
        self._tree, self._fusion = tree, fusion
        self._config, self._calibration = config, calibration
        plain = config.threshold
        by_kind = {
            kind: calibration.threshold(kind, config.precision) if plain is None else plain
            for kind in calibration.curves
        }
        usual = np.array([by_kind[kind] for kind in fusion.kinds])
        self._thresholds = tree.with_reluctance(usual)
        self._needed = tree.needed(self._thresholds)
        names = [path[0] for path in tree.paths]
        self._vague = np.array([len(p) == 1 and p[0] in VAGUE for p in tree.paths])
        alone = np.where(self._vague, 1 - (1 - usual) * ALONE, usual)
        self._alone = self._thresholds if plain is not None else alone
        self._worn = np.array([name in WORN for name in names])

    def decide(self, sums: NDArray[np.float64] | None, evidence: Evidence) -> Decision:
        """Return what is chosen.

        ``sums`` (N,) are the summed, calibrated probabilities of the subjects' network.
        """
        tree, calibration = self._tree, self._calibration
        readings = self._fusion.read(
            sums, evidence.scenes, evidence.boxes, calibration.scenes_temperature
        )
        found = self._fusion.probabilities(readings, calibration)
        needed, thresholds = self._needed, self._thresholds
        notes: dict[int, str] = {}
        if readings.fill >= FILLED and self._config.threshold is None:
            needed = np.where(self._worn, NEVER, needed)
            notes = dict.fromkeys(np.flatnonzero(self._worn).tolist(), "a person wears it")
        lowest = tree.lowest((found >= needed) & (found > 0))
        alone = {n for n in lowest if self._vague[n] and found[n] < self._alone[n]}
        if alone:
            notes |= dict.fromkeys(alone, "says too little alone")
            thresholds = np.where(self._vague, np.maximum(thresholds, self._alone), thresholds)
        ranked = sorted(
            (n for n in lowest if n not in alone),
            key=lambda n: (_ORDER.get(self._fusion.kinds[n], 0), -found[n], n),
        )
        subjects = self._limited(ranked)
        return Decision(subjects, found, thresholds, readings.parts, notes)

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
