"""The ways to run one network that are compared, all from uint8 crops to probabilities."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

PROJECT = Path(__file__).resolve().parents[1]
if str(PROJECT) not in sys.path:  # run as a script, not installed
    sys.path.insert(0, str(PROJECT))

from tagger.classify.onnx_engine import OnnxEngine, softmax  # noqa: E402
from tagger.classify.onnx_store import OnnxModel  # noqa: E402
from tagger.classify.torch_engine import MEAN, STD  # noqa: E402
from tagger.classify.torchvision_compat import import_torchvision  # noqa: E402

Run = Callable[[np.ndarray], np.ndarray]


class Variant:
    """One way. ``make`` returns a function of crops for a number of threads."""

    def __init__(self, name: str, make: Callable[[int], Run]) -> None:
        self.name = name
        self.run: Run
        self._make = make

    def prepare(self, threads: int) -> bool:
        """Make it ready to run with so many threads."""
        torch.set_num_threads(threads)
        self.run = self._make(threads)
        return True

    def set_threads(self, threads: int) -> None:
        """Set what is global."""
        torch.set_num_threads(threads)


def article_model(name: str, weights: Path) -> torch.nn.Module:
    """Return torchvision's model with its weights, as any tutorial loads it."""
    model = import_torchvision().models.get_model(name, weights=None)
    model.load_state_dict(torch.load(weights, weights_only=True))
    return model.eval()


def variants(model: torch.nn.Module, converted: OnnxModel, int8: str) -> Iterator[Variant]:
    """Yield the ways to run ``model``; eager torch is the first."""
    yield Variant("eager torch, one by one", lambda threads: _article(model))
    yield Variant("quantize_dynamic on Linear", lambda threads: _article(_dynamic(model)))
    yield Variant("torch, frozen channels_last", lambda threads: _best(model))
    yield Variant("ONNX Runtime fp32", lambda threads: _onnx(converted, None, threads))
    yield Variant("ONNX Runtime int8", lambda threads: _onnx(converted, int8, threads))
    try:
        import openvino  # noqa: F401
    except ImportError:
        return
    yield Variant("OpenVINO int8", lambda threads: _openvino(int8, threads))


def _article(model: torch.nn.Module) -> Run:
    functional = import_torchvision().transforms.functional

    def run(crops: np.ndarray) -> np.ndarray:
        found = []
        for crop in crops:
            pixels = functional.normalize(functional.to_tensor(crop), MEAN, STD)
            with torch.no_grad():
                found.append(torch.softmax(model(pixels.unsqueeze(0)), 1)[0].numpy())
        return np.stack(found)

    return run


def _dynamic(model: torch.nn.Module) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        return torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)


def _best(model: torch.nn.Module) -> Run:
    """Batched, batch norm folded, weights laid out for oneDNN."""
    mean = torch.tensor(MEAN).view(1, 3, 1, 1) * 255
    std = torch.tensor(STD).view(1, 3, 1, 1) * 255
    example = torch.zeros(1, 3, 224, 224).to(memory_format=torch.channels_last)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        laid_out = model.to(memory_format=torch.channels_last)
        frozen = torch.jit.optimize_for_inference(
            torch.jit.freeze(torch.jit.trace(laid_out, example))
        )
        model.to(memory_format=torch.contiguous_format)

    def run(crops: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            pixels = torch.from_numpy(crops).permute(0, 3, 1, 2)  # is channels_last already
            found = torch.softmax(frozen((pixels.float() - mean) / std), 1)
        return found.numpy()

    return run


def _onnx(converted: OnnxModel, int8: str | None, threads: int) -> Run:
    engine = OnnxEngine(converted, int8=int8, threads=threads)
    return lambda crops: np.stack([one.probabilities for one in engine.predict(crops)])


def _openvino(int8: str, threads: int) -> Run:
    import openvino

    compiled = openvino.Core().compile_model(
        int8, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    )
    return lambda crops: softmax(compiled({"crops": crops})["logits"])
