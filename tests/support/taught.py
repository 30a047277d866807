"""Made-up features: photos of subjects, each somewhere in a space of 512 numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.labels.evidence import Evidence
from tagger.records import Example, FileStat, PhotoFacts

SIZE = 512
EVIDENCE = Evidence.of(np.full(1000, 0.001)).to_bytes()


@dataclass
class Subjects:
    """Photos of ``count`` subjects; the same every time."""

    count: int = 60
    noise: float = 0.25
    chance: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))

    def __post_init__(self) -> None:
        self.centres = self.chance.gamma(1.5, 0.4, (self.count, SIZE))

    def photos(self, subjects: list[int]) -> NDArray[np.float16]:
        """Return the features of one new photo for each of ``subjects``."""
        drawn = self.centres[subjects] + self.chance.normal(0, self.noise, (len(subjects), SIZE))
        return np.asarray(np.maximum(drawn, 0) ** 2, "<f2")


def example(
    label: str, features: NDArray[np.float16], positive: bool | None = True, **more: object
) -> Example:
    """Return an example of a photo with these features."""
    blob = features.tobytes()
    return Example(label, blob[:16], "/p.jpg", positive, features=blob, **more)  # type: ignore[arg-type]


def saved_with_features(number: int, features: bytes, model_id: str = "net") -> SavedPhoto:
    """Return a photo of a library that a network has seen."""
    return SavedPhoto(
        path=f"/p/{number:04}.jpg",
        root="/p",
        stat=FileStat(100 + number, 5),
        sidecar=None,
        content_hash=number.to_bytes(16, "big"),
        source_hash=number.to_bytes(16, "big"),
        facts=PhotoFacts(),
        tags=(),
        prediction=StoredPrediction(model_id, b"", EVIDENCE, features, b""),
        keywords_hash="written",
    )
