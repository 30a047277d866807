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
        self._choosers: dict[int, Chooser] = {}

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
            chooser = self._chooser(evidence.class_count)
        except (ValueError, ConfigError, ModelError):
            return []  # of another version, or a model with labels of its own
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

    def _chooser(self, class_count: int) -> Chooser:
        from tagger.classify.custom_network import scene_categories
        from tagger.labels.chooser import Chooser, Outputs

        with self._lock:
            if class_count not in self._choosers:
                if class_count != len(self._vocabulary.wnids):
                    raise ConfigError("the model has labels of its own")
                model = self._config.model
                self._choosers[class_count] = Chooser(
                    self._vocabulary,
                    self._config.labels,
                    Outputs(scenes=scene_categories(model.scenes)),
                    model_name=model.name,
                )
            return self._choosers[class_count]
