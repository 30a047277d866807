"""What every engine must do, whatever runs the network.

A new engine joins by a line in ENGINES: a function that takes a model's name, its weights
file and a state directory and returns the engine. NEAR says how near its probabilities are
to torch's.
"""

from __future__ import annotations

import csv
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tagger.classify.drawn_pictures import draw_pictures
from tagger.classify.engine import Engine
from tagger.classify.factory import load_engine
from tagger.classify.int8_files import full_network
from tagger.classify.int8_worker import PICTURES, quantize
from tagger.classify.onnx_engine import OnnxEngine
from tagger.classify.onnx_store import convert
from tagger.classify.weights import file_digest
from tagger.errors import ModelError
from tagger.records import CropSpec
from tests.support.checkpoints import photo_crops, plain_model, plain_probabilities, random_crops


def load_torch(name: str, weights: Path, state: Path) -> Engine:
    return load_engine(name, str(weights), engine="torch", threads=2, state_dir=str(state))


def load_onnx(name: str, weights: Path, state: Path) -> Engine:
    return load_engine(
        name, str(weights), engine="onnx", precision="fp32", threads=2, state_dir=str(state)
    )


def load_int8(name: str, weights: Path, state: Path) -> Engine:
    """Quantized as any network is; whether it is the faster one does not matter here."""
    model = convert(name, str(weights), str(state))
    path = state / f"{name}.int8.onnx"
    if not path.exists():
        taken = full_network(model).input
        quantize(model.path, str(path), taken, draw_pictures(PICTURES, taken.side))
    return OnnxEngine(model, int8=str(path), threads=2)


ENGINES: dict[str, Callable[[str, Path, Path], Engine]] = {
    "torch": load_torch,
    "onnx": load_onnx,
    "onnx-int8": load_int8,
}
NEAR = {"torch": 1e-4, "onnx": 1e-4, "onnx-int8": 0.3}


@pytest.fixture(scope="module")
def state(random_resnet18, make_once, tmp_path_factory):
    """Return a state directory in which the random ResNet-18 is ready for every engine."""
    ready = make_once("engines", lambda folder: load_int8("resnet18", random_resnet18, folder))
    return shutil.copytree(ready, tmp_path_factory.mktemp("engines") / "state")


@pytest.fixture(scope="module", params=ENGINES)
def load(request, state):
    return lambda name, weights: ENGINES[request.param](name, weights, state)


@pytest.fixture(scope="module")
def engine(load, random_resnet18):
    return load("resnet18", random_resnet18)


@pytest.fixture(scope="module")
def crops():
    return random_crops(8)


def probabilities(engine, crops):
    return np.stack([one.probabilities for one in engine.predict(crops)])


def features(engine, crops):
    return np.stack([one.features for one in engine.predict(crops)])


def test_what_it_says_of_itself(engine, request):
    assert engine.name == request.node.callspec.params["load"]
    assert engine.spec == CropSpec(256, 224, "bilinear")
    assert len(engine.categories) == 1000
    assert engine.categories[0] == "tench" and engine.categories[999] == "toilet tissue"


def test_shapes_and_types(engine, crops):
    predictions = engine.predict(crops)
    assert len(predictions) == 8
    for one in predictions:
        assert one.probabilities.shape == (1000,) and one.probabilities.dtype == np.float32
        assert one.features.shape == (512,) and one.features.dtype == np.float32
        assert np.isfinite(one.features).all()
        assert one.model_id == engine.model_id


def test_probabilities_are_probabilities(engine, crops):
    found = probabilities(engine, crops)
    assert (found >= 0).all()
    assert found.sum(1, dtype=np.float64) == pytest.approx(np.ones(8), abs=1e-5)
    assert found.argmax(1).std() > 0, "different pictures, different answers"


def test_one_by_one_or_together_is_the_same(engine, crops):
    together = probabilities(engine, crops), features(engine, crops)
    for index in range(8):
        [one] = engine.predict(crops[index : index + 1])
        assert np.abs(one.probabilities - together[0][index]).max() < 1e-5
        scale = np.abs(together[1][index]).max()
        assert np.abs(one.features - together[1][index]).max() < 1e-5 * scale


def test_the_order_is_kept(engine, crops):
    found = probabilities(engine, crops)
    order = np.array([5, 0, 7, 2, 1, 6, 3, 4])
    assert np.abs(probabilities(engine, crops[order]) - found[order]).max() < 1e-5


def test_results_stay_what_they_were(engine, crops):
    """No buffer is used again for the next batch, and the crops are left alone."""
    given = crops.copy()
    first = engine.predict(given)
    kept = [(one.probabilities.copy(), one.features.copy()) for one in first]
    engine.predict(given[::-1])
    for one, (probability, feature) in zip(first, kept, strict=True):
        assert (one.probabilities == probability).all() and (one.features == feature).all()
    assert (given == crops).all()


def test_crops_need_not_lie_in_one_piece(engine, crops):
    channels_first = np.ascontiguousarray(crops.transpose(0, 3, 1, 2))
    found = probabilities(engine, channels_first.transpose(0, 2, 3, 1))
    assert np.abs(found - probabilities(engine, crops)).max() < 1e-5
    mirrored = crops[:, :, ::-1]
    found = probabilities(engine, mirrored)
    assert np.abs(found - probabilities(engine, mirrored.copy())).max() < 1e-5


