"""Weights files with random numbers whose networks still tell pictures apart."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from tagger.classify.torchvision_compat import import_torchvision

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
HEADS = {
    "resnet18": "fc",
    "mobilenet_v2": "classifier.1",
    "efficientnet_b0": "classifier.1",
    "squeezenet1_1": "classifier.1",
    "densenet121": "classifier",
    "mnasnet0_5": "classifier.1",
    "googlenet": "fc",
    "vit_b_32": "heads.head",
}
"""Each model's layer that makes the logits."""


def random_crops(count: int, size: int = 224, seed: int = 0) -> np.ndarray:
    """Return ``count`` unlike pictures, uint8 (count, size, size, 3): blots of colour."""
    dice = np.random.default_rng(seed)
    blots = torch.from_numpy(dice.uniform(0, 255, (count, 3, 5, 5)).astype(np.float32))
    smooth = nn.functional.interpolate(blots, (size, size), mode="bicubic", align_corners=False)
    noise = torch.from_numpy(dice.normal(0, 12, smooth.shape).astype(np.float32))
    pixels = (smooth + noise).clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())


def photo_crops(folder: Path, limit: int | None = None) -> np.ndarray:
    """Return torchvision's crops of the photos in a ``truth.csv``: uint8 (N, 224, 224, 3)."""
    transforms = import_torchvision().transforms
    cut = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])
    with open(folder / "truth.csv", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)][:limit]
    crops = []
    for name in names:
        with Image.open(folder / name) as image:
            crops.append(np.asarray(cut(image.convert("RGB"))))
    return np.stack(crops)


def normalized(crops: np.ndarray) -> torch.Tensor:
    """Return the network's input for ``crops`` as torchvision's transforms make it."""
    functional = import_torchvision().transforms.functional
    mean, std = MEAN.flatten().tolist(), STD.flatten().tolist()
    return torch.stack(
        [functional.normalize(functional.to_tensor(crop), mean, std) for crop in crops]
    )


def plain_model(name: str, classes: int = 1000, **options: Any) -> nn.Module:
    """Return torchvision's own untrained model."""
    if name == "googlenet":  # as its published weights want it
        options = {"aux_logits": True, "transform_input": True, "init_weights": False} | options
    return import_torchvision().models.get_model(name, weights=None, num_classes=classes, **options)


def random_model(name: str, seed: int = 0) -> nn.Module:
    """Return a model with random weights whose logits spread over several units.

    Fresh networks say nearly the same of every picture, and a test on them proves little:
    so batch norm sees some pictures, and the last layer is scaled.
    """
    torch.manual_seed(seed)
    model = plain_model(name)
    if name.startswith("vit"):
        share_layers(model)
    pixels = normalized(random_crops(6, seed=99))
    head = model.get_submodule(HEADS[name])
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None
        model.train()
        if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
            model(pixels)
        model.eval()
        nn.init.normal_(head.weight, std=0.05)
        seen: list[torch.Tensor] = []
        hook = head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        model(pixels)
        hook.remove()
        features = seen[0].mean((2, 3)) if seen[0].dim() == 4 else seen[0]
        weight = head.weight.flatten(1)
        logits = (features - features.mean(0)) @ weight.T
        head.weight *= 2.0 / logits.std()
        head.bias[:] = -(features.mean(0) @ head.weight.flatten(1).T)
    return model.eval()


def share_layers(model: nn.Module) -> None:
    """Let every layer of a ViT's encoder hold the numbers of the first: a small file."""
    layers = list(model.get_submodule("encoder.layers").children())
    for layer in layers[1:]:
        for own, first in zip(layer.parameters(), layers[0].parameters(), strict=True):
            own.data = first.data


def plain_probabilities(model: nn.Module, crops: np.ndarray) -> np.ndarray:
    """Return what plain torchvision code says of ``crops``: float32 (N, C)."""
    with torch.inference_mode():
        return torch.softmax(model(normalized(crops)), 1).numpy()
