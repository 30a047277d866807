"""From which score on a label is given, and from which on it is asked about.

Before any answer, the scores of the library tell: nearly all its photos do not show the label, and
their highest scores fall off exponentially. The threshold is half the sum of the score that one
in ten libraries like this would reach by accident and the median + 9 standard deviations.

Each answer then tells more. How likely a photo of score ``s`` shows the label is taken as logistic
in ``s``: its slope is that of the fall, half or twice it, and its place is found by Bayes' rule
from the answers. The prior is wide, about where half of the photos are more than that fall
explains. A label is given down to the rank where the precision of all above it is what was promised
in all but a share ``DOUBT`` of what is possible. That is a lower bound like Clopper and Pearson's
(Biometrika 1934), but answers help each other: a "yes" at a low score says as much of all higher
ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TAIL = (0.90, 0.99)
"""The part of the library's scores that the fall is fitted to: above it the label itself may be."""
SIGMAS = 9.0
ACCIDENTS = 0.1
"""Expected photos above the exponential's threshold that do not show the label, at 0.95."""
DOUBT = 0.2
ASKED_FROM = 0.1
"""Photos at least so likely to show a label are asked about."""
MOST_RANKS = 2000
"""So many of the best photos are looked at one by one, further ones in steps."""
MOST_MISSING = 30
NEVER = float("inf")

_PLACES = np.linspace(-12.0, 8.0, 121)  # of the logistic, in falls from the first threshold
_SLOPES = (0.5, 1.0, 2.0)  # how many falls wide it is
_PRIOR = 3.0  # deviation of its place, in falls


@dataclass(frozen=True, slots=True)
class Fall:
    """How the scores of a library without the label end.

    ``cut`` is the threshold before any answer, ``width`` the score over which there are 2.7 times
    fewer photos. ``tail`` is the score that one photo without the label is expected to reach.
    """

    cut: float
    width: float
    tail: float


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``write``: the label is given from here on (infinity: never). ``ask``: it is asked about.

    ``missing`` is how many further answers, all of them yes, would have it given (0: none is
    needed).
    """

    write: float
    ask: float
    missing: int = 0


def fall_of(scores: NDArray[np.float32], precision: float, count: int | None = None) -> Fall:
    """Return how ``scores`` (N,), all of a library or a sample of its ``count`` photos, end."""
    if len(scores) < 2:
        return Fall(NEVER, 1.0, NEVER)
    count = len(scores) if count is None else count
    start, end = np.quantile(scores, TAIL)
    inside = scores[(scores >= start) & (scores <= end)]
    above = int((scores > end).sum())
    # The maximum of the likelihood of an exponential of which what is above `end` is not known.
    excess = float((inside - start).sum()) + above * float(end - start)
    width = max(excess / max(len(inside), 1), 1e-6)
    accidents = ACCIDENTS * (1 - precision) / 0.05
    tail = float(start) + width * float(np.log(max(count * (1 - TAIL[0]) / accidents, 1.0)))
    median = float(np.median(scores))
    deviation = 1.4826 * float(np.median(np.abs(scores - median)))
    one = float(start) + width * float(np.log(max(count * (1 - TAIL[0]), 1.0)))
    return Fall((tail + median + SIGMAS * deviation) / 2, width, one)


class Belief:
    """Where the logistic may be, after ``answers`` (score, yes): its place and slope by weight.

    ``best`` are the scores of the library, from the best on: as long as there are twice as many
    photos as the fall explains, half of them are expected to show the label.
    """

    def __init__(
        self, fall: Fall, best: NDArray[np.floating], answers: Sequence[tuple[float, bool]]
    ) -> None:
        explained = np.exp(np.clip((fall.tail - best) / fall.width, -50, 50))
        surplus = explained <= 0.5 * np.arange(1, len(best) + 1)
        ranks = len(best) if surplus.all() else int(np.argmin(surplus))
        expected = float(best[ranks - 1]) if ranks else fall.cut
        mean = float(np.clip((expected - fall.cut) / fall.width, _PLACES[0] + _PRIOR, 0.0))
        places = fall.cut + _PLACES * fall.width
        self._places = np.tile(places, len(_SLOPES))
        self._slopes = np.repeat(np.array(_SLOPES) * fall.width, len(places))
        weights = -0.5 * np.tile((_PLACES - mean) / _PRIOR, len(_SLOPES)) ** 2
        for score, yes in answers:
            sure = (score - self._places) / self._slopes
            weights = weights - np.logaddexp(0.0, -sure if yes else sure)
        weights = np.exp(weights - weights.max())
        self._weights = weights / weights.sum()

    def probabilities(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how likely photos of these ``scores`` (N,) show the label."""
        found: NDArray[np.float64] = self._weights @ self._each(scores)
        return found

    def lowest_rank(self, scores: NDArray[np.floating], precision: float) -> int | None:
        """Return how many of ``scores``, sorted from the best on, can be given; None: none."""
        if not len(scores):
            return None
        shares = np.cumsum(self._each(scores), axis=1) / np.arange(1, len(scores) + 1)
        order = np.argsort(shares, axis=0)
        reached = np.cumsum(self._weights[order], axis=0)
        at = np.argmax(reached >= DOUBT, axis=0)
        ranks = np.arange(len(scores))
        bounds = shares[order[at, ranks], ranks]
        sound = np.flatnonzero(bounds >= precision)
        return int(sound[-1]) if len(sound) else None

    def _each(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        sure = (np.asarray(scores, np.float64)[np.newaxis] - self._places[:, np.newaxis]) / (
            self._slopes[:, np.newaxis]
        )
        return np.asarray(1 / (1 + np.exp(-np.clip(sure, -50, 50))))


def thresholds(
    fall: Fall,
    best: NDArray[np.float32],
    answers: Sequence[tuple[float, bool]],
    precision: float,
) -> Thresholds:
    """Return from where on a label is given and asked about.

    ``best`` are the library's highest scores, from the best on; ``answers`` (score, yes) what the
    user said of photos, with the score that they have without being examples.
    """
    best = _thinned(best)
    if not answers or fall.cut == NEVER:
        return Thresholds(fall.cut, fall.cut - 3 * fall.width)
    belief = Belief(fall, best, answers)
    likely = belief.probabilities(best) >= ASKED_FROM
    ask = float(best[likely][-1]) if likely.any() else fall.cut
    rank = belief.lowest_rank(best, precision)
    if rank is not None:
        # Between two photos, so that none is on the edge.
        below = float(best[rank + 1]) if rank + 1 < len(best) else float(best[rank]) - fall.width
        write = (float(best[rank]) + below) / 2
        return Thresholds(write, min(ask, write))
    return Thresholds(NEVER, ask, _missing(fall, best, answers, precision))


def _missing(
    fall: Fall, best: NDArray[np.float32], answers: Sequence[tuple[float, bool]], precision: float
) -> int:
    """Return after how many further answers, each a yes to the best photo, the label is given."""
    top = float(best[0]) if len(best) else fall.cut
    for more in range(1, MOST_MISSING):
        belief = Belief(fall, best, [*answers, *[(top, True)] * more])
        if belief.lowest_rank(best, precision) is not None:
            return more
    return MOST_MISSING


def _thinned(best: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(best) <= MOST_RANKS:
        return best
    further = np.unique(np.geomspace(MOST_RANKS, len(best) - 1, 500).astype(int))
    return np.asarray(np.concatenate([best[:MOST_RANKS], best[further]]), np.float32)
