"""Chooses the tags of a photo from the evidence, and says why.

A photo that one network has seen is tagged by :mod:`tagger.labels.single_choice`, one that
several have seen by :mod:`tagger.labels.joint_choice`. A model with categories of its own has
no place in the tree: its categories are labels beside those of the other networks.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from tagger.config.schema import LabelsConfig
from tagger.errors import ConfigError
from tagger.labels.calibration import Calibration, load_calibration
from tagger.labels.config_check import check_labels_config, prefix_parts, renamed
from tagger.labels.evidence import Evidence
from tagger.labels.fusion import NETWORKS, Fusion, FusionCalibration, load_fusion_calibration
from tagger.labels.joint_choice import JointChoice
from tagger.labels.kinds import KIND_NAMES
from tagger.labels.label_tree import Decision, LabelTree
from tagger.labels.single_choice import SingleChoice
from tagger.labels.vocabulary import Vocabulary
from tagger.records import Keyword, Tag

_SHOWN = 0.02  # labels with a smaller probability are left out of explanations
_RULES = 2  # to be raised when the rules change, so that stored predictions are chosen anew


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one label was, or was not, given.

    ``probability`` is what all networks together say (0…1), ``threshold`` what it needed,
    ``given`` whether it is among the tags, ``reason`` a short text; ``parts`` has by network
    what each of them said, where several have seen the photo.
    """

    path: tuple[str, ...]
    probability: float
    threshold: float
    given: bool
    reason: str
    parts: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        verdict = "tagged" if self.given else "not tagged"
        parts = ", ".join(f"{network} {part:.3f}" for network, part in self.parts.items())
        return (
            f"{' > '.join(self.path)}: {self.probability:.3f} (needs {self.threshold:.3f}), "
            f"{verdict}: {self.reason}" + (f" [{parts}]" if parts else "")
        )


class Outputs(NamedTuple):
    """What the outputs of the networks mean.

    ``class_count`` is the number of those of the subjects' network, ``categories`` their names.
    ``scenes`` says what each output of the scenes' network means (a scene of Places365, a label,
    or nothing), if it is not Places365's own 365.
    """

    class_count: int = 1000
    categories: Sequence[str] | None = None
    scenes: Sequence[str] | None = None


