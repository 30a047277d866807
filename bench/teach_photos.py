"""The photos on which taught labels are measured: features, and which show what.

40 groceries, 10 kinds of clothing, and photos of homes with the words of their truth, all of
``../shared``, beside the project. Features are MobileNetV2's, made once and kept in
``build/teach``.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tagger.errors import PhotoError
from tagger.system.paths import is_photo_name

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"
CACHE = PROJECT / "build" / "teach"
MODEL = "mobilenet_v2"
SETS = ("teach", "home", "calibration", "imagenet")
LEAST_PHOTOS = 20
"""Words of fewer photos of homes are not measured."""
GROCERIES, CLOTHING, HOME = "groceries", "clothing", "home words"


@dataclass(frozen=True)
class Library:
    """All photos: ``features`` (N, F), and by word which show it, and which surely do not."""

    features: NDArray[np.float16]
    shows: dict[str, NDArray[np.bool_]]
    lacks: dict[str, NDArray[np.bool_]]
    kinds: dict[str, list[str]]


def made_features(name: str) -> tuple[list[str], NDArray[np.float16]]:
    """Return names and features of the photos of a folder; made once."""
    file = CACHE / f"{name}.npz"
    if not file.exists():
        from tagger.classify.factory import load_engine
        from tagger.decode.opening import decode

        CACHE.mkdir(parents=True, exist_ok=True)
        weights = str(SHARED / f"models/{MODEL}.pth")
        engine = load_engine(MODEL, weights, engine="onnx", precision="fp32", state_dir=str(CACHE))
        names, rows = [], []
        for path in sorted((SHARED / "photos" / name).iterdir()):
            if not is_photo_name(path.name):
                continue
            try:
                photo = decode(str(path), engine.spec, more=False)
            except PhotoError as error:
                print(f"left out: {error}")
                continue
            [found] = engine.predict(photo.crop[np.newaxis])
            names.append(path.name)
            rows.append(found.features.astype(np.float16))
        np.savez_compressed(file, names=np.array(names), features=np.stack(rows))
    with np.load(file) as stored:
        return stored["names"].tolist(), stored["features"]


def truth(name: str) -> dict[str, list[str]]:
    """Return by photo what is written of it in a folder's ``truth.csv``."""
    with (SHARED / "photos" / name / "truth.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if name == "teach":
        return {row["file"]: [f"{row['set']} {row['label']}"] for row in rows}
    if name == "home":
        return {row["file"]: [w.strip() for w in row["labels"].split(";")] for row in rows}
    return {row["file"]: [] for row in rows}


def load_library() -> Library:
    """Return the library of all photos, so that look-alikes are among the others."""
    rows, said, folders = [], [], []
    for name in SETS:
        known = truth(name)
        names, features = made_features(name)
        rows.append(features)
        said += [known.get(photo, []) for photo in names]
        folders += [name] * len(names)
    where = np.array(folders)
    common = Counter(
        word
        for words, folder in zip(said, folders, strict=True)
        if folder == "home"
        for word in words
        if not word.endswith("?")
    )
    home = [word for word, count in common.items() if count >= LEAST_PHOTOS]
    taught = sorted({words[0] for words, f in zip(said, folders, strict=True) if f == "teach"})
    shows, lacks = {}, {}
    for word in (*taught, *home):
        shows[word] = np.array([word in words for words in said])
        unsure = np.array([f"{word}?" in words for words in said])
        # Of the photos of one class it is not known what else they show.
        of_class = np.isin(where, ["calibration", "imagenet", "teach"])
        lacks[word] = ~shows[word] & ~unsure & (~of_class if word in home else True)
    kinds = {
        GROCERIES: [w for w in taught if w.startswith("grocery")],
        CLOTHING: [w for w in taught if w.startswith("clothing")],
        HOME: home,
    }
    return Library(np.concatenate(rows), shows, lacks, kinds)
