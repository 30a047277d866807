"""The one seam of detection: a detector turns pictures into boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tagger.records import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Detector(Protocol):
    """A loaded network that finds things.

    ``name`` is the engine's ("onnx"), ``model_id`` the network's name and the first eight
    hexadecimal digits of its file's SHA-256, ``side`` how long the longer side of a picture has
    to be, in pixels.
    """

    name: str
    model_id: str
    side: int

    def detect(self, pictures: Sequence[NDArray[np.uint8]]) -> list[tuple[Box, ...]]:
        """Return the boxes in each of ``pictures``, the surest first.

        Each is uint8 RGB of shape (H, W, 3), as it is displayed, its longer side ``side``
        pixels. Raise ValueError for another shape or type.
        """
        ...
