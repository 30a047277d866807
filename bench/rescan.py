"""What a rescan of unchanged photos costs, beside a plain walk with a stat for each file.

Makes trees of 1,000 photos a folder, all known to the index as they are, and lets the
watcher scan them again; in turn with ``os.walk`` and ``os.lstat``. Where there is strace, it
counts the system calls in a process of their own (those of starting it taken off), and that
no photo is opened. Usage: ``python bench/rescan.py [SIZES…]``; the figures also go to
``rescan.json`` beside this file.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine import describe
from tagger.config.schema import WatchRoot
from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.records import Candidate, FileStat, PhotoFacts, Tag
from tagger.watch.watcher import Watcher

SIZES = (1_000, 10_000, 100_000)
FOLDER = 1_000
ROUNDS = 5


class Nobody:
    """Takes nothing: whatever comes is an error."""

    def found(self, candidate: Candidate) -> None:
        raise AssertionError(f"{candidate.path} is said to be new")

    def gone(self, paths: Sequence[str], root: str) -> None:
        raise AssertionError(f"{len(paths)} photos are said to be gone")


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    results = []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="rescan-") as scratch:
            results.append(measure(Path(scratch), size))
    show(results)
    report = {"machine": describe(), "sizes": results}
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")


def measure(folder: Path, files: int) -> dict[str, Any]:
    """Return seconds, and calls for each file, of both ways over a tree of ``files``."""
    tree, state = folder / "photos", folder / "state"
    make(tree, state, files)
    times: dict[str, list[float]] = {"rescan": [], "plain": []}
    with Store(str(state)) as store:
        rescan(tree, state, store)()  # the marker of the root is written once
        for _ in range(ROUNDS):
            for name, call in {"rescan": rescan(tree, state, store), "plain": plain(tree)}.items():
                began = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - began)
    ways = {
        name: {
            "seconds": round(statistics.median(taken), 4),
            "us_per_file": round(statistics.median(taken) / files * 1e6, 2),
            "calls_per_file": calls_per_file(tree, state, name, files),
        }
        for name, taken in times.items()
    }
    return {"files": files, **ways}


def make(tree: Path, state: Path, files: int) -> None:
    """Write the photos, and the index that knows them."""
    with Store(str(state)) as store:
        for first in range(0, files, FOLDER):
            folder = tree / f"{first // FOLDER:04}"
            folder.mkdir(parents=True)
            photos = []
            for number in range(first, min(first + FOLDER, files)):
                path = folder / f"IMG_{number:06}.jpg"
                path.touch()
                stat = FileStat.of(os.lstat(path))
                digest = number.to_bytes(16)
                tags = (Tag("dog", 0.9, ("animal", "dog")), Tag("animal", 0.9, ("animal",)))
                photos.append(
                    SavedPhoto(
                        str(path),
                        str(tree),
                        stat,
                        None,
                        digest,
                        digest,
                        PhotoFacts("JPEG"),
                        tags,
                        keywords_hash="0" * 32,
                    )
                )
            store.save(photos)


def rescan(tree: Path, state: Path, store: Store) -> Callable[[], None]:
    watcher = Watcher([WatchRoot(str(tree))], store, Nobody(), str(state))
    return lambda: watcher.scan_once(wait_settle=False, stop=threading.Event())


def plain(tree: Path) -> Callable[[], None]:
    def walk() -> None:
        for folder, _, names in os.walk(tree):
            for name in names:
                os.lstat(os.path.join(folder, name))

    return walk


def child(way: str, tree: str, state: str) -> None:
    """Scan once: ``rescan``, ``plain``, or ``neither`` for all that is around it."""
    with Store(state) as store:
        calls = {"rescan": rescan(Path(tree), Path(state), store), "plain": plain(Path(tree))}
        calls.get(way, lambda: None)()


def calls_per_file(tree: Path, state: Path, way: str, files: int) -> dict[str, float] | None:
    """Return how often each system call is made for a file; None without strace.

    ``photos opened`` counts whole photos, not shares of one.
    """
    if shutil.which("strace") is None:
        return None
    base, _ = traced(tree, state, "neither")
    calls, opened = traced(tree, state, way)
    found = {name: calls.get(name, 0) - base.get(name, 0) for name in {*calls, *base}}
    shares = {name: round(count / files, 3) for name, count in found.items()}
    most = dict(sorted(shares.items(), key=lambda item: -item[1])[:6])
    return {"all": round(sum(found.values()) / files, 3), **most, "photos opened": opened}


def traced(tree: Path, state: Path, way: str) -> tuple[dict[str, int], int]:
    log = state / "strace"
    subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", str(log), sys.executable, __file__),
            *("--child", way, str(tree), str(state)),
        ],
        check=True,
    )
    calls: dict[str, int] = {}
    opened = 0
    with log.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if match := re.match(r"\d+ +(\w+)\(", line):
                calls[match[1]] = calls.get(match[1], 0) + 1
                opened += match[1] in ("open", "openat") and '.jpg"' in line
    log.unlink()
    return calls, opened


def show(results: Sequence[dict[str, Any]]) -> None:
    print(f"{'files':>9}  way      seconds  µs/file  calls/file")
    for result in results:
        for way in ("rescan", "plain"):
            row = result[way]
            calls = row["calls_per_file"] or {}
            said = ", ".join(f"{name} {share:g}" for name, share in calls.items())
            figures = f"{row['seconds']:8.3f} {row['us_per_file']:8.1f}"
            print(f"{result['files']:>9,}  {way:7} {figures}  {said}")
        ratio = result["rescan"]["seconds"] / result["plain"]["seconds"]
        print(f"{'':>9}  rescan / plain {ratio:.2f}")
    if len(results) > 1:
        for way in ("rescan", "plain"):
            points = [(math.log(r["files"]), math.log(r[way]["seconds"])) for r in results]
            slope = statistics.linear_regression(*zip(*points, strict=True)).slope
            print(f"{way} grows with files to the power of {slope:.2f}")


if __name__ == "__main__":
    main()
