"""``tagger model list``, ``download``, ``path`` and ``optimize``."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tagger.classify import catalog
from tagger.classify.catalog import weights_of
from tests.support.classifiers import save_classifier
from tests.support.weights_server import HASHED_AS_RESNET18, RESNET18, serving


@pytest.fixture(autouse=True)
def no_weights_of_this_machine(monkeypatch):
    for name in ("TAGGER_MODEL_DIR", "TAGGER_MODEL_URL", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def bare(home):
    """Return a home without any weights."""
    home.configure(
        model={"name": "resnet18", "download": False, "scenes": "none", "detector": "none"}
    )
    return home


@pytest.fixture
def server(monkeypatch):
    with serving() as server:
        monkeypatch.setenv("TAGGER_MODEL_URL", server.url)
        server.files = {f"/{RESNET18}": HASHED_AS_RESNET18}
        yield server


def test_list_as_json(home, demo_weights):
    rows = home.json("model", "list")
    names = [row["name"] for row in rows if row["kind"] == "subjects"]
    assert names == sorted(set(names))
    by_name = {row["name"]: row for row in rows}
    assert by_name["resnet18"] == {
        "name": "resnet18",
        "kind": "subjects",
        "megabytes": pytest.approx(44.7),
        "accuracy": pytest.approx(69.758),
        "file": RESNET18,
        "path": str(demo_weights),
        "configured": True,
        "licence": "BSD-3-Clause; trained on ImageNet, whose terms are for research",
        "source": "https://docs.pytorch.org/vision/stable/models.html",
    }
    assert by_name["yolox_nano"]["licence"] == "Apache-2.0"
    assert by_name["resnet18_places365"]["kind"] == "scenes"
    others = [row for row in rows if row["name"] != "resnet18"]
    assert len(others) > 70
    assert not any(row["path"] or row["configured"] for row in others)


def test_list_as_a_table_shows_whole_paths(bare, monkeypatch, demo_weights):
    """In a narrow window too, and with brackets, which are markup to rich."""
    folder = bare.folder / "[red]weights[/red]"
    folder.mkdir(parents=True)
    shutil.copyfile(demo_weights, folder / "resnet50.pth")
    monkeypatch.setenv("TAGGER_MODEL_DIR", str(folder))
    monkeypatch.setenv("COLUMNS", "60")
    cells = [line.split("│") for line in bare.run("model", "list").splitlines() if "│" in line]
    start = next(index for index, row in enumerate(cells) if row[1].strip() == "resnet50")
    shown = cells[start][4].strip()
    for row in cells[start + 1 :]:
        if row[1].strip():
            break
        shown += row[4].strip()
    assert shown == str(folder / "resnet50.pth")
    monkeypatch.setenv("COLUMNS", "200")
    assert "resnet18 (configured)" in bare.run("model", "list")


def test_networks_of_all_kinds_are_listed_with_their_origin(bare):
    bare.configure(model={"scenes": "own/places.yaml", "detector": "yolox_tiny"})
    rows = bare.json("model", "list")
    configured = {row["kind"]: row["name"] for row in rows if row["configured"]}
    own = str(bare.folder / "own" / "places.yaml")
    assert configured == {"subjects": "resnet18", "scenes": own, "detector": "yolox_tiny"}
    text = bare.run("model", "list")
    assert "yolox_tiny (configured)" in text and "Apache-2.0" in text and "CC BY" in text


def test_a_network_of_ones_own_tells_subjects(home, scenes):
    save_classifier(home.folder / "net.onnx", np.eye(3) * 8, size=32)
    description = home.folder / "own.yaml"
    description.write_text(
        "file: net.onnx\nclasses: [red light, green light, blue light]\nsize: 32\noutput: logits\n"
        "features: means\nmean: [0, 0, 0]\ndeviation: [1, 1, 1]\nlabels: {blue light: sky}\n"
    )
    home.configure(
        model={"name": "own.yaml", "scenes": "none", "detector": "none", "download": False},
        labels={"threshold": 0.5},
    )
    photo = home.inbox / "blue.png"
    Image.new("RGB", (64, 64), (0, 0, 255)).save(photo)
    [found] = home.json("classify", str(photo))
    assert [tag["label"] for tag in found["tags"]] == ["sky"]
    home.run("run", "--once")
    assert home.run("query", "sky") == f"{photo}\n"
    assert home.json("model", "path")["path"] == str(description)
    [own] = [row for row in home.json("model", "list") if row["configured"]]
    assert (own["kind"], own["path"]) == ("subjects", str(description))
    said = home.run("model", "optimize")
    assert said.startswith("subjects (own-") and "no layers that can be quantized" in said
    assert "right" in home.run("config", "check")


def test_path_of_further_networks(bare):
    bare.run("model", "path", "yolox_nano", code=2)
    assert "yolox_nano.onnx" in bare.err
    (bare.state / "models").mkdir(parents=True)
    scenes = bare.state / "models" / "resnet18_places365.pth.tar"
    scenes.write_bytes(b"x")
    assert bare.run("model", "path", "resnet18_places365") == f"{scenes}\n"
    own = bare.folder / "own.yaml"
    bare.run("model", "path", str(own), code=2)
    assert "there is no file" in bare.err
    own.write_text("")
    assert bare.run("model", "path", str(own)) == f"{own}\n"
    assert bare.json("model", "path", str(own))["places"] == [str(own)]


def test_all_configured_networks_are_downloaded(bare, server, monkeypatch):
    bare.configure(model={"scenes": "resnet18_places365", "detector": "/own/yolox.onnx"})
    body = b"y" * 45_500
    scenes = replace(weights_of("resnet18_places365")[0], megabytes=0.0455)
    monkeypatch.setattr(catalog, "_OTHERS", (scenes,))
    server.files["/resnet18_places365.pth.tar"] = body
    models = bare.state / "models"
    said = bare.run("model", "download").splitlines()
    assert said == [str(models / RESNET18), str(models / "resnet18_places365.pth.tar")]
    assert (models / "resnet18_places365.pth.tar.sha256").exists()
    bare.run("model", "download", "--url", f"{server.url}/x", code=2)


def test_one_that_cannot_be_had_keeps_no_other_away(bare, server):
    bare.configure(model={"scenes": "none", "detector": "yolox_nano"})
    assert bare.run("model", "download", code=2) == f"{bare.state / 'models' / RESNET18}\n"
    assert "404" in bare.err and "yolox_nano.onnx" in bare.err


def test_path(bare, monkeypatch, demo_weights):
    bare.run("model", "path", code=2)
    assert RESNET18 in bare.err and str(bare.state / "models") in bare.err
    assert bare.err.count("\n") == 1
    told = bare.json("model", "path")
    assert told == {
        "name": "resnet18",
        "path": None,
        "places": [
            str(bare.state / "models"),
            str(bare.folder / "c" / "torch" / "hub" / "checkpoints"),
        ],
    }
    (bare.state / "models").mkdir(parents=True)
    placed = shutil.copyfile(demo_weights, bare.state / "models" / "resnet18.pth")
    assert bare.run("model", "path") == f"{placed}\n"
    assert bare.json("model", "path")["path"] == str(placed)
    monkeypatch.setenv("TAGGER_MODEL_DIR", str(bare.folder))
    assert bare.json("model", "path", "vgg11")["places"][0] == str(bare.folder)


def test_the_configured_weights_are_those_of_the_configured_model_only(home, demo_weights):
    assert home.json("model", "path")["places"][0] == str(demo_weights)
    assert str(demo_weights) not in home.json("model", "path", "vgg11")["places"]
    home.run("model", "path", "vgg11", code=2)
    assert "vgg11-8a719046.pth" in home.err


def test_a_path_that_is_not_utf8(bare, monkeypatch, demo_weights):
    folder = os.fsencode(bare.folder) + b"/caf\xe9"
    os.mkdir(folder)
    shutil.copyfile(os.fsencode(demo_weights), folder + b"/resnet18.pth")
    monkeypatch.setenv("TAGGER_MODEL_DIR", os.fsdecode(folder))
    assert os.fsencode(bare.run_process("model", "path")) == folder + b"/resnet18.pth\n"
    assert os.fsencode(bare.json("model", "path")["path"]) == folder + b"/resnet18.pth"
    monkeypatch.setenv("COLUMNS", "400")
    assert f"{bare.folder}/caf\\xe9/resnet18.pth" in bare.run("model", "list")


def test_download(bare, server):
    target = bare.state / "models" / RESNET18
    assert bare.run("model", "download") == f"{target}\n"
    assert target.read_bytes() == HASHED_AS_RESNET18
    assert bare.json("model", "path")["path"] == str(target)
    assert bare.run("model", "download") == f"{target}\n"
    assert len(server.asked) == 1, "what is there is not fetched again"


def test_download_goes_on_where_it_stopped(bare, server):
    server.cut = 10
    assert bare.run("model", "download", code=2) == ""
    assert "broke off after 10 of 32 bytes" in bare.err
    server.cut = None
    bare.run("model", "download")
    assert server.asked[-1] == (f"/{RESNET18}", "bytes=10-")


def test_download_refuses_what_has_another_hash(bare, server):
    server.files[f"/{RESNET18}"] = HASHED_AS_RESNET18.upper()
    assert bare.run("model", "download", code=2) == ""
    assert "SHA-256 does not begin with f37072fd" in bare.err
    assert list((bare.state / "models").iterdir()) == []


def test_download_from_another_address(bare, server):
    server.files = {"/mine": HASHED_AS_RESNET18}
    bare.run("model", "download", "resnet18", "--url", f"{server.url}/mine")
    bare.run("model", "download", "resnet34", "--url", f"{server.url}/mine", code=2)
    assert "is not resnet34-b627a593.pth" in bare.err
    bare.run("model", "download", "--url", "http://example.invalid/x", code=2)
    bare.run("model", "download", "resnet34", "--url", "ftp://127.0.0.1/x", code=2)
    assert "https://" in bare.err


def test_download_of_what_the_server_does_not_have(bare, server):
    bare.run("model", "download", "vgg11", code=2)
    assert f"{server.url}/vgg11-8a719046.pth cannot be fetched" in bare.err
    assert "404" in bare.err
    assert bare.err.strip().count("\n") == 0


@pytest.mark.parametrize("command", ["path", "download"])
def test_an_unknown_model(bare, command):
    bare.run("model", command, "resnet81", code=2)
    assert bare.err == "tagger: there is no model `resnet81`; did you mean `resnet18`?\n"


def test_optimize_with_real_photos(bare, shared, converted_mobilenet):
    """What is no photo is passed over; what is said is the same as text and as JSON."""
    bare.configure(model={"name": "mobilenet_v2", "weights": str(shared / "models")})
    shutil.copytree(converted_mobilenet, bare.state)
    folder = bare.folder / "photos"
    folder.mkdir()
    photos = shared / "photos"
    for path in sorted((photos / "calibration").glob("*.JPEG"))[:70]:
        shutil.copyfile(path, folder / path.name)
    (folder / "broken.jpg").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("no photo either")
    places = str(folder), str(photos / "imagenet")
    [found] = json.loads(bare.run_process("model", "optimize", *places, "--json"))
    assert found["kind"] == "subjects" and found["model"].startswith("mobilenet_v2-")
    # On a busy machine it may be no faster; then nothing is judged.
    assert found["state"] in ("provisional", "slower")
    if found["state"] == "provisional":
        assert found["judged"] == 70 + 63 and found["sure"] >= 80
        assert found["same"] >= 0.97 * found["sure"]
        assert found["same_tags"] >= 0.85 * found["judged"]
        assert found["lower"] < found["same"] / found["sure"] <= found["upper"]
        again = bare.run_process("model", "optimize", *places)
        assert again == f"subjects ({found['model']}): {found['text']}\n", "counted anew"


def test_optimize_says_what_it_lacks(home):
    home.use_converted_model()
    home.run("model", "optimize", code=2)
    assert "there is no index" in home.err
    home.run("model", "optimize", "/no/such/photo.jpg", code=2)
    assert "there is no photo /no/such/photo.jpg" in home.err
    home.configure(model={"engine": "torch"})
    home.run("model", "optimize", code=2)
    assert "model.engine: auto" in home.err