class Chooser:
    """Chooses tags by one vocabulary and one configuration.

    A model with other ``outputs`` than ImageNet's 1,000 classes has no place in the tree: its
    categories are labels of their own. ``calibration`` and ``fusion`` replace the shipped ones.
    Raise ConfigError when the configuration does not fit the vocabulary.

    ``config_hash`` changes whenever the same evidence may give other tags or keywords;
    ``class_count`` is that of the subjects' network.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        config: LabelsConfig,
        outputs: Outputs = Outputs(),  # noqa: B008 - it is frozen
        *,
        model_name: str = "",
        calibration: Calibration | None = None,
        fusion: FusionCalibration | None = None,
    ) -> None:
        class_count, categories, scenes = outputs
        self.class_count = class_count
        self._vocabulary = vocabulary
        self._config = config
        calibration = calibration or load_calibration(model_name)
        fusion = fusion or load_fusion_calibration()
        flat = class_count != len(vocabulary.wnids)
        own = _distinct(categories, class_count) if flat else None
        if problems := check_labels_config(config, vocabulary, own):
            raise ConfigError(
                "the configuration does not fit the vocabulary: " + "; ".join(problems),
                "correct it; `tagger labels --all` shows the names",
            )
        self._tree = LabelTree(vocabulary, config)
        self._own = LabelTree(vocabulary, config, own) if own is not None else None
        if own is not None:
            leaves = np.arange(class_count)
        else:
            labels = map(vocabulary.leaf_of, range(class_count))
            leaves = np.array([self._tree.number(label) for label in labels])
        self._renamed = renamed(config, vocabulary if own is None else own)
        self._single = SingleChoice(self._own or self._tree, leaves, config, calibration)
        self._joint = JointChoice(self._tree, Fusion(vocabulary, scenes), config, fusion)
        settings = [
            _RULES,
            vocabulary.digest_in(config.language),
            calibration.digest,
            fusion.digest,
            own,
            scenes if scenes is None else list(scenes),
            [config.threshold, config.precision, config.max_subjects, config.levels],
            config.kinds,
            [config.language, sorted(config.exclude), sorted(config.rename.items())],
            prefix_parts(config.prefix),
        ]
        text = json.dumps(settings).encode()
        self.config_hash = hashlib.blake2b(text, digest_size=16).hexdigest()

    def choose(self, evidence: Evidence, kinds: Sequence[str] = ()) -> tuple[Tag, ...]:
        """Return the tags: each subject's most specific label, then those above it.

        Best subject first, every label once. A tag's confidence is its probability. ``kinds``
        are what the file says it is, tags where ``labels.kinds`` says so. Raise ValueError when
        the evidence is of another number of classes.
        """
        tags: dict[str, Tag] = {}
        for tree, decision in self._decide(evidence):
            for subject in decision.subjects:
                for n in tree.given(subject, self._config.levels):
                    path, sure = tree.paths[n], min(1.0, float(decision.probabilities[n]))
                    tags.setdefault(path[-1], Tag(path[-1], sure, path))
        for kind in kinds if self._config.kinds else ():
            tags.setdefault(kind, Tag(kind, 1.0, (kind,)))
        return tuple(tags.values())

    def _decide(self, evidence: Evidence) -> list[tuple[LabelTree, Decision]]:
        """Return what is chosen among which labels."""
        others = evidence.scenes is not None or evidence.boxes is not None
        subjects = evidence.subjects
        found = []
        if subjects is not None and (self._own is not None or not others):
            found.append((self._own or self._tree, self._single.decide(subjects)))
        if others:
            read = subjects if self._own is None else None
            sums = self._single.sums(read) if read is not None else None
            found.append((self._tree, self._joint.decide(sums, evidence)))
        return found

    def probability(self, evidence: Evidence, label: str) -> float | None:
        """Return how likely a label of the tree is; None for one that nothing is said of."""
        for tree, decision in self._decide(evidence):
            if (node := tree.number(label)) is not None:
                return float(decision.probabilities[node])
        return None

    def keywords(self, tags: Sequence[Tag]) -> tuple[Keyword, ...]:
        """Return the keywords to write for ``tags``: language, own names and prefix applied.

        A path holds only what is tagged (``labels.levels``), under the prefix. Tags of the
        user's own (source "user") are passed as they are; a rule's word is written as it is.
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
                word = label if tag.source == "rule" else self.written(label)
                # Two labels may be renamed to one word; it is written once.
                if path == prefix or path[-1] != word:
                    path = (*path, word)
            leaf = tag.label not in inner
            found.setdefault(path, Keyword(tag.label, path, tag.confidence, leaf))
        return tuple(found.values())

    def written(self, label: str) -> str:
        """Return the word that is written for ``label``."""
        language = self._config.language
        own = self._renamed.get(label) or KIND_NAMES.get(language, {}).get(label)
        return own or self._vocabulary.name(label, language)

    def explain(self, evidence: Evidence) -> list[Explanation]:
        """Return what was considered, the most probable first, and why it was (not) given."""
        rows = []
        for tree, decision in self._decide(evidence):
            given = {
                node: subject
                for subject in decision.subjects
                for node in tree.given(subject, self._config.levels)
            }
            shown = {*np.flatnonzero(decision.probabilities >= _SHOWN).tolist(), *given}
            rows += [
                Explanation(
                    tree.paths[n],
                    float(decision.probabilities[n]),
                    float(decision.thresholds[n]),
                    n in given,
                    _reason(n, tree, decision, given),
                    _parts(decision, n),
                )
                for n in sorted(shown)
            ]
        return sorted(rows, key=lambda row: (-row.probability, len(row.path), row.path))


def _reason(node: int, tree: LabelTree, decision: Decision, given: Mapping[int, int]) -> str:
    subjects = decision.subjects
    if node in subjects:
        place = subjects.index(node)
        return "the most specific that is sure" if not place else f"subject {place + 1}"
    if node in given:
        return f"above {tree.paths[given[node]][-1]}"
    if tree.refused[node]:
        return tree.refused[node]
    if decision.probabilities[node] < decision.thresholds[node] and node not in decision.notes:
        return "not sure enough"
    if any(node in tree.above[subject] for subject in subjects):
        return "more levels up than labels.levels"
    return decision.notes.get(node, "no subject of its own beside the others")


def _parts(decision: Decision, node: int) -> dict[str, float]:
    if decision.parts is None:
        return {}
    said = zip(NETWORKS, decision.parts[node].tolist(), strict=True)
    return {network: part for network, part in said if not math.isnan(part)}


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
