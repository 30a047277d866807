"""int8 versions: how they are made, of what networks, and when they are used."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from tagger.classify.factory import load_engine
from tagger.classify.int8_agreement import Agreement, int8_state, int8_to_use, write_agreement
from tagger.classify.int8_files import (
    FullNetwork,
    cpu_kind,
    full_network,
    intact_int8,
    make_int8,
    own_network,
    read_record,
)
from tagger.classify.int8_worker import quantize
from tagger.classify.network_input import NetworkInput
from tagger.classify.onnx_engine import softmax
from tagger.classify.onnx_store import read_converted
from tagger.errors import ModelError, StoppedError
from tests.support.checkpoints import photo_crops, random_crops
from tests.support.classifiers import save_convolutional

TAKEN = NetworkInput("pictures", 32)


@pytest.fixture(scope="module")
def made(make_once):
    """Return the folder of a small network, whose int8 version has been made."""

    def make(folder):
        make_int8(network(folder))

    return make_once("small-int8", make)


def network(folder) -> FullNetwork:
    path = folder / "net.onnx"
    if not path.exists():
        save_convolutional(path)
    return own_network(str(path), str(folder), "net-0123", TAKEN)


@pytest.fixture
def mine(made, tmp_path):
    """Return a copy of the small network with its int8 version, which is fast here."""
    shutil.copytree(made, tmp_path / "models")
    full = network(tmp_path / "models")
    change(full, fp32_ms=9.0, int8_ms=3.0)
    return full


def change(full, **values):
    with open(full.record_path) as file:
        known = json.load(file)
    with open(full.record_path, "w") as file:
        json.dump(known | values, file)


def outputs(path, pictures, name="logits"):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run([name], {"pictures": TAKEN.tensor(pictures)})[0]


def test_it_says_nearly_what_the_full_network_says(mine):
    pictures = random_crops(8, 32, seed=3)
    full, small = outputs(mine.path, pictures), outputs(mine.int8_path, pictures)
    assert 0 < np.abs(full - small).mean() < 0.2 * full.std(0).mean()


def test_most_layers_are_in_int8_and_the_last_is_not(mine):
    graph = onnx.load(mine.int8_path).graph
    of_int8 = {
        one.name for one in graph.initializer if one.data_type == onnx.TensorProto.INT8
    }  # zero points too
    assert any(name.startswith("middle") for name in of_int8)
    assert not any(name.startswith("last") for name in of_int8)
    features = onnxruntime.InferenceSession(mine.int8_path).run(
        None, {"pictures": TAKEN.tensor(random_crops(2, 32))}
    )
    weights = next(one for one in graph.initializer if one.name == "last")
    again = features[1] @ onnx.numpy_helper.to_array(weights)
    assert np.allclose(features[0], again, atol=1e-4), "logits are the last layer of the features"


def test_the_record_tells_how_it_was_made(made):
    full = network(made)
    record = read_record(full)
    assert record is not None and not record.problem
    assert record.cpu == cpu_kind() and record.fp32_ms > 0 and record.int8_ms > 0
    assert intact_int8(full, record) == full.int8_path
    assert not [name for name in os.listdir(made) if name.startswith("optimize-")]


def test_the_same_file_is_made_again(mine, tmp_path):
    """It is calibrated on pictures that are drawn, always the same."""
    shutil.copyfile(mine.path, tmp_path / "again.onnx")
    again = own_network(str(tmp_path / "again.onnx"), str(tmp_path), "again", TAKEN)
    assert make_int8(again).sha256 == read_record(mine).sha256


@pytest.mark.parametrize("change_of", ["cpu", "quantizer", "key", "cut", "gone", "slower"])
def test_it_is_used_only_where_it_fits(change_of, mine):
    assert int8_to_use(mine, "auto") == mine.int8_path
    assert int8_to_use(mine, "fp32") is None
    if change_of == "cut":
        with open(mine.int8_path, "r+b") as file:
            file.truncate(100)
    elif change_of == "gone":
        os.unlink(mine.int8_path)
    elif change_of == "slower":
        change(mine, int8_ms=8.9)
        assert int8_state(mine).state == "slower"
    else:
        change(mine, **{change_of: "another"})
        assert int8_state(mine).state == "missing"
    assert int8_to_use(mine, "auto") is None


def test_what_int8_demands_is_made(mine):
    """Then it does not matter whether it is faster, or was refused."""
    os.unlink(mine.record_path)
    assert int8_to_use(mine, "auto") is None
    assert int8_to_use(mine, "int8") == mine.int8_path
    record = read_record(mine)
    write_agreement(mine, Agreement(record.sha256, 20, 20, 5, 5))
    change(mine, fp32_ms=1.0, int8_ms=3.0)
    assert int8_state(mine).state == "refused"
    assert int8_to_use(mine, "int8") == mine.int8_path
    assert int8_to_use(mine, "auto") is None


def test_a_network_without_layers_for_it_is_noted(tmp_path):
    path = save_convolutional(tmp_path / "net.onnx", layers=0)
    full = own_network(str(path), str(tmp_path), "net", TAKEN)
    record = make_int8(full)
    assert "no layers that can be quantized" in record.problem
    assert int8_state(full).state == "useless" and int8_to_use(full, "auto") is None
    assert not os.path.exists(full.int8_path)
    with pytest.raises(ModelError, match="no layers"):
        int8_to_use(full, "int8")


def test_a_network_for_which_8_bits_are_too_coarse_is_not_used(tmp_path):
    """Its answer is the small difference of large numbers."""
    path = save_convolutional(tmp_path / "net.onnx", coarse=True)
    full = own_network(str(path), str(tmp_path), "net", TAKEN)
    assert "too coarse" in make_int8(full).problem
    assert int8_to_use(full, "auto") is None and not os.path.exists(full.int8_path)


@pytest.mark.parametrize("shared", ["stored once", "an Identity"])
def test_layers_that_share_a_bias_are_in_int8_too(shared, tmp_path):
    """So exporters store equal ones, as of a network that was never trained."""
    path = save_convolutional(tmp_path / "net.onnx", bias=shared, layers=4)
    full = own_network(str(path), str(tmp_path), "net", TAKEN)
    assert not make_int8(full).problem
    graph = onnx.load(full.int8_path).graph
    producers = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"][1:-1]
    assert len(convolutions) == 2
    for node in convolutions:
        assert [producers.get(name) for name in node.input] == ["DequantizeLinear"] * 3


def test_of_an_old_format(tmp_path):
    """Scales by channel need a newer version of ONNX than many networks have."""
    path = save_convolutional(tmp_path / "net.onnx", opset=11)
    full = own_network(str(path), str(tmp_path), "net", TAKEN)
    assert not make_int8(full).problem
    pictures = random_crops(4, 32)
    small = outputs(full.int8_path, pictures)
    assert np.abs(outputs(full.path, pictures) - small).max() < 0.2 * small.std()


def test_without_room_on_the_disk_nothing_is_made(tmp_path):
    path = tmp_path / "net.onnx"
    save_convolutional(path)
    full = own_network(str(path), str(tmp_path), "net", TAKEN)
    with path.open("r+b") as file:
        file.truncate(1 << 43)  # as if it had eight terabytes
    with pytest.raises(ModelError, match=f"{tmp_path} has .* MB free, and .* are needed"):
        make_int8(full)
    assert not os.path.exists(full.record_path)


def test_it_stops_when_told_to_and_changes_nothing(mine):
    with pytest.raises(StoppedError):
        make_int8(mine, stop=lambda: True)
    assert int8_to_use(mine, "auto") == mine.int8_path
    left = set(os.listdir(os.path.dirname(mine.path)))
    assert not [name for name in left if name.startswith("optimize-") or name.endswith(".part")]


@pytest.mark.parametrize("bgr", [True, False])
@pytest.mark.parametrize("rows_first", [True, False])
@pytest.mark.parametrize("scaled", [True, False])
def test_what_a_network_takes(bgr, rows_first, scaled):
    picture = np.zeros((1, 4, 4, 3), np.uint8)
    picture[0, 1, 2] = (255, 102, 51)
    means = (0.5, 0.4, 0.3) if scaled else None
    taken = NetworkInput("x", 4, rows_first, False, bgr, means, (0.5, 0.5, 0.5) if scaled else None)
    tensor = taken.tensor(picture)
    pixel = tensor[0, 1, 2] if rows_first else tensor[0, :, 1, 2]
    wanted = np.array([51, 102, 255] if bgr else [255, 102, 51], np.float32)
    if scaled:
        wanted = (wanted / 255 - np.array(means)) / 0.5
    assert tensor.dtype == np.float32 and tensor.flags.c_contiguous
    assert pixel == pytest.approx(wanted, abs=1e-6)


def test_a_converted_network_is_loaded_in_int8(converted_mobilenet, shared, tmp_path):
    """With real weights and photos: the best class is the same where fp32 is sure."""
    shutil.copytree(converted_mobilenet / "models", tmp_path / "models")
    [path] = (tmp_path / "models").glob("mobilenet_v2-*.onnx")
    full = full_network(read_converted(str(path)))
    weights = str(shared / "models" / "mobilenet_v2.pth")

    def load(precision):
        return load_engine(
            "mobilenet_v2", weights, state_dir=str(tmp_path), threads=2, precision=precision
        )

    assert load("auto").name == "onnx"
    make_int8(full)
    change(full, fp32_ms=9.0, int8_ms=3.0)
    small = load("auto")
    assert small.name == "onnx-int8" and small.model_id.endswith("-int8")
    assert load("fp32").name == "onnx"
    crops = photo_crops(shared / "photos" / "imagenet")
    one, two = (
        np.stack([found.probabilities for found in engine.predict(crops)])
        for engine in (load("fp32"), small)
    )
    sure = one.max(1) >= 0.5
    assert sure.sum() >= 50
    assert (one.argmax(1) == two.argmax(1))[sure].mean() >= 0.98
    assert np.abs(one - two).max(1).mean() < 0.05
    record = read_record(full)
    write_agreement(full, Agreement(record.sha256, 60, 60, 30, 30))
    assert load("auto").name == "onnx", "it was refused"


def test_scenes_of_ones_own(shared, tmp_path):
    """A network whose classes are averaged after its last layer, with real photos."""
    path = shared / "models" / "scenes_standin.onnx"
    taken = NetworkInput("crops", 224, rows_first=True, whole=True)
    full = own_network(str(path), str(tmp_path), "scenes", taken)
    assert not make_int8(full).problem
    crops = photo_crops(shared / "photos" / "calibration", limit=60)
    one, two = (
        np.concatenate(
            [
                softmax(
                    onnxruntime.InferenceSession(file).run(
                        ["logits"], {"crops": crops[at : at + 10]}
                    )[0]
                )
                for at in range(0, 60, 10)
            ]
        )
        for file in (full.path, full.int8_path)
    )
    sure = one.max(1) >= 0.5
    assert sure.sum() >= 5 and (one.argmax(1) == two.argmax(1))[sure].all()
    assert (one.argmax(1) == two.argmax(1)).mean() >= 0.75


def test_the_graph_of_the_full_network_is_left_alone(mine, tmp_path):
    before = Path(mine.path).read_bytes()
    quantize(mine.path, str(tmp_path / "x.onnx"), TAKEN, random_crops(4, 32))
    assert Path(mine.path).read_bytes() == before
