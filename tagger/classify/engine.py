"""The one seam of classification: an engine turns crops into predictions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from tagger.classify.child import never
from tagger.errors import ModelError
from tagger.records import CropSpec, Prediction

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tagger.classify.converted import Converted

log = logging.getLogger(__name__)


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


def check_crops(crops: NDArray[np.uint8], spec: CropSpec) -> None:
    """Raise ValueError unless ``crops`` are what ``spec`` wants."""
    size = spec.size
    if crops.dtype != "uint8" or crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
        raise ValueError(
            f"crops must be uint8 (N, {size}, {size}, 3), not {crops.dtype} {crops.shape}"
        )


def load_engine(
    name: str,
    weights: str,
    *,
    engine: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    state_dir: str | None = None,
    stop: Callable[[], bool] = never,
) -> Engine:
    """Load the model ``name`` from the file ``weights``.

    ``engine``: "torch" is the reference. "onnx" converts the weights, once, to a file under
    ``state_dir`` and runs that without torch. "auto" is onnx, or torch when that cannot be
    had, or there is no ``state_dir``. ``precision``: see :func:`load_converted`. ``threads``
    0 means one per core; ``stop`` ends a conversion when it is true.

    Raise ModelError when the file is not this model's weights, or what is asked for cannot
    be had; StoppedError.
    """
    if engine not in ("auto", "onnx", "torch"):
        raise ModelError(f"there is no engine {engine!r}", "correct `model.engine` in the config")
    if engine == "torch" and precision == "int8":
        raise ModelError(
            "the engine torch does not run int8", "set `model.engine: auto` or `precision: fp32`"
        )
    if engine == "torch" or (engine == "auto" and state_dir is None):
        return _torch(name, weights, threads)
    if state_dir is None:
        raise ModelError("the engine onnx needs a state directory", "correct `state_dir`")
    from tagger.classify.converted import ExportError, convert

    try:
        model = convert(name, weights, state_dir, stop=stop)
    except ExportError as error:
        if engine == "onnx" or precision == "int8":
            raise
        log.warning("%s; classifying with torch, which is slower and needs more memory", error)
        return _torch(name, weights, threads)
    return load_converted(model, precision=precision, threads=threads, stop=stop)


def load_converted(
    model: Converted,
    *,
    precision: str = "auto",
    threads: int = 0,
    stop: Callable[[], bool] = never,
) -> Engine:
    """Load a converted model. What ONNX Runtime cannot read is converted again, once.

    ``precision``: "int8" is the quantized network, "fp32" the plain one, "auto" int8 if
    that was accepted on this kind of CPU. Raise ModelError when int8 is demanded and there
    is none.
    """
    from tagger.classify.converted import convert_again
    from tagger.classify.onnx_engine import OnnxEngine
    from tagger.classify.optimize import accepted_int8

    if precision != "fp32":
        int8 = accepted_int8(model)
        if int8 is not None:
            try:
                return OnnxEngine(model, int8=int8, threads=threads)
            except ModelError as error:
                if precision == "int8":
                    raise
                log.warning("%s; going on with fp32", error)
        elif precision == "int8":
            raise ModelError(
                f"there is no accepted int8 version of {model.model_id}",
                "run `tagger model optimize`, or set `model.precision: auto` in the config",
            )
    try:
        return OnnxEngine(model, threads=threads)
    except ModelError as error:
        log.warning("%s; converting it again", error)
        return OnnxEngine(convert_again(model, stop=stop), threads=threads)


def _torch(name: str, weights: str, threads: int) -> Engine:
    try:
        from tagger.classify.torch_engine import TorchEngine
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ModelError(
            f"torch cannot be imported: {error}",
            "reinstall it, as `pip install -c requirements.lock torch torchvision`",
        ) from error
    return TorchEngine(name, weights, threads=threads)
