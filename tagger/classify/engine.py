"""The one seam of classification: an engine turns crops into predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tagger.errors import ModelError
from tagger.photo import CropSpec, Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Engine(Protocol):
    """A loaded network.

    ``name`` is the engine's ("torch"), ``model_id`` the model's name and the first eight
    hexadecimal digits of its weights' SHA-256, ``categories`` the names of its C classes,
    ``spec`` how it wants its crops.
    """

    name: str
    model_id: str
    categories: tuple[str, ...]
    spec: CropSpec

    def predict(self, crops: NDArray[np.uint8]) -> list[Prediction]:
        """Return one prediction for each of ``crops``, uint8 RGB of shape (N, S, S, 3).

        Raise ValueError for another shape or type.
        """
        ...


def load_engine(name: str, weights: str, *, engine: str = "torch", threads: int = 0) -> Engine:
    """Load the model ``name`` from the file ``weights``.

    ``threads`` 0 means one per core. Raise ModelError when the file is not this model's
    weights, or the engine is not known.
    """
    if engine == "torch":
        from tagger.classify.torch_engine import TorchEngine

        return TorchEngine(name, weights, threads=threads)
    raise ModelError(f"there is no engine {engine!r}", "correct `model.engine` in the config")
