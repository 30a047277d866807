"""Chooses the tags of a photo from the evidence, and says why.

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

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tagger.config.schema import LabelsConfig
from tagger.errors import ConfigError
from tagger.labels.calibration import RELUCTANCE, Calibration, Kind, load_calibration
from tagger.labels.config_check import (
    check_labels_config,
    meant,
    prefix_parts,
    renamed,
)
from tagger.labels.evidence import Evidence, Ranking
from tagger.labels.vocabulary import Vocabulary
from tagger.records import Keyword, Tag

if TYPE_CHECKING:
    from numpy.typing import NDArray
from typing import TYPE_CHECKING

from tagger.config.schema import Config

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tagger.labels.vocabulary import Vocabulary


SECOND_MASS = 0.25
"""The least summed probability of a further subject."""
_SHOWN = 0.02  # labels with a smaller sum are left out of explanations
_NEVER = 2.0  # a threshold that no sum clears
_RULES = 1  # to be raised when the rules change, so that stored predictions are chosen anew


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one label was, or was not, given.

    ``probability`` is its sum (0…1), ``threshold`` what it needed, ``given`` whether it is
    among the tags, ``reason`` a short text.
    """

    path: tuple[str, ...]
    probability: float
    threshold: float
    given: bool
    reason: str

    def __str__(self) -> str:
        verdict = "tagged" if self.given else "not tagged"
        return (
            f"{' > '.join(self.path)}: {self.probability:.3f} (needs {self.threshold:.3f}), "
            f"{verdict}: {self.reason}"
        )


