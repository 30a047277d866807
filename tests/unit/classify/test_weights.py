"""Where weights are looked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tagger.classify.catalog import (
    BASE_URL,
    _table,
    check_model_name,
    check_model_names,
    info_of_file,
    list_models,
    places365,
    weights_of,
)
from tagger.classify.torchvision_compat import import_torchvision
from tagger.classify.weights import find_weights, places
from tagger.errors import ModelError, WeightsNotFoundError
from tests.support.weights_server import HASHED_AS_RESNET18, RESNET18


@pytest.fixture
def five_places(tmp_path):
    """Return folders in the order in which they must be searched, and how to search them."""
    folders = [tmp_path / name for name in ("config", "env", "state/models", "hub/checkpoints")]
    for folder in folders:
        folder.mkdir(parents=True)
    environ = {"TAGGER_MODEL_DIR": str(tmp_path / "env"), "TORCH_HOME": str(tmp_path)}

    def find(name="resnet18", configured=str(folders[0])):
        state = str(tmp_path / "state")
        return find_weights(name, configured=configured, state_dir=state, environ=environ)

    return folders, find


def test_the_first_place_with_weights_wins(five_places):
    folders, find = five_places
    for folder in folders:
        (folder / "resnet18.pth").write_bytes(b"x")
    for folder in folders:
        assert find() == str(folder / "resnet18.pth")
        (folder / "resnet18.pth").unlink()
    with pytest.raises(WeightsNotFoundError):
        find()


def test_the_config_may_name_a_file_of_any_name(five_places, tmp_path):
    folders, find = five_places
    (folders[1] / "resnet18.pth").write_bytes(b"x")
    own = tmp_path / "my own.bin"
    own.write_bytes(b"x")
    assert find(configured=str(own)) == str(own)
    assert find(configured=None) == str(folders[1] / "resnet18.pth")


def test_names_in_a_folder(five_places):
    """torchvision's name is preferred, then the model's, then the model's with a suffix."""
    folders, find = five_places
    for name in ("resnet18-mine.pth", "resnet18-yours.pth"):
        (folders[0] / name).write_bytes(b"x")
    for name in ("resnet18.txt", "resnet18-f37072fd.pth.part", "resnet180.pth", "myresnet18.pth"):
        (folders[0] / name).write_bytes(b"x")
    (folders[0] / "resnet18-a-folder.pth").mkdir()
    assert find() == str(folders[0] / "resnet18-mine.pth")
    (folders[0] / "resnet18.pth").write_bytes(b"x")
    assert find() == str(folders[0] / "resnet18.pth")
    (folders[0] / RESNET18).write_bytes(HASHED_AS_RESNET18)
    assert find() == str(folders[0] / RESNET18)
    with pytest.raises(WeightsNotFoundError):
        find("resnet34")


def test_a_damaged_file_with_torchvisions_name_is_refused(five_places):
    folders, find = five_places
    (folders[0] / RESNET18).write_bytes(HASHED_AS_RESNET18[:-1])
    (folders[1] / "resnet18.pth").write_bytes(b"x")
    with pytest.raises(ModelError, match="damaged") as raised:
        find()
    assert str(folders[0] / RESNET18) in raised.value.message
    assert "tagger model download" in raised.value.remedy


def test_not_found_names_the_file_and_the_place(five_places):
    folders, find = five_places
    with pytest.raises(WeightsNotFoundError) as raised:
        find()
    assert all(str(folder) in raised.value.message for folder in folders)
    assert f"put {RESNET18} into {folders[2]}" in raised.value.remedy
    assert BASE_URL + RESNET18 in raised.value.remedy


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("resnet18_places365", "resnet18_places365.pth.tar"),
        ("yolox_nano", "yolox_nano.onnx"),
        ("yolox_tiny", "yolox_tiny.onnx"),
        ("yolox_s", "yolox_s.onnx"),
    ],
)
def test_other_networks_are_looked_for_in_the_same_places(five_places, name, file):
    folders, find = five_places
    with pytest.raises(WeightsNotFoundError) as raised:
        find(name, configured=None)
    assert f"run `tagger model download {name}`" in raised.value.remedy
    assert f"{file} on another machine and put {file} into {folders[2]}" in raised.value.remedy
    assert weights_of(name)[0].address in raised.value.remedy
    (folders[2] / file).write_bytes(b"x")
    if name.startswith("yolox"):  # whose hash is published
        with pytest.raises(ModelError, match="is damaged"):
            find_weights(
                name,
                configured=None,
                state_dir=str(folders[2].parent),
                environ={"TORCH_HOME": "/none"},
            )
    else:
        assert find(name, configured=None) == str(folders[2] / file)
        (folders[2] / f"{file}.sha256").write_text(f"{'0' * 64}  {file}\n")
        with pytest.raises(ModelError, match="is damaged"):
            find(name, configured=None)


