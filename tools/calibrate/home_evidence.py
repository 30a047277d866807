"""Asks the three networks in ``../shared`` about its photos, as the program would.

    python tools/calibrate/home_evidence.py

Writes ``build/evidence/NAME.npz`` for each set of photos: ``names`` (N); what is kept of the
subjects' and the scenes' probabilities, ``subjects`` (N, 1000) and ``scenes`` (N, 365); and the
boxes, ``classes`` (M), ``scores`` (M), ``rects`` (M, 4), with the number of their ``photo`` (M).
It takes some minutes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tagger.classify.custom_engine import CustomEngine
from tagger.classify.custom_network import read_network
from tagger.decode.opening import decode
from tagger.detect.onnx_detector import OnnxDetector
from tagger.errors import PhotoError
from tagger.labels.evidence import Evidence, Ranking
from tagger.pipeline.inference import predict
from tagger.pipeline.look import too_small
from tagger.records import CropSpec, ExtraViews
from tagger.system.paths import is_photo_name
from tools.calibrate.home_photos import CACHE, MODEL, SETS
from tools.calibrate.photos import SHARED, load

SCENES = """\
file: {path}
classes: places365
size: 224
resize: 256
squash: true
output: logits
features: features
"""


def make(folder: Path) -> dict[str, NDArray[Any]]:
    """Return the columns of the file for the photos in ``folder``."""
    subjects = load(MODEL, SHARED / f"models/{MODEL}.pth")
    described = CACHE / "scenes.yaml"
    described.write_text(SCENES.format(path=SHARED / "models/scenes_standin.onnx"))
    scenes = CustomEngine("scenes", read_network(str(described)), str(CACHE))
    detector = OnnxDetector(str(SHARED / "models/yolox_nano.onnx"), "yolox_nano")
    views = ExtraViews(CropSpec(256, 224, squash=True), detector.side)
    names, rows, places, boxes, owners = [], [], [], [], []
    for path in sorted(folder.iterdir()):
        if not is_photo_name(path.name):
            continue
        try:
            photo = decode(str(path), subjects.spec, more=True, views=views)
        except PhotoError as error:
            print(f"left out: {error}")
            continue
        [stored] = predict(subjects, [photo])
        seen = Evidence.from_bytes(stored.evidence).subjects
        assert seen is not None and photo.other is not None and photo.picture is not None
        [place] = scenes.predict(photo.other[np.newaxis])
        [found] = detector.detect([photo.picture])
        if too_small(photo.facts):
            place = replace(place, probabilities=np.full(365, 1 / 365, np.float32))
        owners += [len(names)] * len(found)
        boxes += found
        names.append(path.name)
        rows.append(dense(seen))
        places.append(place.probabilities)
    table = np.array(boxes, np.float32).reshape(-1, 6)
    return {
        "names": np.array(names),
        "subjects": np.stack(rows),
        "scenes": np.stack(places),
        "classes": table[:, 0].astype(np.int32),
        "scores": table[:, 1],
        "rects": table[:, 2:],
        "photo": np.array(owners, np.int32),
    }


def dense(ranking: Ranking) -> NDArray[np.float32]:
    """Return what is kept of the probabilities of all classes."""
    row = np.zeros(ranking.class_count, np.float32)
    row[ranking.indices] = ranking.probabilities
    return row


def main() -> None:
    """Write the files of all sets."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in SETS:
        columns = make(SHARED / "photos" / name)
        np.savez_compressed(CACHE / f"{name}.npz", **columns)
        print(f"{name}: {len(columns['names'])} photos")


if __name__ == "__main__":
    main()
