"""Converted models in ONNX Runtime on the CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tagger.classify.engine import check_crops, predictions
from tagger.classify.int8_files import full_network
from tagger.classify.onnx_store import OnnxModel
from tagger.errors import ModelError
from tagger.records import INT8_ENDING, INT8_NAME, Prediction
from tagger.system.process import cores

TOGETHER = 4
"""Crops in one run of the network at most, for its memory grows with them: 24 at once take
100 MB (ResNet-18, fp32) or 40 MB (int8) more. int8 is fastest by fours, fp32 a tenth slower
than by more."""
FP32_TOGETHER = 1
"""The same in fp32 with two runs at a time: with two crops each a photo takes 1 % less time, and
all processes together 15 MB more, with three networks 20."""


class OnnxEngine:
    """A converted model; see :class:`~.engine.Engine`.

    ``int8`` is the path of its quantized file, to run that instead. A quantized network is
    nearly but not quite the same, so its ``model_id`` says ``-int8``; that of fp32 is
    torch's, for their probabilities are equal. ``threads`` 0: one per core; on two cores
    a run takes one, and two are made at a time. Raise ModelError when the file cannot be
    loaded.
    """

    def __init__(self, model: OnnxModel, *, int8: str | None = None, threads: int = 0) -> None:
        self.name = INT8_NAME if int8 else "onnx"
        self.model_id = model.model_id + INT8_ENDING if int8 else model.model_id
        self.full = full_network(model)
        self.spec = model.spec
        self.categories = model.categories
        path = int8 or model.path
        # Two threads in one run have to meet after each layer. Of small photos, where the network
        # is most of the work, two runs at a time do half as many again as one run of one thread,
        # and a quarter more than one of two; a photo by itself takes 4 ms more than with that. In
        # fp32 they take 0.88 of the CPU; with the arena 0.84, but 20 MB a network.
        pairs = not threads and cores() == 2
        self._pair = ThreadPoolExecutor(2, "network") if pairs else None
        self._most = TOGETHER if int8 or not pairs else FP32_TOGETHER
        try:
            self._session = open_session(path, 1 if pairs else threads, arena=int8 is not None)
        except Exception as error:  # it has no common base for them
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(
                f"ONNX Runtime cannot load {path}: {reason}", "delete it, it is made again"
            ) from error

    def predict(self, crops: NDArray[np.uint8]) -> list[Prediction]:
        """Return one prediction for each of ``crops``; see :class:`~.engine.Engine`."""
        check_crops(crops, self.spec)
        if not len(crops):
            return []
        size = self._most if self._pair is None else min(self._most, (len(crops) + 1) // 2)
        parts = [crops[start : start + size] for start in range(0, len(crops), size)]
        each = self._pair.map if self._pair is not None and len(parts) > 1 else map
        return [one for found in each(self._run, parts) for one in found]

    def _run(self, crops: NDArray[np.uint8]) -> list[Prediction]:
        logits, features = self._session.run(
            ["logits", "features"], {"crops": np.ascontiguousarray(crops)}
        )
        return predictions(softmax(logits), features, self.model_id)


def session_metadata(path: str) -> dict[str, str]:
    """Return the metadata_props of an ONNX file. Raise ModelError when it cannot be loaded."""
    try:
        session = open_session(path, 1)
    except Exception as error:  # it has no common base for them
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path} is no network: {reason}", "correct the path") from error
    return dict(session.get_modelmeta().custom_metadata_map)


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities float32 (N, C), computed in double precision."""
    wide = logits.astype(np.float64)
    wide = np.exp(wide - wide.max(1, keepdims=True))
    probabilities: NDArray[np.float32] = (wide / wide.sum(1, keepdims=True)).astype(np.float32)
    return probabilities


def open_session(
    model: str | bytes, threads: int, *, arena: bool = False, as_written: bool = False
) -> onnxruntime.InferenceSession:
    """Load an ONNX file, to run in ``threads`` (0: one per core) that sleep when idle.

    ``arena``: the memory of the largest run is kept; ``as_written``: no operations are merged.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or cores()
    options.inter_op_num_threads = 1
    # Waiting threads would burn the cores that decode the next photo, and idle ones too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # It keeps the memory of the largest batch for ever. That of four crops in int8 is 13 MB,
    # cheaper than to get it anew each time; where many threads do so, glibc's heap is torn to
    # pieces of three times as much. In fp32 it is 50 MB, and in blocks that come from the system
    # anyway, see tagger.system.process.give_memory_back.
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
