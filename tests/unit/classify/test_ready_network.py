"""Converted networks as files: what they carry, and what is refused of them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import onnx
import pytest

from tagger.classify.factory import load_converted
from tagger.classify.loader import EngineLoader, network_file
from tagger.classify.onnx_store import convert
from tagger.classify.ready_network import ENTRY, import_network, read_network_file, write_network
from tagger.config.schema import Config, ModelConfig
from tagger.errors import ModelError, WeightsNotFoundError
from tests.support.checkpoints import random_crops

NAME = "squeezenet1_1"


@pytest.fixture(scope="module")
def converted(random_squeezenet, make_once):
    """Return the small network as it is converted on a machine with torch."""
    folder = make_once(
        f"converted-{NAME}", lambda folder: convert(NAME, str(random_squeezenet), str(folder))
    )
    return convert(NAME, str(random_squeezenet), str(folder))


@pytest.fixture
def file(converted, tmp_path):
    path = tmp_path / "brought.onnx"
    write_network(converted, str(path))
    return path


@pytest.fixture(autouse=True)
def no_weights_elsewhere(monkeypatch, tmp_path):
    monkeypatch.delenv("TAGGER_MODEL_DIR", raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))


def config_of(state, **settings):
    return Config(
        state_dir=str(state),
        model=ModelConfig(name=NAME, download=False, threads=1, precision="fp32", **settings),
    )


def said(path) -> dict:
    entries = {one.key: one.value for one in onnx.load_model(str(path)).metadata_props}
    return json.loads(entries[ENTRY])


def change(path, **settings) -> None:
    graph = onnx.load_model(str(path))
    onnx.helper.set_model_props(graph, {ENTRY: json.dumps(said(path) | settings)})
    path.write_bytes(graph.SerializeToString())


def test_another_machine_gets_the_same_network(converted, file, tmp_path):
    state = tmp_path / "elsewhere"
    made = import_network(str(file), str(state))
    assert (made.name, made.digest, made.spec) == (NAME, converted.digest, converted.spec)
    assert made.categories == converted.categories
    file.unlink()
    engine = EngineLoader(lambda: False).open_now(config_of(state))
    assert engine.model_id == converted.model_id
    crops = random_crops(3)
    before = load_converted(converted, precision="fp32", threads=1).predict(crops)
    for one, other in zip(engine.predict(crops), before, strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)
        assert np.array_equal(one.features, other.features)


@pytest.mark.parametrize("place", ["state", "TAGGER_MODEL_DIR", "weights"])
def test_a_file_that_is_put_where_weights_are_looked_for_is_found(
    place, file, tmp_path, monkeypatch
):
    """As `NAME.onnx`; nothing else needs to be run."""
    state, folder = tmp_path / "state", tmp_path / "networks"
    config = config_of(state)
    if place == "state":
        folder = state / "models"
    elif place == "TAGGER_MODEL_DIR":
        monkeypatch.setenv(place, str(folder))
    else:
        config = config_of(state, weights=str(folder / f"{NAME}.onnx"))
    loader = EngineLoader(lambda: False)
    assert loader.get(config) is None
    assert isinstance(loader.error, WeightsNotFoundError)
    folder.mkdir(parents=True)
    shutil.copy(file, folder / f"{NAME}.onnx")
    assert network_file(config, NAME) == str(folder / f"{NAME}.onnx")
    assert EngineLoader(lambda: False).get(config) is not None
    (folder / f"{NAME}.onnx").unlink()
    assert EngineLoader(lambda: False).open_now(config).name == "onnx"


def test_weights_come_before_a_file_of_other_weights(file, random_squeezenet, tmp_path):
    state = tmp_path / "state"
    change(file, digest="0" * 64)
    import_network(str(file), str(state))
    assert EngineLoader(lambda: False).open_now(config_of(state)).model_id == f"{NAME}-00000000"
    own = config_of(state, weights=str(random_squeezenet))
    assert not EngineLoader(lambda: False).open_now(own).model_id.endswith("-00000000")


@pytest.mark.parametrize(
    ("change_to", "reason"),
    [
        ({"format": 2}, "another version of tagger"),
        ({"exporter": 1}, "another version of tagger"),
        ({"name": "../../etc/passwd"}, "there is no model"),
        ({"name": "yolox_nano"}, "there is no model"),
        ({"digest": "../x"}, "digest"),
        ({"digest": 7}, "does not say what it holds"),
        ({"spec": [256, 0, "bilinear", False]}, "wants its pictures"),
        ({"spec": [256, 224, "lanczos", False]}, "wants its pictures"),
        ({"spec": [256, 224]}, "does not say what it holds"),
        ({"spec": [256, 96, "bilinear", False]}, "cannot be run|does not give"),
        ({"categories": ["dog", "cat"]}, "its 2 classes"),
        ({"categories": []}, "no names"),
        ({"categories": [1, 2]}, "no names"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_kept(change_to, reason, file, tmp_path):
    if "size" not in change_to and change_to.get("spec", [0, 0])[1] == 96:
        graph = onnx.load_model(str(file))
        for number, side in zip((1, 2), (224, 224), strict=True):
            graph.graph.input[0].type.tensor_type.shape.dim[number].dim_value = side
        file.write_bytes(graph.SerializeToString())
    change(file, **change_to)
    state = tmp_path / "state"
    with pytest.raises(ModelError, match=reason) as raised:
        import_network(str(file), str(state))
    assert str(file) in raised.value.message and raised.value.remedy
    assert not (state / "models").exists()


def test_what_is_no_such_file_is_told(converted, tmp_path):
    with pytest.raises(ModelError, match="was not written by `tagger model convert`"):
        read_network_file(converted.path)
    path = tmp_path / "x.onnx"
    path.write_bytes(b"no network")
    with pytest.raises(ModelError, match="is no network"):
        read_network_file(str(path))
    with pytest.raises(ModelError, match="cannot read"):
        read_network_file(str(tmp_path / "none.onnx"))


def test_a_file_is_whole_or_not_there(converted, tmp_path):
    (tmp_path / "folder").mkdir()
    if os.geteuid() == 0:
        with pytest.raises(ModelError, match="cannot write"):
            write_network(converted, str(tmp_path / "nowhere" / "x.onnx"))
    with pytest.raises(ModelError, match="cannot write"):
        write_network(converted, str(tmp_path / "folder"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    gone = replace(converted, path=str(tmp_path / "gone.onnx"))
    with pytest.raises(ModelError, match="cannot write"):
        write_network(gone, str(tmp_path / "y.onnx"))
