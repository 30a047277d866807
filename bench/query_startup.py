"""How long ``tagger query dog`` takes from the shell, beside ``python -c pass``.

Runs both by turns over a small index, with the config that ``tagger init`` writes. Usage:
``python bench/query_startup.py [ROUNDS]``; the figures also go to ``query_startup.json`` beside
this file.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.machine import describe
from bench.synthetic_index import fill
from tagger.config.example import example_config

PROJECT = Path(__file__).resolve().parents[1]
PHOTOS = 1_000
TAGGER = ("-c", "import sys; from tagger.cli import main; sys.exit(main())")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 41
    with tempfile.TemporaryDirectory(prefix="start-") as name:
        folder = Path(name)
        fill(str(folder / "state"), PHOTOS)
        config = folder / "config.yaml"
        default = "state_dir: ~/.local/state/tagger"
        text = example_config((str(folder),))
        assert default in text
        config.write_text(text.replace(default, "state_dir: state"), encoding="utf-8")
        query = (*TAGGER, "--config", str(config), "query")
        ways = {
            "python -c pass": ("-c", "pass"),
            "tagger query dog": (*query, "dog"),
            "tagger query 'dog not car'": (*query, "dog not car"),
        }
        wall: dict[str, list[float]] = {way: [] for way in ways}
        cpu: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(rounds + 1):
            for way, arguments in ways.items():
                times = run(arguments)
                if number:  # the first time byte code is written
                    wall[way].append(times[0])
                    cpu[way].append(times[1])
    figures = {
        way: {
            "median_ms": round(statistics.median(wall[way]), 1),
            "least_ms": round(min(wall[way]), 1),
            "cpu_ms": round(statistics.median(cpu[way]), 1),
        }
        for way in ways
    }
    for way, row in figures.items():
        print(f"{way:28} " + "  ".join(f"{name} {value:6.1f}" for name, value in row.items()))
    report = {"machine": describe(), "rounds": rounds, "ways": figures}
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")


def run(arguments: Sequence[str]) -> tuple[float, float]:
    """Run Python once; return its wall time and CPU time in ms."""
    # Installed, it has its byte code, whatever the environment of this says.
    environ = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": ""}
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environ)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1e3, spent * 1e3


if __name__ == "__main__":
    main()
