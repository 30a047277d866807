"""Other networks than ResNet-18, and weights files that are not what they should be."""

from __future__ import annotations

import os
import random
import re
import warnings

import numpy as np
import pytest
import torch

from tagger.classify.torch_engine import TorchEngine, build, load_state_dict
from tagger.errors import ModelError
from tests.support.checkpoints import (
    HEADS,
    plain_model,
    plain_probabilities,
    random_crops,
    random_model,
    share_layers,
)

SIZES = {
    "mobilenet_v2": 1280,
    "efficientnet_b0": 1280,
    "squeezenet1_1": 512,
    "densenet121": 1024,
    "mnasnet0_5": 1280,
    "googlenet": 1024,
    "vit_b_32": 768,
}
"""Each network's number of features."""


def probabilities(engine, crops):
    return np.stack([one.probabilities for one in engine.predict(crops)])


@pytest.mark.parametrize("name", SIZES)
def test_other_networks(name, tmp_path):
    """The last layer is found, and the answer is plain torchvision's."""
    model = random_model(name)
    path = tmp_path / f"{name}.pth"
    torch.save(model.state_dict(), path)
    engine = TorchEngine(name, str(path), threads=2)
    crops = random_crops(2, engine.spec.size)
    plain = plain_probabilities(model, crops)
    found = engine.predict(crops)
    assert np.abs(np.stack([one.probabilities for one in found]) - plain).max() < 1e-4
    assert plain.max() > 0.03 and np.abs(plain[0] - plain[1]).max() > 0.01
    assert [one.features.shape for one in found] == [(SIZES[name],)] * 2
    if name != "squeezenet1_1":  # there a ReLU and a mean follow
        state = model.state_dict()
        logits = torch.from_numpy(np.stack([one.features for one in found]))
        logits = logits @ state[f"{HEADS[name]}.weight"].T + state[f"{HEADS[name]}.bias"]
        assert np.abs(torch.softmax(logits, 1).numpy() - plain).max() < 1e-4


@pytest.mark.parametrize("name", ["resnet18", "maxvit_t", "mobilenet_v2"])
def test_a_network_for_other_classes(name, tmp_path):
    """MaxViT's last layer has no bias."""
    model = plain_model(name, 7).eval()
    torch.save(model.state_dict(), tmp_path / "own.pth")
    engine = TorchEngine(name, str(tmp_path / "own.pth"), threads=2)
    crops = random_crops(2, engine.spec.size)
    assert engine.categories == tuple(f"class {index}" for index in range(7))
    assert np.abs(probabilities(engine, crops) - plain_probabilities(model, crops)).max() < 1e-4


def test_densenet_with_the_keys_of_its_published_weights(tmp_path):
    """They date from before PyTorch 0.4: `norm.1` where the network has `norm1`."""
    model = random_model("densenet121")
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|relu|conv))([12]\.)", r"\1.\2", key): value
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "d.pth")
    crops = random_crops(1)
    engine = TorchEngine("densenet121", str(tmp_path / "d.pth"), threads=2)
    assert np.abs(probabilities(engine, crops) - plain_probabilities(model, crops)).max() < 1e-4


def test_googlenet_saved_without_its_auxiliary_heads(tmp_path):
    model = random_model("googlenet")
    state = {key: value for key, value in model.state_dict().items() if not key.startswith("aux")}
    torch.save(state, tmp_path / "g.pth")
    crops = random_crops(1)
    engine = TorchEngine("googlenet", str(tmp_path / "g.pth"), threads=2)
    assert np.abs(probabilities(engine, crops) - plain_probabilities(model, crops)).max() < 1e-4


def test_vision_transformers_are_built_for_the_size_of_their_weights(tmp_path):
    """The weights' name tells the size: 384 here, and 518 for the default of vit_h_14."""
    model = plain_model("vit_b_16", image_size=384)
    share_layers(model)
    path = tmp_path / "vit_b_16_swag-9ac1b537.pth"
    torch.save(model.state_dict(), path)
    engine = TorchEngine("vit_b_16", str(path), threads=2)
    assert engine.spec.size == 384 and engine.spec.interpolation == "bicubic"
    [found] = engine.predict(random_crops(1, 384))
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)
    with torch.device("meta"):  # shapes without numbers: it has 632 million
        huge = build("vit_h_14", 1000, size=518).eval()
        assert huge(torch.empty(1, 3, 518, 518)).shape == (1, 1000)


