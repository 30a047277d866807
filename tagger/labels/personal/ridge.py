"""Ridge regression on few rows of many numbers, and what it says of a row that it was not shown.

With the kernel matrix K of the rows and the targets Y the weights of the rows are (K + λI)⁻¹Y. A
block of rows left out has residuals G⁻¹a, of its own block G of that inverse and its weights a
(Cook and Weisberg 1982), so that no second fit is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

PENALTY = 0.1
"""λ, for rows of length 1; from 0.03 to 1 nothing much changes."""


class Ridge:
    """A fit of ``rows`` (N, F) to ``targets`` (N, L).

    ``weights`` (F, L) float32; ``left_out`` (N, L) is what each row is given by the rows of all
    other blocks. ``blocks`` (N,) are names, "" for a row that is a block of its own.
    """

    def __init__(
        self, rows: NDArray[np.float32], targets: NDArray[np.float64], blocks: Sequence[str]
    ) -> None:
        self._rows = rows
        kernel = (rows @ rows.T).astype(np.float64)
        kernel[np.diag_indices_from(kernel)] += PENALTY
        self._inverse = np.linalg.inv(kernel)
        self._groups: dict[str, list[int]] = {}
        for number, name in enumerate(blocks):
            if name:
                self._groups.setdefault(name, []).append(number)
        self.aim(targets)

    def aim(self, targets: NDArray[np.float64]) -> None:
        """Fit other targets, which is quick."""
        duals = self._inverse @ targets
        left_out = targets - duals / np.diag(self._inverse)[:, np.newaxis]
        for members in self._groups.values():
            if len(members) > 1:
                block = self._inverse[np.ix_(members, members)]
                left_out[members] = targets[members] - np.linalg.solve(block, duals[members])
        self.weights: NDArray[np.float32] = (self._rows.T @ duals).astype(np.float32)
        self.left_out: NDArray[np.float64] = left_out