def test_no_crops_no_predictions(engine, crops):
    assert engine.predict(crops[:0]) == []


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((224, 224, 3), np.uint8),
        ((2, 3, 224, 224), np.uint8),
        ((2, 224, 224, 4), np.uint8),
        ((2, 224, 224), np.uint8),
        ((2, 256, 256, 3), np.uint8),
        ((0, 64, 64, 3), np.uint8),
        ((2, 224, 224, 3), np.float32),
        ((2, 224, 224, 3), np.int8),
    ],
)
def test_other_shapes_and_types_are_refused(engine, shape, kind):
    with pytest.raises(ValueError, match=r"must be uint8 \(N, 224, 224, 3\)") as raised:
        engine.predict(np.zeros(shape, kind))
    assert str(shape) in str(raised.value) and np.dtype(kind).name in str(raised.value)


def test_the_same_as_plain_torchvision(engine, random_resnet18):
    crops = random_crops(32)
    model = plain_model("resnet18")
    model.load_state_dict(torch.load(random_resnet18, weights_only=True), strict=True)
    model.eval()
    plain = plain_probabilities(model, crops)
    found = probabilities(engine, crops)
    distance = np.abs(found - plain).max(1)
    # Of an untrained network and noise, int8 may get a single one wrong.
    typical = np.median(distance) if engine.name == "onnx-int8" else distance.max()
    assert typical < NEAR[engine.name]
    assert plain.max() > 0.1, "a network that knows nothing proves nothing"
    second, best = np.sort(plain, 1)[:, -2:].T
    clear = best - second > min(2 * NEAR[engine.name], 0.1)
    assert clear.sum() >= 4
    assert (found.argmax(1) == plain.argmax(1))[clear].mean() >= 0.75


def test_features_are_the_last_layers_input(engine, random_resnet18, crops):
    state = torch.load(random_resnet18, weights_only=True)
    found = features(engine, crops).astype(np.float64)
    logits = found @ state["fc.weight"].double().numpy().T + state["fc.bias"].double().numpy()
    exp = np.exp(logits - logits.max(1, keepdims=True))
    assert np.abs(exp / exp.sum(1, keepdims=True) - probabilities(engine, crops)).max() < 1e-4


def test_the_model_id_follows_the_weights(engine, random_resnet18, tmp_path):
    """torch and ONNX are the same model; the quantized network is another."""
    suffix = "-int8" if engine.name == "onnx-int8" else ""
    assert engine.model_id == f"resnet18-{file_digest(str(random_resnet18))[:8]}{suffix}"
    if suffix:
        return  # made of what the plain ONNX engine runs
    state = torch.load(random_resnet18, weights_only=True)
    state["fc.bias"][0] += 1
    torch.save(state, tmp_path / "resnet18.pth")
    # Elsewhere, for the conversion of other weights takes the place of the old one.
    other = ENGINES[engine.name]("resnet18", tmp_path / "resnet18.pth", tmp_path)
    assert other.model_id != engine.model_id


def test_weights_of_another_model_are_refused(load, random_squeezenet):
    with pytest.raises(ModelError, match="is not the weights of resnet18") as raised:
        load("resnet18", random_squeezenet)
    assert raised.value.remedy


def test_real_photos_get_their_names(load, shared, state, converted_mobilenet):
    """54 of 63, as the plain code with its 55 allows."""
    for file in (converted_mobilenet / "models").glob("mobilenet_v2-*"):
        shutil.copy(file, state / "models")
    engine = load("mobilenet_v2", shared / "models" / "mobilenet_v2.pth")
    folder = shared / "photos" / "imagenet"
    with open(folder / "truth.csv", newline="") as file:
        truth = list(csv.DictReader(file))
    found = probabilities(engine, photo_crops(folder)).argmax(1)
    right = sum(index == int(row["class_index"]) for index, row in zip(found, truth, strict=True))
    assert right >= 54
    names = [row["torchvision_category"] for row in truth]
    assert [engine.categories[int(row["class_index"])] for row in truth] == names


def test_an_unknown_engine(random_resnet18):
    with pytest.raises(ModelError, match="there is no engine 'magic'") as raised:
        load_engine("resnet18", str(random_resnet18), engine="magic")
    assert "model.engine" in raised.value.remedy


def test_int8_makes_two_runs_at_a_time_on_two_cores(random_resnet18, state, monkeypatch):
    model = convert("resnet18", str(random_resnet18), str(state))
    path = str(state / "resnet18.int8.onnx")
    alone = OnnxEngine(model, int8=path, threads=1)
    monkeypatch.setattr("tagger.classify.onnx_engine.cores", lambda: 2)
    pair = OnnxEngine(model, int8=path)
    crops = random_crops(9)
    for count in (1, 2, 3, 8, 9):
        np.testing.assert_array_equal(
            probabilities(pair, crops[:count]), probabilities(alone, crops[:count])
        )
    assert pair.predict(crops[:0]) == []

    class Session:
        """Answers only when two ask."""

        real, both, sizes = pair._session, threading.Barrier(2, timeout=30), []

        def run(self, names, given):
            self.both.wait()
            self.sizes.append(len(given["crops"]))
            return self.real.run(names, given)

    pair._session = Session()
    assert len(pair.predict(crops[:8])) == 8 and Session.sizes == [4, 4]
    assert len(pair.predict(crops[:2])) == 2 and Session.sizes == [4, 4, 1, 1]
