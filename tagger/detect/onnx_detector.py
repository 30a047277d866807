"""YOLOX in ONNX Runtime on the CPU."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tagger.detect.any_size import any_size
from tagger.detect.yolox import CLASSES, STRIDES, cell_count, least_frame, letterbox, read_boxes
from tagger.errors import ModelError
from tagger.records import INT8_ENDING, INT8_NAME, Box
from tagger.system.process import cores

log = logging.getLogger(__name__)


class OnnxDetector:
    """A YOLOX network; see :class:`~.detector.Detector`.

    ``path`` is an ONNX file whose one input is float32 (1, 3, S, S) and whose one output is
    (1, N, 85), not decoded yet: the form of the files of the official release. Where its layers
    take other sizes, it is given no more than the picture, up to the next 32 pixels: a quarter
    of the time less for most photos. ``threads`` 0: one per core, but only one where there are two,
    as the other core decodes. Raise ModelError when it cannot be loaded or is no such network.
    """

    def __init__(self, path: str, model_id: str, *, threads: int = 0) -> None:
        self.name, self.model_id = "onnx", model_id
        self._open(path, threads)

    def use_int8(self, path: str, threads: int) -> None:
        """Run the int8 version in the file ``path`` from now on. Raise ModelError."""
        self._open(path, threads)
        self.name, self.model_id = INT8_NAME, self.model_id + INT8_ENDING

    def _open(self, path: str, threads: int) -> None:
        session = self._with_any_size(path, threads)
        self.takes_any_size = session is not None
        if session is None:
            session = self._session_of(path, path, threads)
            self.side = self._checked(session, path)
        self._session = session
        self.input_name = session.get_inputs()[0].name
        self._output = session.get_outputs()[0].name

    def _with_any_size(self, path: str, threads: int) -> onnxruntime.InferenceSession | None:
        """Return the network with its input's size left open; None where that does not go."""
        try:
            with open(path, "rb") as file:
                model, side = any_size(file.read())
            session = self._session_of(model, path, threads)
            # Its layers may yet have the square's size in them: one frame is tried.
            frame = (STRIDES[-1], side)
            tried = np.zeros((1, 3, *frame), np.float32)
            [output] = session.run(None, {session.get_inputs()[0].name: tried})
        except Exception as error:  # noqa: BLE001 - logged; then it takes squares
            log.debug("%s takes squares only: %s", path, error)
            return None
        if side % STRIDES[-1] or output.shape != (1, cell_count(frame), 5 + CLASSES):
            return None
        self.side = side
        return session

    def _session_of(
        self, model: str | bytes, path: str, threads: int
    ) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        # Two threads that meet after each layer take 20 ms of CPU a picture, one alone 16; the
        # other core decodes meanwhile. Two pictures at a time would take 24 MB more.
        options.intra_op_num_threads = threads or (1 if cores() == 2 else cores())
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.enable_cpu_mem_arena = False
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # it has no common base for them
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(
                f"ONNX Runtime cannot load the detector {path}: {reason}",
                "delete it and run `tagger model download`, or correct `model.detector`",
            ) from error

    def _checked(self, session: onnxruntime.InferenceSession, path: str) -> int:
        """Return the side of the network's input. Raise ModelError for another kind of network."""
        inputs, outputs = session.get_inputs(), session.get_outputs()
        shapes = [list(one.shape) for one in (*inputs, *outputs)]
        side = shapes[0][-1] if inputs and shapes[0] else None
        if isinstance(side, int) and side > 0 and side % STRIDES[-1] == 0:
            wanted = [[1, 3, side, side], [1, cell_count((side, side)), 5 + CLASSES]]
            if len(inputs) == 1 and shapes == wanted and inputs[0].type == "tensor(float)":
                return side
        raise ModelError(
            f"{path} is no YOLOX network for the {CLASSES} classes of COCO: its inputs and"
            f" outputs have the shapes {', '.join(map(str, shapes))}",
            "name one of the official release 0.1.1rc0 as `model.detector`, or `none`",
        )

    def detect(self, pictures: Sequence[NDArray[np.uint8]]) -> list[tuple[Box, ...]]:
        """Return the boxes in each of ``pictures``; see :class:`~.detector.Detector`."""
        return [self._boxes(picture) for picture in pictures]

    def _boxes(self, picture: NDArray[np.uint8]) -> tuple[Box, ...]:
        size = (picture.shape[0], picture.shape[1])
        frame = least_frame(size) if self.takes_any_size else (self.side, self.side)
        taken = letterbox(picture, self.side, frame)
        [output] = self._session.run([self._output], {self.input_name: taken})
        return read_boxes(output[0], frame, size)
