"""Measures taught labels: how many photos are found from how few examples, and how truly.

    python bench/teach.py [--draws N] [--made-up N]

Uses the photos and MobileNetV2 of ``../shared``, beside the project: 40 groceries, 10 kinds of
clothing, and photos of homes with the words of their truth. All of them together are the library,
so that look-alikes are among the photos that must not be found. Their features are made once and
kept in ``build/teach``. Also measures libraries that are made up (does the promised precision
hold?) and the speed. Prints tables and writes the same figures to ``teach.json``.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tagger.errors import PhotoError
from tagger.labels.personal.learner import Lesson, learn
from tagger.labels.personal.questions import next_question
from tagger.labels.personal.whitening import Whitening, rooted
from tagger.paths import is_photo_name
from tagger.taught import Example, TaughtLabel

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"
CACHE = PROJECT / "build" / "teach"
MODEL = "mobilenet_v2"
SETS = ("teach", "home", "calibration", "imagenet")
PRECISION = 0.95
LEAST_PHOTOS = 20
"""Words of fewer photos of homes are not measured."""
FALSE_POSITIVES = 0.001


@dataclass(frozen=True)
class Library:
    """All photos: ``features`` (N, F), and by word which show it, and which surely do not."""

    features: NDArray[np.float16]
    shows: dict[str, NDArray[np.bool_]]
    lacks: dict[str, NDArray[np.bool_]]
    kinds: dict[str, list[str]]


def made_features(name: str) -> tuple[list[str], NDArray[np.float16]]:
    """Return names and features of the photos of a folder; made once."""
    file = CACHE / f"{name}.npz"
    if not file.exists():
        from tagger.classify.factory import load_engine
        from tagger.decode.opening import decode

        CACHE.mkdir(parents=True, exist_ok=True)
        weights = str(SHARED / f"models/{MODEL}.pth")
        engine = load_engine(MODEL, weights, engine="onnx", precision="fp32", state_dir=str(CACHE))
        names, rows = [], []
        for path in sorted((SHARED / "photos" / name).iterdir()):
            if not is_photo_name(path.name):
                continue
            try:
                photo = decode(str(path), engine.spec, more=False)
            except PhotoError as error:
                print(f"left out: {error}")
                continue
            [found] = engine.predict(photo.crop[np.newaxis])
            names.append(path.name)
            rows.append(found.features.astype(np.float16))
        np.savez_compressed(file, names=np.array(names), features=np.stack(rows))
    with np.load(file) as stored:
        return stored["names"].tolist(), stored["features"]


def truth(name: str) -> dict[str, list[str]]:
    """Return by photo what is written of it in a folder's ``truth.csv``."""
    with (SHARED / "photos" / name / "truth.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if name == "teach":
        return {row["file"]: [f"{row['set']} {row['label']}"] for row in rows}
    if name == "home":
        return {row["file"]: [w.strip() for w in row["labels"].split(";")] for row in rows}
    return {row["file"]: [] for row in rows}


def load_library() -> Library:
    """Return the library of all photos."""
    rows, said, folders = [], [], []
    for name in SETS:
        known = truth(name)
        names, features = made_features(name)
        rows.append(features)
        said += [known.get(photo, []) for photo in names]
        folders += [name] * len(names)
    where = np.array(folders)
    common = Counter(
        word
        for words, folder in zip(said, folders, strict=True)
        if folder == "home"
        for word in words
        if not word.endswith("?")
    )
    home = [word for word, count in common.items() if count >= LEAST_PHOTOS]
    taught = sorted({words[0] for words, f in zip(said, folders, strict=True) if f == "teach"})
    shows, lacks = {}, {}
    for word in (*taught, *home):
        shows[word] = np.array([word in words for words in said])
        unsure = np.array([f"{word}?" in words for words in said])
        # Of the photos of one class it is not known what else they show.
        of_class = np.isin(where, ["calibration", "imagenet"]) | (where == "teach")
        lacks[word] = ~shows[word] & ~unsure & (~of_class if word in home else True)
    kinds = {
        "groceries": [w for w in taught if w.startswith("grocery")],
        "clothing": [w for w in taught if w.startswith("clothing")],
        "home words": home,
    }
    return Library(np.concatenate(rows), shows, lacks, kinds)


# Methods: from the rows of examples of all words to a score of every photo for every word

Method = Callable[[Library, Whitening, dict[str, NDArray[np.intp]]], NDArray[np.float32]]


def nearest(vectors: NDArray[np.float32], rows: dict[str, NDArray[np.intp]]) -> NDArray[Any]:
    """Score by the angle to the examples' mean."""
    means = np.stack([vectors[own].mean(axis=0) for own in rows.values()], axis=1)
    return np.asarray(vectors @ means, np.float32)


def plain(library: Library, white: Whitening, rows: dict[str, NDArray[np.intp]]) -> NDArray[Any]:
    """Score features as they are."""
    roots = rooted(library.features) ** 2
    return nearest(roots / np.linalg.norm(roots, axis=1, keepdims=True), rows)


def whitened(library: Library, white: Whitening, rows: dict[str, NDArray[np.intp]]) -> NDArray[Any]:
    """Score whitened features."""
    return nearest(white.vectors(library.features, 0.9), rows)


def examples_of(library: Library, rows: dict[str, NDArray[np.intp]]) -> list[Example]:
    """Return examples of words, by their photos."""
    return [
        Example(word, str(row).encode(), "", True, features=library.features[row].tobytes())
        for word, own in rows.items()
        for row in own
    ]


def taught(library: Library, white: Whitening, rows: dict[str, NDArray[np.intp]]) -> NDArray[Any]:
    """Score as tagger does."""
    lesson = learn(
        [TaughtLabel((word,)) for word in rows],
        examples_of(library, rows),
        library.features,
        model_id=MODEL,
        precision=PRECISION,
        whitening=white,
    )
    return lesson.model.scores_of([row.tobytes() for row in library.features])


def alone(library: Library, white: Whitening, rows: dict[str, NDArray[np.intp]]) -> NDArray[Any]:
    """Score as tagger does, but each word as if it were the only one."""
    return np.concatenate([taught(library, white, {w: own}) for w, own in rows.items()], axis=1)


METHODS: dict[str, Method] = {
    "features as they are": plain,
    "whitened": whitened,
    "taught, each alone": alone,
    "taught, together": taught,
}


def found_at(scores: NDArray[Any], shows: NDArray[Any], lacks: NDArray[Any]) -> float:
    """Return the recall where one in a thousand other photos is found, too."""
    wrong = np.sort(scores[lacks])[::-1]
    cut = wrong[int(FALSE_POSITIVES * len(wrong))]
    return float((scores[shows] > cut).mean())


def compare(library: Library, white: Whitening, draws: int) -> dict[str, Any]:
    """Return recall by kind, method and number of examples: mean, and deviation over draws."""
    result: dict[str, Any] = {}
    for kind, words in library.kinds.items():
        for name, method in METHODS.items():
            for count in (1, 3, 10):
                means = []
                for draw in range(draws):
                    chance = np.random.default_rng(draw)
                    rows = {
                        w: chance.permutation(np.flatnonzero(library.shows[w]))[:count]
                        for w in words
                    }
                    scores = method(library, white, rows)
                    each = []
                    for number, word in enumerate(words):
                        left = library.shows[word].copy()
                        left[rows[word]] = False
                        each.append(found_at(scores[:, number], left, library.lacks[word]))
                    means.append(float(np.mean(each)))
                result.setdefault(kind, {}).setdefault(name, {})[count] = [
                    float(np.mean(means)),
                    float(np.std(means)),
                ]
                told = f"{np.mean(means):.2f} ± {np.std(means):.2f}"
                print(f"  {kind:<12}{name:<24}{count:>3} examples: {told}", flush=True)
    return result


# From examples and answers to written tags


class Teacher:
    """Somebody who teaches one word, and answers what he is asked by ``shows``."""

    def __init__(
        self,
        features: NDArray[np.float16],
        shows: NDArray[np.bool_],
        examples: Sequence[int],
        white: Whitening,
        precision: float = PRECISION,
    ) -> None:
        self._features, self._shows, self._white = features, shows, white
        self._precision = precision
        self._blobs = [row.tobytes() for row in features]
        self._examples = [self._example(row, True, "given") for row in examples]
        self.known = set(map(int, examples))
        self.yes = 0

    def _example(self, row: int, positive: bool, origin: Any) -> Example:
        blob = self._blobs[row]
        return Example("word", str(row).encode(), "", positive, origin, features=blob)

    def lesson(self) -> tuple[Lesson, NDArray[np.float32], NDArray[np.intp]]:
        """Return what was learned, and scores and numbers of the other photos, the best first."""
        lesson = learn(
            [TaughtLabel(("word",))],
            self._examples,
            self._features,
            model_id=MODEL,
            precision=self._precision,
            whitening=self._white,
        )
        scores = lesson.model.scores_of(self._blobs)[:, 0]
        others = np.array([n for n in np.argsort(-scores) if int(n) not in self.known])
        return lesson, scores[others], others

    def answer(self) -> None:
        """Be asked once."""
        lesson, best, others = self.lesson()
        place = next_question(best, lesson.falls[0], lesson.answers[0])
        if place is not None:
            row = int(others[place])
            shows = bool(self._shows[row])
            self.yes += shows
            self.known.add(row)
            self._examples.append(self._example(row, shows, "answer"))

    def written(self) -> NDArray[np.intp]:
        """Return the photos, beside those that something was said of, that are given the word."""
        lesson, best, others = self.lesson()
        write = lesson.thresholds(0, best, self._precision).write
        found: NDArray[np.intp] = others[best >= write]
        return found


def answered(
    library: Library, white: Whitening, words: Sequence[str], examples: int, steps: Sequence[int]
) -> dict[int, dict[str, float]]:
    """Return precision and recall of what is written after so many answers, over all words."""
    sums = {step: np.zeros(4) for step in steps}
    for number, word in enumerate(words):
        chance = np.random.default_rng(number)
        own = chance.permutation(np.flatnonzero(library.shows[word]))[:examples]
        # What is not known to show it, or not, is not in this library.
        there = np.flatnonzero(library.shows[word] | library.lacks[word])
        place = {int(row): n for n, row in enumerate(there)}
        shows = library.shows[word][there]
        person = Teacher(library.features[there], shows, [place[int(r)] for r in own], white)
        for count in range(max(steps) + 1):
            if count in sums:
                written = person.written()
                right = int(shows[written].sum())
                sums[count] += [right, len(written), int(shows.sum()) - examples, person.yes]
            person.answer()
    return {
        step: {
            "precision": right / max(written, 1),
            "recall": (right + yes) / total,
            "recall_of_the_rest": right / max(total - yes, 1),
        }
        for step, (right, written, total, yes) in sums.items()
    }


def keywords(library: Library, white: Whitening, draws: int) -> dict[str, float]:
    """Return recall with the keywords of half a word's photos, clean and one in ten wrong."""
    found: dict[str, list[float]] = {"clean": [], "one in ten wrong": []}
    for draw in range(draws):
        chance = np.random.default_rng(draw)
        for words in (library.kinds["home words"], library.kinds["clothing"]):
            for word in words:
                own = chance.permutation(np.flatnonzero(library.shows[word]))
                own = own[: max(20, min(200, len(own) // 2))]
                left = library.shows[word].copy()
                left[own] = False
                if left.sum() < 5:
                    continue
                wrong = chance.choice(np.flatnonzero(library.lacks[word]), len(own) // 10, False)
                noisy = np.concatenate([own[len(wrong) :], wrong])
                for name, rows in (("clean", own), ("one in ten wrong", noisy)):
                    examples = [
                        Example(
                            word,
                            str(row).encode(),
                            "",
                            True,
                            "keyword",
                            features=library.features[row].tobytes(),
                        )
                        for row in rows
                    ]
                    lesson = learn(
                        [TaughtLabel((word,))],
                        examples,
                        library.features,
                        model_id=MODEL,
                        precision=PRECISION,
                        whitening=white,
                    )
                    scores = lesson.model.scores_of([r.tobytes() for r in library.features])
                    others = library.lacks[word].copy()
                    others[wrong] = False
                    # Half of what shows it, at the best: where one in a hundred others is found.
                    cut = np.quantile(scores[others, 0], 0.99)
                    found[name].append(float((scores[left, 0] > cut).mean()))
    return {name: float(np.mean(each)) for name, each in found.items()}


# Libraries that are made up


def made_up(draws: int, answers: int) -> dict[str, float]:
    """Return in which share of libraries what is written is as precise as promised.

    Each has 100 subjects, two of which look like the one that is taught. It is judged on many
    photos of the same kind that the library does not have.
    """
    size, held, wrote, recalls, precisions = 512, 0, 0, [], []
    for draw in range(draws):
        chance = np.random.default_rng(draw)
        centres = chance.gamma(1.5, 0.4, (100, size))
        for sibling in (1, 2):
            centres[sibling] = centres[0] + chance.normal(0, chance.uniform(0.1, 0.4), size)
        counts = chance.integers(5, 40, 100)
        counts[0] = chance.integers(15, 80)

        def photos(subjects: NDArray[Any], by: NDArray[Any], with_: Any) -> NDArray[np.float16]:
            drawn = by[subjects] + with_.normal(0, 0.25, (len(subjects), size))
            return np.asarray(np.maximum(drawn, 0) ** 2, np.float16)

        subjects = np.repeat(np.arange(100), counts)
        features = photos(subjects, centres, chance)
        shows = subjects == 0
        examples = chance.permutation(np.flatnonzero(shows))[: int(chance.integers(3, 11))]
        person = Teacher(features, shows, examples.tolist(), Whitening.of(features))
        for _ in range(answers):
            person.answer()
        lesson, best, _ = person.lesson()
        write = lesson.thresholds(0, best, PRECISION).write
        fresh = np.repeat(np.arange(100), counts * 20)
        scores = lesson.model.scores(photos(fresh, centres, chance))[:, 0]
        given = scores >= write
        precision = float((fresh[given] == 0).mean()) if given.any() else 1.0
        held += precision >= PRECISION
        wrote += bool(given.any())
        precisions.append(precision)
        recalls.append(float(given[fresh == 0].mean()))
    return {
        "held": held / draws,
        "wrote": wrote / draws,
        "precision": float(np.mean(precisions)),
        "recall": float(np.mean(recalls)),
    }


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
    return {"photos": count, "learn_s": learned, "score_s": took, "peak_mb": peak}


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--made-up", type=int, default=200, metavar="N")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    asked = parser.parse_args()
    result: dict[str, Any] = {"speed": [speed(100_000), speed(1_000_000)]}
    for one in result["speed"]:
        print(
            f"{one['photos']:,} photos, 50 labels: learned in {one['learn_s']:.2f} s, scored in"
            f" {one['score_s']:.2f} s of one core; peak {one['peak_mb']:.0f} MB"
        )
    for answers in (0, 6, 13):
        found = result[f"made up, {answers} answers"] = made_up(asked.made_up, answers)
        print(
            f"made up libraries ({asked.made_up}), {answers} answers: the promise holds in"
            f" {100 * found['held']:.1f} %; precision {found['precision']:.3f}, recall"
            f" {found['recall']:.2f}; written in {100 * found['wrote']:.0f} %",
            flush=True,
        )
    if not (SHARED / "photos" / "teach").is_dir():
        print("the shared photos (../shared) are not there: nothing else is measured")
        return 0
    library = load_library()
    white = Whitening.of(library.features)
    print(f"\nrecall at 0.1 % of other photos, {len(library.features)} photos in the library")
    result["recall"] = compare(library, white, asked.draws)
    for kind, examples, steps in (
        ("groceries", 3, (0, 6, 13)),
        ("clothing", 10, (0, 6, 15)),
        ("home words", 10, (0, 6, 15)),
    ):
        found = answered(library, white, library.kinds[kind], examples, steps)
        result[f"answers, {kind}"] = found
        for step, one in found.items():
            print(
                f"  {kind}, {examples} examples and {step} answers: precision"
                f" {one['precision']:.3f}, recall {one['recall']:.2f}"
                f" ({one['recall_of_the_rest']:.2f} of what was not asked about)",
                flush=True,
            )
    result["keywords"] = keywords(library, white, asked.draws)
    print(f"  keywords: {result['keywords']}")
    asked.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {asked.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
