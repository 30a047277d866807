"""How well copies of photos are found, and nothing else: the figures of docs/duplicates.md.

    python -m bench.similar [--count N]      copies of photos in ../shared by 33 edits
    python -m bench.similar --scale [N]      the time for N photos (100,000) on one core
    python -m bench.similar --copies [N]     the time for N photos (20,000), ten of each picture
    python -m bench.similar --search [N]     photos that look alike among N (1,000,000)

The first writes the photos and their copies into a folder for a while, and takes them the same way
as the daemon does: decoded, hashed, classified, remembered, compared.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from PIL import Image, ImageOps

from bench.machine import describe
from bench.picture_edits import EDITS, receipt
from bench.similar_drawn import copies, scale, search
from tagger.classify.onnx_engine import OnnxEngine
from tagger.classify.onnx_store import convert
from tagger.decode.opening import decode
from tagger.duplicates.picture_hash import picture_hash
from tagger.duplicates.thumbnails import ThumbnailStore, packed
from tagger.errors import PhotoError
from tagger.index.reader import open_reader
from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.index.store import Store
from tagger.pipeline.grouping import Grouping
from tagger.records import ExtraViews, FileStat, PhotoFacts

SHARED = Path(__file__).resolve().parents[2] / "shared"
VIEWS = ExtraViews(thumbnail=True)
LEAST = {
    "resize": 99, "recompress": 99, "format": 99, "turn": 99, "light": 99, "watermark": 99,
    "messengers": 99, "cut to 10 %": 94, "filter": 85, "border": 85, "caption": 85,
    "screenshot": 60,
}  # fmt: skip
"""What is asked for, in percent."""
MAX_FALSE = 0.2
"""Of a million pairs."""
ONE_BURST = (
    {"grocery-kaiser-04", "grocery-kaiser-13"},
    {"grocery-mango-10", "grocery-mango-11"},
)
"""Frames of one view whose dates are gone, as a look at them shows: they are counted apart."""
LONGEST = 2000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=1000)
    options.add_argument("--scale", type=int, nargs="?", const=100_000)
    options.add_argument("--copies", type=int, nargs="?", const=20_000)
    options.add_argument("--search", type=int, nargs="?", const=1_000_000)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if asked.scale:
            figures: dict[str, Any] = scale(Path(name), asked.scale)
        elif asked.copies:
            figures = copies(Path(name), asked.copies)
        elif asked.search:
            figures = search(Path(name), asked.search)
        else:
            figures = found(Path(name), asked.count)
    print(json.dumps(figures | {"machine": describe()}, indent=2))


def originals(count: int) -> Iterator[tuple[str, Image.Image]]:
    """Yield the photos that copies are made of: of ImageNet, and of cameras."""
    photos = SHARED / "photos"
    files = sorted([*photos.glob("imagenet/*.JPEG"), *photos.glob("calibration/*.JPEG")])
    random.Random(1).shuffle(files)
    cameras = sorted(photos.glob("cameras/*"))
    seen = Seen()
    for file in [*files[:count], *cameras[:count]]:
        try:
            image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        except (OSError, SyntaxError):
            continue
        image.thumbnail((LONGEST, LONGEST))
        if min(image.size) >= 160 and seen.is_new(image):
            yield file.stem, image


class Seen:
    """Tells photos that are there under two names, or turned by a flag, which are no strangers."""

    def __init__(self) -> None:
        self._rows: list[Any] = []

    def is_new(self, image: Image.Image) -> bool:
        small = np.asarray(image.convert("L").resize((32, 32), Image.Resampling.BOX), float)
        row = small.ravel() - small.mean()
        row /= np.linalg.norm(row) + 1e-6
        known = bool(self._rows) and float((np.stack(self._rows) @ row).max()) > 0.98
        self._rows.append(row)
        return not known


def strangers(count: int) -> Iterator[tuple[str, Image.Image]]:
    """Yield photos that are like no other but by chance, many of the same things; and receipts."""
    files = sorted(SHARED.glob("photos/home/*.jpg")) + sorted(SHARED.glob("photos/teach/*.jpg"))
    random.Random(2).shuffle(files)
    seen = Seen()
    for _, image in originals(count):
        seen.is_new(image)
    for file in files[: 10 * count]:
        try:
            image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
        except (OSError, SyntaxError):
            continue
        if seen.is_new(image):
            yield file.stem, image
    for number in range(min(count, 30)):
        for scanned in (True, False):
            paper = receipt(random.Random(number), scanned=scanned)
            yield f"receipt-{number}-{scanned}", paper


class Library:
    """Photos that are decoded, classified and remembered, each under its name."""

    def __init__(self, folder: Path, engine: OnnxEngine) -> None:
        self.folder, self.engine = folder, engine
        self.store = Store(str(folder))
        self.thumbnails = ThumbnailStore(str(folder))
        self.hash_seconds: list[float] = []
        self.waiting: list[tuple[str, Any]] = []

    def add(self, name: str, image: Image.Image, suffix: str = "jpg") -> None:
        file = self.folder / f"{hashlib.sha1(name.encode()).hexdigest()}.{suffix}"
        image.save(file, **({"quality": 90} if suffix == "jpg" else {}))
        try:
            photo = decode(str(file), self.engine.spec, views=VIEWS)
        except PhotoError as error:
            sys.exit(f"{name}: {error}")
        finally:
            file.unlink()
        self.waiting.append((name, photo))
        if len(self.waiting) >= 16:
            self.flush()

    def flush(self) -> None:
        batch, self.waiting = self.waiting, []
        if not batch:
            return
        seen = self.engine.predict(np.stack([photo.crop for _, photo in batch]))
        saved = []
        for (name, photo), prediction in zip(batch, seen, strict=True):
            started = time.perf_counter()
            made = picture_hash(photo.thumbnail)
            self.hash_seconds.append(time.perf_counter() - started)
            self.thumbnails.add([(made, packed(photo.thumbnail))])
            stored = StoredPrediction(
                "m", b"", b"", prediction.features.astype("<f2").tobytes(), b"", picture_hash=made
            )
            saved.append(
                SavedPhoto(
                    f"/photos/{name}", "/photos", FileStat(1, 1), None, os.urandom(16), b"",
                    PhotoFacts("JPEG", 640, 480), (), prediction=stored,
                )
            )  # fmt: skip
        self.store.save(saved)


def found(folder: Path, count: int) -> dict[str, Any]:
    """Return which share of the copies is found, by edit, and how many others are taken for one."""
    weights = str(SHARED / "models/mobilenet_v2.pth")
    engine = OnnxEngine(convert("mobilenet_v2", weights, str(folder)))
    library = Library(folder, engine)
    names = []
    for number, (name, image) in enumerate(originals(count)):
        names.append(name)
        library.add(f"{name}/original", image)
        rng = random.Random(number)
        for edit, (_, change) in EDITS.items():
            library.add(f"{name}/{edit}", change(image, rng))
    for name, image in strangers(count):
        names.append(name)
        library.add(f"{name}/original", image)
    library.flush()
    started = time.process_time()
    Grouping(library.store, str(folder)).run()
    seconds = time.process_time() - started
    return judged(folder, names, seconds) | {
        "hash_ms": round(1000 * float(np.median(library.hash_seconds)), 3),
        "in_decoding_ms": in_decoding(folder, engine, min(count, 40)),
    }


def in_decoding(folder: Path, engine: OnnxEngine, count: int) -> float:
    """Return by how many milliseconds a photo is decoded later for its thumbnail and its hash."""
    more = []
    for number, (_, image) in enumerate(originals(count)):
        file = folder / f"{number}.jpg"
        image.save(file, quality=90)
        least = []
        for views in (ExtraViews(), VIEWS):
            spent = []
            for _ in range(7):
                started = time.process_time()
                photo = decode(str(file), engine.spec, views=views)
                if photo.thumbnail is not None:
                    picture_hash(photo.thumbnail)
                    packed(photo.thumbnail)
                spent.append(time.process_time() - started)
            least.append(min(spent))
        more.append(1000 * (least[1] - least[0]))
        file.unlink()
    return round(float(np.median(more)), 2)


def judged(folder: Path, names: list[str], seconds: float) -> dict[str, Any]:
    group: dict[str, int] = {}
    with open_reader(str(folder)) as reader:
        for number, ids in reader.groups.every("picture").items():
            for shot in reader.groups.shots(ids).values():
                group[shot[1].removeprefix("/photos/")] = number
    hits: dict[str, list[bool]] = collections.defaultdict(list)
    for name, edit in itertools.product(names, EDITS):
        if f"{name}/{next(iter(EDITS))}" in group or f"{name}/{edit}" in group:
            copy = group.get(f"{name}/{edit}")
            hits[edit].append(copy is not None and copy == group.get(f"{name}/original"))
    shares = {edit: round(100 * float(np.mean(some)), 1) for edit, some in hits.items()}
    kinds: dict[str, list[float]] = collections.defaultdict(list)
    for edit, (kind, _) in EDITS.items():
        kinds[kind] += hits[edit]
    missed = {
        kind: round(100 * float(np.mean(kinds[kind])), 1)
        for kind, least in LEAST.items()
        if 100 * float(np.mean(kinds[kind])) < least
    }
    owners: dict[int, set[str]] = collections.defaultdict(set)
    for photo, number in group.items():
        owners[number].add(photo.rpartition("/")[0])
    false = [sorted(some) for some in owners.values() if len(some) > 1]
    pairs = len(names) * (len(names) - 1) / 2
    frames = [some for some in false if {*some} in ONE_BURST]
    false = [some for some in false if some not in frames]
    wrong = sum(len(some) * (len(some) - 1) / 2 for some in false)
    return {
        "originals": len(next(iter(hits.values()))),
        "found": shares,
        "below_target": missed,
        "pairs_of_different_photos": int(pairs),
        "frames_of_one_burst": frames,
        "false": false,
        "false_per_million": round(1e6 * wrong / pairs, 2),
        "grouping_seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    main()
