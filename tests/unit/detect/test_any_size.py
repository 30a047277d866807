"""A detector's file with its input's size left open: what ONNX Runtime makes of it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tagger.detect.any_size import any_size
from tagger.detect.onnx_detector import OnnxDetector
from tests.support.detectors import CELLS, SIDE, output_of, save_layers, save_network


@pytest.fixture
def layers(tmp_path: Path) -> bytes:
    return save_layers(tmp_path / "a.onnx").read_bytes()


def test_the_same_network_takes_other_sizes(layers: bytes) -> None:
    made, side = any_size(layers)
    assert side == SIDE
    onnx.checker.check_model(onnx.load_from_string(made), full_check=True)
    session = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape == [1, 3, "height", "width"]
    before = onnxruntime.InferenceSession(layers, providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(1).uniform(0, 255, (1, 3, SIDE, SIDE)).astype(np.float32)
    [ours], [theirs] = (one.run(None, {"images": picture}) for one in (session, before))
    assert np.array_equal(ours, theirs)
    [wide] = session.run(None, {"images": picture[:, :, :32]})
    assert wide.shape == (1, CELLS // 2, 85)
    assert np.array_equal(wide[0, :32], theirs[0, :32]), "four rows of eight cells"


@pytest.mark.parametrize("shape", [(40, SIDE), (SIDE, 40), (SIDE, SIDE), (3, SIDE), (SIDE, 32)])
def test_things_are_where_they_are_in_a_square(tmp_path: Path, shape: tuple[int, int]) -> None:
    free = OnnxDetector(str(save_layers(tmp_path / "a.onnx")), "a", threads=1)
    square = OnnxDetector(str(save_layers(tmp_path / "b.onnx", any_size=False)), "b", threads=1)
    picture = np.random.default_rng(2).integers(0, 200, (*shape, 3), dtype=np.uint8)
    picture[:2, 8:16, 2] = picture[-9:, -9:, 2] = 255
    picture[: min(8, shape[0]), 16:24, 2] = 255
    [found], [wanted] = free.detect([picture]), square.detect([picture])
    assert found == wanted and (found or shape[0] < 8)
    assert free.side == square.side == SIDE
    assert (free.takes_any_size, square.takes_any_size) == (True, False)


def test_other_files_are_refused(tmp_path: Path, layers: bytes) -> None:
    two = onnx.load_from_string(layers)
    two.graph.output.append(onnx.helper.make_tensor_value_info("rows", 1, [1, 85, CELLS]))
    whole = onnx.load_from_string(layers)
    whole.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    open_ = onnx.load_from_string(layers)
    open_.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"
    batch = save_network(tmp_path / "b.onnx", output_of([]), batch=2).read_bytes()
    for other in (b"", b"<html>404</html>", b"\x3a\x00", batch, *map(_bytes, (two, whole, open_))):
        with pytest.raises(ValueError):
            any_size(other)


def test_damaged_files_are_refused_or_changed_as_others(layers: bytes) -> None:
    chance = random.Random(3)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(layers)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        if chance.random() < 0.3:
            del damaged[chance.randrange(len(damaged)) :]
        try:
            any_size(bytes(damaged))
        except ValueError:
            refused += 1
    assert 200 < refused < 1999


def _bytes(model: onnx.ModelProto) -> bytes:
    made: bytes = model.SerializeToString()
    return made
