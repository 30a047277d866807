"""fp32 to int8, and whether that is good enough. Run as a process of its own, by ``int8_trial``.

Static quantization with ONNX Runtime's own tools: weights in int8 by channel, activations in
uint8. Each activation's range is the mean of its extremes over the calibration crops. (On
122 photos with MobileNetV2 that kept 96.7 % of all top-1 answers; the 99.99th percentile
kept 96.7 % too, the plain extremes 92.6 %, and percentiles take 20 times as long.) The
input's normalization and the last layer stay in fp32, so that logits are still exactly the
last layer of the features.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from tagger.classify.child_process import answer
from tagger.classify.onnx_engine import session_options, softmax

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
BATCH = 8
TIMED = 20


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Quantize ``fp32`` to ``int8``, by the crops in ``calibrate``; compare both on ``judge``.

    The values are paths; crops are ``.npy`` files, uint8 (N, S, S, 3). The probabilities of
    both, float32 (N, C), are saved to ``probabilities`` (two arrays in a ``.npz``). Return
    the milliseconds that one crop takes with each.
    """
    quantize(
        request["fp32"],
        request["int8"],
        np.load(request["calibrate"], mmap_mode="r"),
        reduce_range=request["reduce_range"],
    )
    judge = np.load(request["judge"], mmap_mode="r")
    sessions = [
        onnxruntime.InferenceSession(
            request[name], session_options(request["threads"]), providers=["CPUExecutionProvider"]
        )
        for name in ("fp32", "int8")
    ]
    found = [_probabilities(session, judge) for session in sessions]
    np.savez(request["probabilities"], fp32=found[0], int8=found[1])
    times = _milliseconds(sessions, judge[:1])
    return {"fp32_ms": times[0], "int8_ms": times[1]}


class _Crops(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, crops: NDArray[np.uint8]) -> None:
        self._left = iter(crops)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        crop = next(self._left, None)
        return None if crop is None else {"crops": crop[np.newaxis]}


def quantize(fp32: str, int8: str, crops: NDArray[np.uint8], *, reduce_range: bool = False) -> None:
    """Write the quantized network of the file ``fp32`` to ``int8``.

    ``reduce_range`` gives weights 7 bits: without VNNI, x86 adds products in 16 bits, which
    overflow.
    """
    nodes = onnx.load(fp32, load_external_data=False).graph.node
    weighted = [index for index, node in enumerate(nodes) if node.op_type in WEIGHTED]
    plain = [node.name for node in nodes[: weighted[0]]] + [nodes[weighted[-1]].name]
    logging.disable(logging.WARNING)  # it recommends what the exporter has done
    quantize_static(
        fp32,
        int8,
        _Crops(crops),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=reduce_range,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
        nodes_to_exclude=plain,
        extra_options={"CalibMovingAverage": True},
    )
    logging.disable(logging.NOTSET)


def _probabilities(
    session: onnxruntime.InferenceSession, crops: NDArray[np.uint8]
) -> NDArray[np.float32]:
    parts = [
        softmax(session.run(["logits"], {"crops": crops[start : start + BATCH]})[0])
        for start in range(0, len(crops), BATCH)
    ]
    return np.concatenate(parts)


def _milliseconds(
    sessions: list[onnxruntime.InferenceSession], crop: NDArray[np.uint8]
) -> list[float]:
    """Return the least time of each for ``crop``, by turns: what else runs disturbs both."""
    times: list[list[float]] = [[] for _ in sessions]
    for _ in range(TIMED):
        for session, row in zip(sessions, times, strict=True):
            started = time.perf_counter()
            session.run(["logits"], {"crops": crop})
            row.append((time.perf_counter() - started) * 1000)
    return [min(row) for row in times]


if __name__ == "__main__":
    onnxruntime.set_default_logger_severity(3)
    answer(main)
