"""Which photo to ask about next: the one whose answer tells the most.

First three just above the threshold: when they are right, all above them are. Then the photo of
which it is a little likelier than not that it shows the label: a yes gives a new example, a no
says where to stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tagger.labels.personal.belief import FEW_SHOWN, Belief
from tagger.labels.personal.fall import Fall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FIRST = 3
LIKELY = 0.6


def next_question(
    best: NDArray[np.floating],
    fall: Fall,
    answers: Sequence[tuple[float, bool]],
    shown: Sequence[float] = (),
) -> int | None:
    """Return which of the photos of scores ``best`` (N,), sorted from the best on, to ask about.

    They are those that nothing was said of. ``answers`` and ``shown`` as in
    :class:`~tagger.labels.personal.belief.Belief`. None when there are none.
    """
    if not len(best):
        return None
    above = int((best >= fall.cut).sum())
    if len(answers) < FIRST and (above or len(shown) < FEW_SHOWN):
        return max(above - 1, 0)
    likely = Belief(fall, best, answers, shown).probabilities(best)
    return int(np.argmin(np.abs(likely - LIKELY)))
