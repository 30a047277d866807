"""How further networks are found and loaded, while photos are handled without them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.classify import catalog
from tagger.classify.catalog import Origin
from tagger.classify.weights import file_digest
from tagger.config.schema import NO_MODEL, Config, ModelConfig
from tagger.errors import ModelError, WeightsNotFoundError
from tagger.index.store import Store
from tagger.labels.vocabulary import load_vocabulary
from tagger.pipeline.networks import DetectorLoader, FurtherNetworks, Networks
from tests.support.classifiers import save_classifier
from tests.support.detectors import output_of, save_network
from tests.support.networks import FakeScenes
from tests.support.weights_server import serving

Eventually = Callable[..., Any]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a state directory; no weights of this machine are found."""
    for name in ("TAGGER_MODEL_DIR", "TAGGER_MODEL_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (tmp_path / "state" / "models").mkdir(parents=True)
    return tmp_path / "state"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return the description of a small classifier."""
    save_classifier(tmp_path / "net.onnx", np.eye(3), size=16)
    path = tmp_path / "places.yaml"
    path.write_text(
        "file: net.onnx\nclasses: [beach, forest, street]\nsize: 16\noutput: logits\n"
        "features: means\n"
    )
    return path


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    output = output_of([((35.0, 20.0), (30.0, 24.0), 0, 1.0, 0.8)])
    return save_network(tmp_path / "own.onnx", output)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, detector: Path) -> bytes:
    """Let a small network be the one that is published as yolox_nano; return its bytes."""
    others = [
        replace(info, origin=Origin(info.address, info.address, "", file_digest(str(detector))))
        if info.name == "yolox_nano"
        else info
        for info in catalog._OTHERS
    ]
    monkeypatch.setattr(catalog, "_OTHERS", tuple(others))
    return detector.read_bytes()


def config(state: Path, scenes: object = NO_MODEL, detector: object = NO_MODEL) -> Config:
    model = ModelConfig(
        scenes=str(scenes), detector=str(detector), download=False, threads=1, engine="onnx"
    )
    return Config(state_dir=str(state), model=model)


@pytest.fixture
def loading():
    """Return a function that starts to load; what it started is stopped at the end."""
    stop = threading.Event()
    made: list[FurtherNetworks] = []

    def start(config: Config, changed: Callable[[], None] = lambda: None) -> FurtherNetworks:
        made.append(FurtherNetworks(stop.is_set))
        made[-1].changed = changed
        made[-1].load(config)
        return made[-1]

    yield start
    stop.set()
    for one in made:
        one._thread.join(30)


def test_both_are_loaded_beside_the_work(state, own, detector, loading, eventually) -> None:
    came: list[str] = []
    networks = loading(
        config(state, own, detector), lambda: came.append(threading.current_thread().name)
    )
    eventually(lambda: networks.scenes and networks.detector)
    assert networks.scenes.categories == ("beach", "forest", "street")
    assert networks.detector.model_id.startswith("own-") and networks.detector.side == 64
    eventually(lambda: came == ["networks"] * 2)
    assert [(one["kind"], one["problem"]) for one in networks.states()] == [
        ("detector", None),
        ("scenes", None),
    ]
    assert networks.states()[1]["model"] == networks.scenes.model_id


def test_what_is_off_is_not_loaded_nor_told(state, loading) -> None:
    networks = loading(config(state))
    networks._thread.join(30)
    assert (networks.scenes, networks.detector, networks.states()) == (None, None, [])


def test_what_is_missing_holds_up_nothing_and_is_told(
    state, own, loading, eventually, monkeypatch
) -> None:
    monkeypatch.setattr("tagger.pipeline.networks.POLL_SECONDS", 0.05)
    monkeypatch.setattr("tagger.classify.loader.POLL_SECONDS", 0.0)
    networks = loading(config(state, own, "yolox_nano"))
    eventually(lambda: networks.scenes and networks.states()[0]["problem"])
    told = networks.states()[0]
    assert told["model"] is None and "no weights of yolox_nano found" in told["problem"]
    assert "tagger model download yolox_nano" in told["problem"]


def test_a_file_that_comes_later_is_taken_up(
    state, published, loading, eventually, monkeypatch
) -> None:
    monkeypatch.setattr("tagger.pipeline.networks.POLL_SECONDS", 0.05)
    monkeypatch.setattr("tagger.classify.loader.POLL_SECONDS", 0.0)
    networks = loading(config(state, detector="yolox_nano"))
    eventually(lambda: networks.states()[0]["problem"])
    part = state / "models" / "part"
    part.write_bytes(published)
    part.rename(state / "models" / "yolox_nano.onnx")
    eventually(lambda: networks.detector)
    assert networks.detector.model_id.startswith("yolox_nano-")
    eventually(lambda: networks.states()[0]["problem"] is None)


def test_it_is_downloaded_when_it_may_be(
    state, published, loading, eventually, monkeypatch
) -> None:
    asked = config(state, detector="yolox_nano")
    asked = replace(asked, model=replace(asked.model, download=True))
    with serving() as server:
        monkeypatch.setenv("TAGGER_MODEL_URL", server.url)
        server.files = {"/yolox_nano.onnx": published}
        networks = loading(asked)
        eventually(lambda: networks.detector)
    assert (state / "models" / "yolox_nano.onnx").read_bytes() == published


def test_a_damaged_or_foreign_file_is_told(state, own, tmp_path, loading, eventually) -> None:
    own.write_text("file: net.onnx\nsize: 16\n")
    (tmp_path / "text.onnx").write_text("no network")
    networks = loading(config(state, own, tmp_path / "text.onnx"))
    eventually(lambda: all(one["problem"] for one in networks.states()))
    detector, scenes = networks.states()
    assert "classes: it is missing" in scenes["problem"]
    assert "cannot load the detector" in detector["problem"]


def test_what_is_there_can_be_loaded_at_once(state, own, detector) -> None:
    networks = FurtherNetworks()
    networks.load_now(config(state, own, detector))
    assert networks.scenes is not None and networks.detector is not None
    missing = FurtherNetworks()
    missing.load_now(config(state, state / "none.yaml", "yolox_nano"))
    assert (missing.scenes, missing.detector) == (None, None)
    assert all(one["problem"] for one in missing.states())


def test_what_the_classes_mean_is_known_before_and_without_the_network(state, own, tmp_path):
    """Else all photos were chosen anew when it comes, and lost its tags when its file is away."""
    asked = config(state, own)
    (tmp_path / "net.onnx").unlink()
    networks, known = Networks(FakeScenes()), load_vocabulary()
    plain = networks.chooser(config(state), known).config_hash
    with Store(str(state)) as store:
        before = networks.chooser(asked, known, store).config_hash
        assert before != plain
        assert replace(networks, scenes=FakeScenes()).chooser(asked, known).config_hash == before
        own.rename(own.with_suffix(".away"))
        assert networks.chooser(asked, known, store).config_hash == before
        assert networks.chooser(asked, known).config_hash == plain


def test_another_config_ends_what_was_asked_before(state, own, detector, loading, eventually):
    networks = loading(config(state, state / "none.yaml", "yolox_nano"))
    eventually(lambda: all(one["problem"] for one in networks.states()))
    networks.load(config(state, own))
    eventually(lambda: networks.scenes)
    scenes = networks.scenes
    assert [one["kind"] for one in networks.states()] == ["scenes"]
    networks.load(config(state, own, detector))
    eventually(lambda: networks.detector)
    assert networks.scenes is scenes, "what is as before is kept"
    networks.load(config(state))
    networks._thread.join(30)
    assert (networks.scenes, networks.detector) == (None, None)


def test_a_file_of_ones_own_is_not_compared_with_the_published_one(state, detector) -> None:
    renamed = detector.rename(detector.with_name("yolox_nano.onnx"))
    loader = DetectorLoader(lambda: False)
    assert loader.find(config(state, detector=renamed)) == str(renamed)
    (state / "models" / "yolox_nano.onnx").write_bytes(renamed.read_bytes())
    with pytest.raises(ModelError, match="is damaged"):
        loader.find(config(state, detector="yolox_nano"))
    with pytest.raises(WeightsNotFoundError, match="which the config names"):
        loader.find(config(state, detector="/none/own.onnx"))
