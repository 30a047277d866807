"""Compares what runs the network: time, agreement, memory and start.

    python bench/engine_speed.py [--output FILE] [--rounds N]

Every variant classifies the same crops, from uint8 pixels to probabilities. Each round runs
every variant once, by turns, so that whatever else the machine does disturbs all of them;
figures are medians over the rounds, and ratios to eager torch. Times are of a ResNet-18 with
the demo's weights; how often the best class agrees with eager torch's is found with the real
weights of MobileNetV2 and photos in ``../shared``, if they are there. OpenVINO is compared
when it is installed; it is no dependency. Prints tables and writes the same figures to
``engine_speed.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.engine_variants import PROJECT, Variant, article_model, variants
from bench.machine import describe
from tagger.classify.drawn_pictures import draw_pictures
from tagger.classify.int8_files import full_network
from tagger.classify.int8_worker import PICTURES, quantize
from tagger.classify.onnx_store import OnnxModel, convert
from tagger.cli.demo.scenes import demo_weights
from tagger.decode.opening import decode
from tagger.records import CropSpec

SHARED = PROJECT.parent / "shared"
SETTINGS = [(threads, batch) for threads in (1, 2) for batch in (1, 8)]
PAUSE = 0.03
"""Seconds between variants: the threads of the one before may still spin."""

START = """
import sys, time
started = time.perf_counter()
import numpy as np
from tagger.classify.onnx_store import read_converted
from tagger.classify.factory import load_engine
kind, weights, converted, int8 = sys.argv[1:]
if kind == "torch":
    engine = load_engine("resnet18", weights, engine="torch", threads=2)
else:
    from tagger.classify.onnx_engine import OnnxEngine
    int8 = int8 if kind == "onnx-int8" else None
    engine = OnnxEngine(read_converted(converted), int8=int8, threads=2)
crops = np.zeros((1, 224, 224, 3), np.uint8)
engine.predict(crops)
seconds = time.perf_counter() - started
for _ in range(20):
    engine.predict(crops)
with open("/proc/self/smaps_rollup") as file:
    pss = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
print(seconds, pss / 1024)
"""


def make_int8_file(model: OnnxModel, path: str) -> None:
    """Write a network's int8 version as the daemon makes it."""
    taken = full_network(model).input
    quantize(model.path, path, taken, draw_pictures(PICTURES, taken.side))


def photo_crops(folder: Path) -> np.ndarray:
    """Return the crops of all photos of a folder, uint8 (N, 224, 224, 3), by name."""
    files = sorted(folder.glob("*.JPEG"))
    return np.stack([decode(str(path), CropSpec()).crop for path in files])


def random_crops(count: int, seed: int) -> np.ndarray:
    """Return pictures of coarse blocks, uint8 (count, 224, 224, 3)."""
    dice = np.random.default_rng(seed)
    return dice.integers(0, 256, (count, 14, 14, 3), np.uint8).repeat(16, 1).repeat(16, 2)


def once(variant: Variant, crops: np.ndarray, threads: int) -> float:
    """Return the milliseconds a crop that one call takes, the best of three."""
    variant.set_threads(threads)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        variant.run(crops)
        times.append(time.perf_counter() - started)
    return min(times) * 1000 / len(crops)


def measure(found: list[Variant], rounds: int) -> list[dict[str, Any]]:
    """Return the times by threads and batch, and their ratios to the first variant."""
    rows = []
    for threads, batch in SETTINGS:
        print(f"{threads} threads, batch {batch} ...", file=sys.stderr, flush=True)
        crops = random_crops(batch, 1)
        ready = [variant for variant in found if variant.prepare(threads)]
        for variant in ready:
            once(variant, crops, threads)
        times: dict[str, list[float]] = {variant.name: [] for variant in ready}
        for _ in range(rounds):
            for variant in ready:
                time.sleep(PAUSE)
                times[variant.name].append(once(variant, crops, threads))
        medians = {name: statistics.median(values) for name, values in times.items()}
        eager = medians[ready[0].name]
        rows.append(
            {
                "threads": threads,
                "batch": batch,
                "ms_per_crop": medians,
                "times_eager": {name: eager / value for name, value in medians.items()},
            }
        )
    return rows


