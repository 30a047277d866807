"""Measures how long a change of labels takes for photos that are in the index.

    python bench/relabel.py [--photos N]

Photos that nobody can open (their files hold a few bytes) are put into a fresh index with
stored predictions and get sidecars; then settings are changed and ``relabel`` runs as in the
daemon, with a decoder that fails when it is asked for anything.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tagger.config.schema import Config, LabelsConfig, WatchRoot
from tagger.errors import PhotoError
from tagger.index.rows import SavedPhoto, StoredPrediction, pack_top
from tagger.index.store import Store
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Evidence
from tagger.labels.vocabulary import load_vocabulary
from tagger.records import Candidate, PhotoFacts
from tagger.system.files import photo_stat

MODEL = "resnet18"
PHOTOS = 10_000
STEPS = {
    "other tags for most (precision 0.8)": LabelsConfig(precision=0.8),
    "other tags for few (dogs excluded)": LabelsConfig(precision=0.8, exclude=("dog",)),
    "no other tags (a fourth subject)": LabelsConfig(
        precision=0.8, exclude=("dog",), max_subjects=4
    ),
}


class Closed:
    """Stands for decoder and engine: nothing may be decoded or classified."""

    model_id = "bench"
    workers = 1

    def submit(self, path: str) -> NoReturn:
        """Refuse to open ``path``."""
        raise PhotoError(path, "relabelling opened an image")

    def close(self) -> None:
        """Have nothing to close."""


def measure(evidence: Sequence[Evidence], count: int = PHOTOS) -> dict[str, Any]:
    """Return the seconds that relabelling ``count`` photos takes, by step.

    Their predictions are those given, again and again.
    """
    steps: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        config = Config(state_dir=os.path.join(folder, "state"), watch=(WatchRoot(folder),))
        with Store(config.state_dir) as store:
            _fill(store, folder, evidence, count)
            _relabel(store, config)  # writes the first tags; not what is asked for
            for name, labels in STEPS.items():
                started = time.perf_counter()
                looked, rewritten, failed = _relabel(store, replace(config, labels=labels))
                steps[name] = {
                    "seconds": round(time.perf_counter() - started, 2),
                    "looked_at": looked,
                    "rewritten": rewritten,
                    "failed": failed,
                }
    return {"photos": count, "steps": steps}


def _fill(store: Store, folder: str, evidence: Sequence[Evidence], count: int) -> None:
    photos = []
    for number in range(count):
        path = os.path.join(folder, f"{number:05}.jpg")
        with open(path, "wb") as file:
            file.write(b"\xff\xd8\xff\xfe\x00\x08%06d\xff\xd9" % number)
        seen = evidence[number % len(evidence)]
        digest = number.to_bytes(16, "big")
        stored = StoredPrediction(
            "bench", pack_top(seen.subjects.top(50)), seen.to_bytes(), bytes(1024), digest
        )
        facts = PhotoFacts(format="JPEG", width=4, height=3)
        stat = photo_stat(path)
        photos.append(
            SavedPhoto(path, folder, stat, None, digest, digest, facts, (), prediction=stored)
        )
    store.save(photos)


def _relabel(store: Store, config: Config) -> tuple[int, int, int]:
    """Return how many photos were looked at, how many got another sidecar, and failures."""
    from tagger.pipeline.context import Context
    from tagger.pipeline.networks import Networks
    from tagger.pipeline.outcome import Tagged
    from tagger.pipeline.pipeline import Pipeline
    from tagger.pipeline.relabel import relabel

    chooser = Chooser(load_vocabulary(), config.labels, model_name=MODEL)
    closed: Any = Closed()
    context = Context(config, store)
    outcomes: list[bool] = []
    with Pipeline(context, Networks(closed), closed, chooser) as pipeline:

        def handle(candidates: list[Candidate]) -> None:
            found = pipeline.advance(candidates)
            while pipeline.in_work:
                found += pipeline.advance(())
            outcomes.extend(isinstance(one, Tagged) for one in found)

        looked = relabel(context, pipeline.tagging, handle)
    return looked, sum(outcomes), len(outcomes) - sum(outcomes)


def told(result: dict[str, Any]) -> str:
    """Return the figures as text."""
    lines = [f"\nrelabelling {result['photos']} photos in the index, sidecars beside them"]
    for name, step in result["steps"].items():
        lines.append(
            f"  {name:<40}{step['seconds']:7.2f} s, {step['rewritten']} sidecars rewritten,"
            f" {step['failed']} failed"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure with made-up predictions and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=PHOTOS)
    asked = parser.parse_args()
    dice = np.random.default_rng(0)
    rows = dice.dirichlet(np.full(1000, 0.003), 250).astype(np.float32)
    print(told(measure([Evidence.of(row) for row in rows], asked.photos)))


if __name__ == "__main__":
    main()
