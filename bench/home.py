"""Compares the tags of photos of homes: one network as before, all three, each left out.

    python bench/home.py [--wrong FILE]

Uses the photos and networks in ``../shared``, beside the project. No photo is judged by weights
or thresholds that were fitted to it: they are found on nine tenths of the photos and judged on
the tenth left out, and the 63 photos of ``photos/imagenet`` are never among those they are found
on. ``--wrong`` lists the tags
that are counted as wrong. Prints a table and writes the same figures to ``home.json``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tagger.config.schema import LabelsConfig
from tagger.labels.chooser import Chooser
from tagger.labels.fusion import VAGUE, FusionCalibration
from tagger.labels.vocabulary import Vocabulary, load_vocabulary
from tagger.records import Tag
from tools.calibrate import home_evidence
from tools.calibrate.fit_home import FOLDS, HomeFit, only
from tools.calibrate.home_photos import CACHE, MODEL, SETS, HomePhoto, load_photos
from tools.calibrate.photos import SHARED

ALL = ("subjects", "scenes", "boxes")
METHODS: dict[str, tuple[str, ...]] = {
    "today: subjects alone": ("subjects",),
    "all three": ALL,
    "without subjects": ("scenes", "boxes"),
    "without scenes": ("subjects", "boxes"),
    "without the detector": ("subjects", "scenes"),
}
GROUPS = {
    "home (cameras-, phones_formats-)": ("cameras-", "phones_formats-"),
    "coco_train2017-": ("coco_train2017-",),
    "flickr8k-": ("flickr8k-",),
}
Given = dict[str, tuple[Tag, ...]]
"""By photo (folder and name) its tags."""


def key(photo: HomePhoto) -> str:
    """Return what tells the photo from all others."""
    return f"{photo.folder}/{photo.name}"


def tags(fit: HomeFit, calibrations: Sequence[FusionCalibration], networks: Sequence[str]) -> Given:
    """Return the tags of all photos by ``networks``, each by what was found without it."""
    found: Given = {}
    for number in range(FOLDS):
        calibration = calibrations[number]
        chooser = Chooser(fit.vocabulary, LabelsConfig(), model_name=MODEL, fusion=calibration)
        for place in np.flatnonzero(fit.fold == number):
            photo = fit.photos[place]
            found[key(photo)] = chooser.choose(only(photo.evidence, networks))
    return found


def _share(values: Sequence[bool]) -> float:
    return 100 * float(np.mean(values)) if values else float("nan")


def figures(photos: Sequence[HomePhoto], given: Given, vocabulary: Vocabulary) -> dict[str, float]:
    """Return what became of photos of which all is known."""
    tagged, right, said, roots = [], [], [], []
    wrong, mistakes, count = 0, 0, 0
    for photo in photos:
        labels = [tag.label for tag in given[key(photo)]]
        verdicts = [photo.verdict(label, vocabulary) for label in labels]
        good = {label for label, verdict in zip(labels, verdicts, strict=True) if verdict}
        tagged.append(bool(labels))
        right.append(bool(good))
        said.append(bool(good - {"indoors", "outdoors"}))
        bad = {label for label, verdict in zip(labels, verdicts, strict=True) if verdict is False}
        wrong += len(bad)
        mistakes += sum(alone(label, sorted(bad), vocabulary) for label in bad)
        count += len(labels)
        if labels:
            roots.append(any(alone(label, labels, vocabulary) for label in VAGUE & set(labels)))
    return {
        "photos": len(photos),
        "tagged": _share(tagged),
        "right": _share(right),
        "right_beside_in_and_outdoors": _share(said),
        "wrong_per_100": 100 * wrong / max(len(photos), 1),
        "mistakes_per_100": 100 * mistakes / max(len(photos), 1),
        "tags_per_photo": count / max(len(photos), 1),
        "roots_alone": _share(roots),
    }


def alone(root: str, labels: Sequence[str], vocabulary: Vocabulary) -> bool:
    """Whether the tag ``root`` has none of ``labels`` below it."""
    return not (vocabulary.below(root) - {root}) & set(labels)


def people(photos: Sequence[HomePhoto], given: Given, vocabulary: Vocabulary) -> dict[str, float]:
    """Return how many photos of people are said to have them, and how many without any."""
    there: list[bool] = []
    absent: list[bool] = []
    for photo in photos:
        verdict = photo.verdict("person", vocabulary)
        says = any(tag.label == "person" for tag in given[key(photo)])
        if photo.of_people:
            there.append(says)
        elif verdict is False:
            absent.append(says)
    return {
        "with": len(there),
        "found": _share(there),
        "without": len(absent),
        "false": _share(absent),
    }


def things(photos: Sequence[HomePhoto], given: Given, vocabulary: Vocabulary) -> dict[str, float]:
    """Return how the tags that are COCO's things do."""
    own = {label for label, node in vocabulary.nodes.items() if node.things and node.at_least == 1}
    right, wrong, spoilt = 0, 0, []
    for photo in photos:
        verdicts = [
            photo.verdict(tag.label, vocabulary) for tag in given[key(photo)] if tag.label in own
        ]
        right += verdicts.count(True)
        wrong += verdicts.count(False)
        spoilt.append(False in verdicts)
    return {
        "things": right + wrong,
        "wrong_things": 100 * wrong / max(right + wrong, 1),
        "photos_with_wrong": _share(spoilt),
    }


