"""How the scores of a library end, most of whose photos do not show the label.

Their highest scores fall off exponentially. Before any answer a label is given from half the sum of
two scores on: the one that one in ten libraries like this would reach by accident, and the median
+ 9 standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAIL = (0.90, 0.99)
"""The part of the library's scores that the fall is fitted to: above it the label itself may be."""
SIGMAS = 9.0
ACCIDENTS = 0.1
"""Expected photos above the exponential's threshold that do not show the label, at 0.95."""
NEVER = float("inf")
MOST_USUAL = 200
"""Scores that stand for those of the whole library."""


@dataclass(frozen=True, slots=True, eq=False)
class Fall:
    """How the scores of a library without the label end.

    ``cut`` is the threshold before any answer, ``width`` the score over which there are 2.7 times
    fewer photos. ``tail`` is the score that one photo without the label is expected to reach.
    ``usual`` (U,) are scores, sorted, each of which stands for as many of the ``count`` photos.
    """

    cut: float
    width: float
    tail: float
    count: int = 0
    usual: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


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
    usual = np.sort(scores).astype(np.float64)
    if len(usual) > MOST_USUAL:
        usual = np.quantile(usual, (np.arange(MOST_USUAL) + 0.5) / MOST_USUAL)
    return Fall((tail + median + SIGMAS * deviation) / 2, width, one, count, usual)
