"""The detector in ONNX Runtime: with small networks, and with the real one where it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tagger.decode.opening import decode
from tagger.detect.onnx_detector import OnnxDetector
from tagger.errors import ModelError
from tagger.records import CropSpec, ExtraViews
from tests.support.detectors import CELLS, SIDE, output_of, save_network


@pytest.fixture
def network(tmp_path: Path) -> Path:
    output = output_of([((35.0, 20.0), (30.0, 24.0), 0, 1.0, 0.8)])
    return save_network(tmp_path / "a.onnx", output)


def test_it_says_what_the_network_says(network: Path) -> None:
    detector = OnnxDetector(str(network), "a-00000000", threads=1)
    assert (detector.side, detector.model_id, detector.name) == (SIDE, "a-00000000", "onnx")
    blue = np.zeros((40, SIDE, 3), np.uint8)
    blue[0, 0] = (0, 0, 255)
    half = blue // 2
    found = detector.detect([blue, half, np.zeros_like(blue)])
    assert [round(box.score, 2) for boxes in found for box in boxes] == [0.8, 0.4]
    assert [len(boxes) for boxes in found] == [1, 1, 0]
    assert found[0][0].height == pytest.approx(24 / 40, abs=1e-5)
    assert detector.detect([]) == []
    with pytest.raises(ValueError, match="longer side must have 64 pixels"):
        detector.detect([np.zeros((10, 10, 3), np.uint8)])


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "a.onnx"
    text.write_text("<html>404</html>")
    for path in (text, tmp_path / "none.onnx"):
        with pytest.raises(ModelError, match=f"cannot load the detector {path}"):
            OnnxDetector(str(path), "a")


@pytest.mark.parametrize(
    ("classes", "cells", "side"), [(79, CELLS, SIDE), (80, CELLS + 1, SIDE), (80, CELLS, 60)]
)
def test_other_networks_are_refused(tmp_path: Path, classes: int, cells: int, side: int) -> None:
    path = save_network(tmp_path / "a.onnx", np.zeros((cells, 5 + classes)), side=side)
    with pytest.raises(ModelError, match="is no YOLOX network"):
        OnnxDetector(str(path), "a")


def test_a_classifier_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["x"], ["y"])],
        "classifier",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 224, 224])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 1, 1])],
    )
    path = tmp_path / "a.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path
    )
    with pytest.raises(ModelError, match="is no YOLOX network"):
        OnnxDetector(str(path), "a")


def test_the_real_network_finds_what_is_marked_in_photos(shared: Path) -> None:
    """Boxes of COCO lie beside the photos: class, centre and size, relative."""
    detector = OnnxDetector(str(shared / "models" / "yolox_nano.onnx"), "yolox_nano")
    assert detector.side == 416
    found = missed = 0
    for truth in sorted((shared / "photos" / "home").glob("coco_*.boxes.txt"))[:40]:
        people = [
            [float(n) for n in line.split()[1:]]
            for line in truth.read_text().splitlines()
            if line.split()[0] == "0" and float(line.split()[3]) * float(line.split()[4]) > 0.05
        ]
        photo = truth.with_name(truth.name.replace(".boxes.txt", ".jpg"))
        picture = decode(str(photo), CropSpec(), views=ExtraViews(side=416)).picture
        assert picture is not None
        boxes = [b for b in detector.detect([picture])[0] if b.class_index == 0 and b.score >= 0.3]
        for x, y, width, height in people:
            near = [
                box
                for box in boxes
                if abs(box.x + box.width / 2 - x) < 0.1
                and abs(box.y + box.height / 2 - y) < 0.1
                and abs(box.width - width) < 0.15
                and abs(box.height - height) < 0.15
            ]
            found, missed = found + bool(near), missed + (not near)
    assert found + missed > 15
    assert missed <= 0.2 * (found + missed)
