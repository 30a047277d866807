"""How fast tagger is from its very first photo on, beside a tutorial's script, in one table.

    python bench/first_photo.py [PHOTOS] [--rounds N] [--kinds TEXT]

As when a new user looks: the network of subjects alone, int8 made but proven by no photo yet.
PHOTOS (default 100) 12 MP JPEGs; of kinds slow to decode a third. In every round, by turns:
the tutorial's script (full decode, torchvision's transforms, eager torch, one by one), tagger, and
decoding alone on all cores. Medians of each round's ratios; CPU is that of all processes a photo.

Then: how often int8 says what fp32 says, with MobileNetV2 on the photos of ../shared, where they
are; and what converting and calibrating costs at a first start. The networks: see ``harness.py``.
Writes ``first_photo.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.harness import PROJECT, Home, Model, median, pss, report, tree
from bench.synthetic_photos import write_photos
from bench.throughput import ALONE, NAIVE, Measured, other, tagger

SHARED = PROJECT.parent / "shared"
UNPROVEN = "int8 unproven"
REACH: dict[str, tuple[float | None, float | None, float | None]] = {
    "JPEG 12 MP": (6.0, 4.2, 0.65),
    "JPEG 500x375": (3.0, 3.2, None),
    "HEIC 12 MP": (3.0, 2.3, None),
    "HEIC 12 MP, tiles": (3.0, 2.3, None),
    "HEIC 12 MP, thumbnail": (None, 3.2, None),
    "PNG 12 MP": (2.5, 1.2, None),
}
"""What is to be reached: times as fast as the script in wall and in CPU, and the share of decoding
alone."""
QUICK_TO_DECODE = ("JPEG 12 MP", "JPEG 500x375")
LEAST = 32
"""Photos: the first batch does not count."""
EVERY = 0.05
"""Seconds between two looks at the memory."""


def measure(scratch: Path, model: Model, kind: str, count: int, rounds: int) -> dict[str, Any]:
    """Return the medians of one kind."""
    paths = write_photos(scratch / kind, kind, count, originals=8)
    some = paths[: max(8, count // 5)]
    sidecars = scratch / "naive"
    sidecars.mkdir(exist_ok=True)
    ours: list[Measured] = []
    script: list[Measured] = []
    alone: list[Measured] = []
    for number in range(rounds):
        print(f"{kind}, round {number + 1} of {rounds} ...", file=sys.stderr, flush=True)
        naive = ["naive", str(model.weights), str(sidecars), *map(str, some)]
        script.append(other(naive, len(some)))
        ours.append(tagger(scratch, model, paths, UNPROVEN, 3))
        alone.append(other(["decode", *map(str, paths)], count))
    shutil.rmtree(scratch / kind)
    return {
        "photos": count,
        NAIVE: {"wall_ms": median([1000 / s.rate for s in script]),
                "cpu_ms": median([1000 * s.cpu for s in script])},
        "tagger": {"wall_ms": median([1000 / o.rate for o in ours]),
                   "cpu_ms": median([1000 * o.cpu for o in ours])},
        ALONE: {"wall_ms": median([1000 / a.rate for a in alone]),
                "cpu_ms": median([1000 * a.cpu for a in alone])},
        "times_wall": median([o.rate / s.rate for o, s in zip(ours, script, strict=True)]),
        "times_cpu": median([s.cpu / o.cpu for o, s in zip(ours, script, strict=True)]),
        "of_decoding": median([o.rate / a.rate for o, a in zip(ours, alone, strict=True)]),
    }  # fmt: skip


def lines_of(kinds: dict[str, dict[str, Any]]) -> list[str]:
    """Return the table."""
    lines = [
        f"\n{'a photo, ms':24}{'script wall':>12}{'CPU':>7}{'tagger wall':>13}{'CPU':>7}"
        f"{'x wall':>15}{'x CPU':>14}{'of decoding':>15}"
    ]
    for kind, found in kinds.items():
        wall, cpu, share = REACH[kind]
        lines.append(
            f"{kind:24}{found[NAIVE]['wall_ms']:12.1f}{found[NAIVE]['cpu_ms']:7.0f}"
            f"{found['tagger']['wall_ms']:13.1f}{found['tagger']['cpu_ms']:7.0f}"
            f"{_against(found['times_wall'], wall, '.2f'):>15}"
            f"{_against(found['times_cpu'], cpu, '.2f'):>14}"
            f"{_against(found['of_decoding'], share, '.0%'):>15}"
        )
    return lines


def _against(value: float, wanted: float | None, form: str) -> str:
    return format(value, form) + (f" (≥ {wanted:{form}})" if wanted is not None else "")


def agreement(scratch: Path) -> dict[str, Any] | None:
    """Return how often int8 says what fp32 says of the photos of ../shared; None without them."""
    weights = SHARED / "models" / "mobilenet_v2.pth"
    photos = sorted((SHARED / "photos").glob("*/*.JPEG")) + sorted(
        (SHARED / "photos" / "home").rglob("*.jp*g")
    )
    if not weights.is_file() or not photos:
        return None
    home = Home(
        scratch / "agreement",
        _Nothing(weights, "mobilenet_v2"),  # type: ignore[arg-type]
        int8=True,
    )
    [found] = json.loads(home.run("model", "optimize", "--json", *map(str, photos)).stdout)
    keys = ("state", "judged", "sure", "same", "same_tags", "lower")
    return {key: found[key] for key in keys}


class _Nothing:
    """A model of which only the weights are there, as at a first start."""

    def __init__(self, weights: Path, name: str) -> None:
        self.settings = {
            "name": name,
            "weights": str(weights),
            "download": False,
            "scenes": "none",
            "detector": "none",
        }

    def place(self, state: Path, *, int8: bool, provisional: bool = False) -> None:
        """Put nothing there."""


def first_start(scratch: Path, model: Model) -> dict[str, float]:
    """Return the seconds and MB of converting the network and making int8 of it, from nothing."""
    home = Home(
        scratch / "first",
        _Nothing(model.weights, "resnet18"),  # type: ignore[arg-type]
        int8=True,
    )
    photo = write_photos(scratch / "one", "JPEG 500x375", 1)[0]
    started = time.perf_counter()
    process = subprocess.Popen(
        home.command("model", "optimize", str(photo)),
        stdout=subprocess.DEVNULL,
        cwd=PROJECT,
        env=home.environ(),
    )
    ended, peaks = threading.Event(), [0.0]

    def watch() -> None:
        while not ended.wait(EVERY):
            peaks.append(sum(map(pss, tree(process.pid))))

    thread = threading.Thread(target=watch)
    thread.start()
    code = process.wait()
    seconds = time.perf_counter() - started
    ended.set()
    thread.join()
    if code:
        raise RuntimeError(f"tagger model optimize ended with {code}")
    return {"seconds": seconds, "megabytes": max(peaks)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=int, nargs="?", default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default="")
    options = parser.parse_args()
    kinds: dict[str, dict[str, Any]] = {}
    figures: dict[str, Any] = {"rounds": options.rounds, "kinds": kinds}
    with tempfile.TemporaryDirectory(prefix="tagger-bench-") as name:
        scratch = Path(name)
        model = Model(scratch / "model", int8=True)
        for kind in REACH:
            if options.kinds in kind:
                count = options.photos if kind in QUICK_TO_DECODE else options.photos // 3
                kinds[kind] = measure(scratch, model, kind, max(LEAST, count), options.rounds)
        lines = [f"in fp32 throughout: {model.refused}"] if model.refused else []
        lines += lines_of(kinds)
        figures["agreement"] = same = agreement(scratch)
        if same is not None:
            lines.append(
                f"\nMobileNetV2, int8 beside fp32: {same['state']}; where fp32 is sure the same"
                f" best class for {same['same']} of {same['sure']} (≥ 99 %); all tags the same for"
                f" {same['same_tags']} of {same['judged']} (≥ 97 %)"
            )
        figures["first_start"] = first = first_start(scratch, model)
        lines.append(
            f"converting and calibrating at a first start: {first['seconds']:.1f} s (≤ 25),"
            f" {first['megabytes']:.0f} MB at most (≤ 400)"
        )
    report(__file__, figures, lines)


if __name__ == "__main__":
    main()
