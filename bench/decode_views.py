"""What it costs to decode for several networks at once: ``python bench/decode_views.py PHOTO...``

CPU milliseconds a photo: the crops of one network alone; with the picture for a detector; with
another crop as well. Each kind of file by itself, the least of several rounds, by turns.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

from tagger.decode.opening import decode
from tagger.errors import PhotoError
from tagger.records import CropSpec, ExtraViews

WAYS = {
    "crops": ExtraViews(),
    "and a picture of 416": ExtraViews(side=416),
    "and a squashed crop": ExtraViews(CropSpec(squash=True), 416),
    "and a picture of 640": ExtraViews(side=640),
}


def milliseconds(path: str, rounds: int) -> dict[str, float]:
    """Return the least CPU time of each way for one photo."""
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, views in WAYS.items():
            started = time.process_time()
            decode(path, CropSpec(), more=True, views=views)
            times[name].append((time.process_time() - started) * 1000)
    return {name: min(found) for name, found in times.items()}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    kinds: dict[str, list[dict[str, float]]] = defaultdict(list)
    for path in arguments.photos:
        try:
            facts = decode(str(path), CropSpec()).facts
        except PhotoError:
            continue
        megapixels = (facts.width or 0) * (facts.height or 0) / 1e6
        size = next(n for n in (1, 4, 10, 1000) if megapixels < n)
        kind = f"{facts.format} of {'10 MP or more' if size == 1000 else f'less than {size} MP'}"
        kinds[kind].append(milliseconds(str(path), arguments.rounds))
    print(f"{'CPU ms a photo':28}{'photos':>8}" + "".join(f"{name:>22}" for name in WAYS))
    for kind, rows in sorted(kinds.items()):
        means = [sum(row[name] for row in rows) / len(rows) for name in WAYS]
        print(f"{kind:28}{len(rows):>8}" + "".join(f"{mean:>22.1f}" for mean in means))


if __name__ == "__main__":
    main()
