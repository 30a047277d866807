"""Measures taught labels: how many photos are found from how few examples, and how truly.

    python bench/teach.py [--draws N] [--simulated N] [--only PART ...]

Parts: `speed`, `made-up` and `stored` (simulated libraries: does the promised precision hold?),
`examples` (recall by number of examples), `answers` (what is written after so many answers) and
`keywords` (taught from keywords, some of them wrong). All but the first two use the photos and
MobileNetV2 of ``../shared``, beside the project; their features are made once and kept in
``build/teach``. Prints tables, with the deviation over draws, and writes the same figures to
``teach.json``.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.teach_methods import EXAMPLES, compare, keywords, spread
from bench.teach_person import PRECISION, Person
from bench.teach_photos import CLOTHING, GROCERIES, HOME, MODEL, SHARED, Library, load_library
from bench.teach_simulated import made_up, stored
from tagger.labels.personal.learner import learn
from tagger.labels.personal.moments import Moments
from tagger.labels.personal.whitening import Whitening
from tagger.records import Example, TaughtLabel

PARTS = ("speed", "made-up", "stored", "examples", "answers", "keywords")
ANSWERS = {GROCERIES: (3, (0, 6, 13)), CLOTHING: (10, (0, 6, 15)), HOME: (10, (0, 6, 15))}
SIMULATED_ANSWERS = (0, 6, 13)


def answered(
    library: Library,
    white: Whitening,
    words: Sequence[str],
    examples: int,
    steps: Sequence[int],
    draw: int,
) -> dict[int, dict[str, float]]:
    """Return precision and recall of what is written after so many answers.

    ``precision`` and ``recall`` are of the photos of all words together, ``recall_of_words`` is the
    mean over words. A photo that was asked about, and shows it, is found; ``unasked`` is the mean
    recall over words of those that were not asked about.
    """
    sums = {step: np.zeros(4) for step in steps}
    means: dict[int, list[tuple[float, float]]] = {step: [] for step in steps}
    for number, word in enumerate(words):
        chance = np.random.default_rng([draw, number])
        # What is not known to show it, or not, is not in this library.
        there = np.flatnonzero(library.shows[word] | library.lacks[word])
        shows = library.shows[word][there]
        own = chance.permutation(np.flatnonzero(shows))[:examples]
        person = Person(library.features[there], shows, own, white)
        for step in person.steps(steps):
            written = person.written()
            right, total = int(shows[written].sum()), int(shows.sum()) - examples
            sums[step] += [right, len(written), total, person.yes]
            unasked = right / max(total - person.yes, 1)
            means[step].append(((right + person.yes) / total, unasked))
    return {
        step: {
            "precision": right / written if written else 1.0,
            "recall": (right + yes) / total,
            "recall_of_words": float(np.mean([one for one, _ in means[step]])),
            "unasked": float(np.mean([one for _, one in means[step]])),
        }
        for step, (right, written, total, yes) in sums.items()
    }


def answers_table(library: Library, white: Whitening, draws: int) -> dict[str, Any]:
    """Measure and print what is written after answers, by kind."""
    result: dict[str, Any] = {}
    print(f"\n{'kind':<12}{'taught by':<26}{'precision':>14}{'recall':>14}"
          f"{'mean of words':>16}{'not asked':>14}")  # fmt: skip
    for kind, (examples, steps) in ANSWERS.items():
        words = library.kinds[kind]
        found = [answered(library, white, words, examples, steps, n) for n in range(draws)]
        for step in steps:
            row = {name: spread([one[step][name] for one in found]) for name in found[0][step]}
            result.setdefault(kind, {})[step] = row
            by = f"{examples} examples + {step} answers"
            print(f"{kind:<12}{by:<26}" + "".join(
                f"{mean:>{width}.2f} ± {deviation:.2f}"
                for (mean, deviation), width in zip(row.values(), (7, 7, 9, 7), strict=True)
            ), flush=True)  # fmt: skip
    return result


def examples_table(library: Library, white: Whitening, draws: int) -> dict[str, Any]:
    """Measure and print the recall by number of examples, kind and method."""
    print(f"\nrecall at 0.1 % of other photos, {len(library.features)} photos in the library")
    print(f"{'kind':<12}{'method':<24}" + "".join(f"{n:>4} examples" for n in EXAMPLES))
    result = compare(library, white, draws)
    for kind, methods in result.items():
        for name, row in methods.items():
            told = "".join(f"{mean:>6.2f} ± {deviation:.2f}" for mean, deviation in row.values())
            print(f"{kind:<12}{name:<24}{told}", flush=True)
    return result


def simulated_table(kind: str, result: dict[int, dict[str, float]]) -> dict[int, Any]:
    """Print how many simulated libraries are given what was promised."""
    for answers, found in result.items():
        print(
            f"{kind} libraries ({found['libraries']}), {answers} answers: precision of"
            f" {PRECISION} held in {100 * found['held']:.1f} %, missed by more than chance in"
            f" {100 * found['not_by_chance']:.1f} %; all written {found['precision']:.3f}, recall"
            f" {found['recall']:.2f}; written in {100 * found['wrote']:.0f} %",
            flush=True,
        )
    return result


def speed(count: int) -> dict[str, float]:
    """Return the seconds for ``count`` vectors of ResNet-18 with 50 labels, and the memory."""
    chance = np.random.default_rng(0)
    features = chance.random((20_000, 512), np.float32).astype(np.float16)
    labels = [TaughtLabel((str(number),)) for number in range(50)]
    examples = [
        Example(str(n), bytes([n, k]), "", True, features=features[n * 10 + k].tobytes())
        for n in range(50)
        for k in range(10)
    ]
    begun = time.perf_counter()
    lesson = learn(labels, examples, features[:8192], model_id=MODEL, precision=PRECISION)
    learned = time.perf_counter() - begun
    begun = time.process_time()
    for at in range(0, count, len(features)):
        lesson.model.scores(features[: min(len(features), count - at)])
    took = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{count:,} photos, 50 labels: learned in {learned:.2f} s, scored in {took:.2f} s of one"
        f" core; peak {peak:.0f} MB",
        flush=True,
    )
    return {"photos": count, "learn_s": learned, "score_s": took, "peak_mb": peak}


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--simulated", type=int, default=200, metavar="N")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    asked = parser.parse_args()
    result: dict[str, Any] = {"draws": asked.draws}
    if "speed" in asked.only:
        result["speed"] = [speed(100_000), speed(1_000_000)]
    if "made-up" in asked.only:
        found = made_up(asked.simulated, SIMULATED_ANSWERS)
        result["made-up"] = simulated_table("made-up", found)
    if (SHARED / "photos" / "teach").is_dir():
        library = load_library()
        white = Whitening.of(Moments.of(library.features))
        if "stored" in asked.only:
            found = stored(library, asked.simulated, SIMULATED_ANSWERS)
            result["stored"] = simulated_table("stored", found)
        if "examples" in asked.only:
            result["examples"] = examples_table(library, white, asked.draws)
        if "answers" in asked.only:
            result["answers"] = answers_table(library, white, asked.draws)
        if "keywords" in asked.only:
            result["keywords"] = keywords(library, white, asked.draws)
            for name, (mean, deviation) in result["keywords"].items():
                print(f"keywords, {name}: recall {mean:.3f} ± {deviation:.3f}")
    else:
        print("the shared photos (../shared) are not there: nothing else is measured")
    asked.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {asked.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
