"""Does the quick decode say the same as the full one? With the second look at what is in doubt.

    python bench/decode_agreement.py [PHOTOS]

Photos of ../shared, enlarged as a camera would deliver them (JPEG of 12 MP; HEIC of 2 MP,
because encoding takes long, with a thumbnail of 320 pixels), classified twice with MobileNetV2:
from tagger's crop (the smallest DCT scale, or the thumbnail), and from a full decode by Pillow,
resized and cropped by torchvision's own transforms. Prints the share with the same best class,
over all and where the full decode is sure (0.5), the mean difference of the crops, and the
milliseconds of both. Writes ``decode_agreement.json``.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.machine import describe
from tagger.classify.onnx_engine import OnnxEngine
from tagger.classify.onnx_store import convert
from tagger.classify.torchvision_compat import import_torchvision
from tagger.decode.opening import decode
from tagger.pipeline.inference import CERTAIN

SHARED = Path(__file__).resolve().parents[2] / "shared"
SURE = 0.5
SIZES = {"JPEG": 12_000_000, "HEIC with thumbnail": 2_000_000}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 250
    photos = sorted((SHARED / "photos").glob("*/*.JPEG"))
    random.Random(1).shuffle(photos)
    if not photos:
        sys.exit(f"there are no photos in {SHARED}")
    with tempfile.TemporaryDirectory() as name:
        engine = OnnxEngine(convert("mobilenet_v2", str(SHARED / "models/mobilenet_v2.pth"), name))
        figures: dict[str, Any] = {}
        for kind in SIZES:
            figures[kind] = compare(engine, photos[:count], kind, Path(name))
            print(kind, json.dumps(figures[kind]))
    figures["machine"] = describe()
    Path(__file__).with_name("decode_agreement.json").write_text(
        json.dumps(figures, indent=2) + "\n"
    )


def compare(engine: OnnxEngine, photos: list[Path], kind: str, folder: Path) -> dict[str, float]:
    import_torchvision()
    from torchvision.models import MobileNet_V2_Weights
    from torchvision.transforms import functional

    weights = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
    same, quick, twice, sure, difference = [], [], [], [], []
    took = {"tagger": 0.0, "full": 0.0}
    for photo in photos:
        path = enlarged(photo, kind, folder)
        started = time.perf_counter()
        decoded = decode(str(path), engine.spec)
        ours = decoded.crop
        took["tagger"] += time.perf_counter() - started
        started = time.perf_counter()
        with Image.open(path) as image:
            whole = image.convert("RGB")
        whole = functional.resize(whole, weights.resize_size, antialias=True)
        full = np.asarray(functional.center_crop(whole, weights.crop_size))
        took["full"] += time.perf_counter() - started
        mine, plain = engine.predict(np.stack([ours, full]))
        best = plain.probabilities.argmax()
        quick.append(mine.probabilities.argmax() == best)
        again = decoded.from_thumbnail and mine.probabilities.max() < CERTAIN
        twice.append(again)
        if again:  # as the daemon does, see tagger.pipeline.inference
            started = time.perf_counter()
            [mine] = engine.predict(decode(str(path), engine.spec, whole=True).crop[np.newaxis])
            took["tagger"] += time.perf_counter() - started
        path.unlink()
        same.append(mine.probabilities.argmax() == best)
        sure.append(plain.probabilities.max() >= SURE)
        difference.append(np.abs(ours.astype(int) - full).mean())
    agreed, certain = np.array(same), np.array(sure)
    return {
        "photos": len(photos),
        "looked at twice": round(float(np.mean(twice)), 3),
        "same": round(float(agreed.mean()), 4),
        "same at the first look, where sure": round(float(np.array(quick)[certain].mean()), 4),
        "sure": int(certain.sum()),
        "same where sure": round(float(agreed[certain].mean()), 4),
        "crops differ by (of 255)": round(float(np.mean(difference)), 2),
        "ms": round(1000 * took["tagger"] / len(photos), 1),
        "ms in full": round(1000 * took["full"] / len(photos), 1),
    }


def enlarged(photo: Path, kind: str, folder: Path) -> Path:
    with Image.open(photo) as image:
        small = image.convert("RGB")
    factor = (SIZES[kind] / (small.width * small.height)) ** 0.5
    size = (round(small.width * factor), round(small.height * factor))
    big = small.resize(size, Image.Resampling.BICUBIC)
    if kind == "JPEG":
        path = folder / "photo.jpg"
        big.save(path, quality=90)
        return path
    path = folder / "photo.heic"
    heif = pillow_heif.from_pillow(big)
    heif.save(path, quality=80, thumbnails=[320])
    return path


if __name__ == "__main__":
    main()
