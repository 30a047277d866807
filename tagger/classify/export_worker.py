"""torchvision's networks as ONNX files. Run as a process of its own, by ``onnx_store``.

The TorchScript exporter is used: it needs no package besides torch and onnx, takes half a
second for a ResNet-18, and was seen to convert every kind of network in torchvision.

Little memory is to be taken: torch's network is gone before ONNX Runtime loads the converted one.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from tagger.classify.child_process import answer
from tagger.classify.onnx_store import OnnxModel, store_converted
from tagger.classify.torch_engine import TorchEngine
from tagger.classify.weights import file_digest
from tagger.records import Prediction
from tagger.system.process import trim_memory

if TYPE_CHECKING:
    from tagger.classify.engine import Engine

OPSET = 17
TOLERANCE = 1e-4
"""The largest difference of a probability from torch's that is let pass."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Convert and store the weights that ``request`` names. Raise ModelError if they are others."""
    name, weights, path = request["name"], request["weights"], request["path"]
    loaded = [TorchEngine(name, weights)]
    trim_memory()

    def write(part: str) -> dict[str, Any]:
        reference = loaded.pop()
        export(reference, part)
        digest, spec = file_digest(weights), reference.spec
        converted = OnnxModel(part, name, digest, weights, spec, reference.categories)
        expected = [reference.predict(batch) for batch in _batches(spec.size)]
        del reference
        gc.collect()
        trim_memory()
        import onnxruntime

        from tagger.classify.onnx_engine import OnnxEngine

        difference = largest_difference(expected, OnnxEngine(converted))
        if not difference <= TOLERANCE:  # true for NaN as well
            raise RuntimeError(f"the probabilities differ from torch's by {difference:.2g}")
        return {
            **converted.known,
            "source": weights,
            "difference": difference,
            "torch": torch.__version__,
            "onnxruntime": onnxruntime.__version__,
        }

    store_converted(path, write)
    return {}


def export(engine: TorchEngine, path: str) -> None:
    """Write the network of ``engine`` to ``path``; see :class:`OnnxModel` for the graph."""
    size = engine.spec.size
    torch.backends.mha.set_fastpath_enabled(False)  # has no counterpart in ONNX
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this exporter is the old one, and of tracing
        torch.onnx.export(
            engine.network,
            (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
            path,
            dynamo=False,
            opset_version=OPSET,
            input_names=["crops"],
            output_names=["logits", "features"],
            dynamic_axes={name: {0: "n"} for name in ("crops", "logits", "features")},
        )


def _batches(size: int) -> tuple[NDArray[np.uint8], ...]:
    """Return a few pictures to compare by, together and one of them alone."""
    dice = np.random.default_rng(0)
    coarse = dice.integers(0, 256, (3, size // 16 + 1, size // 16 + 1, 3), dtype=np.uint8)
    crops = np.concatenate(
        [
            dice.integers(0, 256, (2, size, size, 3), dtype=np.uint8),
            coarse.repeat(16, 1).repeat(16, 2)[:, :size, :size],
        ]
    )
    return crops, crops[:1]


def largest_difference(expected: Sequence[Sequence[Prediction]], engine: Engine) -> float:
    """Return how far probabilities, and features by the largest, are from torch's at the most."""
    worst = 0.0
    for batch, reference in zip(_batches(engine.spec.size), expected, strict=True):
        for ours, theirs in zip(reference, engine.predict(batch), strict=True):
            probability = np.abs(ours.probabilities - theirs.probabilities).max()
            scale = max(float(np.abs(ours.features).max()), 1e-12)
            feature = np.abs(ours.features - theirs.features).max() / scale
            worst = max(worst, float(probability), float(feature))
            if not np.isfinite(probability + feature):
                return float("nan")
    return worst


if __name__ == "__main__":
    answer(main)
