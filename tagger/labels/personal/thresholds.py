"""From which score on a label is given, and from which on it is asked about.

Before any answer, how the library's scores fall off tells (:mod:`tagger.labels.personal.fall`).
Each answer then tells more (:mod:`tagger.labels.personal.belief`): a label is given down to the
rank where the precision of all above it is what was promised, by a lower bound. That is like
Clopper and Pearson's (Biometrika 1934), but answers help each other: a "yes" at a low score says as
much of all higher ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tagger.labels.personal.belief import Belief, Scores
from tagger.labels.personal.fall import NEVER, Fall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ASKED_FROM = 0.1
"""Photos at least so likely to show a label are asked about."""
MOST_RANKS = 2000
"""So many of the best photos are looked at one by one, further ones in steps."""
MOST_MISSING = 30


@dataclass(frozen=True, slots=True)
class Thresholds:
    """``write``: the label is given from here on (infinity: never). ``ask``: it is asked about.

    ``missing`` is how many further answers, all of them yes, would have it given (0: none is
    needed).
    """

    write: float
    ask: float
    missing: int = 0


def thresholds(
    fall: Fall,
    best: NDArray[np.float32],
    answers: Sequence[tuple[float, bool]],
    precision: float,
    shown: Sequence[float] = (),
) -> Thresholds:
    """Return from where on a label is given and asked about.

    ``best`` are the library's highest scores, from the best on; ``answers`` (score, yes) what the
    user said of photos, ``shown`` the scores of the examples that he chose: those that they have
    without being examples.
    """
    if not answers or fall.cut == NEVER:
        return Thresholds(fall.cut, fall.cut - 3 * fall.width)
    belief = Belief(fall, best, answers, shown)
    ranked = Scores(best, MOST_RANKS)
    likely = belief.probabilities(ranked.values) >= ASKED_FROM
    ask = float(ranked.values[likely][-1]) if likely.any() else fall.cut
    rank = belief.lowest_rank(ranked, precision)
    if rank is not None:
        # Between two photos, so that none is on the edge.
        lowest = float(ranked.values[rank])
        further = rank + 1 < len(ranked.values)
        below = float(ranked.values[rank + 1]) if further else lowest - fall.width
        write = (lowest + below) / 2
        return Thresholds(write, min(ask, write))
    return Thresholds(NEVER, ask, _missing(belief, ranked, fall.cut, precision))


def _missing(belief: Belief, ranked: Scores, cut: float, precision: float) -> int:
    """Return after how many further answers, each a yes to the best photo, the label is given."""
    top = float(ranked.values[0]) if len(ranked.values) else cut
    for more in range(1, MOST_MISSING):
        belief.learn([(top, True)])
        if belief.lowest_rank(ranked, precision) is not None:
            return more
    return MOST_MISSING
