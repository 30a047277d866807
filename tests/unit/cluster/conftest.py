"""A recognition of either kind, and a real cluster for one of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.config.cluster import ClusterConfig
from tagger.config.loader import load_config
from tagger.config.schema import Config
from tagger.pipeline.decoding import decode_pool
from tagger.pipeline.local_recognition import LocalRecognition
from tagger.pipeline.networks import NetworksLoader
from tagger.pipeline.recognition import Recognition
from tests.support.clusters import Cluster, running, wait_for


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster of one worker, which is not to be killed."""
    pytest.importorskip("distributed")
    with running(tmp_path_factory.mktemp("cluster")) as made:
        yield made


def copies(scenes: list[Path], folder: Path, count: int) -> list[str]:
    """Put ``count`` photos in a folder, the scenes by turns; return their paths."""
    paths = []
    for number in range(count):
        scene = scenes[number % len(scenes)]
        paths.append(str(shutil.copy(scene, folder / f"{number}{scene.suffix}")))
    return paths


@contextmanager
def local(config: Config) -> Iterator[tuple[LocalRecognition, NetworksLoader]]:
    """Give the recognition of this machine for ``config``, and what loaded its networks."""
    loader = NetworksLoader(lambda: False)
    networks = loader.load(config, now=True)
    assert networks is not None
    with decode_pool(config, networks.subjects.spec, views=networks.views) as pool:
        recognition = LocalRecognition(networks, pool)
        try:
            yield recognition, loader
        finally:
            recognition.close()


@contextmanager
def shared(config: Config, address: str, **settings: object) -> Iterator[Recognition]:
    """Give the recognition by a cluster."""
    from tagger.cluster.recognition import ClusterRecognition

    config = replace(config, cluster=ClusterConfig(scheduler=address, **settings))
    with local(config) as (own, loader):
        networks = loader.networks
        assert networks is not None
        recognition = ClusterRecognition(config, networks, loader, own)
        try:
            yield recognition
        finally:
            recognition.close()


@pytest.fixture
def config(home) -> Config:
    home.use_converted_model()
    return load_config(str(home.config))


@pytest.fixture(params=["local", "cluster"])
def recognition(request, config: Config) -> Iterator[Recognition]:
    """Return what the contract is about."""
    if request.param == "local":
        with local(config) as (made, _):
            yield made
    else:
        address = request.getfixturevalue("cluster").address
        with shared(config, address, lost="wait") as made:
            wait_for(lambda: ready(made))
            yield made


def ready(recognition: Recognition, count: int = 1) -> bool:
    """Whether so many workers are ready."""
    state = recognition.state()
    return state is not None and sum(one.state == "ready" for one in state.workers) >= count


def place(folder: Path, name: str, data: bytes) -> str:
    """Write a file, and return its path."""
    path = folder / name
    path.write_bytes(data)
    return str(path)
