"""Small ONNX networks in the form of YOLOX, which say what a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE = 64
"""Pixels a side of their pictures: grids of 8, 4 and 2 cells a side."""
CELLS = 84
CLASSES = 80


def cell(column: int, row: int, stride: int = 8) -> int:
    """Return the number of a cell among all of the three grids."""
    before = sum((SIDE // other) ** 2 for other in (8, 16, 32) if other < stride)
    return before + row * (SIDE // stride) + column


def raw_box(
    centre: tuple[float, float], size: tuple[float, float], stride: int = 8
) -> tuple[int, list[float]]:
    """Return the cell, and its four numbers, for a box given in pixels."""
    column, row = (int(place // stride) for place in centre)
    offsets = [centre[0] / stride - column, centre[1] / stride - row]
    return cell(column, row, stride), [*offsets, *np.log(np.array(size) / stride).tolist()]


def output_of(
    boxes: Sequence[tuple[tuple[float, float], tuple[float, float], int, float, float]],
    stride: int = 8,
) -> np.ndarray:
    """Return an output (84, 85) with boxes: centre, size, class, objectness, probability."""
    found = np.zeros((CELLS, 5 + CLASSES), np.float32)
    for centre, size, index, something, probability in boxes:
        number, numbers = raw_box(centre, size, stride)
        found[number, :4] = numbers
        found[number, 4] = something
        found[number, 5 + index] = probability
    return found


def save_network(path: Path, output: np.ndarray, *, side: int = SIDE, batch: int = 1) -> Path:
    """Write a network that always says ``output`` (N, 85), but for its input's blue corner.

    The objectness of every box is multiplied by the blue of the left upper pixel / 255: so
    a test sees what the network was given, and in which order its channels are.
    """
    nodes = [
        helper.make_node("Slice", ["images", "zero", "one", "axes"], ["corner"]),
        helper.make_node("Reshape", ["corner", "scalar"], ["blue"]),
        helper.make_node("Div", ["blue", "white"], ["share"]),
        helper.make_node("Mul", ["share", "mask"], ["scale"]),
        helper.make_node("Add", ["scale", "rest"], ["factors"]),
        helper.make_node("Mul", ["said", "factors"], ["output"]),
    ]
    mask = np.zeros((1, 1, output.shape[1]), np.float32)
    mask[..., 4] = 1
    constants = {
        "zero": np.array([0, 0, 0, 0], np.int64),
        "one": np.array([1, 1, 1, 1], np.int64),
        "axes": np.array([0, 1, 2, 3], np.int64),
        "scalar": np.array([1, 1, 1], np.int64),
        "white": np.array([[[255]]], np.float32),
        "mask": mask,
        "rest": 1 - mask,
        "said": output[np.newaxis].astype(np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [batch, 3, side, side])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [batch, *output.shape])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path
