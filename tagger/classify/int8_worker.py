"""fp32 to int8, and how long both take. Run as a process of its own, by ``int8_files``.

Static quantization with ONNX Runtime's own tools: weights in int8 by channel, activations in
uint8, calibrated on pictures drawn by us. Of each activation's extremes on the single pictures
the one is taken that a tenth of them go past: what is drawn has now and then more contrast than
any photo, and a range that holds it all is too coarse for the rest. (MobileNetV2, 215 real photos
where fp32 is sure, all layers in int8: the best class is the same for 99.5 %; 99.1 % by the plain
extremes; of 430 94.7 % by their mean.)

In fp32 stay what comes before the first weights (normalization), the first layers as long as they
cost little, the layers with weights that are the last on their way to an output, and all that
follows these. So logits are still exactly the last layer of the features, and a detector's boxes
are put together exactly: side by side stand numbers of pixels and of probability, for which there
is no one scale. (MobileNetV2's first two layers are a quarter of the error, and take no time that
can be measured; ResNet-18's first would take two fifths more of all.)
"""

from __future__ import annotations

import logging
import math
import os
import time
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import version_converter
from onnxruntime.quantization import QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_infer_metadata
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from tagger.classify.child_process import answer
from tagger.classify.drawn_pictures import draw_pictures
from tagger.classify.network_input import NetworkInput
from tagger.classify.onnx_engine import open_session
from tagger.system.process import trim_memory

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
PICTURES = 32
"""Drawn pictures to calibrate by; no better with 64."""
BEYOND = 0.1
"""The share of them whose extremes are past the range."""
LEADING = 0.05
"""The share of all multiplications that the first layers may take and stay in fp32."""
OPSET = 17
"""Scales by channel need 13."""
_FIGURES = {
    "ReduceMin": onnx.TensorProto.FLOAT,
    "ReduceMax": onnx.TensorProto.FLOAT,
    "Size": onnx.TensorProto.INT64,
}
"""What is measured of a tensor: an operation, and what it gives."""
TIMED = 20
OTHERS = 8
"""Drawn pictures that are not calibrated by, to compare both on."""


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Quantize the file ``fp32`` to ``int8``, for an ``input`` and CPU as the request says.

    Return the milliseconds of CPU that one picture takes with each, and how far the signal is above
    the noise, in decibels.
    """
    network_input = NetworkInput(**request["input"])
    pictures = draw_pictures(PICTURES, network_input.side)
    quantize(
        request["fp32"],
        request["int8"],
        network_input,
        pictures,
        reduce_range=request["reduce_range"],
    )
    sessions = [open_session(request[name], 1, arena=True) for name in ("fp32", "int8")]
    others = draw_pictures(OTHERS, network_input.side, seed=1)
    feeds = [{network_input.name: network_input.tensor(one[np.newaxis])} for one in others]
    times = _milliseconds(sessions, feeds[0])
    return {"fp32_ms": times[0], "int8_ms": times[1], "signal_db": _signal(sessions, feeds)}


def quantize(
    fp32: str,
    int8: str,
    network_input: NetworkInput,
    pictures: NDArray[np.uint8],
    *,
    reduce_range: bool = False,
) -> None:
    """Write the quantized network of the file ``fp32`` to ``int8``, calibrated on ``pictures``.

    ``reduce_range`` gives weights 7 bits: without VNNI, x86 adds products in 16 bits, which
    overflow. Raise ValueError for a network without layers that could be quantized.
    """
    apart = int8 + ".apart"
    _write_apart(fp32, apart)
    trim_memory()
    graph = onnx.shape_inference.infer_shapes(onnx.load(apart, load_external_data=False))
    add_infer_metadata(graph)  # else the quantizer does it again, on a copy of all weights
    onnx.save_model(graph, apart)
    ranges, sizes = _measured(graph, int8 + ".measured", network_input, pictures)
    plain = _kept_plain(graph.graph, sizes)
    trim_memory()
    model = onnx.load(apart)
    logging.disable(logging.WARNING)  # it recommends what the exporter has done
    try:
        quantizer = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=reduce_range,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=plain,
            op_types_to_quantize=sorted({*QLinearOpsRegistry, *QDQRegistry}),
            extra_options={},
        )
        quantizer.quantize_model()
        quantizer.model.save_model_to_file(int8, False)
    finally:
        logging.disable(logging.NOTSET)


def _write_apart(fp32: str, path: str) -> None:
    """Write the network to ``path`` as it is quantized, its weights to a file beside.

    What only asks for the graph does without the weights, of which ONNX Runtime needs no copy.
    """
    model = onnx.load(fp32)
    if any(one.domain in ("", "ai.onnx") and one.version < 13 for one in model.opset_import):
        model = version_converter.convert_version(model, OPSET)
    _give_own_biases(model.graph)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"  # which may be missing
    weights = os.path.basename(path) + ".weights"
    onnx.save_model(model, path, save_as_external_data=True, location=weights)


def _give_own_biases(graph: onnx.GraphProto) -> None:
    """Give each layer a bias of its own, for each has another scale in int8.

    Exporters store equal ones once and name them by Identity; a layer whose bias is no stored
    tensor, or another's as well, would stay in fp32.
    """
    stored = {one.name: one for one in graph.initializer}
    same = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "Identity" and node.input[0] in stored
    }
    for number, node in enumerate(graph.node):
        if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3:
            continue
        bias = stored.get(same.get(node.input[2], node.input[2]))
        if bias is not None:
            own = graph.initializer.add()
            own.CopyFrom(bias)
            own.name = node.input[2] = f"bias_{number}_of_{bias.name}"


def _kept_plain(graph: onnx.GraphProto, sizes: dict[str, int]) -> list[str]:
    """Return the names of the nodes that stay in fp32. Raise ValueError when all would.

    ``sizes`` are the numbers of values in each tensor of floats.
    """
    nodes = graph.node  # sorted: each after those whose results it takes
    weighted = [at for at, node in enumerate(nodes) if node.op_type in WEIGHTED]
    leads: set[str] = set()  # tensors that lead to weights
    kept = []
    for node in reversed(nodes):
        further = not leads.isdisjoint(node.output)
        if not further:
            kept.append(node.name)
        if further or node.op_type in WEIGHTED:
            leads.update(node.input)
    kept += [node.name for node in nodes[: weighted[0] if weighted else len(nodes)]]
    products = {at: _products(nodes[at], graph, sizes) for at in weighted}
    left = LEADING * sum(products.values())
    for at in weighted:
        left -= products[at]
        if left < 0:
            break
        kept.append(nodes[at].name)
    if all(nodes[at].name in kept for at in weighted):
        raise ValueError("it has no layers that can be quantized")
    return kept


def _products(node: onnx.NodeProto, graph: onnx.GraphProto, sizes: dict[str, int]) -> int:
    """Return about how many multiplications a layer takes for one picture."""
    shape = next((list(one.dims) for one in graph.initializer if one.name == node.input[1]), [0])
    if node.op_type != "Conv":
        return math.prod(shape)
    return math.prod(shape[1:]) * sizes.get(node.output[0], 0)  # (out, in / groups, rows, columns)


def _measured(
    model: onnx.ModelProto, path: str, network_input: NetworkInput, pictures: NDArray[np.uint8]
) -> tuple[TensorsData, dict[str, int]]:
    """Return between what values each tensor of floats is taken to be, and its size.

    The weights of ``model`` lie beside ``path``, where the graph is written that measures. It
    gives the extremes and the size of each tensor, not all the tensors.
    """
    floats = {
        value.name
        for value in (*model.graph.value_info, *model.graph.output)
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    names = [name for node in model.graph.node for name in node.output if name in floats]
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    del wide.graph.output[:]
    for at, name in enumerate(names):
        for kind, value in _FIGURES.items():
            said = f"tagger_{kind}_{at}"
            flat: dict[str, Any] = {} if kind == "Size" else {"keepdims": 0}
            wide.graph.node.append(onnx.helper.make_node(kind, [name], [said], said, **flat))
            wide.graph.output.append(onnx.helper.make_tensor_value_info(said, value, []))
    onnx.save_model(wide, path)
    # An operation that is merged into another gives nothing to measure.
    session = open_session(path, 1, as_written=True)
    found = np.array(
        [
            session.run(None, {network_input.name: network_input.tensor(picture[np.newaxis])})
            for picture in pictures
        ]
    ).reshape(len(pictures), len(names), len(_FIGURES))
    ends = found[..., :2].astype(np.float32)
    low = np.quantile(ends[..., 0], BEYOND, axis=0).astype(np.float32)
    high = np.quantile(ends[..., 1], 1 - BEYOND, axis=0).astype(np.float32)
    ranges = {name: TensorData(lowest=low[at], highest=high[at]) for at, name in enumerate(names)}
    sizes = dict(zip(names, found[-1, :, 2].astype(int).tolist(), strict=True))
    return TensorsData(CalibrationMethod.MinMax, ranges), sizes


def _signal(
    sessions: list[onnxruntime.InferenceSession], feeds: list[dict[str, NDArray[Any]]]
) -> float:
    """Return the least ratio of signal to noise in an output of int8, in decibels.

    Signal is how an output of fp32 varies between pictures, noise what int8 differs by.
    """
    full, small = ([session.run(None, feed) for feed in feeds] for session in sessions)
    found = []
    for ours, theirs in zip(zip(*full, strict=True), zip(*small, strict=True), strict=True):
        one, two = np.stack(ours).astype(np.float64), np.stack(theirs).astype(np.float64)
        noise = max(float(np.square(one - two).mean()), 1e-30)
        signal = max(float(one.var(0).mean()), 1e-30)
        found.append(10 * math.log10(signal / noise))
    return min(found)


def _milliseconds(
    sessions: list[onnxruntime.InferenceSession], feed: dict[str, NDArray[Any]]
) -> list[float]:
    """Return the least CPU time of each for ``feed``, in one thread, by turns.

    Photos are being tagged beside this: two threads that wait for each other, and the time by the
    clock, would tell more of those.
    """
    times: list[list[float]] = [[] for _ in sessions]
    for _ in range(TIMED):
        for session, row in zip(sessions, times, strict=True):
            started = time.thread_time()
            session.run(None, feed)
            row.append((time.thread_time() - started) * 1000)
    return [min(row) for row in times]


if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(3)
    answer(main)
