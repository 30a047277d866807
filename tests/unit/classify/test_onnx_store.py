"""Converting to ONNX: when it is done, kept, done again, and what happens when it cannot be."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from tagger.classify import onnx_store
from tagger.classify.child_process import ChildError, run_child
from tagger.classify.digest_cache import DigestCache
from tagger.classify.export_worker import main
from tagger.classify.factory import load_engine
from tagger.classify.loader import EngineLoader
from tagger.classify.onnx_store import (
    EXPORTER,
    convert,
    kept_conversion,
    model_path,
    read_converted,
)
from tagger.classify.weights import file_digest
from tagger.config.schema import Config, ModelConfig
from tagger.errors import ModelError, StoppedError
from tests.support.checkpoints import random_crops, random_model

NAME = "squeezenet1_1"


@pytest.fixture(scope="module")
def converted_once(random_squeezenet, make_once):
    """Return a state directory in which the small network was converted."""
    return make_once(
        f"converted-{NAME}", lambda folder: convert(NAME, str(random_squeezenet), str(folder))
    )


@pytest.fixture
def state(converted_once, tmp_path):
    """Return a copy of it."""
    return shutil.copytree(converted_once, tmp_path / "state")


@pytest.fixture
def no_torch(tmp_path, monkeypatch):
    """Let torch be broken in every process that is started."""
    package = tmp_path / "broken" / "torch"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('libtorch.so is not what it was')\n")
    monkeypatch.setenv("PYTHONPATH", str(package.parent))


@pytest.fixture
def convert_here(monkeypatch):
    """Let conversions happen in this process, which has torch: a new one takes seconds for it."""
    monkeypatch.setattr(onnx_store, "run_child", lambda module, request, stop: main(request))


def onnx_files(state):
    return sorted(path.name for path in (state / "models").glob("*.onnx"))


def load(weights, state, **options):
    return load_engine(NAME, str(weights), state_dir=str(state), threads=1, **options)


def test_the_file_is_named_by_model_weights_and_exporter(state, random_squeezenet):
    digest = file_digest(str(random_squeezenet))
    [name] = onnx_files(state)
    assert name == f"{NAME}-{digest[:16]}-v{EXPORTER}.onnx"
    left = {path.name for path in (state / "models").iterdir()}
    assert left - {"digests.json"} == {name, name.replace(".onnx", ".json"), "convert.lock"}
    found = read_converted(str(state / "models" / name))
    assert found is not None and found.digest == digest
    assert found.model_id == f"{NAME}-{digest[:8]}"


def test_it_is_converted_once(state, random_squeezenet, no_torch):
    """With torch broken it could not be converted again."""
    engine = load(random_squeezenet, state, engine="onnx")
    assert engine.name == "onnx"
    assert len(engine.predict(random_crops(1))) == 1


def test_neither_loading_nor_predicting_imports_torch(state, random_squeezenet):
    script = """
import sys, numpy as np
from tagger.config.schema import Config, ModelConfig
from tagger.classify.loader import EngineLoader
config = Config(state_dir=sys.argv[1], model=ModelConfig(name="squeezenet1_1", weights=sys.argv[2]))
loader = EngineLoader(lambda: False)
engine = loader.get(config)
assert engine is not None, loader.error
assert engine.name == "onnx"
assert len(engine.predict(np.zeros((2, 224, 224, 3), np.uint8))) == 2
heavy = {"torch", "torchvision", "onnx", "onnxruntime.quantization"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(state), str(random_squeezenet)],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_other_weights_are_converted_and_the_old_conversion_goes(state, convert_here, tmp_path):
    [old] = onnx_files(state)
    models = state / "models"
    for name in (f"{old[:-5]}.int8.onnx", f"{old[:-5]}.int8.json", f"{old[:-5]}.onnx.part"):
        (models / name).write_bytes(b"x")
    keep = ["resnet18-0123456789abcdef-v1.onnx", "squeezenet1_1.pth", "squeezenet1_1-mine.pth"]
    for name in keep:
        (models / name).write_bytes(b"x")
    path = tmp_path / f"{NAME}.pth"
    torch.save(random_model(NAME, seed=1).state_dict(), path)
    convert(NAME, str(path), str(state))
    digest = file_digest(str(path))
    new = f"{NAME}-{digest[:16]}-v{EXPORTER}"
    left = {path.name for path in models.iterdir()} - {"convert.lock", "digests.json"}
    assert left == {f"{new}.onnx", f"{new}.json", *keep}


def test_the_file_of_another_exporter_is_not_used(state, random_squeezenet):
    [name] = onnx_files(state)
    old = name.replace(f"-v{EXPORTER}", f"-v{EXPORTER + 1}")
    for ending in (".onnx", ".json"):
        path = state / "models" / name.replace(".onnx", ending)
        path.rename(path.with_name(old.replace(".onnx", ending)))
    digest = file_digest(str(random_squeezenet))
    assert read_converted(model_path(NAME, digest, str(state))) is None
    assert kept_conversion(NAME, [str(random_squeezenet)], str(state)) is None
    assert onnx_files(state) == [old]


