"""Compares a folder going through the daemon with a naive script, and with decoding alone.

    python bench/throughput.py [PHOTOS] [--rounds N] [--kinds TEXT]

PHOTOS JPEGs of 12 MP (default 200) with XMP sidecars; of the kinds that are slower to decode
a fifth. Every round measures every way once, by turns; figures are medians of photos a
second. Those of tagger count from the end of its first batch to the end of its last, so
without its start, which stands apart; the model is converted before. The naive script
decodes in full, transforms with torchvision and classifies with eager torch, one by one; of a
fifth of the photos, for its rate is steady. "decoding alone" opens, drafts, resizes and crops
in one process per core. With ``--kinds`` only kinds with TEXT in their names. The networks:
see ``harness.py``. Writes ``throughput.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.harness import PROJECT, Home, Model, cpu_seconds, median, report, tree
from bench.synthetic_photos import KINDS, write_photos

BASELINES = Path(__file__).with_name("baselines.py")
SLOW = ("HEIC 12 MP", "HEIC 12 MP, tiles", "PNG 12 MP")
"""Kinds of which a fifth will do."""
WAYS = (("int8", 3), ("int8", 1), ("int8 unproven", 3), ("fp32", 3), ("fp32", 1))
"""Precisions and ``labels.crops``; from its very first photo on a daemon is "int8 unproven"."""
NAIVE, ALONE = "naive script", "decoding alone"


@dataclass(frozen=True)
class Measured:
    """Photos a second, CPU seconds a photo; seconds from exec to the first photo, and the end."""

    rate: float
    cpu: float
    first: float = 0.0
    whole: float = 0.0


def tagger(scratch: Path, model: Model, paths: list[Path], way: str, crops: int) -> Measured:
    """Tag the photos in an inbox of their own; ``way`` is one of PRECISIONS."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        home = Home(
            Path(folder, "home"),
            model,
            int8=way != "fp32",
            provisional=way == "int8 unproven",
            labels={"crops": crops},
        )
        for path in paths:
            os.link(path, home.inbox / path.name)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        time.sleep(2.5)  # links change ctime: until they have settled
        started = time.perf_counter()
        process = subprocess.Popen(
            home.command("run", "--once"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=PROJECT,
            env=home.environ(),
        )
        assert process.stderr is not None
        moments: list[float] = []
        begun = 0.0  # CPU seconds until the first photo was done
        for line in process.stderr:
            said = json.loads(line)
            if said.get("event") == "photo":
                moments.append(time.perf_counter() - started)
                begun = begun or cpu_seconds(tree(process.pid))
            elif said["level"] in ("warning", "error", "critical"):
                print(said["message"], file=sys.stderr)
        code, sidecars = process.wait(), home.sidecars()
        if code or len(moments) != len(paths):
            raise RuntimeError(f"{len(moments)} of {len(paths)} photos were tagged (code {code})")
        if sidecars < len(paths) / 2:  # of the others the network has nothing to say
            raise RuntimeError(f"only {sidecars} of {len(paths)} photos got a sidecar")
        whole = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime - begun
    first = first_batch(moments)
    left = len(moments) - first
    rate = left / (moments[-1] - moments[first - 1])
    return Measured(rate, cpu / left, moments[0], whole)


def first_batch(moments: list[float]) -> int:
    """Return how many photos were told of together first. Raise ValueError if all were."""
    for number, (one, two) in enumerate(itertools.pairwise(moments), 1):
        if two - one > 0.02:
            return number
    raise ValueError("so few photos show no rate")


def other(arguments: list[str], count: int) -> Measured:
    """Run one of the ways that tagger is compared with."""
    said = subprocess.check_output([sys.executable, str(BASELINES), *arguments]).split()
    return Measured(count / float(said[0]), float(said[1]) / count)


def measure(
    scratch: Path,
    model: Model,
    kind: str,
    count: int,
    rounds: int,
    ways: Sequence[tuple[str, int]] = WAYS,
) -> dict[str, list[Measured]]:
    """Return what every round found of every way."""
    paths = write_photos(scratch / kind, kind, count, originals=5 if "HEIC" in kind else 8)
    some = paths[: max(8, count // 5)]
    sidecars = scratch / "naive"
    sidecars.mkdir(exist_ok=True)
    found: dict[str, list[Measured]] = {}
    for number in range(rounds):
        print(f"{kind}, round {number + 1} of {rounds} ...", file=sys.stderr, flush=True)
        for precision, crops in ways:
            one = tagger(scratch, model, paths, precision, crops)
            found.setdefault(f"tagger {precision}, crops {crops}", []).append(one)
        naive = ["naive", str(model.weights), str(sidecars), *map(str, some)]
        found.setdefault(NAIVE, []).append(other(naive, len(some)))
        found.setdefault(ALONE, []).append(other(["decode", *map(str, paths)], count))
    return found


def summary(found: dict[str, list[Measured]], count: int) -> list[dict[str, Any]]:
    """Return a row for each way; ratios are medians of each round's."""
    rows = []
    for way, all_rounds in found.items():
        row: dict[str, Any] = {
            "way": way,
            "photos": count,
            "photos_per_second": median([one.rate for one in all_rounds]),
            "times_naive": ratio(all_rounds, found[NAIVE]),
            "of_decoding": ratio(all_rounds, found[ALONE]),
            "cpu_ms_per_photo": median([one.cpu * 1000 for one in all_rounds]),
        }
        if all_rounds[0].whole:
            row["first_photo_seconds"] = median([one.first for one in all_rounds])
            row["whole_seconds"] = median([one.whole for one in all_rounds])
        rows.append(row)
    return rows


def ratio(ours: list[Measured], theirs: list[Measured]) -> float:
    return median([one.rate / two.rate for one, two in zip(ours, theirs, strict=True)])


def table(kind: str, rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of one kind's table."""
    lines = [
        f"\n{kind}, {rows[0]['photos']} photos",
        f"{'':32}{'photos/s':>10}{'x naive':>9}{'of decoding':>13}{'CPU a photo':>14}"
        f"{'first photo':>13}{'exec to exit':>14}",
    ]
    for row in rows:
        line = (
            f"{row['way']:32}{row['photos_per_second']:10.1f}{row['times_naive']:9.2f}"
            f"{row['of_decoding']:13.0%}{row['cpu_ms_per_photo']:11.1f} ms"
        )
        if "whole_seconds" in row:
            line += f"{row['first_photo_seconds']:11.2f} s{row['whole_seconds']:12.2f} s"
        lines.append(line)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=int, nargs="?", default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kinds", default="")
    parser.add_argument("--quick", action="store_true", help="three crops only")
    options = parser.parse_args()
    figures: dict[str, Any] = {"rounds": options.rounds, "kinds": {}}
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="tagger-bench-") as name:
        scratch = Path(name)
        model = Model(scratch / "model", int8=True)
        if model.refused:
            lines.append(f"in fp32 throughout: {model.refused}")
        for kind in KINDS:
            if options.kinds in kind:
                slow = kind in SLOW
                count = max(24, options.photos // 5) if slow else options.photos
                ways = [way for way in WAYS if way[1] == 3 or not options.quick]
                found = measure(scratch, model, kind, count, options.rounds, ways)
                figures["kinds"][kind] = summary(found, count)
                lines += table(kind, figures["kinds"][kind])
    report(__file__, figures, lines)


if __name__ == "__main__":
    main()
