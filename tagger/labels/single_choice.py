"""Chooses by one network alone, as for photos that no other has seen.

Probabilities are summed up the tree of the vocabulary. The most specific label whose sum
clears its threshold is tagged, with the labels above it. When nothing clears, nothing is
said.

A further subject is looked for in what the first leaves: its whole branch, from the root
down, is taken away (within a branch the runner-up is nearly always a confusion: wolf after
husky, coffee mug after cup), the rest is scaled to sum 1 and must clear the same thresholds.
It must also have held :data:`SECOND_MASS` before, because scaling makes a certainty of the
remains of any clear case.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagger.config.schema import LabelsConfig
from tagger.labels.calibration import Calibration, thresholds
from tagger.labels.evidence import Ranking
from tagger.labels.fusion import tempered
from tagger.labels.label_tree import Decision, LabelTree

if TYPE_CHECKING:
    from numpy.typing import NDArray

SECOND_MASS = 0.25
"""The least summed probability of a further subject."""


class SingleChoice:
    """Decides by the subjects' network. ``leaves`` (C,) has the label of each of its classes."""

    def __init__(
        self,
        tree: LabelTree,
        leaves: NDArray[np.intp],
        config: LabelsConfig,
        calibration: Calibration,
    ) -> None:
        self._tree, self._leaves = tree, leaves
        self._config, self._temperature = config, calibration.temperature
        usual = thresholds(tree.kinds(), calibration.curves, config)
        self._thresholds = tree.with_reluctance(usual)
        self._needed = tree.needed(self._thresholds)

    def sums(self, subjects: Ranking) -> NDArray[np.float64]:
        """Return the summed, calibrated probability of every label. Raise ValueError."""
        return self._tree.sums(*self._masses(subjects))

    def _masses(self, subjects: Ranking) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the label of each class kept (K,), and its calibrated probability (K,)."""
        if subjects.class_count != len(self._leaves):
            raise ValueError(
                f"a prediction of {subjects.class_count} classes, for {len(self._leaves)}"
            )
        return self._leaves[subjects.indices], tempered(subjects, self._temperature)

    def decide(self, subjects: Ranking) -> Decision:
        """Return what is chosen. Raise ValueError for a prediction of other classes."""
        tree, plain = self._tree, self._config.threshold is not None
        leaves, masses = self._masses(subjects)
        sums = tree.sums(leaves, masses)
        found: list[int] = []
        clears, current = sums >= self._needed, sums
        while len(found) < self._config.max_subjects:
            nodes = tree.lowest(clears)
            if not nodes:
                break
            best = max(nodes, key=lambda n: (current[n], -n))
            found.append(best)
            masses = np.where(tree.root[leaves] == tree.root[best], 0.0, masses)
            left = float(masses.sum())
            if left < SECOND_MASS and not plain:
                break
            current = tree.sums(leaves, masses)
            if plain:  # one plain threshold means just that, for every subject
                clears = current >= self._needed
            else:
                clears = (current / left >= self._needed) & (current >= SECOND_MASS)
        return Decision(found, sums, self._thresholds, None, {})
