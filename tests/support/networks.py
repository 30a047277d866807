"""Networks that say what a test wants, of real photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tagger.records import Box, CropSpec, Prediction

PERSON = Box(0, 0.9, 0.25, 0.25, 0.5, 0.5)


@dataclass
class FakeScenes:
    """A network of 365 scenes that is sure of number ``scene``."""

    scene: int = 48
    spec: CropSpec = CropSpec(squash=True)  # noqa: RUF009 - it is frozen
    name: str = "fake"
    model_id: str = "scenes-00000001"
    categories: tuple[str, ...] = tuple(f"scene {n}" for n in range(365))
    seen: list[int] = field(default_factory=list)

    def predict(self, crops: np.ndarray) -> list[Prediction]:
        assert crops.shape[1:] == (224, 224, 3) and crops.dtype == np.uint8
        self.seen.append(len(crops))
        row = np.full(365, 0.0005, np.float32)
        row[self.scene] = 1 - 0.0005 * 364
        return [Prediction(row, np.zeros(4, np.float32), self.model_id) for _ in crops]


@dataclass
class FakeDetector:
    """A detector that sees ``boxes`` in every picture."""

    boxes: tuple[Box, ...] = (PERSON, PERSON, PERSON)
    side: int = 96
    name: str = "fake"
    model_id: str = "detector-00000001"
    seen: int = 0

    def detect(self, pictures: Sequence[np.ndarray]) -> list[tuple[Box, ...]]:
        assert all(max(picture.shape[:2]) == self.side for picture in pictures)
        self.seen += len(pictures)
        return [self.boxes for _ in pictures]
