"""YOLOX in ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tagger.detect.yolox import CLASSES, cell_count, letterbox, read_boxes
from tagger.errors import ModelError
from tagger.records import INT8_ENDING, INT8_NAME, Box
from tagger.system.process import cores


class OnnxDetector:
    """A YOLOX network; see :class:`~.detector.Detector`.

    ``path`` is an ONNX file whose one input is float32 (1, 3, S, S) and whose one output is
    (1, N, 85), not decoded yet: the form of the files of the official release. ``threads`` 0:
    one per core, but only one where there are two, as the other core decodes. Raise ModelError
    when the file cannot be loaded or is no such network.
    """

    def __init__(self, path: str, model_id: str, *, threads: int = 0) -> None:
        self.name, self.model_id = "onnx", model_id
        self._session = self._opened(path, threads)
        self.side, self.input_name = self._check(path)

    def use_int8(self, path: str, threads: int) -> None:
        """Run the int8 version in the file ``path`` from now on. Raise ModelError."""
        self._session = self._opened(path, threads)
        self._check(path)
        self.name, self.model_id = INT8_NAME, self.model_id + INT8_ENDING

    def _opened(self, path: str, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        # Two threads that meet after each layer take 20 ms of CPU a picture, one alone 16; the
        # other core decodes meanwhile. Two pictures at a time would take 24 MB more.
        options.intra_op_num_threads = threads or (1 if cores() == 2 else cores())
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # it has no common base for them
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(
                f"ONNX Runtime cannot load the detector {path}: {reason}",
                "delete it and run `tagger model download`, or correct `model.detector`",
            ) from error

    def _check(self, path: str) -> tuple[int, str]:
        """Return the side of the network's input, and its name.

        Raise ModelError for another kind of network.
        """
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = [list(one.shape) for one in (*inputs, *outputs)]
        if len(inputs) == len(outputs) == 1 and len(shapes[0]) == 4:
            side = shapes[0][3]
            if isinstance(side, int) and side % 32 == 0 and inputs[0].type == "tensor(float)":
                wanted = [[1, 3, side, side], [1, cell_count(side), 5 + CLASSES]]
                if side > 0 and shapes == wanted:
                    self._output = outputs[0].name
                    return side, inputs[0].name
        raise ModelError(
            f"{path} is no YOLOX network for the {CLASSES} classes of COCO: its inputs and"
            f" outputs have the shapes {', '.join(map(str, shapes))}",
            "name one of the official release 0.1.1rc0 as `model.detector`, or `none`",
        )

    def detect(self, pictures: Sequence[NDArray[np.uint8]]) -> list[tuple[Box, ...]]:
        """Return the boxes in each of ``pictures``; see :class:`~.detector.Detector`."""
        return [self._boxes(picture) for picture in pictures]

    def _boxes(self, picture: NDArray[np.uint8]) -> tuple[Box, ...]:
        taken = letterbox(picture, self.side)
        [output] = self._session.run([self._output], {self.input_name: taken})
        return read_boxes(output[0], self.side, (picture.shape[0], picture.shape[1]))