def test_every_network_says_where_it_is_from():
    kinds = ("subjects", "scenes", "detector")
    for info in [one for kind in kinds for one in list_models(kind)]:
        assert info.address.startswith("https://") and info.address.endswith(info.file)
        assert info.origin.source.startswith("https://") and info.origin.licence
        assert check_model_name(info.name, info.kind) == []
    assert [one.name for one in list_models("scenes")] == ["resnet18_places365"]
    assert [one.name for one in list_models("detector")] == ["yolox_nano", "yolox_tiny", "yolox_s"]
    assert len(places365()) == len(set(places365())) == 365


def test_names_of_networks_in_the_config():
    assert check_model_names("resnet18", "resnet18_places365", "yolox_nano") == []
    assert check_model_names("resnet18", "none", "none") == []
    assert check_model_names("resnet18", "/own/net.yaml", "/own/yolox.onnx") == []
    problems = check_model_names("resnet81", "resnet18", "yolox_nan")
    assert [said.partition(":")[0] for said in problems] == [
        "model.name",
        "model.scenes",
        "model.detector",
    ]
    assert "did you mean `yolox_nano`?" in problems[2]


def test_an_unknown_model(five_places):
    _, find = five_places
    with pytest.raises(ModelError, match=r"there is no model `resnet81`; did you mean `resnet18`"):
        find("resnet81")
    with pytest.raises(ModelError, match="tagger model list"):
        find("zzzzzzz")
    assert check_model_name("resnet18") == []
    [problem] = check_model_name("resnet81")
    assert problem.startswith("model.name: ")


@pytest.mark.parametrize(
    "variables", [{"TORCH_HOME": "~/t"}, {"XDG_CACHE_HOME": "/x/cache"}, {}], ids=str
)
def test_the_last_place_is_where_torch_itself_keeps_downloads(variables, monkeypatch):
    import torch

    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    last = places(configured=None, state_dir="/s", environ=os.environ)[-1]
    assert last == os.path.join(torch.hub.get_dir(), "checkpoints")


def test_the_table_of_models_is_torchvisions():
    """Names, addresses, hashes, sizes and recipes of every model with ImageNet weights."""
    models = import_torchvision().models
    theirs = {}
    for name in models.list_models(module=models):
        published = models.get_model_weights(name)
        for weights in published:
            if weights.name == "IMAGENET1K_FEATURES":
                continue  # VGG-16 for detectors: it has no classifier
            recipe = weights.transforms()
            theirs[name, weights.name] = (
                weights == published.DEFAULT,
                weights.url,
                recipe.resize_size,
                recipe.crop_size,
                recipe.interpolation.value,
                round(weights.meta["_file_size"], 1),
                weights.meta["_metrics"]["ImageNet-1K"]["acc@1"],
            )
    ours = {
        (info.name, info.weights): (
            info.default,
            BASE_URL + info.file,
            [info.spec.resize],
            [info.spec.size],
            info.spec.interpolation,
            round(info.megabytes, 1),
            info.accuracy,
        )
        for info in _table()
    }
    assert ours == theirs
    assert len(ours) == len(_table()) > 100


def test_every_published_file_has_a_hash_in_its_name():
    import torch

    for info in _table():
        theirs = torch.hub.HASH_REGEX.search(info.file)
        assert info.hash_prefix == theirs[1] and len(info.hash_prefix) >= 8


def test_mean_and_deviation_are_torchvisions():
    from tagger.classify.torch_engine import HALVES, MEAN, STD

    models = import_torchvision().models
    for info in _table():
        recipe = models.get_model_weights(info.name)[info.weights].transforms()
        halves = [0.5, 0.5, 0.5]
        ours = (halves, halves) if info.name in HALVES else (list(MEAN), list(STD))
        assert (recipe.mean, recipe.std) == ours, info.name


def test_the_recipe_follows_the_files_name():
    """resnet50's two weights want different pictures; an unknown name gets the first's."""
    first, second = sorted(weights_of("resnet50"), key=lambda info: info.weights)
    assert second.default and weights_of("resnet50")[0] == second
    assert first.spec != second.spec
    assert info_of_file("resnet50", first.file) == first
    assert info_of_file("resnet50", second.file) == second
    assert info_of_file("resnet50", "mine.pth") == first
    names = [info.name for info in list_models()]
    assert len(names) == len(set(names)) and "resnet50" in names


def test_finding_weights_does_not_import_torch(tmp_path):
    shutil.copyfile(__file__, tmp_path / "resnet18.pth")
    script = (
        "import sys; from tagger.classify.weights import find_weights\n"
        "find_weights('resnet18', configured=sys.argv[1], state_dir='/none')\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
