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
