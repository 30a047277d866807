"""How long questions to the index take, by its size, and how they grow.

Builds an index of each size (photos; about five tags each), asks every question many times
in one process with a warm cache, and fits the exponent: the slope of log(median) over
log(size), 0 for no growth, 1 for linear. Usage: ``python bench/index_scale.py [SIZES…]
[--folder DIR]``, by default 10000, 100000 and 1000000 photos in a temporary folder (the
last needs 1 GB there and takes some minutes); the figures also go to ``index_scale.json`` beside
this file.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine import describe
from bench.synthetic_index import fill
from tagger.cli.common import vocabulary
from tagger.config.schema import Config
from tagger.index.connection import index_path
from tagger.index.query_parser import parse
from tagger.index.reader import Reader, open_reader
from tagger.library.search import known_names
from tagger.library.serialize import label_counts

SIZES = (10_000, 100_000, 1_000_000)
SECONDS, LEAST, MOST = 2.0, 7, 200  # how often each is asked
PAGE = 100
QUERIES = {
    "everything": "",
    "leaf": "pug",
    "tree": "animal",
    "branch": "dog",
    "date": "taken:2019-06",
    "years": "taken:2017..2021",
    "folder": "in:holiday",
    "below": "in:/photos/2019",
    "two words": "dog car",
    "rare words": "pug lemon",
    "not": "not animal",
    "confident": "dog>0.6",
    "nothing": "unicorn",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time questions to indexes of several sizes.")
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--folder", help="where to build them; kept, and used again")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scale-") as scratch:
        folder = given.folder or scratch
        runs = {size: measure(os.path.join(folder, str(size)), size) for size in given.sizes}
    exponents = {
        name: slope({size: run["questions"][name]["median_ms"] for size, run in runs.items()})
        for name in next(iter(runs.values()))["questions"]
    }
    show(runs, exponents)
    report = {
        "machine": describe(),
        "sqlite": sqlite3.sqlite_version,
        "page": PAGE,
        "sizes": runs,
        "exponents": exponents,
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")


def measure(state_dir: str, photos: int) -> dict[str, Any]:
    """Build the index unless it is there, and return its size and the times."""
    path, began = index_path(state_dir), time.perf_counter()
    if not os.path.exists(path):
        fill(state_dir, photos)
    built = time.perf_counter() - began
    print(f"{photos} photos: built in {built:.0f} s", file=sys.stderr)
    config = Config(state_dir=state_dir)
    db = sqlite3.connect(path)
    tags = db.execute("SELECT count(*) FROM tags").fetchone()[0]
    db.close()
    with open_reader(state_dir) as reader:
        questions = {name: timed(ask) for name, ask in asked(reader, config).items()}
    return {
        "photos": photos,
        "tags": tags,
        "build_s": round(built, 1),
        "bytes_per_photo": round(os.path.getsize(path) / photos, 1),
        "questions": questions,
    }


def asked(reader: Reader, config: Config) -> dict[str, Callable[[], object]]:
    """Return the questions: each query's first page and count, and the label counts."""

    def page(text: str) -> Callable[[], object]:
        return lambda: list(reader.find_paths(parsed(text), limit=PAGE))

    def count(text: str) -> Callable[[], object]:
        return lambda: reader.count(parsed(text))

    def parsed(text: str) -> Any:
        return parse(text, known_names(reader, config, lambda: vocabulary(config)))

    questions: dict[str, Callable[[], object]] = {}
    for name, text in QUERIES.items():
        questions[f"{name}, page"] = page(text)
        questions[f"{name}, count"] = count(text)
    questions["leaf, all"] = lambda: list(reader.find_paths(parsed("pug")))
    questions["leaf, page with tags"] = lambda: list(reader.find(parsed("pug"), limit=PAGE))
    questions["labels"] = lambda: label_counts(reader, vocabulary(config))
    questions["counts by state"] = reader.counts
    return questions


def timed(ask: Callable[[], object]) -> dict[str, float]:
    """Return median, 99th percentile and number of the times, in ms; the first is left out."""
    ask()
    times: list[float] = []
    cpu = time.process_time()
    ends = time.perf_counter() + SECONDS
    while len(times) < LEAST or (len(times) < MOST and time.perf_counter() < ends):
        began = time.perf_counter()
        ask()
        times.append((time.perf_counter() - began) * 1e3)
    cpu = time.process_time() - cpu
    times.sort()
    return {
        "mean_cpu_ms": round(cpu / len(times) * 1e3, 3),
        "median_ms": round(statistics.median(times), 3),
        "p99_ms": round(times[math.ceil(0.99 * len(times)) - 1], 3),
        "times": len(times),
    }


def slope(values: Mapping[int, float]) -> float | None:
    """Return the least-squares slope of log(value) over log(size); None for one size."""
    points = [(math.log(size), math.log(value)) for size, value in values.items()]
    if len(points) < 2:
        return None
    return round(statistics.linear_regression(*zip(*points, strict=True)).slope, 2)


def show(runs: Mapping[int, Mapping[str, Any]], exponents: Mapping[str, float | None]) -> None:
    """Print the table: median and 99th percentile in ms for each size, and the exponent."""
    sizes: Sequence[int] = list(runs)
    print(f"{'ms: median (p99)':22}" + "".join(f"{size:>20,}" for size in sizes) + "  exponent")
    for name, exponent in exponents.items():
        cells = [runs[size]["questions"][name] for size in sizes]
        row = "".join(f"{c['median_ms']:>10.2f} ({c['p99_ms']:>7.1f})" for c in cells)
        print(f"{name:22}{row}  {exponent if exponent is not None else ''}")
    row = "".join(f"{runs[size]['bytes_per_photo']:>20,.0f}" for size in sizes)
    print(f"{'index bytes per photo':22}{row}  (without predictions and journal)")


if __name__ == "__main__":
    main()
