"""How taught labels find photos by the examples alone: tagger's way, and simpler ones.

Each way makes, from the rows of the examples of all words, a score of every photo for every word.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.teach_person import PRECISION
from bench.teach_photos import CLOTHING, HOME, MODEL, Library
from tagger.labels.personal.learner import learn
from tagger.labels.personal.stored_features import rooted
from tagger.labels.personal.whitening import Whitening
from tagger.records import Example, TaughtLabel

FALSE_POSITIVES = 0.001
EXAMPLES = (1, 3, 10)

Rows = dict[str, NDArray[np.intp]]
Method = Callable[[Library, Whitening, Rows], NDArray[np.float32]]


def nearest(vectors: NDArray[np.float32], rows: Rows) -> NDArray[Any]:
    """Score by the angle to the examples' mean."""
    means = np.stack([vectors[own].mean(axis=0) for own in rows.values()], axis=1)
    return np.asarray(vectors @ means, np.float32)


def plain(library: Library, white: Whitening, rows: Rows) -> NDArray[Any]:
    """Score features as they are."""
    roots = rooted(library.features) ** 2
    return nearest(roots / np.linalg.norm(roots, axis=1, keepdims=True), rows)


def whitened(library: Library, white: Whitening, rows: Rows) -> NDArray[Any]:
    """Score whitened features."""
    return nearest(white.vectors(library.features, 0.9), rows)


def examples_of(library: Library, rows: Rows, origin: Any = "given") -> list[Example]:
    """Return examples of words, by their photos."""
    return [
        Example(word, str(row).encode(), "", True, origin, features=library.features[row].tobytes())
        for word, own in rows.items()
        for row in own
    ]


def taught(library: Library, white: Whitening, rows: Rows, origin: Any = "given") -> NDArray[Any]:
    """Score as tagger does."""
    lesson = learn(
        [TaughtLabel((word,)) for word in rows],
        examples_of(library, rows, origin),
        library.features,
        model_id=MODEL,
        precision=PRECISION,
        whitening=white,
    )
    return lesson.model.scores_of([row.tobytes() for row in library.features])


def alone(library: Library, white: Whitening, rows: Rows) -> NDArray[Any]:
    """Score as tagger does, but each word as if it were the only one."""
    return np.concatenate([taught(library, white, {w: own}) for w, own in rows.items()], axis=1)


METHODS: dict[str, Method] = {
    "features as they are": plain,
    "whitened": whitened,
    "taught, each alone": alone,
    "taught, together": taught,
}


def found_at(scores: NDArray[Any], shows: NDArray[Any], lacks: NDArray[Any], share: float) -> float:
    """Return the recall where such a share of other photos is found, too."""
    wrong = np.sort(scores[lacks])[::-1]
    return float((scores[shows] > wrong[int(share * len(wrong))]).mean())


def spread(values: Sequence[float]) -> list[float]:
    """Return mean and deviation."""
    return [float(np.mean(values)), float(np.std(values))]


def compare(library: Library, white: Whitening, draws: int) -> dict[str, Any]:
    """Return recall by kind, method and number of examples: mean, and deviation over draws."""
    result: dict[str, Any] = {}
    for kind, words in library.kinds.items():
        for name, method in METHODS.items():
            for count in EXAMPLES:
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
                        lacks = library.lacks[word]
                        each.append(found_at(scores[:, number], left, lacks, FALSE_POSITIVES))
                    means.append(float(np.mean(each)))
                result.setdefault(kind, {}).setdefault(name, {})[count] = spread(means)
    return result


def keywords(library: Library, white: Whitening, draws: int) -> dict[str, list[float]]:
    """Return recall with the keywords of half a word's photos, clean and one in ten wrong.

    Where one in a hundred other photos is found, too.
    """
    found: dict[str, list[float]] = {"clean": [], "one in ten wrong": []}
    for draw in range(draws):
        chance = np.random.default_rng(draw)
        means: dict[str, list[float]] = {name: [] for name in found}
        for word in (*library.kinds[HOME], *library.kinds[CLOTHING]):
            own = chance.permutation(np.flatnonzero(library.shows[word]))
            own = own[: max(20, min(200, len(own) // 2))]
            left = library.shows[word].copy()
            left[own] = False
            if left.sum() < 5:
                continue
            wrong = chance.choice(np.flatnonzero(library.lacks[word]), len(own) // 10, False)
            noisy = np.concatenate([own[len(wrong) :], wrong])
            others = library.lacks[word].copy()
            others[wrong] = False
            for name, rows in (("clean", own), ("one in ten wrong", noisy)):
                scores = taught(library, white, {word: rows}, "keyword")
                means[name].append(found_at(scores[:, 0], left, others, 0.01))
        for name, each in means.items():
            found[name].append(float(np.mean(each)))
    return {name: spread(each) for name, each in found.items()}
