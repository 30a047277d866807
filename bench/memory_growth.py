"""How what the daemon needs grows: with the photos, with their size, and with the backlog.

    python bench/memory_growth.py [--rounds N]

Tags folders of 50 to 400 small JPEGs (seconds from the first photo to the last) and of JPEGs of
0.75 to 48 megapixels (CPU ms for each), and has 1,000 to 25,000 files wait in a paused daemon
(memory of all processes). Each is fitted by a power of its size: the slope of log(median) over
log(size), 1 for as much as the size, 0 for no growth. Writes ``memory_growth.json``.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.harness import PROJECT, Home, Model, median, pss, report, slope, tree
from bench.synthetic_photos import write_photos
from bench.throughput import tagger

SMALL = "JPEG 500x375"
COUNTS = (50, 100, 200, 400)
SIDES = ((1000, 750), (2000, 1500), (4000, 3000), (8000, 6000))
OF_EACH_SIZE = 40
BACKLOGS = (1_000, 5_000, 25_000)
WAIT_SECONDS = 60.0


def exponent(found: dict[float, float]) -> float:
    """Return the slope of the line of least squares through the logarithms."""
    return slope([math.log(size) for size in found], [math.log(value) for value in found.values()])


def by_count(scratch: Path, model: Model, rounds: int) -> dict[float, float]:
    """Return seconds by number of photos; the first batch does not count."""
    paths = write_photos(scratch / "counts", SMALL, max(COUNTS))
    found = {}
    for count in COUNTS:
        rates = [tagger(scratch, model, paths[:count], True, 3).rate for _ in range(rounds)]
        found[float(count)] = count / median(rates)
    return found


def by_size(scratch: Path, model: Model, rounds: int) -> dict[float, float]:
    """Return the CPU time of a photo in ms by its megapixels; the first batch does not count."""
    found = {}
    for size in SIDES:
        folder = scratch / f"size{size[0]}"
        paths = write_photos(folder, "JPEG 12 MP", OF_EACH_SIZE, size=size)
        each = [1000 * tagger(scratch, model, paths, True, 3).cpu for _ in range(rounds)]
        found[size[0] * size[1] / 1e6] = median(each)
    return found


def by_backlog(scratch: Path, model: Model) -> dict[float, float]:
    """Return the memory in MB of a paused daemon by the number of files that wait for it."""
    [photo] = write_photos(scratch / "one", SMALL, 1)
    data = photo.read_bytes()[:20_000]
    found = {}
    for count in BACKLOGS:
        home = Home(scratch / f"backlog{count}", model, int8=True)
        with home.daemon() as process:
            while not home.is_ready():
                time.sleep(0.2)
            home.run("pause")
            for number in range(count):
                folder = home.inbox / f"{number // 500:03}"
                folder.mkdir(exist_ok=True)
                (folder / f"{number:06}.jpg").write_bytes(data + str(number).encode())
            home.run("scan")
            seen = _until_seen(home, count)
            found[float(count)] = median([_total(process) for _ in range(5)])
        if seen < count:
            print(f"only {seen} of {count} files were seen in time", file=sys.stderr)
    return found


def _until_seen(home: Home, count: int) -> int:
    seen, end = 0, time.monotonic() + WAIT_SECONDS
    while seen < count and time.monotonic() < end:
        time.sleep(1.0)
        seen = sum(root["seen"] for root in home.heartbeat().get("roots", []))
    return seen


def _total(process: subprocess.Popen[bytes]) -> float:
    time.sleep(0.5)
    return sum(pss(pid) for pid in tree(process.pid))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    os.chdir(PROJECT)
    with tempfile.TemporaryDirectory(prefix="tagger-bench-") as name:
        scratch = Path(name)
        model = Model(scratch / "model", int8=True)
        if model.refused:
            print(f"in fp32: {model.refused}", file=sys.stderr)
            return
        found = {
            "seconds by photos": by_count(scratch, model, rounds),
            "CPU ms by megapixels": by_size(scratch, model, rounds),
            "MB by waiting files": by_backlog(scratch, model),
        }
    figures: dict[str, Any] = {
        what: {"points": points, "exponent": exponent(points)} for what, points in found.items()
    }
    lines = [
        f"{what}: exponent {figures[what]['exponent']:.2f}   "
        + ", ".join(f"{size:g}: {value:.3g}" for size, value in points.items())
        for what, points in found.items()
    ]
    report(__file__, figures, lines)


if __name__ == "__main__":
    main()
