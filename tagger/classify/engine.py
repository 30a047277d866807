"""The one seam of classification: an engine turns crops into predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from tagger.records import CropSpec, Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Engine(Protocol):
    """A loaded network.

    ``name`` is the engine's ("torch", "onnx", "onnx-int8"), ``model_id`` the model's name
    and the first eight hexadecimal digits of its weights' SHA-256, with ``-int8`` when it is
    quantized, ``categories`` the names of its C classes, ``spec`` how it wants its crops.
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


def predictions(
    probabilities: NDArray[np.float32], features: NDArray[np.float32], model_id: str
) -> list[Prediction]:
    """Return one prediction for each row of ``probabilities`` (N, C) and ``features`` (N, F)."""
    pairs = zip(probabilities, features, strict=True)
    return [Prediction(one, vector, model_id) for one, vector in pairs]


def check_crops(crops: NDArray[np.uint8], spec: CropSpec) -> None:
    """Raise ValueError unless ``crops`` are what ``spec`` wants."""
    size = spec.size
    if crops.dtype != "uint8" or crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
        raise ValueError(
            f"crops must be uint8 (N, {size}, {size}, 3), not {crops.dtype} {crops.shape}"
        )
