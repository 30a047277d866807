"""``tagger model convert`` and ``import``, with torch and in an environment without it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tagger.classify import catalog
from tests.conftest import PROJECT
from tests.support.weights_server import serving
from tests.support.without_torch import python_without_torch


@pytest.fixture(autouse=True)
def no_weights_of_this_machine(monkeypatch):
    for name in ("TAGGER_MODEL_DIR", "TAGGER_MODEL_URL", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def plain_python(make_once) -> Path:
    """Return an interpreter without torch."""
    folder = make_once(
        "plain-python", lambda folder: python_without_torch(folder / "venv", checkout=PROJECT)
    )
    # The interpreter finds its packages by the file beside it, wherever the folder was made.
    return folder / "venv" / "bin" / "python"


@pytest.fixture
def brought(home, make_once, demo_weights, converted_demo) -> Path:
    """Return the demo network as `tagger model convert --to` writes it on another machine."""

    def make(folder: Path) -> None:
        home.use_converted_model()
        home.run("model", "convert", "--to", str(folder / "resnet18.onnx"))

    return make_once("brought", make) / "resnet18.onnx"


class Pi:
    """A machine without torch, which has nothing yet; ``err`` is what it said last of errors."""

    def __init__(self, home, python: Path) -> None:
        self.home, self.python = home, python
        shutil.rmtree(home.state, ignore_errors=True)
        model = {"name": "resnet18", "precision": "fp32", "scenes": "none", "detector": "none"}
        home.configure(model=model | {"download": False})

    def run(self, *words: str, code: int = 0, **environ: str) -> str:
        done = subprocess.run(
            [self.python, "-P", "-m", "tagger", "--config", str(self.home.config), *words],
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
            env=self.home.environ() | environ,
        )
        self.err = done.stderr
        assert done.returncode == code, done.stderr + done.stdout
        assert "Traceback" not in done.stderr
        return done.stdout


@pytest.fixture
def pi(home, brought, plain_python) -> Pi:
    return Pi(home, plain_python)


def test_a_machine_without_torch_tags_by_what_another_one_converted(pi, brought, scenes):
    for scene in scenes:
        shutil.copy(scene, pi.home.inbox)
    said = pi.run("model", "import", str(brought))
    [path] = said.splitlines()
    assert path.startswith(str(pi.home.state / "models" / "resnet18-"))
    assert pi.err == ""
    assert pi.run("model", "path") == f"{path}\n"
    pi.run("run", "--once")
    assert pi.run("query", "beach") == f"{pi.home.inbox / 'seaside.jpg'}\n"
    assert "beach" in pi.run("classify", str(pi.home.inbox / "seaside.jpg"))
    checks = pi.run("doctor")
    assert "converted for ONNX Runtime" in checks and "is converted" in checks, checks
    rows = json.loads(pi.run("model", "list", "--json"))
    assert [row["path"] for row in rows if row["configured"]] == [path]


def test_it_says_what_to_do_where_weights_cannot_be_converted(pi, demo_weights, scenes):
    photo = str(shutil.copy(scenes[0], pi.home.inbox))
    convert = "`tagger model convert --to FILE`"
    for words in (("model", "path"), ("classify", photo), ("model", "convert")):
        pi.run(*words, code=2)
        assert "torch, which converts weights, is not installed" in pi.err, words
        assert convert in pi.err and "tagger[torch]" in pi.err, words
        assert pi.err.count("\n") == 1
    pi.run("model", "download", code=2)
    assert "published as weights that torch converts" in pi.err and convert in pi.err
    pi.run("model", "import", str(demo_weights), code=2)
    assert f"{demo_weights} has to be converted, and torch is not installed" in pi.err
    assert not (pi.home.state / "models").exists()
    pi.run("demo", photo, code=2)
    assert convert in pi.err

    (pi.home.state / "models").mkdir(parents=True)
    shutil.copy(demo_weights, pi.home.state / "models")
    pi.run("classify", photo, code=2)
    assert "has to be converted for ONNX Runtime, and torch is not installed" in pi.err
    pi.home.configure(model={"name": "resnet18", "engine": "torch"})
    pi.run("classify", photo, code=2)
    assert "the engine torch is to run" in pi.err and "model.engine: auto" in pi.err


def test_weights_that_were_converted_elsewhere_need_no_torch(pi, brought, demo_weights, scenes):
    (pi.home.state / "models").mkdir(parents=True)
    shutil.copy(demo_weights, pi.home.state / "models")
    pi.run("model", "import", str(brought))
    assert pi.err == ""
    pi.run("model", "import", str(demo_weights))
    assert "beach" in pi.run("classify", str(next(s for s in scenes if "seaside" in s.name)))


def test_a_converted_network_is_fetched_from_an_address(pi, brought):
    with serving() as server:
        server.files = {"/mine.onnx": brought.read_bytes(), "/resnet18.onnx": brought.read_bytes()}
        path = pi.run("model", "download", "resnet18", "--url", f"{server.url}/mine.onnx").strip()
        assert Path(path).parent == pi.home.state / "models"
        pi.run("model", "download", "resnet34", "--url", f"{server.url}/mine.onnx", code=2)
        assert "is resnet18, not resnet34" in pi.err
        left = {one.name for one in (pi.home.state / "models").iterdir()}
        assert not [name for name in left if name.startswith("fetched")], left
        shutil.rmtree(pi.home.state)
        pi.run("model", "download", TAGGER_MODEL_URL=server.url)
        assert server.asked[-1][0] == "/resnet18.onnx"
        assert Path(path).exists()


def test_without_torch_the_daemon_downloads_no_weights(pi, scenes):
    pi.home.configure(model={"name": "resnet18", "download": True})
    with serving() as server:
        pi.run("run", "--once", TAGGER_MODEL_URL=server.url, code=2)
        assert server.asked == []
        assert "torch, which converts weights, is not installed" in pi.err


def test_all_that_the_config_names_goes_into_a_folder(home, tmp_path, monkeypatch):
    home.use_converted_model()
    folder = tmp_path / "networks"
    folder.mkdir()
    home.configure(model=home.settings["model"] | {"detector": "yolox_nano"})
    (home.state / "models" / "yolox_nano.onnx").write_bytes(b"x")
    home.run("model", "convert", "--to", str(folder), code=2)
    assert "damaged" in home.err  # it is not YOLOX
    assert [one.name for one in folder.iterdir()] == ["resnet18.onnx"]
    own = home.folder / "own.yaml"
    own.write_text("")
    home.configure(model=home.settings["model"] | {"detector": "none", "scenes": str(own)})
    assert home.run("model", "convert", "--to", str(folder)) == f"{folder / 'resnet18.onnx'}\n"
    assert f"Note: {own} is your own" in home.err


def test_convert_writes_nothing_but_networks(home, scenes):
    photo = shutil.copy(scenes[0], home.folder / "photo.jpg")
    before = Path(photo).read_bytes()
    home.run("model", "convert", "--to", str(photo), code=2)
    assert "a file that ends in .onnx" in home.err
    assert Path(photo).read_bytes() == before
    home.run("model", "convert", "yolox_nano", "--to", str(home.folder / "x.onnx"), code=2)
    assert "nothing to convert" in home.err


def test_weights_are_imported_and_converted(home, demo_weights):
    home.use_converted_model()  # torch takes seconds
    home.configure(model={"name": "resnet18", "scenes": "none", "detector": "none"})
    own = shutil.copy(demo_weights, home.folder / "mine.pth")
    home.run("model", "import", str(own), code=2)
    assert "does not say which model" in home.err and "--name" in home.err
    home.run("model", "import", str(own), "--name", "resnet81", code=2)
    assert "did you mean `resnet18`?" in home.err
    path = home.state / "models" / "resnet18-mine.pth"
    assert home.run("model", "import", str(own), "--name", "resnet18") == f"{path}\n"
    assert home.err == "" and path.read_bytes() == demo_weights.read_bytes()
    assert home.run("model", "path") == f"{path}\n"
    home.run("model", "import", str(demo_weights))
    assert "Note" not in home.err, "it is the same network"
    published = home.folder / "resnet18-f37072fd.pth"
    shutil.copy(demo_weights, published)
    home.run("model", "import", str(published), code=2)
    assert "is damaged: its SHA-256 does not begin with f37072fd" in home.err
    assert not (home.state / "models" / published.name).exists()


def test_weights_of_another_model_are_not_kept(home, demo_weights):
    home.run("model", "import", str(demo_weights), "--name", "squeezenet1_1", code=2)
    assert "squeezenet1_1" in home.err
    assert not list((home.state / "models").glob("*.pth"))


def test_a_note_says_when_something_else_will_be_used(home, brought, demo_weights, monkeypatch):
    home.configure(model={"name": "vgg11", "scenes": "none", "detector": "none"})
    home.run("model", "import", str(brought))
    assert "Note: the config names vgg11; set `model.name: resnet18`" in home.err
    home.configure(model={"name": "resnet18", "scenes": "none", "detector": "none"})
    other = home.state / "models" / "resnet18.pth"
    other.write_bytes(b"other weights")
    home.run("model", "import", str(brought))
    assert f"Note: the weights {other} come first" in home.err


def test_a_detector_is_known_by_its_hash(home, monkeypatch, tmp_path):
    body = b"as if it were YOLOX"
    import hashlib
    from dataclasses import replace

    info = catalog.weights_of("yolox_nano")[0]
    origin = replace(info.origin, sha256=hashlib.sha256(body).hexdigest())
    monkeypatch.setattr(catalog, "_OTHERS", (replace(info, origin=origin),))
    file = tmp_path / "renamed.onnx"
    file.write_bytes(body)
    home.configure(model=home.settings["model"] | {"detector": "yolox_nano"})
    place = home.state / "models" / "yolox_nano.onnx"
    assert home.run("model", "import", str(file)) == f"{place}\n"
    assert place.read_bytes() == body and home.err == ""
    damaged = tmp_path / "yolox_nano.onnx"
    damaged.write_bytes(b"half of it")
    home.run("model", "import", str(damaged), code=2)
    assert "is damaged" in home.err and os.path.exists(place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_imports_belongs_to_whom_the_state_directory_does(
    home, converted_demo, demo_weights
):
    """As after `sudo tagger model import` for the service, whose account is another."""
    home.configure(model={"name": "resnet18", "scenes": "none", "detector": "none"})
    shutil.copytree(converted_demo(demo_weights), home.state / "models")
    os.chown(home.state, 54321, 54321)
    home.run("model", "import", str(demo_weights))
    owners = {path.stat().st_uid for path in (home.state / "models").iterdir()}
    assert owners | {(home.state / "models").stat().st_uid} == {54321}