class Chooser:
    """Chooses tags by one vocabulary and one configuration.

    ``class_count`` is the number of the model's outputs, ``categories`` their names. A model
    with other outputs than ImageNet's 1,000 classes has no place in the tree: its categories
    are the labels. ``calibration`` replaces the shipped one of ``model_name``. Raise
    ConfigError when the configuration does not fit the vocabulary.

    ``config_hash`` changes whenever the same evidence may give other tags or keywords.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        config: LabelsConfig,
        *,
        class_count: int = 1000,
        model_name: str = "",
        categories: Sequence[str] | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self._vocabulary = vocabulary
        self._config = config
        self._class_count = class_count
        self._calibration = calibration or load_calibration(model_name)
        self._flat = class_count != len(vocabulary.wnids)
        own = _distinct(categories, class_count) if self._flat else None
        if problems := check_labels_config(config, vocabulary, own):
            raise ConfigError(
                "the configuration does not fit the vocabulary: " + "; ".join(problems),
                "correct it; `tagger labels --all` shows the names",
            )
        if own is not None:
            self._paths: list[tuple[str, ...]] = [(name,) for name in own]
            self._parents = [-1] * class_count
            self._leaf = np.arange(class_count)
            self._renamed = _renamed_flat(config, own)
        else:
            number = {label: n for n, label in enumerate(vocabulary.nodes)}
            self._paths = [vocabulary.path(label) for label in number]
            self._parents = [number.get(n.parent or "", -1) for n in vocabulary.nodes.values()]
            self._leaf = np.array([number[vocabulary.leaf_of(c)] for c in range(class_count)])
            self._renamed = renamed(config, vocabulary)
        self._count = len(self._paths)
        self._depth = np.array([len(path) for path in self._paths])
        self._above = self._chains()
        self._root = self._above[np.arange(self._count), self._depth - 1]
        self._refused = self._refusals()
        self._thresholds = self._plain_thresholds()
        self._needed = np.where([bool(why) for why in self._refused], _NEVER, self._thresholds)
        self.config_hash = self._digest(own)

    def _chains(self) -> NDArray[np.intp]:
        """Row n: n and what is above it, nearest first; padded with the number of nodes."""
        chains = np.full((self._count, int(self._depth.max())), self._count, np.intp)
        for node in range(self._count):
            step, at = node, 0
            while step >= 0:
                chains[node, at] = step
                step, at = self._parents[step], at + 1
        return chains

    def _refusals(self) -> list[str]:
        """Return why a label is not said at all, empty for those that are."""
        excluded: set[str] = set()
        for word in self._config.exclude:
            if self._flat:
                excluded |= {path[0] for path in self._paths if _same(path[0], word)}
            else:
                for label in meant(self._vocabulary, word):
                    excluded |= self._vocabulary.below(label)
        reasons = []
        for path in self._paths:
            never = not self._flat and self._vocabulary.nodes[path[-1]].policy == "never"
            reason = "labels.exclude" if path[-1] in excluded else ""
            reasons.append("a poor tag, never said" if never else reason)
        return reasons

    def _plain_thresholds(self) -> NDArray[np.float64]:
        inner = set(self._parents)
        thresholds = np.empty(self._count)
        for node, path in enumerate(self._paths):
            kind: Kind = "leaf" if node not in inner else "group" if len(path) > 1 else "root"
            plain = self._config.threshold
            if plain is None:
                plain = self._calibration.threshold(kind, self._config.precision)
            if not self._flat and self._reluctant(path):
                plain = 1 - (1 - plain) * RELUCTANCE
            thresholds[node] = plain
        return thresholds

    def _reluctant(self, path: tuple[str, ...]) -> bool:
        """Whether a label on the way from the root down is said on far more evidence only."""
        return any(self._vocabulary.nodes[label].policy == "reluctant" for label in path)

    def _digest(self, own: Sequence[str] | None) -> str:
        config = self._config
        settings = [
            _RULES,
            self._vocabulary.digest,
            self._calibration.digest,
            own,
            [config.threshold, config.precision, config.max_subjects, config.levels],
            [config.language, sorted(config.exclude), sorted(config.rename.items())],
            prefix_parts(config.prefix),
        ]
        return hashlib.blake2b(json.dumps(settings).encode(), digest_size=16).hexdigest()

    def choose(self, evidence: Evidence) -> tuple[Tag, ...]:
        """Return the tags: each subject's most specific label, then those above it.

        Best subject first, every label once. A tag's confidence is its summed probability.
        Raise ValueError when the evidence is of another number of classes.
        """
        subjects, sums = self._subjects(evidence)
        order = dict.fromkeys(node for subject in subjects for node in self._given(subject))
        return tuple(
            Tag(self._paths[n][-1], min(1.0, float(sums[n])), self._paths[n]) for n in order
        )

    def _given(self, subject: int) -> list[int]:
        """Return the nodes that are tagged for one subject, the most specific first."""
        chain = self._above[subject, : self._config.levels + 1]
        return [int(n) for n in chain if n < self._count and not self._refused[n]]

    def _subjects(self, evidence: Evidence) -> tuple[list[int], NDArray[np.float64]]:
        """Return the most specific node of each subject, best first, and the sums of all."""
        if evidence.subjects is None:
            return [], np.zeros(self._count)
        masses = self._masses(evidence.subjects)
        leaves = self._leaf[evidence.subjects.indices]
        sums = self._sums(leaves, masses)
        subjects: list[int] = []
        clears = sums >= self._needed
        current = sums
        while len(subjects) < self._config.max_subjects:
            subject = self._best(clears, current)
            if subject is None:
                break
            subjects.append(subject)
            masses = np.where(self._root[leaves] == self._root[subject], 0.0, masses)
            left = float(masses.sum())
            if left < SECOND_MASS and self._config.threshold is None:
                break
            current = self._sums(leaves, masses)
            if self._config.threshold is None:
                clears = (current / left >= self._needed) & (current >= SECOND_MASS)
            else:  # one plain threshold means just that, for every subject
                clears = current >= self._needed
        return subjects, sums

    def _masses(self, subjects: Ranking) -> NDArray[np.float64]:
        """Return the probabilities kept (K,) at the model's temperature."""
        if subjects.class_count != self._class_count:
            raise ValueError(
                f"a prediction of {subjects.class_count} classes, for {self._class_count}"
            )
        kept = subjects.probabilities.astype(np.float64)
        power = 1 / self._calibration.temperature
        others = self._class_count - len(kept)
        rest = max(0.0, 1 - float(kept.sum()))
        # What is not kept counts as spread evenly: only its share of the total matters.
        tail = others * (rest / others) ** power if others else 0.0
        raised = kept**power
        total = float(raised.sum()) + tail
        return np.asarray(raised / total if total > 0 else raised)

    def _sums(self, leaves: NDArray[np.intp], masses: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the summed probability of every node."""
        chains = self._above[leaves]
        weights = np.repeat(masses, chains.shape[1])
        sums = np.bincount(chains.ravel(), weights, self._count + 1)
        return np.asarray(sums[: self._count], np.float64)

    def _best(self, clears: NDArray[np.bool_], current: NDArray[np.float64]) -> int | None:
        """Return the most probable of the nodes that clear with nothing below them clearing."""
        nodes = np.flatnonzero(clears)
        if not len(nodes):
            return None
        covered = set(self._above[nodes, 1:].ravel().tolist())
        return max((n for n in nodes.tolist() if n not in covered), key=lambda n: (current[n], -n))

    def keywords(self, tags: Sequence[Tag]) -> tuple[Keyword, ...]:
        """Return the keywords to write for ``tags``: language, own names and prefix applied.

        A path holds only what is tagged (``labels.levels``), under the prefix. Tags of the
        user's own (source "user") are passed as they are.
        """
        tagged = {tag.label for tag in tags}
        inner = {label for tag in tags for label in tag.path[:-1]}
        prefix = prefix_parts(self._config.prefix)
        found: dict[tuple[str, ...], Keyword] = {}
        for tag in tags:
            if tag.source == "user":
                found.setdefault(tag.path, Keyword(tag.label, tag.path, tag.confidence))
                continue
            path = prefix
            for label in (*(lb for lb in tag.path[:-1] if lb in tagged), tag.label):
                word = self.written(label)
                # Two labels may be renamed to one word; it is written once.
                if path == prefix or path[-1] != word:
                    path = (*path, word)
            leaf = tag.label not in inner
            found.setdefault(path, Keyword(tag.label, path, tag.confidence, leaf))
        return tuple(found.values())

    def written(self, label: str) -> str:
        """Return the word that is written for ``label``."""
        own = self._renamed.get(label)
        return own or self._vocabulary.name(label, self._config.language)

    def explain(self, evidence: Evidence) -> list[Explanation]:
        """Return what was considered, the most probable first, and why it was (not) given."""
        subjects, sums = self._subjects(evidence)
        given = {node: subject for subject in subjects for node in self._given(subject)}
        rows = [
            Explanation(
                self._paths[n],
                float(sums[n]),
                float(self._thresholds[n]),
                n in given,
                self._reason(n, sums, given, subjects),
            )
            for n in sorted({*np.flatnonzero(sums >= _SHOWN).tolist(), *given})
        ]
        return sorted(rows, key=lambda row: (-row.probability, len(row.path), row.path))

    def _reason(
        self,
        node: int,
        sums: NDArray[np.float64],
        given: Mapping[int, int],
        subjects: Sequence[int],
    ) -> str:
        if node in subjects:
            place = subjects.index(node)
            return "the most specific that is sure" if not place else f"subject {place + 1}"
        if node in given:
            return f"above {self._paths[given[node]][-1]}"
        if self._refused[node]:
            return self._refused[node]
        if sums[node] < self._thresholds[node]:
            return "not sure enough"
        if any(node in self._above[subject] for subject in subjects):
            return "more levels up than labels.levels"
        return "no subject of its own beside the others"


def _distinct(categories: Sequence[str] | None, count: int) -> list[str]:
    """Return one fit keyword for each of a foreign model's outputs."""
    names: dict[str, None] = {}
    for index in range(count):
        name = categories[index] if categories and index < len(categories) else f"class {index}"
        for mark in "|/,;":
            name = name.replace(mark, " ")
        name = " ".join(name.split()) or f"class {index}"
        names[name if name not in names else f"{name} ({index})"] = None
    return list(names)


def _renamed_flat(config: LabelsConfig, own: Sequence[str]) -> dict[str, str]:
    return {name: new for word, new in config.rename.items() for name in own if _same(name, word)}


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def make_chooser(categories: Sequence[str], config: Config, vocabulary: Vocabulary) -> Chooser:
    """Return the chooser of tags for an engine with these output ``categories``."""
    return Chooser(
        vocabulary,
        config.labels,
        class_count=len(categories),
        model_name=config.model.name,
        categories=categories,
    )
