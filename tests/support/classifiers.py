"""Small ONNX classifiers that tell from the mean colour of a picture what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save_classifier(
    path: Path,
    weights: np.ndarray,
    *,
    size: int = 16,
    rows_first: bool = False,
    whole: bool = False,
    batch: int | str = "n",
    probabilities: bool = False,
    features: bool = True,
) -> Path:
    """Write a network whose logits are the mean of each channel times ``weights`` (3, C).

    ``rows_first``: it takes (N, S, S, 3); ``whole``: uint8. Its ``features`` are the means.
    """
    shape = [batch, size, size, 3] if rows_first else [batch, 3, size, size]
    kind = TensorProto.UINT8 if whole else TensorProto.FLOAT
    axes = [1, 2] if rows_first else [2, 3]
    nodes = [
        helper.make_node("Cast", ["crops"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["wide"], ["means"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["means", "weights"], ["logits"]),
    ]
    outputs = ["logits"]
    if probabilities:
        nodes.append(helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1))
        outputs = ["probabilities"]
    if features:
        outputs.append("means")
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("crops", kind, shape)],
        [
            helper.make_tensor_value_info(
                name, TensorProto.FLOAT, [batch, 3 if name == "means" else weights.shape[1]]
            )
            for name in outputs
        ],
        [numpy_helper.from_array(weights.astype(np.float32), "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


def save_convolutional(
    path: Path,
    *,
    layers: int = 3,
    size: int = 32,
    opset: int = 17,
    coarse: bool = False,
    bias: str = "",
) -> Path:
    """Write a classifier of ``layers`` convolutions with random weights.

    It takes ``pictures``, float32 (n, 3, size, size), and gives ``logits`` (n, 10) and
    ``features`` (n, 16). ``coarse``: its features are small differences of large numbers.
    ``bias``: "stored once" or "an Identity", of one tensor for all layers.
    """
    dice = np.random.default_rng(2)
    names = ["first", *["middle"] * (layers - 2), "before"][:layers]
    nodes = [helper.make_node("Mul", ["pictures", "scale"], ["scaled"])]
    weights = {"scale": np.float32(1 / 255).reshape(1)}
    last, channels = "scaled", 3
    for at, name in enumerate(names):
        key = f"{name}{at}"
        weights[key] = dice.normal(0, (channels * 9) ** -0.5, (16, channels, 3, 3))
        taken = [last, key]
        if bias:
            weights["bias"] = np.linspace(-0.1, 0.1, 16)
            taken.append("bias")
        if bias == "an Identity":
            nodes.append(helper.make_node("Identity", ["bias"], [f"bias{at}"]))
            taken[2] = f"bias{at}"
        nodes.append(helper.make_node("Conv", taken, [f"conv{at}"], strides=[1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{at}"], [f"relu{at}"]))
        last, channels = f"relu{at}", 16
    if coarse:
        weights["large"] = np.float32(1e5).reshape(1)
        weights["same"] = np.eye(16).reshape(16, 16, 1, 1)
        nodes.append(helper.make_node("Add", [last, "large"], ["raised"]))
        nodes.append(helper.make_node("Conv", ["raised", "same"], ["copied"]))
        nodes.append(helper.make_node("Sub", ["copied", "large"], ["lowered"]))
        last = "lowered"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"]))
    weights["last"] = dice.normal(0, 3, (channels, 10))
    nodes.append(helper.make_node("MatMul", ["features", "last"], ["logits"]))
    graph = helper.make_graph(
        nodes,
        "convolutional",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, ["n", 3, size, size])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 10]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", channels]),
        ],
        [numpy_helper.from_array(np.float32(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.save(model, str(path))
    return path
