"""Photos of homes: what the three networks say of them, and what is to be seen on them.

Truth comes from ``../shared/photos``: by eye, by boxes, by captions, by ImageNet's class; what
else is on the photos that are judged by eye or by boxes stands in ``home_truth.csv`` (words are
labels of the tree; ``?`` marks what may be said or not, and is left out of all counts).

The networks' outputs are kept in ``build/evidence/NAME.npz``, because they take minutes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tagger.labels.evidence import Boxes, Evidence, Ranking
from tagger.labels.vocabulary import Vocabulary
from tools.calibrate.photos import PROJECT, SHARED

CACHE = PROJECT / "build/evidence"
SETS = ("home", "imagenet", "calibration")
MODEL = "mobilenet_v2"

Judged = Literal["all", "people", "class"]
"""What the truth of a photo tells: everything; only whether there are people; only the one
class, and of what else ImageNet knows, that it is not what the photo is of."""

_SAME = (
    "IMG_2927 exif-at-eof",
    "FinePix40i fujifilm-finepix40i",
    "MX1700 fujifilm-mx1700",
    "Sanyo_SR6 sanyo-vpcg250",
    "Alpha_Lossless_1 Alpha_Lossy_1",
    "Ultra_HDR_Samples_Originals_01 s01.orig",
    "night_highrise night_highrise__android",
    "zPug_3 empty_icc pug",
)
"""Photos that are there twice; they stay on one side when photos are left out."""


@dataclass(frozen=True)
class HomePhoto:
    """A photo, what the networks said of it and what is right to say of it.

    ``right`` are the labels that are, with all above them; ``unsure`` those left out of counts.
    ``of_people``: people are a main thing on it. ``series`` groups photos of the same picture;
    ``folder`` is its set.
    """

    name: str
    folder: str
    series: str
    evidence: Evidence
    judged: Judged
    right: frozenset[str]
    unsure: frozenset[str]
    of_people: bool = False

    def verdict(self, label: str, vocabulary: Vocabulary) -> bool | None:
        """Return whether ``label`` is right for the photo; None where that is not known."""
        if label in self.right:
            return True
        if label in self.unsure:
            return None
        if self.judged == "people":
            return False if label == "person" else None
        if self.judged == "class":
            return False if _of_imagenet(label, vocabulary) else None
        return False


def _of_imagenet(label: str, vocabulary: Vocabulary) -> bool:
    """Whether only ImageNet's network can know the label, or it is an animal."""
    path = vocabulary.path(label)
    if path[0] == "animal":
        return True
    below = [vocabulary.nodes[one] for one in vocabulary.below(label)]
    others = any(node.scenes or node.implied_by or node.things for node in below)
    above = any(vocabulary.nodes[step].things for step in path)
    return not others and not above and any(node.classes for node in below)


def load_photos(vocabulary: Vocabulary, scenes: str = "scenes") -> list[HomePhoto]:
    """Return all photos. ``scenes`` names the column of the cache that is the scenes' answer."""
    found = []
    for folder in SETS:
        truths = {one[0]: one[1:] for one in _truths(folder, vocabulary)}
        people = _of_people(folder)
        for name, evidence in _evidence(folder, scenes):
            judged, right, unsure = truths[name]
            found.append(
                HomePhoto(
                    name,
                    folder,
                    _series(name),
                    evidence,
                    judged,
                    right,
                    unsure - right,
                    name in people,
                )
            )
    return found


def _of_people(folder: str) -> set[str]:
    """Return the photos whose own ``truth.csv`` names people."""
    with (SHARED / "photos" / folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        return {row["file"] for row in rows if "person" in row.get("labels", "").split(";")}


def _evidence(folder: str, scenes: str) -> Iterator[tuple[str, Evidence]]:
    with np.load(CACHE / f"{folder}.npz", allow_pickle=False) as table:
        columns: dict[str, Any] = dict(table)
    for number, name in enumerate(columns["names"].tolist()):
        own = columns["photo"] == number
        boxes = Boxes.of(*(columns[key][own] for key in ("classes", "scores", "rects")))
        subjects, places = (Ranking.of(columns[key][number]) for key in ("subjects", scenes))
        yield name, Evidence(subjects, places, boxes)


def _truths(
    folder: str, vocabulary: Vocabulary
) -> Iterator[tuple[str, Judged, frozenset[str], frozenset[str]]]:
    words = _added_words() if folder == "home" else {}
    with (SHARED / "photos" / folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if folder != "home":
            label = vocabulary.leaf_of(int(row["class_index"]))
            yield row["file"], "class", frozenset(vocabulary.path(label)), frozenset()
            continue
        name = row["file"]
        if row["truth"] == "captions":
            given = [word for word in row["labels"].split(";") if word.rstrip("?") == "person"]
            yield name, "people", *_closed(given, vocabulary)
        elif row["truth"] == "boxes":
            things = _things(row["labels"].split(";"), vocabulary)
            people = [n for n in row["note"].partition("person:")[2].split(";")[:1] if n]
            if people and int(people[0].split(" ")[0]) >= 3:
                things.append("group of people")
            yield name, "all", *_closed([*things, *words[name]], vocabulary)
        else:
            yield name, "all", *_closed(words[name], vocabulary)


def _added_words() -> dict[str, list[str]]:
    path = Path(__file__).with_name("home_truth.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return {row["file"]: row["words"].split(";") for row in csv.DictReader(file)}


def _things(names: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    labels = {
        vocabulary.things[thing]: node.label
        for node in vocabulary.nodes.values()
        if node.at_least == 1
        for thing in node.things
    }
    return [labels[name] for name in names if name in labels]


def _closed(words: Sequence[str], vocabulary: Vocabulary) -> tuple[frozenset[str], frozenset[str]]:
    """Return the labels that are right and those that are unsure, with all above them."""
    right: set[str] = set()
    unsure: set[str] = set()
    for word in filter(None, words):
        label = word.rstrip("?")
        (unsure if word.endswith("?") else right).update(vocabulary.path(label))
    return frozenset(right), frozenset(unsure - right)


def _series(name: str) -> str:
    stem = name.rpartition(".")[0]
    for number, same in enumerate(_SAME):
        if any(stem.endswith(f"-{one}") or stem.endswith(f"_{one}") for one in same.split()):
            return f"same-{number}"
    return name
