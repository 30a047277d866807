"""Compares our tags with plain ImageNet labels on photos of known class.

    python bench/label_quality.py [--output FILE] [--no-relabel]

Uses the weights and photos in ``../shared``, beside the project. On its 63 photos our tags
are those of the shipped calibration, to which these photos contributed nothing. On the 187
calibration photos temperature and thresholds are fitted anew to nine tenths of them and
judged on the tenth left out. Then 10,000 indexed photos are relabelled. Prints a table and
writes the same figures to ``label_quality.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tagger.config.schema import LabelsConfig
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Evidence
from tagger.labels.vocabulary import Vocabulary, load_vocabulary
from tools.calibrate.fit import Fit, Photo, fit_temperature, flat_calibration
from tools.calibrate.photos import SHARED, labelled, load

MODEL = "mobilenet_v2"
FOLDS = 10
COUNTED = ("tagged", "right", "exact", "named", "wrong", "tags")


@dataclass(frozen=True)
class Row:
    """What became of one photo.

    ``right``: the most specific tag is the true class or above it; ``exact``: it is the
    class; ``named``: any tag is; ``wrong`` of its ``tags`` are neither it nor above it.
    """

    tagged: bool
    right: bool
    exact: bool
    named: bool
    wrong: int
    tags: int


Method = Callable[[Photo], Row]


def judged(found: Sequence[str], truth: Sequence[str]) -> Row:
    """Judge labels, the most specific of the best subject first, by the true path."""
    first = found[0] if found else None
    return Row(
        bool(found),
        first in truth,
        first == truth[-1],
        truth[-1] in found,
        sum(label not in truth for label in found),
        len(found),
    )


def plain(vocabulary: Vocabulary, count: int, threshold: float) -> Method:
    """Return the method that gives the ``count`` best classes as they are.

    One crop, no hierarchy. Classes that ImageNet has twice count as the same.
    """

    def method(photo: Photo) -> Row:
        best = [i for i, p in photo.centre.subjects.top(count) if p >= threshold]
        truth = vocabulary.leaf_of(photo.truth)
        return judged([vocabulary.leaf_of(index) for index in best], [truth])

    return method


def ours(vocabulary: Vocabulary, chooser: Chooser, view: Callable[[Photo], Evidence]) -> Method:
    """Return the method of ``chooser`` on one ``view`` of the photo."""

    def method(photo: Photo) -> Row:
        truth = vocabulary.path(vocabulary.leaf_of(photo.truth))
        return judged([tag.label for tag in chooser.choose(view(photo))], truth)

    return method


def left_out(photos: Sequence[Photo], vocabulary: Vocabulary) -> dict[str, list[Row]]:
    """Return our outcomes, by view, each on photos left out of the calibration."""
    fold = np.random.default_rng(0).permutation(len(photos)) % FOLDS
    rows: dict[str, list[Row]] = {name: [] for name in VIEWS}
    fits: dict[float, Fit] = {}
    for number in range(FOLDS):
        known = np.flatnonzero(fold != number)
        temperature = fit_temperature([photos[i] for i in known])
        if temperature not in fits:  # tries every setting on every photo, picks by the known
            fits[temperature] = Fit(photos, vocabulary, temperature)
        thresholds = fits[temperature].thresholds(LabelsConfig().precision, known)
        calibration = flat_calibration(temperature, thresholds)
        chooser = Chooser(vocabulary, LabelsConfig(), calibration=calibration)
        for name, view in VIEWS.items():
            method = ours(vocabulary, chooser, view)
            rows[name] += [method(photos[i]) for i in np.flatnonzero(fold == number)]
    return rows


VIEWS: dict[str, Callable[[Photo], Evidence]] = {
    "tagger, one crop": lambda photo: photo.centre,
    "tagger": lambda photo: photo.together,
}


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """Return shares in percent, ``right`` of the photos that are tagged, and counts."""
    table: dict[str, NDArray[np.float64]] = {
        name: np.array([float(getattr(row, name)) for row in rows]) for name in COUNTED
    }
    return {
        "photos": len(rows),
        "tagged": 100 * table["tagged"].mean(),
        "right_of_tagged": 100 * table["right"].sum() / max(table["tagged"].sum(), 1),
        "exact": 100 * table["exact"].mean(),
        "named": 100 * table["named"].mean(),
        "wrong_per_100": 100 * table["wrong"].mean(),
        "tags_per_photo": table["tags"].mean(),
    }


def compare(vocabulary: Vocabulary, test: Sequence[Photo], known: Sequence[Photo]) -> Any:
    """Return the figures by set of photos and method."""
    plain_methods = {
        "plain top-3": plain(vocabulary, 3, 0),
        "plain top-1 from 0.5": plain(vocabulary, 1, 0.5),
        "plain top-1 from 0.7": plain(vocabulary, 1, 0.7),
    }
    shipped = Chooser(vocabulary, LabelsConfig(), model_name=MODEL)
    on_test = plain_methods | {n: ours(vocabulary, shipped, v) for n, v in VIEWS.items()}
    rows = {
        "imagenet": {n: [method(p) for p in test] for n, method in on_test.items()},
        "calibration, left out": {n: [m(p) for p in known] for n, m in plain_methods.items()}
        | left_out(known, vocabulary),
    }
    return {where: {n: figures(found) for n, found in by.items()} for where, by in rows.items()}


def show(result: Any) -> None:
    """Print the figures as a table."""
    for where, methods in result.items():
        count = next(iter(methods.values()))["photos"]
        heading = f"{where} ({count} photos)"
        print(f"\n{heading:<34}tagged   right   exact   named  wrong/100  tags/photo")
        for name, f in methods.items():
            print(
                f"  {name:<31}{f['tagged']:6.1f}%{f['right_of_tagged']:7.1f}%{f['exact']:7.1f}%"
                f"{f['named']:7.1f}%{f['wrong_per_100']:11.1f}{f['tags_per_photo']:12.2f}"
            )
    print("\nright: of the tagged photos, the most specific tag is the true class or above it;")
    print("exact: it is the class itself; named: any tag is; wrong: tags per 100 photos")


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name("label_quality.json")
    )
    parser.add_argument("--no-relabel", action="store_true", help="Only compare tags.")
    asked = parser.parse_args()
    weights = SHARED / "models" / f"{MODEL}.pth"
    if not weights.is_file():
        print("the shared weights and photos (../shared) are not there: nothing is measured")
        return 0
    engine = load(MODEL, weights)
    test, known = (labelled(SHARED / "photos" / n, engine) for n in ("imagenet", "calibration"))
    result = {"model": MODEL, "precision": LabelsConfig().precision}
    result["tags"] = compare(load_vocabulary(), test, known)
    show(result["tags"])
    if not asked.no_relabel:
        from relabel import measure, told

        result["relabel"] = measure([photo.together for photo in (*test, *known)])
        print(told(result["relabel"]))
    asked.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {asked.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
