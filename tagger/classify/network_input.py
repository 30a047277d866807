"""What a network takes: how pictures become its input tensor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """The one input of a graph.

    ``name`` is the tensor's, ``side`` that of a picture in pixels. The tensor is (N, S, S, 3) if
    ``rows_first``, else (N, 3, S, S); uint8 if ``whole``, else float32; its channels are blue,
    green, red if ``bgr``. ``mean`` and ``deviation`` are of pixels in 0…1, None for a network that
    takes 0…255.
    """

    name: str
    side: int
    rows_first: bool = False
    whole: bool = False
    bgr: bool = False
    mean: tuple[float, ...] | None = None
    deviation: tuple[float, ...] | None = None

    def tensor(self, pictures: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the input for ``pictures``, uint8 RGB (N, S, S, 3)."""
        import numpy as np

        if self.bgr:
            pictures = pictures[..., ::-1]
        made: NDArray[Any] = pictures if self.whole else pictures.astype(np.float32)
        if self.mean is not None and self.deviation is not None:
            mean, deviation = (np.array(n, np.float32) for n in (self.mean, self.deviation))
            made = (made / np.float32(255) - mean) / deviation
        if not self.rows_first:
            made = made.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(made)
