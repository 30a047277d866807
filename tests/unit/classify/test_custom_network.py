"""A classifier of the user's own: how it is described, and that it is used as described."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tagger.classify.catalog import places365
from tagger.classify.custom_engine import CustomEngine
from tagger.classify.custom_network import read_network
from tagger.errors import ModelError
from tests.support.classifiers import save_classifier

WEIGHTS = np.array([[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0]])
"""Red, green and blue pictures are of the classes 0, 1 and 2."""
PLAIN = "file: net.onnx\nclasses: [r, g, b]\nsize: 16\noutput: logits\nfeatures: means\n"
SCALED = PLAIN + "mean: [0.5, 0.5, 0.5]\ndeviation: [0.25, 0.25, 0.25]\n"


@pytest.fixture
def described(tmp_path: Path):
    """Return a function that writes a description and reads it."""

    def write_and_read(text: str):
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return read_network(str(path))

    return write_and_read


@pytest.fixture
def opened(described, tmp_path: Path):
    """Return a function that loads the network of a description."""

    def load(text: str) -> CustomEngine:
        return CustomEngine("mine", described(text), str(tmp_path), threads=1)

    return load


def crop(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((16, 16, 3), (red, green, blue), np.uint8)


def test_a_description_with_every_key(described, tmp_path):
    (tmp_path / "names.txt").write_text("daisy\n\nrose\ntulip\n")
    found = described(
        "file: a/net.onnx\nclasses: names.txt\nsize: 224\nresize: 256\nsquash: true\n"
        "interpolation: bicubic\nmean: [0.1, 0, 0.3]\ndeviation: [1, 1, 0.5]\nchannels: bgr\n"
        "output: logits\nscores: probabilities\nfeatures: pooled\nlabels: {rose: flower}\n"
    )
    assert found.path == str(tmp_path / "a/net.onnx")
    assert (found.spec.resize, found.spec.size, found.spec.squash) == (256, 224, True)
    assert found.spec.interpolation == "bicubic"
    assert found.categories == ("daisy", "flower", "tulip")
    assert (found.mean, found.deviation) == ((0.1, 0.0, 0.3), (1.0, 1.0, 0.5))
    assert (found.bgr, found.gives_logits) == (True, False)
    assert (found.output, found.features) == ("logits", "pooled")


def test_a_short_description(described):
    found = described("file: net.onnx\nclasses: places365\nsize: 224\n")
    assert found.categories == places365() and len(found.categories) == 365
    assert (found.spec.resize, found.spec.squash, found.mean) == (224, False, None)
    assert found.gives_logits and not found.bgr
    assert found.digest != described("file: n\nclasses: places365\nsize: 224\nsquash: true").digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must hold `key: value` lines"),
        ("- a\n", "must hold `key: value` lines"),
        ("file: a\nsize: 224\n", "classes: it is missing"),
        ("classes: [a, b]\nsize: 224\n", "file: it is missing"),
        (PLAIN + "means: [1, 1, 1]\n", "line 6: means: unknown key; did you mean `mean`?"),
        (PLAIN + "size: 16\n", "size: given twice"),
        (PLAIN + "mean: [0, 0, 0]\n", "deviation: it is missing"),
        (PLAIN + "mean: [0, 0]\n", "mean: must be three numbers"),
        (PLAIN + "mean: [0, 0, .nan]\ndeviation: [1, 1, 1]\n", "mean: must be three numbers"),
        (PLAIN + "mean: [0, 0, 0]\ndeviation: [1, 1, 0]\n", "must be above 0"),
        (PLAIN + "resize: 8\n", "it must not be less than `size`, 16"),
        (PLAIN + "channels: cmyk\n", "channels: must be rgb or bgr"),
        (PLAIN + "scores: many\n", "scores: must be logits or probabilities"),
        (PLAIN + "squash: 1\n", "squash: must be false or true"),
        (PLAIN + "labels: [r]\n", "labels: must hold `class: label` lines"),
        (PLAIN + "labels: {rr: dog}\n", "`rr` is none of the classes; did you mean `r`?"),
        ("file: a\nclasses: none.txt\nsize: 16\n", "none.txt: No such file"),
        ("file: a\nclasses: [a]\nsize: 16\n", "must be 2 to 65535 names"),
        ("file: a\nclasses: [a, a]\nsize: 16\n", "none of them twice"),
        ("file: a\nclasses: [a, 5]\nsize: 16\n", "must be a list of names"),
        ("file: a\nclasses: [a, b]\nsize: 4\n", "size: must be a whole number from 8 to 1024"),
        ("file: a\nclasses: [a, b]\nsize: yes\n", "size: must be a whole number"),
        ("file: [a]\nclasses: [a, b]\nsize: 16\n", "file: must be a text"),
        ("file: a\n\tsize: 5", "line 2"),
    ],
)
def test_mistakes_are_told_with_their_line(described, text: str, said: str) -> None:
    with pytest.raises(ModelError) as raised:
        described(text)
    assert said in str(raised.value)
    assert "mine.yaml" in str(raised.value)


def test_all_mistakes_are_told_at_once(described) -> None:
    with pytest.raises(ModelError) as raised:
        described("file: a\nsize: 3\nchannels: x\nlabels: 5\n")
    assert len(str(raised.value).split("\n  line ")) == 5


def test_no_description(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="No such file"):
        read_network(str(tmp_path / "none.yaml"))


@pytest.mark.parametrize("rows_first", [True, False])
@pytest.mark.parametrize("batch", ["n", 1, 3])
@pytest.mark.parametrize("bgr", [False, True])
def test_pixels_come_as_described(opened, tmp_path, rows_first, batch, bgr) -> None:
    save_classifier(tmp_path / "net.onnx", WEIGHTS, rows_first=rows_first, batch=batch)
    engine = opened(SCALED + ("channels: bgr\n" if bgr else ""))
    crops = np.stack([crop(200, 50, 50), crop(0, 255, 0), crop(10, 20, 30), crop(9, 9, 9)] * 2)
    found = engine.predict(crops)
    means = crops.reshape(8, -1, 3).mean(1)[:, :: -1 if bgr else 1] / 255
    logits = (means - 0.5) / 0.25 @ WEIGHTS
    wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.stack([one.probabilities for one in found]) == pytest.approx(wanted, abs=1e-4)
    assert np.stack([one.features for one in found]) == pytest.approx(
        (means - 0.5) / 0.25, abs=1e-3
    )
    assert {one.model_id for one in found} == {engine.model_id}
    assert engine.model_id.startswith("mine-") and engine.categories == ("r", "g", "b")
    assert engine.predict(crops[:0]) == []
    with pytest.raises(ValueError, match="crops must be"):
        engine.predict(crops[:, :8])


def test_whole_numbers_and_probabilities(opened, tmp_path) -> None:
    save_classifier(
        tmp_path / "net.onnx",
        WEIGHTS / 100,
        whole=True,
        rows_first=True,
        probabilities=True,
        features=False,
    )
    engine = opened("file: net.onnx\nclasses: [r, g, b]\nsize: 16\nscores: probabilities\n")
    [found] = engine.predict(crop(100, 50, 0)[np.newaxis])
    wanted = np.exp([4, 2, 0]) / np.exp([4, 2, 0]).sum()
    assert found.probabilities == pytest.approx(wanted, abs=1e-4)
    assert found.features == pytest.approx(wanted, abs=1e-4), "what there is to compare by"


def test_classes_that_mean_the_same_are_taken_together(opened, tmp_path) -> None:
    save_classifier(tmp_path / "net.onnx", WEIGHTS)
    plain = opened(SCALED).predict(crop(200, 50, 90)[np.newaxis])[0].probabilities
    engine = opened(SCALED + "labels: {r: warm colour, b: warm colour}\n")
    assert engine.categories == ("warm colour", "g")
    [found] = engine.predict(crop(200, 50, 90)[np.newaxis])
    assert found.probabilities == pytest.approx([plain[0] + plain[2], plain[1]], abs=1e-6)


def test_another_description_is_another_model(opened, tmp_path) -> None:
    save_classifier(tmp_path / "net.onnx", WEIGHTS)
    first, second = opened(PLAIN).model_id, opened(SCALED).model_id
    assert first != second and opened(PLAIN).model_id == first


@pytest.mark.parametrize(
    ("options", "text", "said"),
    [
        ({"size": 32}, PLAIN, "it takes pictures [3, 32, 32], not [3, 16, 16]"),
        ({"whole": True}, SCALED, "it takes whole numbers"),
        ({}, PLAIN.replace("means", "pooled"), "it has no output `pooled`, only logits, means"),
        ({}, "file: net.onnx\nclasses: [r, g, b]\nsize: 16\n", "name one of its outputs"),
        ({}, PLAIN.replace("[r, g, b]", "[r, g]"), "it gives [1, 3] for one picture, and has 2"),
        ({}, PLAIN + "scores: probabilities\n", "set `scores: logits`"),
    ],
)
def test_what_does_not_fit_is_refused(opened, tmp_path, options, text, said) -> None:
    save_classifier(tmp_path / "net.onnx", WEIGHTS, **options)
    with pytest.raises(ModelError) as raised:
        opened(text)
    assert said in str(raised.value) and str(tmp_path / "net.onnx") in str(raised.value)


def test_a_network_that_gives_no_numbers_is_refused(opened, tmp_path) -> None:
    save_classifier(tmp_path / "net.onnx", WEIGHTS * np.nan)
    with pytest.raises(ModelError, match="no finite numbers"):
        opened(PLAIN)


def test_a_file_that_is_not_there_or_no_network(opened, tmp_path) -> None:
    with pytest.raises(ModelError, match=r"net\.onnx"):
        opened(PLAIN)
    (tmp_path / "net.onnx").write_text("hello")
    with pytest.raises(ModelError, match="ONNX Runtime cannot load"):
        opened(PLAIN)


def test_the_network_of_scenes_that_stands_in(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "scenes.yaml"
    path.write_text(
        f"file: {shared}/models/scenes_standin.onnx\nclasses: places365\nsize: 224\nresize: 256\n"
        "output: logits\nfeatures: features\n"
    )
    engine = CustomEngine("scenes", read_network(str(path)), str(tmp_path))
    assert len(engine.categories) == 365 and engine.spec.resize == 256
    table = (shared / "models/categories_places365.txt").read_text()
    names = [line.split()[0][3:] for line in table.splitlines()]
    assert list(engine.categories) == names
    [found] = engine.predict(np.full((1, 224, 224, 3), 128, np.uint8))
    assert found.probabilities.shape == (365,) and found.features.shape == (512,)
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-4)
