"""Measures how long after its file is closed a photo is in the index and has its sidecar.

    python bench/latency.py [PHOTOS] [--fp32]

PHOTOS files of 12 MP (default 24) in each way that files arrive, one after another, into an
idle daemon with the default config (int8, or fp32), and the networks that ``harness.py`` tells.
On a local disk a whole file that is closed and that nobody holds open needs no settling, so nothing
is subtracted. The first photo, which starts a decoding process, is told apart. Writes
``latency.json``.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.harness import Home, Model, median, quantile, report, wait_until
from bench.synthetic_photos import write_photos

STEP = 0.002
TARGET_MS = 150
COMMITTED = "SELECT 1 FROM photos WHERE path = ? AND status = 'tagged'"


def in_place(source: Path, target: Path) -> None:
    """Write it where it is to stay, in three goes."""
    data = source.read_bytes()
    with target.open("wb", buffering=0) as file:
        for start in range(0, len(data), len(data) // 3 + 1):
            file.write(data[start : start + len(data) // 3 + 1])


def moved_in(source: Path, target: Path) -> None:
    """Write it outside, and rename it."""
    outside = target.parent.parent / "outside.tmp"
    shutil.copyfile(source, outside)
    os.rename(outside, target)


def copied(source: Path, target: Path) -> None:
    """Copy it with its date, as a file manager."""
    shutil.copy2(source, target)


WAYS: dict[str, Callable[[Path, Path], None]] = {
    "written in place": in_place,
    "moved in": moved_in,
    "copied": copied,
}


def one(home: Home, put: Callable[[Path, Path], None], source: Path) -> tuple[float, float]:
    """Return the milliseconds until a photo's sidecar is there, and until it is in the index."""
    target = home.inbox / source.name
    sidecar = target.with_name(target.name + ".xmp")
    reader = sqlite3.connect(f"file:{home.state / 'index.sqlite3'}?mode=ro", uri=True)
    path = os.fsencode(target)
    try:
        put(source, target)
        closed = time.monotonic()
        wait_until(sidecar.exists, STEP)
        beside = time.monotonic()
        wait_until(lambda: reader.execute(COMMITTED, (path,)).fetchone(), STEP)
        return (beside - closed) * 1000, (time.monotonic() - closed) * 1000
    finally:
        reader.close()


def measure(home: Home, paths: list[Path], count: int) -> dict[str, Any]:
    """Return the latencies by way, and that of the first photo."""
    dice = random.Random(0)
    left = iter(paths)
    wait_until(home.is_ready)
    first = one(home, copied, next(left))
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(count):
        for way, put in WAYS.items():
            time.sleep(dice.uniform(0.4, 1.0))  # idle again, at any phase of its timers
            found[way].append(one(home, put, next(left)))
    return {"first_ms": first, "ways": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=int, nargs="?", default=24)
    parser.add_argument("--fp32", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tagger-bench-") as name:
        scratch = Path(name)
        model = Model(scratch / "model", int8=not options.fp32)
        paths = write_photos(
            scratch / "photos", "JPEG 12 MP", 1 + options.photos * len(WAYS), originals=1
        )
        home = Home(scratch / "home", model, int8=not options.fp32)
        with home.daemon():
            found = measure(home, paths, options.photos)
        told: dict[str, list[float]] = {}
        for said in home.logged():
            if said.get("event") == "photo":
                for step, milliseconds in said["ms"].items():
                    told.setdefault(step, []).append(milliseconds)
    steps: dict[str, float] = {step: median(values) for step, values in told.items()}
    rows: list[dict[str, Any]] = []
    lines = [
        f"\nms after the file is closed, {options.photos} photos of 12 MP each way "
        f"(target: median {TARGET_MS})",
        f"{'':20}{'sidecar':>10}{'p95':>8}{'index':>10}{'p95':>8}",
    ]
    for way, both in found["ways"].items():
        sidecars = [pair[0] for pair in both]
        rows_in_index = [pair[1] for pair in both]
        row: dict[str, Any] = {
            "way": way,
            "sidecar_ms": median(sidecars),
            "sidecar_p95_ms": quantile(sidecars, 0.95),
            "index_ms": median(rows_in_index),
            "index_p95_ms": quantile(rows_in_index, 0.95),
        }
        rows.append(row)
        lines.append(
            f"{way:20}{row['sidecar_ms']:10.0f}{row['sidecar_p95_ms']:8.0f}"
            f"{row['index_ms']:10.0f}{row['index_p95_ms']:8.0f}"
        )
    lines.append(
        f"the first photo: sidecar {found['first_ms'][0]:.0f}, index {found['first_ms'][1]:.0f}"
    )
    shares = ", ".join(f"{step} {ms:.0f}" for step, ms in steps.items())
    lines.append(f"of that, by the daemon's own log (medians): {shares}")
    report(__file__, {"ways": rows, "steps_ms": steps} | found, lines)


if __name__ == "__main__":
    main()
