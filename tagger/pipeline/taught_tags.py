"""Taught labels of single photos: by what was learned last, from what the index has of them."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from tagger.config.schema import Config
from tagger.index.rows import StoredPrediction
from tagger.labels.chooser import Chooser
from tagger.records import Tag

if TYPE_CHECKING:
    from tagger.labels.evidence import Evidence
    from tagger.labels.personal.model import TaughtModel

log = logging.getLogger(__name__)

GATE = 0.1
"""Less likely than that, the label above rules a taught one out, where that was seen to help."""


class TaughtTags:
    """Gives photos their taught labels. Used by one thread. ``read`` asks the index."""

    def __init__(
        self, read: Callable[[str], list[sqlite3.Row]], config: Config, chooser: Chooser
    ) -> None:
        self._read, self._levels, self._chooser = read, config.labels.levels, chooser
        self.models: dict[str, TaughtModel] = {}
        self.load()

    def load(self) -> None:
        """Take what the index has of what was learned."""
        self.models = {}
        for row in self._read("SELECT model_id, model FROM taught_models"):
            from tagger.labels.personal.model import TaughtModel

            try:
                self.models[row["model_id"]] = TaughtModel.from_bytes(row["model"])
            except ValueError as error:  # it is learned again soon
                log.debug("taught labels for %s: %s", row["model_id"], error)

    def tags(self, stored: StoredPrediction, evidence: Evidence) -> tuple[Tag, ...]:
        """Return a photo's taught labels, each with those above it, the surest first."""
        model = self.models.get(stored.model_id)
        if model is None:
            return ()
        given = model.given(stored.features, model.scores_of([stored.features])[0])
        said = model.said.get(stored.features, {})
        tags: dict[str, Tag] = {}
        for number, sure in sorted(given.items(), key=lambda one: -one[1]):
            fit = model.fits[number]
            if number not in said and fit.gate and not self.passes(evidence, fit.gate):
                continue
            path = fit.label.path
            for depth in range(len(path), max(0, len(path) - 1 - self._levels), -1):
                tags.setdefault(path[depth - 1], Tag(path[depth - 1], sure, path[:depth], "taught"))
        return tuple(tags.values())

    def passes(self, evidence: Evidence, gate: str) -> bool:
        """Whether the networks leave it open that the label ``gate`` is on a photo."""
        probability = self._chooser.probability(evidence, gate)
        return probability is None or probability >= GATE

    def added(
        self, chosen: tuple[Tag, ...], stored: StoredPrediction, evidence: Evidence
    ) -> tuple[Tag, ...]:
        """Return the networks' tags with the taught ones that they have not."""
        if not self.models:
            return chosen
        labels = {tag.label for tag in chosen}
        more = (tag for tag in self.tags(stored, evidence) if tag.label not in labels)
        return (*chosen, *more)
