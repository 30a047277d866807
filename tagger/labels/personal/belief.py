"""How likely a photo of a score shows the label, by the user's examples and answers.

It is taken as logistic in the score, with a place and a slope that are found by Bayes' rule, on a
grid. Two things are known:

- Each answer: a photo of this score shows the label, or not.
- Each example that the user chose himself, with the score that it has when it is left out: it is a
  random photo of those that show the label. How often such a score is found among them is the
  logistic times how often it is found in the library (Lancaster and Imbens, Journal of Econometrics
  1996: case-control sampling with contamination). That tells how far down a word goes that half of
  the library shows.

A share ``ODD`` of the examples is taken to say nothing, so that no single one decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagger.labels.personal.fall import Fall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DOUBT = 0.2
"""Of what is possible, the share in which the precision may be lower than the bound."""
ODD = 0.1
FEW_SHOWN = 5
"""With fewer examples their scores tell nothing: each left out has too few others."""
MOST_SHOWN = 60
"""Examples that are looked at, evenly spread."""
_PLACES = 97
_SLOPES = (0.5, 1.0, 2.0, 4.0)  # how many falls wide the logistic is
_PRIOR = 3.0  # deviation of its place, in falls


class Scores:
    """Scores from the best on, each of which stands for a number of photos."""

    def __init__(self, best: NDArray[np.floating], most: int) -> None:
        self.values = np.asarray(best, np.float64)
        self.counts = np.ones(len(best))
        if len(best) > most:
            steps = np.unique(np.geomspace(most, len(best) - 1, 500).astype(int))
            kept = np.concatenate([np.arange(most), steps[steps >= most]])
            self.counts = np.diff(np.concatenate([[-1], kept])).astype(np.float64)
            self.values = self.values[kept]


class Belief:
    """Where the logistic may be: its place and slope, by weight.

    ``best`` (N,) are the highest scores of the library, from the best on; ``answers`` (score, yes)
    what the user said of photos, ``shown`` the scores of the examples that he chose, all of them
    left out.
    """

    def __init__(
        self,
        fall: Fall,
        best: NDArray[np.floating],
        answers: Sequence[tuple[float, bool]],
        shown: Sequence[float] = (),
    ) -> None:
        top = max(fall.cut, float(best[0]) if len(best) else fall.cut)
        low = float(fall.usual[0]) if len(fall.usual) else top - 12 * fall.width
        places = np.linspace(low, top + 2 * fall.width, _PLACES)
        # Only examples can tell that the scores of those that show it are far apart.
        slopes = np.array(_SLOPES if len(shown) >= FEW_SHOWN else _SLOPES[:-1]) * fall.width
        self._places = np.tile(places, len(slopes))
        self._slopes = np.repeat(slopes, len(places))
        self._logs = self._prior(fall, best, len(shown)) + self._of_examples(fall, best, shown)
        self.learn(answers)

    def learn(self, answers: Sequence[tuple[float, bool]]) -> None:
        """Learn of further answers."""
        for score, yes in answers:
            sure = (score - self._places) / self._slopes
            self._logs = self._logs - np.logaddexp(0.0, -sure if yes else sure)
        weights = np.exp(self._logs - self._logs.max())
        self._weights = np.asarray(weights / weights.sum())

    def _prior(self, fall: Fall, best: NDArray[np.floating], shown: int) -> NDArray[np.float64]:
        """Return the logarithm of what is believed before anything is known.

        As long as there are twice as many photos as the fall explains, half of them are expected to
        show the label.
        """
        explained = np.exp(np.clip((fall.tail - best) / fall.width, -50, 50))
        surplus = explained <= 0.5 * np.arange(1, len(best) + 1)
        ranks = len(best) if surplus.all() else int(np.argmin(surplus))
        expected = float(best[ranks - 1]) if ranks else fall.cut
        mean = fall.cut + float(np.clip((expected - fall.cut) / fall.width, -9, 0)) * fall.width
        far = (self._places - mean) / (_PRIOR * fall.width)
        return np.asarray(-0.5 * far**2 * (0.0 if shown >= FEW_SHOWN else 1.0))

    def _of_examples(
        self, fall: Fall, best: NDArray[np.floating], shown: Sequence[float]
    ) -> NDArray[np.float64]:
        """Return the logarithm of how likely the examples are."""
        if len(shown) < FEW_SHOWN or not len(fall.usual):
            return np.zeros(len(self._places))
        scores = np.sort(np.asarray(shown))
        if len(scores) > MOST_SHOWN:
            scores = scores[np.linspace(0, len(scores) - 1, MOST_SHOWN).astype(int)]
        ranked = Scores(best, 500)
        each = self._each(ranked.values) @ ranked.counts
        rest = max(fall.count - len(best), 0)
        below = fall.usual[fall.usual < best[-1]] if len(best) else fall.usual
        if rest and len(below):
            each = each + rest * self._each(below).mean(axis=1)
        often = each / max(len(best) + rest, 1)  # which share of the library shows it
        times = self._each(scores) / np.maximum(often, 1e-12)[:, np.newaxis]
        return np.asarray(np.log((1 - ODD) * times + ODD).sum(axis=1))

    def probabilities(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how likely photos of these ``scores`` (N,) show the label."""
        found: NDArray[np.float64] = self._weights @ self._each(scores)
        return found

    def lowest_rank(self, scores: Scores, precision: float) -> int | None:
        """Return down to which of ``scores`` the label can be given; None: to none.

        Down to the rank where the precision of all above it is ``precision``, in all but a share
        ``DOUBT`` of what is possible.
        """
        if not len(scores.values):
            return None
        right = np.cumsum(self._each(scores.values) * scores.counts, axis=1)
        shares = right / np.cumsum(scores.counts)
        order = np.argsort(shares, axis=0)
        reached = np.cumsum(self._weights[order], axis=0)
        at = np.argmax(reached >= DOUBT, axis=0)
        ranks = np.arange(len(scores.values))
        sound = np.flatnonzero(shares[order[at, ranks], ranks] >= precision)
        return int(sound[-1]) if len(sound) else None

    def _each(self, scores: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return how likely ``scores`` (N,) are by each place and slope (P, N)."""
        sure = (np.asarray(scores, np.float64)[np.newaxis] - self._places[:, np.newaxis]) / (
            self._slopes[:, np.newaxis]
        )
        return np.asarray(1 / (1 + np.exp(-np.clip(sure, -50, 50))))
