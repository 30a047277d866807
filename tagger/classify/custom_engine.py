"""A classifier of the user's own in ONNX Runtime, see :mod:`~tagger.classify.custom_network`."""

from __future__ import annotations

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from tagger.classify.custom_network import CustomNetwork
from tagger.classify.digest_cache import DigestCache
from tagger.classify.engine import check_crops, predictions
from tagger.classify.int8_files import own_network
from tagger.classify.network_input import NetworkInput
from tagger.classify.onnx_engine import TOGETHER, open_session, softmax
from tagger.errors import ModelError
from tagger.records import INT8_ENDING, INT8_NAME, Prediction

TOLERANCE = 0.01
"""Probabilities may sum to so much more or less than 1."""


class CustomEngine:
    """A network that a YAML file describes; see :class:`~.engine.Engine`.

    Its graph takes one batch of pictures, uint8 or float32, of shape (N, S, S, 3) or
    (N, 3, S, S), and gives (N, C). ``name`` of the model is that of the YAML file.
    ``digests`` is the folder where digests of files are remembered, and the int8 version lies.
    Raise ModelError when the file cannot be loaded or does not do what the description says.
    """

    def __init__(
        self, name: str, network: CustomNetwork, digests: str, *, threads: int = 0
    ) -> None:
        self.name = "onnx"
        self.network = network
        self.spec, self.categories = network.spec, network.meanings
        number = {meaning: at for at, meaning in enumerate(self.categories)}
        self._meanings = np.array([number[meaning] for meaning in network.categories])
        digest = DigestCache(digests).of(network.path)
        self.model_id = f"{name}-{digest[:8]}{network.digest[:8]}"
        self._session = self._opened(network.path, threads)
        self._read_graph()
        self._try_out()
        self.full = own_network(network.path, digests, self.model_id, self._input)

    def _opened(
        self, path: str, threads: int, *, int8: bool = False
    ) -> onnxruntime.InferenceSession:
        try:
            return open_session(path, threads, arena=int8)
        except Exception as error:  # it has no common base for them
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(
                f"ONNX Runtime cannot load {path}: {reason}", "correct or replace the file"
            ) from error

    def use_int8(self, path: str, threads: int) -> None:
        """Run the int8 version in the file ``path`` from now on. Raise ModelError."""
        self._session = self._opened(path, threads, int8=True)
        self.name, self.model_id = INT8_NAME, self.model_id + INT8_ENDING

    def _read_graph(self) -> None:
        """Find out what the graph takes and gives. Raise ModelError for what does not fit."""
        inputs, size = self._session.get_inputs(), self.spec.size
        shape = list(inputs[0].shape) if len(inputs) == 1 else []
        kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
        kind = kinds.get(inputs[0].type) if inputs else None
        if len(shape) != 4 or kind is None:
            raise self._unfit("it must take one uint8 or float32 tensor of four dimensions")
        rows_first = shape[3] == 3
        wanted = [size, size, 3] if rows_first else [3, size, size]
        if any(isinstance(n, int) and n != m for n, m in zip(shape[1:], wanted, strict=True)):
            raise self._unfit(f"it takes pictures {shape[1:]}, not {wanted} as `size` says")
        if kind is np.uint8 and self.network.mean is not None:
            raise self._unfit("it takes whole numbers: leave `mean` and `deviation` out")
        self._input = NetworkInput(
            inputs[0].name,
            size,
            rows_first,
            kind is np.uint8,
            self.network.bgr,
            self.network.mean,
            self.network.deviation,
        )
        self._together = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else TOGETHER
        self._fixed = self._together == shape[0]
        outputs = [output.name for output in self._session.get_outputs()]
        asked = [name for name in (self.network.output, self.network.features) if name]
        if missing := [name for name in asked if name not in outputs]:
            raise self._unfit(f"it has no output `{missing[0]}`, only {', '.join(outputs)}")
        if not self.network.output and len(outputs) > 1 + bool(self.network.features):
            raise self._unfit(f"name one of its outputs as `output`: {', '.join(outputs)}")
        rest = [name for name in outputs if name != self.network.features]
        self._outputs = [self.network.output or rest[0]]
        if self.network.features:
            self._outputs.append(self.network.features)

    def _unfit(self, reason: str) -> ModelError:
        return ModelError(
            f"{self.network.path} does not fit its description: {reason}",
            "correct the YAML file that `model.scenes` names, or the network",
        )

    def _try_out(self) -> None:
        """Classify one picture. Raise ModelError when that fails or makes no sense."""
        size = self.spec.size
        picture = np.linspace(0, 255, size * size * 3).astype(np.uint8).reshape(1, size, size, 3)
        try:
            scores, features = self._run(picture)
        except Exception as error:  # it has no common base for them
            raise self._unfit((str(error).splitlines() or [""])[0]) from error
        count = len(self.network.categories)
        if scores.shape != (1, count):
            raise self._unfit(
                f"it gives {list(scores.shape)} for one picture, and has {count}"
                " classes by its description"
            )
        if features.ndim != 2 or len(features) != 1:
            raise self._unfit(f"its features have the shape {list(features.shape)}, not (1, F)")
        if not (np.isfinite(scores).all() and np.isfinite(features).all()):
            raise self._unfit("it gives no finite numbers")
        if not self.network.gives_logits:
            total, least = float(scores.sum()), float(scores.min())
            if least < 0 or abs(total - 1) > TOLERANCE:
                raise self._unfit(
                    f"its scores begin at {least:.3g} and sum to {total:.3g}: set `scores: logits`"
                )

    def predict(self, crops: NDArray[np.uint8]) -> list[Prediction]:
        """Return one prediction for each of ``crops``; see :class:`~.engine.Engine`."""
        check_crops(crops, self.spec)
        found: list[Prediction] = []
        for start in range(0, len(crops), self._together):
            part = crops[start : start + self._together]
            scores, features = self._run(part)
            of_classes = softmax(scores) if self.network.gives_logits else _scaled(scores)
            probabilities = np.zeros((len(part), len(self.categories)), np.float32)
            np.add.at(probabilities.T, self._meanings, of_classes.T)
            found += predictions(probabilities, features, self.model_id)
        return found

    def _run(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return scores (N, C) and features (N, F): the scores without such an output."""
        count = len(crops)
        if self._fixed and count < self._together:
            crops = np.concatenate([crops, np.repeat(crops[:1], self._together - count, 0)])
        found = self._session.run(self._outputs, {self._input.name: self._input.tensor(crops)})
        scores = np.asarray(found[0], np.float32)[:count]
        if len(found) == 1:
            return scores, scores
        return scores, np.asarray(found[1], np.float32)[:count]


def _scaled(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return probabilities that sum to 1, of scores that nearly do."""
    positive = np.maximum(scores, 0)
    total = np.maximum(positive.sum(1, keepdims=True), np.float32(1e-12))
    return np.asarray(positive / total, np.float32)
