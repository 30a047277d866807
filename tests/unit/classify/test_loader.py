"""How the daemon gets its engine, on a clock that is moved by hand."""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import replace

import pytest

from tagger.classify.int8_agreement import Agreement, write_agreement
from tagger.classify.loader import (
    DOWNLOAD_RETRY_SECONDS,
    LOAD_RETRY_SECONDS,
    POLL_SECONDS,
    EngineLoader,
)
from tagger.config.schema import Config, LabelsConfig, ModelConfig
from tagger.errors import ModelError, WeightsNotFoundError
from tests.support.int8_versions import plant_int8
from tests.support.weights_server import HASHED_AS_RESNET18, RESNET18, serving


class Clock:
    """Monotonic seconds, moved by hand."""

    now = 5000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def models(tmp_path, monkeypatch, demo_weights, converted_demo):
    """Return the folder for weights; none of this machine's are found."""
    for name in ("TAGGER_MODEL_DIR", "TAGGER_MODEL_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    shutil.copytree(converted_demo(demo_weights), tmp_path / "state" / "models")
    return tmp_path / "state" / "models"


@pytest.fixture
def config(models):
    return Config(state_dir=str(models.parent), model=ModelConfig(download=False, threads=1))


@pytest.fixture
def server(models, monkeypatch):
    with serving() as server:
        monkeypatch.setenv("TAGGER_MODEL_URL", server.url)
        yield server


def never():
    return False


def test_weights_that_appear_are_picked_up_at_the_next_look(clock, config, models, demo_weights):
    loader = EngineLoader(never, clock=clock)
    assert loader.get(config) is None
    assert isinstance(loader.error, WeightsNotFoundError)
    shutil.copyfile(demo_weights, models / "resnet18.pth")
    clock.now += POLL_SECONDS - 0.01
    assert loader.get(config) is None, "it does not look at every call"
    clock.now += 0.01
    engine = loader.get(config)
    assert engine is not None and engine.model_id.startswith("resnet18-")
    assert loader.engine is engine and loader.error is None


def test_one_engine_over_reloads(clock, config, demo_weights):
    loader = EngineLoader(never, clock=clock)
    config = replace(config, model=replace(config.model, weights=str(demo_weights)))
    engine = loader.get(config)
    assert engine is not None
    same = replace(config, labels=LabelsConfig(top_k=3), model=replace(config.model))
    clock.now += 10 * POLL_SECONDS
    assert loader.get(same) is engine
    demo_copy = shutil.copyfile(demo_weights, os.path.join(config.state_dir, "other.pth"))
    other = replace(config, model=replace(config.model, weights=demo_copy))
    second = loader.get(other)
    assert second is not None and second is not engine
    gone = replace(config, model=ModelConfig(name="vgg11", download=False))
    assert loader.get(gone) is None, "no engine of another model is kept"
    assert isinstance(loader.error, WeightsNotFoundError) and "vgg11" in str(loader.error)
    assert loader.get(other) is not None, "a changed config is tried at once"
    assert loader.error is None


def test_a_damaged_file_is_told_once_and_looked_at_again(
    clock, config, models, demo_weights, caplog
):
    loader = EngineLoader(never, clock=clock)
    (models / "resnet18.pth").write_bytes(b"")
    for _ in range(3):
        assert loader.get(config) is None
        clock.now += POLL_SECONDS
    assert "damaged" in str(loader.error)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    shutil.copyfile(demo_weights, models / "resnet18.pth")
    assert loader.get(config) is not None


def test_a_file_that_cannot_be_loaded_is_not_tried_every_few_seconds(clock, config, models):
    """Each try starts a process that imports torch."""
    weights = models / "resnet18.pth"
    weights.write_bytes(b"no weights")
    loader = EngineLoader(never, clock=clock)
    assert loader.get(config) is None
    first = loader.error
    clock.now += LOAD_RETRY_SECONDS - 1
    assert loader.get(config) is None
    assert loader.error is first, "it was loaded again"
    clock.now += POLL_SECONDS
    assert loader.get(config) is None
    assert loader.error is not first and str(loader.error) == str(first)
    os.utime(weights, ns=(1, 1))
    second = loader.error
    clock.now += POLL_SECONDS
    assert loader.get(config) is None
    assert loader.error is not second, "it has changed"


def test_int8_is_taken_up_and_left_by_loading_again(clock, config, demo_weights):
    """As the files beside the network say; photos that a refused one looked at are told."""
    model = replace(config.model, weights=str(demo_weights), precision="auto")
    config = replace(config, model=model)
    loader = EngineLoader(never, clock=clock)
    assert loader.get(config).name == "onnx"
    full = loader.full(config)
    assert loader.int8_state(config).state == "missing"
    record = plant_int8(full)
    loader.renew(config)
    assert loader.engine.name == "onnx-int8" and loader.refused == ""
    assert loader.int8_state(config).state == "provisional"
    assert loader.open_fp32(config).name == "onnx"
    for fixed in ({"precision": "fp32"}, {"engine": "torch"}):
        other = replace(config, model=replace(model, **fixed))
        assert loader.open_now(other).name != "onnx-int8"
    write_agreement(full, Agreement(record.sha256, 10, 10, 2, 2))
    loader.renew(config)
    assert loader.engine.name == "onnx"
    assert loader.refused == f"{loader.engine.model_id}-int8"
    forced = replace(config, model=replace(model, precision="int8"))
    assert loader.open_now(forced).name == "onnx-int8"


def test_a_failed_download_is_tried_again_after_a_while(clock, config, server, models, caplog):
    loader = EngineLoader(never, clock=clock)
    config = replace(config, model=ModelConfig(download=True, threads=1))
    asked = []
    for _ in range(int(2.5 * DOWNLOAD_RETRY_SECONDS / POLL_SECONDS)):
        assert loader.get(config) is None
        if len(server.asked) > len(asked):
            asked.append(clock.now - 5000)
        clock.now += POLL_SECONDS
    assert asked == [0, DOWNLOAD_RETRY_SECONDS, 2 * DOWNLOAD_RETRY_SECONDS]
    assert isinstance(loader.error, WeightsNotFoundError)
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1 and "404" in warnings[0]


def test_weights_are_found_while_the_download_waits(clock, config, server, models, demo_weights):
    loader = EngineLoader(never, clock=clock)
    config = replace(config, model=ModelConfig(download=True, threads=1))
    assert loader.get(config) is None
    shutil.copyfile(demo_weights, models / "resnet18.pth")
    clock.now += POLL_SECONDS
    assert loader.get(config) is not None
    assert len(server.asked) == 1


def test_nothing_is_downloaded_unless_it_may(clock, config, server):
    loader = EngineLoader(never, clock=clock)
    loader.get(config)
    clock.now += 2 * DOWNLOAD_RETRY_SECONDS
    loader.get(config)
    assert server.asked == []
    assert loader.get(replace(config, model=ModelConfig(download=True))) is None
    assert len(server.asked) == 1


@pytest.mark.parametrize("hold", [10, -1], ids=["in the middle", "before the answer"])
def test_a_download_stops_when_asked_and_is_resumed(clock, config, server, models, hold):
    """Even while the server says nothing; what came is kept."""
    server.files = {f"/{RESNET18}": HASHED_AS_RESNET18}
    server.hold = hold
    stopping = False

    def stop():
        return stopping or (not server.release.is_set() and server.holding.is_set())

    loader = EngineLoader(stop, clock=clock)
    config = replace(config, model=ModelConfig(download=True, threads=1))
    began = time.monotonic()
    assert loader.get(config) is None
    assert time.monotonic() - began < 3
    assert loader.error is None, "being stopped is no mistake"
    assert not (models / RESNET18).exists()
    server.hold = None
    server.release.set()
    assert loader.get(config) is None
    assert (models / RESNET18).read_bytes() == HASHED_AS_RESNET18
    assert isinstance(loader.error, ModelError)
    assert "damaged" in str(loader.error), "it got as far as loading what came"
    if hold > 0:
        start = int(str(server.asked[-1][1]).removeprefix("bytes=").rstrip("-"))
        assert start >= hold
