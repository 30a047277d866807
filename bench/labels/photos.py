"""Photos of known class, classified as the daemon would."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PROJECT = Path(__file__).resolve().parents[2]
if str(PROJECT) not in sys.path:  # run as a script, not installed
    sys.path.insert(0, str(PROJECT))

from fit import Photo  # noqa: E402

from tagger.classify.engine import Engine, load_engine  # noqa: E402
from tagger.decode.crop import decode  # noqa: E402
from tagger.labels.choose import Evidence, combine  # noqa: E402

SHARED = PROJECT.parent / "shared"


@dataclass(frozen=True)
class Truth:
    """One line of a ``truth.csv``."""

    path: str
    class_index: int


def read_truth(folder: Path) -> list[Truth]:
    """Return the photos of ``folder`` with their class, from its ``truth.csv``."""
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        return [
            Truth(str(folder / row["file"]), int(row["class_index"]))
            for row in csv.DictReader(file)
        ]


def classify(folder: Path, engine: Engine) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the class and the probabilities (1 + K, C) of the crops of each photo."""
    for truth in read_truth(folder):
        photo = decode(truth.path, engine.spec, more=True)
        crops = photo.crop[np.newaxis]
        if photo.more is not None and len(photo.more):
            crops = np.concatenate([crops, photo.more])
        found = engine.predict(crops)
        yield truth.class_index, np.stack([prediction.probabilities for prediction in found])


def load(model: str, weights: Path) -> Engine:
    """Return the engine for ``model`` with the file ``weights``."""
    return load_engine(model, str(weights), engine="torch", threads=0)


def labelled(folder: Path, engine: Engine) -> list[Photo]:
    """Return the evidence of every photo of ``folder`` that has a known class."""
    return [
        Photo(truth, Evidence.of(rows[0]), Evidence.of(combine(rows)))
        for truth, rows in classify(folder, engine)
    ]