def classes(photos: Sequence[HomePhoto], given: Given, vocabulary: Vocabulary) -> dict[str, float]:
    """Return what became of ImageNet's photos, judged by the labels that it has classes for."""
    tagged, right, exact = [], [], []
    for photo in photos:
        known = [
            tag.label
            for tag in given[key(photo)]
            if any(vocabulary.nodes[below].classes for below in vocabulary.below(tag.label))
        ]
        first = known[0] if known else None
        tagged.append(bool(known))
        if first is not None:
            right.append(first in photo.right)
        exact.append(any(vocabulary.nodes[one].classes for one in set(known) & photo.right))
    return {
        "photos": len(photos),
        "any_tag": _share([bool(given[key(photo)]) for photo in photos]),
        "tagged": _share(tagged),
        "right_of_tagged": _share(right),
        "named": _share(exact),
    }


def measure(fit: HomeFit, note: Callable[[str, Given], None]) -> dict[str, Any]:
    """Return all figures, by method."""
    result: dict[str, Any] = {}
    shown = np.array([photo.folder != "imagenet" for photo in fit.photos])
    calibrations = [fit.calibration(shown & (fit.fold != number)) for number in range(FOLDS)]
    for method, networks in METHODS.items():
        given = tags(fit, calibrations, networks)
        note(method, given)
        vocabulary = fit.vocabulary
        home = [photo for photo in fit.photos if photo.folder == "home"]
        groups = {
            name: [photo for photo in home if photo.name.startswith(starts)]
            for name, starts in GROUPS.items()
        }
        own, coco, flickr = groups.values()
        result[method] = {
            "home": figures(own, given, vocabulary) | {"people": people(own, given, vocabulary)},
            "coco": figures(coco, given, vocabulary)
            | things(coco, given, vocabulary)
            | {"people": people(coco, given, vocabulary)},
            "home and coco": {"people": people([*own, *coco], given, vocabulary)},
            "flickr8k": {"people": people(flickr, given, vocabulary)},
        }
        for folder in ("imagenet", "calibration"):
            photos = [photo for photo in fit.photos if photo.folder == folder]
            result[method][folder] = classes(photos, given, vocabulary)
    return result


LINES: dict[str, tuple[str, ...]] = {
    "home: photos tagged %": ("home", "tagged"),
    "home: with a right tag %": ("home", "right"),
    "home: ... beside in- and outdoors %": ("home", "right_beside_in_and_outdoors"),
    "home: wrong tags per 100 photos": ("home", "wrong_per_100"),
    "home: ... the most specific of them": ("home", "mistakes_per_100"),
    "home: tags per photo": ("home", "tags_per_photo"),
    "home: a vague root alone, of tagged %": ("home", "roots_alone"),
    "home + coco: people found %": ("home and coco", "people", "found"),
    "home + coco: people where none are %": ("home and coco", "people", "false"),
    "flickr8k: people found %": ("flickr8k", "people", "found"),
    "flickr8k: people where none are %": ("flickr8k", "people", "false"),
    "coco: with a right tag %": ("coco", "right"),
    "coco: wrong among its 80, of those tags %": ("coco", "wrong_things"),
    "coco: photos with such a wrong tag %": ("coco", "photos_with_wrong"),
    "coco: wrong tags per 100 photos, all": ("coco", "wrong_per_100"),
    "coco: a vague root alone, of tagged %": ("coco", "roots_alone"),
    "imagenet 63: any tag %": ("imagenet", "any_tag"),
    "imagenet 63: tagged by its labels %": ("imagenet", "tagged"),
    "imagenet 63: ... right of those %": ("imagenet", "right_of_tagged"),
    "imagenet 63: named exactly %": ("imagenet", "named"),
    "imagenet 187: any tag %": ("calibration", "any_tag"),
    "imagenet 187: tagged by its labels %": ("calibration", "tagged"),
    "imagenet 187: ... right of those %": ("calibration", "right_of_tagged"),
    "imagenet 187: named exactly %": ("calibration", "named"),
}


def show(result: dict[str, Any]) -> None:
    """Print the figures as a table, a column for each method."""
    print(f"{'':42}" + "".join(f"{method.replace('subjects alone', ''):>22}" for method in result))
    for line, steps in LINES.items():
        cells = []
        for found in result.values():
            value: Any = found
            for step in steps:
                value = value[step]
            cells.append(f"{value:22.1f}")
        print(f"{line:42}" + "".join(cells))


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("home.json"))
    parser.add_argument("--wrong", type=Path, help="Write the wrong tags of all three there.")
    asked = parser.parse_args()
    if not SHARED.is_dir():
        print("the shared networks and photos (../shared) are not there: nothing is measured")
        return 0
    vocabulary = load_vocabulary()
    if not all((CACHE / f"{name}.npz").exists() for name in SETS):
        print("the networks are asked about 869 photos first; that takes some minutes")
        home_evidence.main()
    fit = HomeFit(load_photos(vocabulary), vocabulary)

    def note(method: str, given: Given) -> None:
        if asked.wrong and method == "all three":
            lines = []
            for photo in fit.photos:
                said = given[key(photo)]
                bad = [t for t in said if photo.verdict(t.label, vocabulary) is False]
                lines += [f"{key(photo)}: {t.label} {t.confidence:.2f}" for t in bad]
            asked.wrong.write_text("\n".join(lines) + "\n", encoding="utf-8")

    result = measure(fit, note)
    show(result)
    asked.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
