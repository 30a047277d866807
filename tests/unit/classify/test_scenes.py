"""ResNet-18 on Places365, in the form that its authors published: a legacy checkpoint."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from tagger.classify import onnx_store
from tagger.classify.catalog import places365
from tagger.classify.export_worker import main
from tagger.classify.onnx_engine import OnnxEngine
from tagger.classify.onnx_store import convert
from tagger.classify.torch_engine import TorchEngine
from tagger.classify.weights import find_weights
from tagger.errors import ModelError
from tests.support.checkpoints import plain_model, plain_probabilities, random_crops

NAME = "resnet18_places365"
FILE = f"{NAME}.pth.tar"


def old_checkpoint(path: Path, classes: int = 365, *, of_a_gpu: bool = False) -> torch.nn.Module:
    """Write a checkpoint as PyTorch 0.2 did after training on several GPUs."""
    torch.manual_seed(4)
    model = plain_model("resnet18", classes).eval()
    with torch.no_grad():
        model.fc.weight *= 20
    state = {
        f"module.{key}": value
        for key, value in model.state_dict().items()
        if not key.endswith("num_batches_tracked")  # came with PyTorch 0.4.1
    }
    checkpoint = {"epoch": 90, "arch": "resnet18", "state_dict": state, "best_prec1": 54.7}
    torch.save(checkpoint, path, _use_new_zipfile_serialization=False)
    if of_a_gpu:
        data = path.read_bytes()
        said = data.replace(b"ctorch\nFloatStorage\n", b"ctorch.cuda\nFloatStorage\n")
        there = b"X" + struct.pack("<I", 3) + b"cpu"
        assert there in said
        path.write_bytes(said.replace(there, b"U\x06cuda:0"))  # Python 2 wrote byte strings
    return model


@pytest.mark.parametrize("of_a_gpu", [False, True])
def test_the_published_form_is_read(tmp_path: Path, of_a_gpu: bool) -> None:
    model = old_checkpoint(tmp_path / FILE, of_a_gpu=of_a_gpu)
    engine = TorchEngine(NAME, str(tmp_path / FILE), threads=1)
    assert engine.categories == places365()
    assert engine.model_id.startswith(f"{NAME}-")
    assert (engine.spec.resize, engine.spec.size, engine.spec.squash) == (256, 224, True)
    crops = random_crops(2)
    found = np.stack([one.probabilities for one in engine.predict(crops)])
    assert found == pytest.approx(plain_probabilities(model, crops), abs=1e-5)


def test_it_is_converted_beside_that_of_subjects(
    tmp_path: Path, random_resnet18: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_store, "run_child", lambda module, request, stop: main(request))
    old_checkpoint(tmp_path / FILE)
    subjects = convert("resnet18", str(random_resnet18), str(tmp_path))
    scenes = convert(NAME, str(tmp_path / FILE), str(tmp_path))
    assert os.path.exists(subjects.path), "the two are not taken for versions of one"
    assert scenes.categories == places365()
    assert (scenes.spec.squash, subjects.spec.squash) == (True, False)
    crops = random_crops(2)
    ours = OnnxEngine(scenes, threads=1).predict(crops)
    theirs = TorchEngine(NAME, str(tmp_path / FILE), threads=1).predict(crops)
    for one, other in zip(ours, theirs, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
        assert one.features.shape == (512,)


def test_it_is_found_under_its_published_name(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / FILE
    path.write_bytes(b"x")
    environ = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    found = find_weights(NAME, configured=None, state_dir=str(tmp_path), environ=environ)
    assert found == str(path)


def test_weights_of_another_network_are_refused(tmp_path: Path, random_squeezenet: Path) -> None:
    with pytest.raises(ModelError, match=f"is not the weights of {NAME}"):
        TorchEngine(NAME, str(random_squeezenet))