@pytest.mark.parametrize("damage", ["a bit", "no record", "another file"])
def test_a_damaged_file_is_converted_again(damage, state, random_squeezenet, convert_here, caplog):
    [name] = onnx_files(state)
    path = state / "models" / name
    whole = path.read_bytes()
    if damage == "a bit":  # in the weights: the file loads as before
        middle = len(whole) // 2
        path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    elif damage == "no record":
        path.with_suffix(".json").unlink()
    else:
        # What ONNX Runtime cannot load though it is what was stored.
        path.write_bytes(b"not a network")
        record = path.with_suffix(".json")
        known = json.loads(record.read_text()) | {"sha256": file_digest(str(path))}
        record.write_text(json.dumps(known))
    engine = load(random_squeezenet, state)
    assert engine.name == "onnx"
    assert len(path.read_bytes()) == len(whole)
    crops = random_crops(2)
    plain = load(random_squeezenet, state, engine="torch").predict(crops)
    for one, other in zip(engine.predict(crops), plain, strict=True):
        assert np.abs(one.probabilities - other.probabilities).max() < 1e-4
        assert one.model_id == other.model_id
    assert any("damaged" in r.getMessage() or "again" in r.getMessage() for r in caplog.records)


def test_weights_may_go_once_they_are_converted(random_squeezenet, tmp_path, no_weights_elsewhere):
    state = tmp_path / "state"
    (state / "models").mkdir(parents=True)
    weights = shutil.copyfile(random_squeezenet, state / "models" / f"{NAME}.pth")
    config = Config(state_dir=str(state), model=ModelConfig(name=NAME, threads=1))
    first = EngineLoader(lambda: False).open_now(config)
    weights.unlink()
    second = EngineLoader(lambda: False).open_now(config)
    assert second.name == "onnx" and second.model_id == first.model_id
    for other in (
        ModelConfig(name=NAME, engine="torch"),
        ModelConfig(name=NAME, weights="/not/those.pth"),
        ModelConfig(name="resnet18"),
    ):
        if other.weights:  # the configured place is asked first, then the usual ones
            assert kept_conversion(NAME, [other.weights], str(state)) is None
            continue
        with pytest.raises(ModelError, match="no weights of"):
            EngineLoader(lambda: False).open_now(Config(state_dir=str(state), model=other))


@pytest.fixture
def no_weights_elsewhere(monkeypatch, tmp_path):
    monkeypatch.delenv("TAGGER_MODEL_DIR", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))


def test_what_cannot_be_converted_runs_in_torch_with_one_warning(
    random_squeezenet, tmp_path, no_torch, caplog
):
    engine = load(random_squeezenet, tmp_path / "state")
    assert engine.name == "torch"
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "libtorch.so is not what it was" in warning.getMessage()
    assert "classifying with torch" in warning.getMessage()
    with pytest.raises(ModelError, match=r"libtorch\.so is not what it was") as raised:
        load(random_squeezenet, tmp_path / "state", engine="onnx")
    assert "model.engine: torch" in raised.value.remedy
    assert onnx_files(tmp_path / "state") == []


def test_where_nothing_can_be_stored_torch_runs(random_squeezenet, tmp_path, caplog):
    (tmp_path / "state").write_text("a file, not a folder")
    assert load(random_squeezenet, tmp_path / "state").name == "torch"
    assert "cannot be converted" in caplog.text


def test_damaged_weights_are_no_reason_to_fall_back(tmp_path):
    path = tmp_path / f"{NAME}.pth"
    path.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="or is damaged") as raised:
        load(path, tmp_path / "state")
    assert str(path) in raised.value.message and raised.value.remedy


def test_a_conversion_ends_at_once_when_it_is_told_to(random_squeezenet, tmp_path):
    began = time.monotonic()
    with pytest.raises(StoppedError):
        convert(NAME, str(random_squeezenet), str(tmp_path), stop=lambda: True)
    assert time.monotonic() - began < 1
    assert onnx_files(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"engine": "torch", "precision": "int8"}, "torch does not run int8"),
        ({"engine": "tensorflow"}, "there is no engine"),
    ],
)
def test_what_is_demanded_and_not_there(options, said, state, random_squeezenet):
    with pytest.raises(ModelError, match=said) as raised:
        load(random_squeezenet, state, **options)
    assert "model" in raised.value.remedy


def test_a_child_that_dies_tells_its_last_words():
    with pytest.raises(ChildError, match=r"No module named tagger\.nothing"):
        run_child("tagger.nothing", {})


def test_digests_are_remembered_until_the_file_changes(tmp_path):
    """Told by replacing the content behind size, mtime and inode."""
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(10**18, 10**18))
    digests = DigestCache(str(tmp_path), clock=lambda: 10**18 + 3 * 10**9)
    first = digests.of(str(path))
    assert first == file_digest(str(path))
    path.write_bytes(b"two")
    os.utime(path, ns=(10**18, 10**18))
    assert DigestCache(str(tmp_path)).of(str(path)) == first, "it was read again"
    os.utime(path, ns=(10**18, 10**18 + 1))
    assert digests.of(str(path)) == file_digest(str(path)) != first


def test_the_digest_of_a_file_that_may_still_change_is_not_remembered(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(10**18, 10**18))
    digests = DigestCache(str(tmp_path), clock=lambda: 10**18 + 10**9)
    first = digests.of(str(path))
    path.write_bytes(b"two")
    os.utime(path, ns=(10**18, 10**18))
    assert digests.of(str(path)) == file_digest(str(path)) != first


def test_a_memory_of_digests_that_is_spoilt_or_cannot_be_kept(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    for spoilt in ("{", "[]", json.dumps({str(path): 3}), json.dumps({str(path): []})):
        (tmp_path / "digests.json").write_text(spoilt)
        assert DigestCache(str(tmp_path)).of(str(path)) == file_digest(str(path))
    assert DigestCache("/no/such/folder").of(str(path)) == file_digest(str(path))
    with pytest.raises(ModelError, match="cannot read"):
        DigestCache(str(tmp_path)).of(str(tmp_path / "none"))