def agreement(state: Path) -> list[dict[str, Any]] | None:
    """Return how often each variant's best class is eager torch's, on real photos."""
    weights = SHARED / "models" / "mobilenet_v2.pth"
    if not weights.is_file():
        return None
    print("real photos ...", file=sys.stderr, flush=True)
    known = photo_crops(SHARED / "photos" / "calibration")
    judge = np.concatenate([known[128:], photo_crops(SHARED / "photos" / "imagenet")])
    model = convert("mobilenet_v2", str(weights), str(state))
    int8 = model.beside(".int8.onnx")
    make_int8_file(model, int8)
    rows: list[dict[str, Any]] = []
    eager: np.ndarray | None = None
    for variant in variants(article_model("mobilenet_v2", weights), model, int8):
        variant.prepare(2)
        found = np.concatenate([variant.run(judge[i : i + 8]) for i in range(0, len(judge), 8)])
        eager = found if eager is None else eager
        same, sure = found.argmax(1) == eager.argmax(1), eager.max(1) >= 0.5
        rows.append(
            {
                "variant": variant.name,
                "photos": len(judge),
                "sure": int(sure.sum()),
                "agreement_sure": float(same[sure].mean()),
                "agreement_all": float(same.mean()),
                "difference": float(np.abs(found - eager).max(1).mean()),
            }
        )
    return rows


def starts(weights: Path, model: OnnxModel, int8: str) -> list[dict[str, Any]]:
    """Return the time to the first prediction and the memory of a process, by engine."""
    rows = []
    for kind in ("torch", "onnx", "onnx-int8"):
        command = [sys.executable, "-c", START, kind, str(weights), model.path, int8]
        said = [
            [float(word) for word in subprocess.check_output(command, cwd=PROJECT).split()]
            for _ in range(3)
        ]
        seconds, pss = (statistics.median(column) for column in zip(*said, strict=True))
        rows.append({"engine": kind, "start_seconds": seconds, "pss_mb": pss})
    return rows


def show(report: dict[str, Any]) -> None:
    """Print the tables."""
    print(" | ".join(f"{key}: {value}" for key, value in report["machine"].items()))
    print(f"\nResNet-18, ms a crop (times eager torch), medians of {report['rounds']} rounds")
    names = list(report["speed"][0]["ms_per_crop"])
    heads = [f"{row['threads']} thr, batch {row['batch']}" for row in report["speed"]]
    print(f"{'':30}" + "".join(f"{head:>18}" for head in heads))
    for name in names:
        cells = [
            f"{row['ms_per_crop'][name]:.2f} ({row['times_eager'][name]:.2f}x)"
            for row in report["speed"]
        ]
        print(f"{name:30}" + "".join(f"{cell:>18}" for cell in cells))
    if report["agreement"] is None:
        print("\nno ../shared: no agreement on real photos")
    else:
        first = report["agreement"][0]
        print(
            f"\nMobileNetV2, {first['photos']} photos, eager is sure of {first['sure']}: "
            "how often the best class is the same"
        )
        for row in report["agreement"]:
            print(
                f"{row['variant']:30} where sure {row['agreement_sure']:7.1%}   "
                f"over all {row['agreement_all']:7.1%}   mean difference {row['difference']:.4f}"
            )
    print("\nResNet-18, a process of its own")
    for row in report["starts"]:
        print(f"{row['engine']:30} start {row['start_seconds']:.2f} s   PSS {row['pss_mb']:.0f} MB")
    for note in report["notes"]:
        print(note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name("engine_speed.json")
    )
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tagger-bench-") as scratch:
        weights, state = Path(scratch, "resnet18.pth"), Path(scratch, "state")
        demo_weights(str(weights))
        model = convert("resnet18", str(weights), str(state))
        int8 = model.beside(".int8.onnx")
        make_int8_file(model, int8)
        found = list(variants(article_model("resnet18", weights), model, int8))
        report = {
            "machine": describe(),
            "rounds": options.rounds,
            "speed": measure(found, options.rounds),
            "agreement": agreement(state),
            "starts": starts(weights, model, int8),
            "notes": [f"{name}: not installed, not compared" for name in missing(found)],
        }
    show(report)
    options.output.write_text(json.dumps(report, indent=2) + "\n")


def missing(found: list[Variant]) -> list[str]:
    """Return the optional variants that are not there."""
    return [name for name in ("OpenVINO int8",) if name not in {one.name for one in found}]


if __name__ == "__main__":
    main()
