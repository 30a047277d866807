"""The labels as numbers: their chains and roots, and which are not said at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tagger.config.schema import LabelsConfig
from tagger.labels.calibration import RELUCTANCE, Kind
from tagger.labels.config_check import meant
from tagger.labels.vocabulary import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEVER = 2.0
"""A threshold that no probability clears."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was chosen among N labels, and what it was chosen by.

    ``subjects`` are the most specific labels, best first; ``probabilities`` and ``thresholds``
    (N,) what each has and what it needed; ``parts`` (N, networks) what each network said, NaN
    where it does not speak, where several were asked; ``notes`` why a label that clears was
    passed over.
    """

    subjects: list[int]
    probabilities: NDArray[np.float64]
    thresholds: NDArray[np.float64]
    parts: NDArray[np.float64] | None
    notes: Mapping[int, str]


class LabelTree:
    """The labels of a vocabulary, or of a model with ``categories`` of its own.

    ``paths`` has each label's path from its root, ``above`` (N, depth) its number and those above
    it, nearest first, padded with N; ``root`` its root's number. ``refused`` says why a label is
    not said at all, empty for those that are.
    """

    def __init__(
        self, vocabulary: Vocabulary, config: LabelsConfig, categories: Sequence[str] | None = None
    ) -> None:
        self._vocabulary, self._flat = vocabulary, categories is not None
        if categories is not None:
            self.paths: list[tuple[str, ...]] = [(name,) for name in categories]
        else:
            self.paths = [vocabulary.path(label) for label in vocabulary.nodes]
        self.count = len(self.paths)
        self._numbers = {path[-1]: n for n, path in enumerate(self.paths)}
        depth = np.array([len(path) for path in self.paths])
        self.above = self._chains(int(depth.max()))
        self.root = self.above[np.arange(self.count), depth - 1]
        self.refused = self._refusals(config, vocabulary if categories is None else categories)

    def _chains(self, deepest: int) -> NDArray[np.intp]:
        chains = np.full((self.count, deepest), self.count, np.intp)
        for node, path in enumerate(self.paths):
            chains[node, : len(path)] = [self._numbers[label] for label in reversed(path)]
        return chains

    def _refusals(self, config: LabelsConfig, known: Vocabulary | Sequence[str]) -> list[str]:
        excluded: set[str] = set()
        for word in config.exclude:
            for label in meant(known, word, config.language):
                excluded |= {label} if self._flat else self._vocabulary.below(label)
        reasons = []
        for path in self.paths:
            never = not self._flat and self._vocabulary.nodes[path[-1]].policy == "never"
            reason = "labels.exclude" if path[-1] in excluded else ""
            reasons.append("a poor tag, never said" if never else reason)
        return reasons

    def number(self, label: str) -> int | None:
        """Return the number of a label; None when there is no such label."""
        return self._numbers.get(label)

    def kinds(self) -> list[Kind]:
        """Return for each label whether it is a leaf, or a group or root with labels below."""
        inner = {label for path in self.paths for label in path[:-1]}
        return [
            "leaf" if path[-1] not in inner else "group" if len(path) > 1 else "root"
            for path in self.paths
        ]

    def with_reluctance(self, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``thresholds`` (N,), raised where the label is said on far more evidence only."""
        if self._flat:
            return thresholds
        policies = {label: node.policy for label, node in self._vocabulary.nodes.items()}
        reluctant = [any(policies[label] == "reluctant" for label in path) for path in self.paths]
        return np.where(reluctant, 1 - (1 - thresholds) * RELUCTANCE, thresholds)

    def needed(self, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``thresholds`` (N,) with none that can be cleared where a label is refused."""
        return np.where([bool(why) for why in self.refused], NEVER, thresholds)

    def sums(self, leaves: NDArray[np.intp], masses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the summed probability of every label, of ``masses`` (K,) at ``leaves`` (K,)."""
        chains = self.above[leaves]
        weights = np.repeat(masses, chains.shape[1])
        found = np.bincount(chains.ravel(), weights, self.count + 1)
        return np.asarray(found[: self.count], np.float64)

    def lowest(self, clears: NDArray[np.bool_]) -> list[int]:
        """Return those of the labels that clear with nothing below them clearing."""
        nodes = np.flatnonzero(clears)
        covered = set(self.above[nodes, 1:].ravel().tolist())
        return [node for node in nodes.tolist() if node not in covered]

    def given(self, subject: int, levels: int) -> list[int]:
        """Return the labels that are tagged for one subject, the most specific first."""
        chain = self.above[subject, : levels + 1]
        return [int(n) for n in chain if n < self.count and not self.refused[n]]
