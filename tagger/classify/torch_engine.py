"""torchvision's networks in eager torch on the CPU: the reference for every other engine."""

from __future__ import annotations

import mmap
import os
import pickle
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tagger.classify.catalog import info_of_file, places365
from tagger.classify.engine import check_crops, predictions
from tagger.classify.torchvision_compat import import_torchvision
from tagger.classify.weights import file_digest
from tagger.errors import ModelError
from tagger.records import Prediction
from tagger.system.process import cores

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet's pixels in 0…1, RGB; what torchvision's transforms subtract and divide by."""
IMAGENET = 1000
"""Classes of ImageNet."""
HALVES = frozenset({"efficientnet_v2_l"})
"""Models that torchvision publishes with a mean and deviation of 0.5 instead."""
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")
"""Layers of the published DenseNets under the names they had before PyTorch 0.4."""


def may_run_new_code() -> bool:
    """Whether memory may be writable and executable; systemd's MemoryDenyWriteExecute= says no."""
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except PermissionError:
        return False
    return True


if not may_run_new_code():
    # oneDNN makes its code as it goes; torch has its own.
    torch.backends.mkldnn.set_flags(_enabled=False)  # type: ignore[no-untyped-call]


class TorchEngine:
    """A torchvision classifier with the weights of a file; see :class:`~.engine.Engine`.

    ``name`` is one of :mod:`~tagger.classify.catalog`. Raise ModelError when the file cannot
    be read, holds no state dict, or that of another model.
    """

    name = "torch"

    def __init__(self, name: str, weights: str, *, threads: int = 0) -> None:
        info = info_of_file(name, os.path.basename(weights))
        architecture = info.architecture or name
        state = load_state_dict(weights)
        if name.startswith("densenet"):
            state = _with_keys(state, lambda key: OLD_DENSENET.sub(r"\1", key))
        aux = any(key.lower().startswith("aux") for key in state)
        model = build(architecture, IMAGENET, size=info.spec.size, aux=aux)
        classes = _class_count(model, state)
        if classes != IMAGENET:
            model = build(architecture, classes, size=info.spec.size, aux=aux)
        _load_strictly(model, state, name, weights)
        self.spec = info.spec
        self.model_id = f"{name}-{file_digest(weights)[:8]}"
        self.categories = _categories(classes, scenes=info.kind == "scenes")
        halves = name in HALVES
        self.network = Network(model, *(((0.5,) * 3,) * 2 if halves else (MEAN, STD))).eval()
        torch.set_num_threads(threads or cores())
        self._one = threading.Lock()  # the network keeps the features while it runs

    def predict(self, crops: NDArray[np.uint8]) -> list[Prediction]:
        """Return one prediction for each of ``crops``; see :class:`~.engine.Engine`."""
        check_crops(crops, self.spec)
        if not len(crops):
            return []
        with self._one, torch.inference_mode():
            logits, features = self.network(torch.from_numpy(np.ascontiguousarray(crops)))
            probabilities = torch.softmax(logits.double(), 1).float().numpy()
        return predictions(probabilities, features.numpy(), self.model_id)


