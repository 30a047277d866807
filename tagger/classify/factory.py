"""Makes the engine that the configuration names."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from tagger.classify.child_process import never
from tagger.classify.torch_installed import torch_installed
from tagger.errors import ModelError

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.classify.onnx_store import OnnxModel

log = logging.getLogger(__name__)


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
    from tagger.classify.onnx_store import ExportError, convert

    try:
        model = convert(name, weights, state_dir, stop=stop)
    except ExportError as error:
        if engine == "onnx" or precision == "int8" or not torch_installed():
            raise
        log.warning("%s; classifying with torch, which is slower and needs more memory", error)
        return _torch(name, weights, threads)
    return load_converted(model, precision=precision, threads=threads, stop=stop)


def load_converted(
    model: OnnxModel,
    *,
    precision: str = "auto",
    threads: int = 0,
    stop: Callable[[], bool] = never,
) -> Engine:
    """Load a converted model. What ONNX Runtime cannot read is converted again, once.

    ``precision``: see :func:`~tagger.classify.int8_agreement.int8_to_use`, which raises.
    """
    from tagger.classify.int8_agreement import int8_to_use
    from tagger.classify.int8_files import full_network
    from tagger.classify.onnx_engine import OnnxEngine
    from tagger.classify.onnx_store import convert_again

    int8 = int8_to_use(full_network(model), precision, stop=stop)
    if int8 is not None:
        try:
            return OnnxEngine(model, int8=int8, threads=threads)
        except ModelError as error:
            if precision == "int8":
                raise
            log.warning("%s; going on with fp32", error)
    try:
        return OnnxEngine(model, threads=threads)
    except ModelError as error:
        log.warning("%s; converting it again", error)
        return OnnxEngine(convert_again(model, stop=stop), threads=threads)


def _torch(name: str, weights: str, threads: int) -> Engine:
    if not torch_installed():
        raise ModelError(
            f"the engine torch is to run {weights}, and torch is not installed",
            "set `model.engine: auto` and `state_dir` in the config, or install `tagger[torch]`",
        )
    try:
        from tagger.classify.torch_engine import TorchEngine
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        raise ModelError(
            f"torch cannot be imported: {error}",
            "reinstall it, as `pip install -c requirements.lock torch torchvision`",
        ) from error
    return TorchEngine(name, weights, threads=threads)
