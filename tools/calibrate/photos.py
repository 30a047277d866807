"""Photos of known class, classified as the daemon would."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
if str(PROJECT) not in sys.path:  # run as a script, not installed
    sys.path.insert(0, str(PROJECT))

from tagger.classify.engine import Engine  # noqa: E402
from tagger.classify.factory import load_engine  # noqa: E402
from tagger.decode.opening import decode  # noqa: E402
from tagger.labels.evidence import Evidence  # noqa: E402
from tagger.pipeline.inference import predict  # noqa: E402
from tools.calibrate.fit import Photo  # noqa: E402

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


def classify(folder: Path, engine: Engine, *, more: bool) -> Iterator[tuple[int, Evidence]]:
    """Yield the class and the evidence of each photo; ``more`` as for ``decode``."""
    for truth in read_truth(folder):
        [stored] = predict(engine, [decode(truth.path, engine.spec, more=more)])
        yield truth.class_index, Evidence.from_bytes(stored.evidence)


def load(model: str, weights: Path) -> Engine:
    """Return the engine for ``model`` with the file ``weights``."""
    return load_engine(model, str(weights), engine="torch", threads=0)


def labelled(folder: Path, engine: Engine) -> list[Photo]:
    """Return the evidence of every photo of ``folder`` that has a known class."""
    centres = classify(folder, engine, more=False)
    both = zip(centres, classify(folder, engine, more=True), strict=True)
    return [Photo(truth, centre, together) for (truth, centre), (_, together) in both]
