"""Weights of a demonstration network, trained on drawn scenes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tagger.classify.torch_engine import IMAGENET, MEAN, STD, build, last_layer
from tagger.system.files import move_into_place


def make_demo_weights(path: str, crops: NDArray[np.uint8], classes: Sequence[int | None]) -> None:
    """Save a ResNet-18 that knows only the pictures it is shown.

    The network is torchvision's with random weights, always the same; only its last
    layer is fitted: by ridge regression of the features of ``crops``, uint8
    (N, 224, 224, 3), onto their ``classes`` (N,), where None is a picture of nothing. What
    resembles none of them gets next to no probability for any.
    """
    torch.manual_seed(0)
    model = build("resnet18", IMAGENET)
    head = last_layer(model)
    assert isinstance(head, nn.Linear)
    pixels = torch.from_numpy(np.ascontiguousarray(crops.transpose(0, 3, 1, 2))).float() / 255
    pixels = (pixels - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
    features: list[torch.Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, inputs: features.append(inputs[0]))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the plain mean over all batches
        model.train()  # batch norm learns the statistics of these pictures
        order = torch.randperm(len(pixels))
        for start in range(0, len(pixels) - 7, 16):
            model(pixels[order[start : start + 16]])
        model.eval()
        features.clear()
        for start in range(0, len(pixels), 16):
            model(pixels[start : start + 16])
        hook.remove()
        known = sorted({one for one in classes if one is not None})
        rows = [None if one is None else known.index(one) for one in classes]
        weight, bias = _fit(torch.cat(features), rows, len(known))
        head.weight.zero_()
        head.bias.fill_(-4.0)
        for row, index in enumerate(known):
            head.weight[index] = weight[row]
            head.bias[index] = bias[row]
    part_path = f"{path}.part"
    torch.save(model.state_dict(), part_path)
    move_into_place(part_path, path)


def _fit(
    features: torch.Tensor, rows: Sequence[int | None], count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight (K, F) and bias (K,) whose logits are about 14 on the given row, else -14."""
    x = features.double()
    mean, std = x.mean(0), x.std(0) + 1e-6
    z = (x - mean) / std
    target = torch.full((len(rows), count), -14.0, dtype=torch.float64)
    for number, row in enumerate(rows):
        if row is not None:
            target[number, row] = 14.0
    centre = target.mean(0)
    ridge = 0.03 * len(rows) * torch.eye(z.shape[1], dtype=torch.float64)
    solved = torch.linalg.solve(z.T @ z + ridge, z.T @ (target - centre)).T
    weight = solved / std
    return weight.float(), (centre - weight @ mean).float()
