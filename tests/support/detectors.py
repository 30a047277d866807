"""Small ONNX networks in the form of YOLOX, which say what a test wants."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def save_layers(path: Path, *, side: int = SIDE, any_size: bool = True) -> Path:
    """Write a network that finds a thing of the class 0 in each cell that is blue.

    Its layers take pictures of any size; without ``any_size`` one of them has the number of cells
    of a square in it.
    """
    weights, bias = np.zeros((5 + CLASSES, 3, 1, 1), np.float32), np.zeros(5 + CLASSES, np.float32)
    weights[4, 0], bias[4] = 1 / 55, -200 / 55  # there is something where blue is above 200
    bias[0:2], bias[5] = 0.5, 1
    shape = np.array([1, 5 + CLASSES, -1], np.int64)
    constants: dict[str, np.ndarray] = {"weights": weights, "bias": bias, "shape": shape}
    nodes = []
    for stride in (8, 16, 32):
        pool: dict[str, Any] = {"kernel_shape": [stride, stride], "strides": [stride, stride]}
        nodes += [
            helper.make_node("AveragePool", ["images"], [f"cells{stride}"], **pool),
            helper.make_node("Conv", [f"cells{stride}", "weights", "bias"], [f"said{stride}"]),
            helper.make_node("Reshape", [f"said{stride}", "shape"], [f"row{stride}"]),
        ]
    nodes.append(helper.make_node("Concat", ["row8", "row16", "row32"], ["rows"], axis=2))
    last = "rows"
    if not any_size:
        constants["all"] = np.array([1, 5 + CLASSES, CELLS], np.int64)
        nodes.append(helper.make_node("Reshape", ["rows", "all"], [last := "same"]))
    nodes.append(helper.make_node("Transpose", [last], ["output"], perm=[0, 2, 1]))
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, side, side])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, CELLS, 5 + CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(onnx.shape_inference.infer_shapes(model), str(path))
    return path
