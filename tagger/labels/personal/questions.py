"""Which photo to ask about next: the one whose answer tells the most.

First three just above the threshold: when they are right, all above them are. Then the photo of
which it is a little likelier than not that it shows the label: a yes gives a new example, a no
says where to stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagger.labels.personal.thresholds import Belief, Fall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FIRST = 3
LIKELY = 0.6


def next_question(
    best: NDArray[np.floating], fall: Fall, answers: Sequence[tuple[float, bool]]
) -> int | None:
    """Return which of the photos of scores ``best`` (N,), sorted from the best on, to ask about.

    They are those that nothing was said of. None when there are none.
    """
    if not len(best):
        return None
    if len(answers) < FIRST:
        above = int((best >= fall.cut).sum())
        return max(above - 1, 0)
    likely = Belief(fall, best, answers).probabilities(best)
    return int(np.argmin(np.abs(likely - LIKELY)))
