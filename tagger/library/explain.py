"""Explains why a photo has the tags that it has, and not others."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tagger.config.schema import Config
from tagger.errors import ConfigError, ModelError
from tagger.index.reader import Found, Reader
from tagger.labels.vocabulary import Vocabulary

if TYPE_CHECKING:
    from tagger.labels.chooser import Chooser

REMOVED = "removed by you"


class Explainer:
    """Explains stored predictions. For any thread."""

    def __init__(self, config: Config, vocabulary: Vocabulary) -> None:
        self._config, self._vocabulary = config, vocabulary
        self._lock = threading.Lock()
        self._made: Chooser | None = None

    def of(self, reader: Reader, found: Found) -> list[dict[str, Any]]:
        """Return what was considered for a photo, the likeliest first; empty without prediction.

        Each has ``path``, ``probability``, the ``threshold`` it needed, ``given``, ``reason``
        and, where several networks have seen the photo, by network what each said.
        """
        from tagger.labels.evidence import Evidence

        stored = reader.prediction(found.row.id)
        if stored is None:
            return []
        try:
            evidence = Evidence.from_bytes(stored.evidence)
            if evidence.class_count != len(self._vocabulary.wnids):
                return []  # of a model with labels of its own
            chooser = self._chooser()
        except (ValueError, ConfigError, ModelError):
            return []  # of another version
        removed = reader.tombstones(found.row.id)
        told = []
        for line in chooser.explain(evidence):
            out = line.path[-1] in removed or found.row.keep_out
            told.append(
                {
                    "path": list(line.path),
                    "probability": round(line.probability, 4),
                    "threshold": round(line.threshold, 4),
                    "given": line.given and not out,
                    "reason": REMOVED if line.given and out else line.reason,
                    "networks": {name: round(part, 4) for name, part in line.parts.items()},
                }
            )
        return told

    def _chooser(self) -> Chooser:
        from tagger.classify.custom_network import scene_categories
        from tagger.labels.chooser import Chooser, Outputs

        with self._lock:
            if self._made is None:
                model, labels = self._config.model, self._config.labels
                outputs = Outputs(scenes=scene_categories(model.scenes))
                self._made = Chooser(self._vocabulary, labels, outputs, model_name=model.name)
            return self._made
