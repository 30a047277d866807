"""Made-up features: photos of subjects, each somewhere in a space of 512 numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tagger.taught import Example

SIZE = 512


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
