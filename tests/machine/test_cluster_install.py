"""The wheel with its extra ``cluster``, installed by pip without torch: a cluster to try it.

It takes a package index: TAGGER_INSTALL=1 runs it, as `.ci/run` does.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tagger.classify.onnx_store import convert
from tagger.classify.ready_network import write_network
from tests.conftest import PROJECT
from tests.support.clusters import kill_tree
from tests.support.installed import Installed
from tools import dist

pytestmark = pytest.mark.skipif(
    not {"TAGGER_CI", "TAGGER_INSTALL"} & set(os.environ),
    reason="installs from a package index: `.ci/run`, or TAGGER_INSTALL=1",
)
PHOTOS = 5
ADDRESS = "scheduler tcp://127.0.0.1:"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    _, made = dist.build(PROJECT, tmp_path_factory.mktemp("dist"))
    return made


def installed(folder: Path, wheel: Path, extra: str) -> Installed:
    """Install the wheel in ``folder`` as somebody does who has nothing of ours."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    pip = [folder / "venv" / "bin" / "pip", "install", "-q", "-c", PROJECT / "requirements.lock"]
    subprocess.run([*pip, f"{wheel}{extra}"], check=True)
    return Installed(folder / "venv" / "bin" / "tagger", folder)


@pytest.fixture
def with_dask(tmp_path: Path, wheel: Path) -> Installed:
    return installed(tmp_path, wheel, "[cluster]")


@pytest.fixture
def cluster(with_dask: Installed) -> Iterator[str]:
    """Give the address that `tagger cluster start --workers 1` prints."""
    process = subprocess.Popen(
        [with_dask.binary, "cluster", "start", "--workers", "1", "--port", "0"],
        stdout=subprocess.PIPE,
        cwd=with_dask.home,
        env=with_dask.environ,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith(ADDRESS), said
        yield said.split()[1].rstrip(",")
        process.terminate()
        assert process.wait(30) == 0
    finally:
        kill_tree(process)
        process.stdout.close()


def test_photos_are_tagged_by_its_worker_without_torch(
    with_dask: Installed,
    cluster: str,
    demo_weights: Path,
    converted_demo: Callable[[Path], Path],
    scenes: Sequence[Path],
) -> None:
    python = with_dask.binary.with_name("python")
    found = subprocess.run([python, "-c", "import torch"], capture_output=True, check=False)
    assert b"No module named 'torch'" in found.stderr
    for scene in scenes[:PHOTOS]:
        shutil.copy(scene, with_dask.inbox)
    with_dask.run("init", str(with_dask.inbox), "--no-service")
    text = with_dask.config.read_text()
    assert "\n  lost: local" in text
    with_dask.config.write_text(
        text.replace("\n  lost: local", "\n  lost: wait")
    )  # not here, in any case
    said = with_dask.run("run", "--once", "--cluster", cluster, code=2)
    assert "tagger model" in said, f"it says how to get a network: {said}"
    state = converted_demo(demo_weights).parent
    network = with_dask.home / "resnet18.onnx"
    write_network(convert("resnet18", str(demo_weights), str(state)), str(network))
    with_dask.run("model", "import", str(network))
    said = with_dask.run("run", "--once", "--cluster", cluster)
    assert "is ready" in said, said
    assert len(list(with_dask.inbox.glob("*.xmp"))) == PHOTOS
    assert "/seaside.jpg" in with_dask.run("query", "beach")
    sent = list((with_dask.home / ".cache" / "tagger" / "networks").iterdir())
    assert len(sent) == 1, "the worker looked at them with what was sent to it"


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, wheel: Path) -> None:
    made = installed(tmp_path, wheel, "")
    said = made.run("cluster", "start", code=2)
    assert "pip install 'tagger[cluster]'" in said
    made.run("init", str(made.inbox), "--no-service")
    said = made.run("run", "--once", "--cluster", "tcp://127.0.0.1:8786", code=78)
    assert "pip install 'tagger[cluster]'" in said