@pytest.mark.parametrize("wrap", ["state_dict", "DataParallel"])
def test_training_checkpoints(wrap, random_squeezenet, tmp_path):
    state = torch.load(random_squeezenet, weights_only=True)
    if wrap == "state_dict":
        saved = {"epoch": 3, "state_dict": state}
    else:
        model = plain_model("squeezenet1_1")
        model.load_state_dict(state)
        saved = torch.nn.DataParallel(model).state_dict()
        assert all(key.startswith("module.") for key in saved)
    torch.save(saved, tmp_path / "own.pth")
    crops = random_crops(2)
    own = TorchEngine("squeezenet1_1", str(tmp_path / "own.pth"))
    plain = TorchEngine("squeezenet1_1", str(random_squeezenet))
    assert (probabilities(own, crops) == probabilities(plain, crops)).all()


def test_the_old_file_format(random_squeezenet, tmp_path):
    """Most published weights are not zip archives."""
    state = torch.load(random_squeezenet, weights_only=True)
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    crops = random_crops(2)
    old = TorchEngine("squeezenet1_1", str(tmp_path / "old.pth"))
    new = TorchEngine("squeezenet1_1", str(random_squeezenet))
    assert (probabilities(old, crops) == probabilities(new, crops)).all()


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def spoil(kind, state, path, tmp_path):
    """Write to ``path`` something that is not the weights of a SqueezeNet."""
    whole = path.with_name("whole")
    torch.save(state, whole)
    data = whole.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_bytes(b"<html>404 Not Found</html>\n" * 20)
    elif kind == "folder":
        path.mkdir()
    elif kind == "code":
        torch.save(state | {"classifier.1.bias": Code(tmp_path / "ran")}, path)
    elif kind == "network":
        torch.save(plain_model("squeezenet1_1"), path)
    elif kind == "list":
        torch.save(list(state.values()), path)
    elif kind == "numbers":
        torch.save({"classifier.1.bias": 3}, path)
    elif kind == "nothing in it":
        torch.save({}, path)
    elif kind == "lacks":
        state.pop("classifier.1.bias")
        torch.save(state, path)
    elif kind == "lacks the head":
        state.pop("classifier.1.weight")
        torch.save(state, path)
    elif kind == "has more":
        torch.save(state | {"extra.weight": torch.zeros(3)}, path)
    elif kind == "other shape":
        torch.save(state | {"features.0.weight": torch.zeros(3)}, path)
    elif kind == "other network":
        torch.save(plain_model("shufflenet_v2_x0_5").state_dict(), path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "is not a weights file, or is damaged"),
        ("empty", "is not a weights file, or is damaged"),
        ("text", "or is damaged"),
        ("folder", "cannot read the weights file"),
        ("missing", "cannot read the weights file"),
        ("code", "holds more than tensors"),
        ("network", "holds more than tensors"),
        ("list", "holds no state dict"),
        ("numbers", "holds no state dict"),
        ("nothing in it", "holds no state dict"),
        ("lacks", r"not the weights of squeezenet1_1: it lacks classifier\.1\.bias;"),
        ("lacks the head", r"it lacks classifier\.1\.weight;"),
        ("has more", r"it has also extra\.weight;"),
        ("other shape", "it has tensors of other shapes"),
        ("other network", r"it lacks .* \.\.\. and has also .* \.\.\.;"),
    ],
)
def test_what_is_not_the_models_weights(kind, message, random_squeezenet, tmp_path):
    path = tmp_path / "squeezenet1_1.pth"
    spoil(kind, torch.load(random_squeezenet, weights_only=True), path, tmp_path)
    with pytest.raises(ModelError, match=message) as raised:
        TorchEngine("squeezenet1_1", str(path))
    assert str(path) in raised.value.message
    assert raised.value.remedy
    assert "\n" not in str(raised.value) and "weights_only" not in str(raised.value)
    assert not (tmp_path / "ran").exists(), "code in the file was run"


def test_code_would_run_if_it_were_not_refused(tmp_path):
    torch.save({"a": Code(tmp_path / "ran")}, tmp_path / "code.pth")
    torch.load(tmp_path / "code.pth", weights_only=False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_damage_of_any_kind_is_a_model_error(zipped, tmp_path):
    """Bytes are changed where a file's structure is; nothing but ModelError comes out."""
    path = tmp_path / "damaged.pth"
    state = {f"layer{number}.weight": torch.zeros(4) for number in range(20)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    whole, dice, refused = path.read_bytes(), random.Random(1), 0
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                load_state_dict(str(path))
        except ModelError as error:
            refused += 1
            assert error.remedy
    assert refused > 50


def test_a_network_that_torchvision_does_not_have():
    with pytest.raises(ModelError, match="this torchvision has no model resnet19"):
        build("resnet19", 10)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads(threads, random_squeezenet):
    before = torch.get_num_threads()
    try:
        TorchEngine("squeezenet1_1", str(random_squeezenet), threads=threads)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