class Network(nn.Module):
    """A classifier that takes crops as they are, uint8 (N, S, S, 3).

    It returns logits (N, C) and features (N, F), the input of the last layer.
    """

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.model = model
        self.scale: torch.Tensor
        self.shift: torch.Tensor
        # (x / 255 - mean) / std is x * scale + shift.
        means, stds = torch.tensor(mean, dtype=torch.float64), torch.tensor(std).double()
        self.register_buffer("scale", (1 / (255 * stds)).float(), persistent=False)
        self.register_buffer("shift", (-means / stds).float(), persistent=False)
        self._features: list[torch.Tensor] = []
        last_layer(model).register_forward_pre_hook(self._keep_features)

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self._features.clear()
        height, width = crops.shape[1:3]
        # By whole rows: over an innermost axis of three, ONNX Runtime takes a sixth of the
        # network's time for this.
        rows = crops.float().reshape(-1, height, width * 3)
        rows = rows * self.scale.repeat(width) + self.shift.repeat(width)
        pixels = rows.reshape(-1, height, width, 3).permute(0, 3, 1, 2).contiguous()
        logits = self.model(pixels)
        return logits, self._features.pop().flatten(1)

    def _keep_features(self, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        value = inputs[0]
        # SqueezeNet ends in a convolution over the last feature map.
        self._features.append(value.mean((2, 3)) if value.dim() == 4 else value)


def build(name: str, classes: int, *, size: int = 224, aux: bool = True) -> nn.Module:
    """Return an untrained torchvision model for pictures of ``size`` x ``size`` pixels.

    ``aux``: with the auxiliary heads, if it has such. The published weights hold them,
    though only training uses them. Raise ModelError when there is no model so named.
    """
    torchvision = import_torchvision()
    options: dict[str, Any] = {"weights": None, "num_classes": classes}
    if name in ("googlenet", "inception_v3"):
        options |= {"aux_logits": aux, "transform_input": True, "init_weights": False}
    if name.startswith("vit_"):
        options["image_size"] = size  # its position embedding is made for one size
    try:
        model = torchvision.models.get_model(name, **options)
    except ValueError as error:
        raise ModelError(
            f"this torchvision has no model {name}", "correct `model.name` in the config"
        ) from error
    assert isinstance(model, nn.Module)
    return model


def load_state_dict(path: str) -> dict[str, torch.Tensor]:
    """Return the tensors of a weights file; no code in it is run. Raise ModelError without any."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(
            f"cannot read the weights file {path}: {error.strerror or error}", "check its rights"
        ) from error
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"{path} is refused: it holds more than tensors, or is damaged; nothing in it was run",
            "save the weights alone with torch.save(model.state_dict(), path), or fetch them "
            "again with `tagger model download`",
        ) from error
    except Exception as error:  # a damaged file can raise anything
        lines = str(error).splitlines() or [""]
        reason = f"{type(error).__name__} {lines[0].partition('. ')[0]}".rstrip()
        raise ModelError(
            f"{path} is not a weights file, or is damaged: {reason}",
            "fetch it again with `tagger model download`, or correct `model.weights`",
        ) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]  # a training checkpoint
    if (
        not isinstance(loaded, Mapping)
        or not loaded
        or not all(isinstance(value, torch.Tensor) for value in loaded.values())
    ):
        raise ModelError(f"{path} holds no state dict", "save one with torch.save(m.state_dict())")
    return _with_keys(loaded, lambda key: key.removeprefix("module."))  # of DataParallel


def _with_keys(
    state: Mapping[str, torch.Tensor], rename: Callable[[str], str]
) -> OrderedDict[str, torch.Tensor]:
    """Return ``state`` with other keys. Its versions by layer stay; MNASNet needs them."""
    renamed = OrderedDict((rename(str(key)), value) for key, value in state.items())
    versions = getattr(state, "_metadata", None)
    if isinstance(versions, Mapping):
        vars(renamed)["_metadata"] = OrderedDict(
            (rename(f"{layer}.")[:-1], version) for layer, version in versions.items()
        )
    return renamed


def _class_count(model: nn.Module, state: Mapping[str, torch.Tensor]) -> int:
    """Return the outputs that the weights are for: the rows of the last layer of ``model``."""
    head = last_layer(model)
    key = next(key for key, module in model.named_modules() if module is head)
    weight = state.get(f"{key}.weight")
    return IMAGENET if weight is None or not weight.dim() else weight.shape[0]


def _load_strictly(
    model: nn.Module, state: Mapping[str, torch.Tensor], name: str, path: str
) -> None:
    try:
        model.load_state_dict(state, strict=True)
    except (RuntimeError, ValueError) as error:
        own = model.state_dict().keys()
        missing, extra = sorted(own - state.keys()), sorted(state.keys() - own)
        parts = [
            f"{word} {', '.join(keys[:3])}{' ...' if len(keys) > 3 else ''}"
            for word, keys in (("lacks", missing), ("has also", extra))
            if keys
        ] or ["has tensors of other shapes"]
        raise ModelError(
            f"{path} is not the weights of {name}: it {' and '.join(parts)}",
            "correct `model.name` or `model.weights` in the config",
        ) from error


def _categories(classes: int, *, scenes: bool = False) -> tuple[str, ...]:
    if scenes and classes == len(places := places365()):
        return places
    if classes != IMAGENET:
        return tuple(f"class {index}" for index in range(classes))
    weights = import_torchvision().models.ResNet18_Weights.IMAGENET1K_V1
    return tuple(weights.meta["categories"])


def last_layer(model: nn.Module) -> nn.Module:
    """Return the layer that makes the logits: the last linear layer or 1x1 convolution."""
    main = [m for n, m in model.named_modules() if not n.lower().startswith("aux")]
    linear: list[nn.Module] = [module for module in main if isinstance(module, nn.Linear)]
    return linear[-1] if linear else [m for m in main if isinstance(m, nn.Conv2d)][-1]
