"""int8 has to be earned: what is accepted, what is refused, and what becomes of it.

With real weights and photos, from ``../shared``; skipped without them.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from tagger.classify.child_process import StoppedError
from tagger.classify.factory import load_engine
from tagger.classify.int8_trial import (
    ENOUGH,
    MIN_SURE,
    Verdict,
    accepted_int8,
    maybe_optimize,
    optimize,
    read_verdict,
    split,
)
from tagger.classify.onnx_store import OnnxModel, read_converted
from tagger.errors import ModelError
from tests.support.checkpoints import photo_crops, random_crops

NAME = "mobilenet_v2"


@pytest.fixture(scope="module")
def weights(shared):
    return str(shared / "models" / "mobilenet_v2.pth")


@pytest.fixture(scope="module")
def photos(shared):
    """Return crops to calibrate on, and others to judge by."""
    folder = shared / "photos"
    return photo_crops(folder / "calibration", limit=24), photo_crops(folder / "imagenet")


@pytest.fixture(scope="module")
def converted(converted_mobilenet):
    [path] = (converted_mobilenet / "models").glob(f"{NAME}-*.onnx")
    return read_converted(str(path))


@pytest.fixture(scope="module")
def good(converted, photos, make_once):
    """Return a converted model with its accepted int8 version, and the verdict."""

    def make(folder):
        verdict = optimize(
            copy_of(converted, folder),
            *photos,
            threads=2,
            compare=lambda fp32, int8: {"rows": len(fp32)},
        )
        (folder / "returned.json").write_text(json.dumps(dataclasses.asdict(verdict)))

    made = make_once("optimized", make)
    verdict = Verdict(**json.loads((made / "returned.json").read_text()))
    return moved(converted, made), verdict


def copy_of(model: OnnxModel, state) -> OnnxModel:
    shutil.copytree(state_of(model) + "/models", state / "models")
    return moved(model, state)


def moved(model: OnnxModel, state) -> OnnxModel:
    return dataclasses.replace(model, path=model.path.replace(state_of(model), str(state)))


@pytest.fixture
def mine(good, tmp_path):
    """Return a copy of the model with its accepted int8 version."""
    return copy_of(good[0], tmp_path / "state")


def state_of(model):
    return model.path.rpartition("/models/")[0]


def load(model, weights, **options):
    return load_engine(NAME, weights, state_dir=state_of(model), threads=2, **options)


def left(model):
    folder = model.path.rpartition("/")[0]
    return {name for name in os.listdir(folder) if name.endswith((".int8.onnx", ".part"))}


def test_a_good_quantization_is_accepted(good, photos):
    model, verdict = good
    assert verdict.accepted and verdict.reason == ""
    assert (verdict.calibrated, verdict.judged) == (24, 63)
    assert verdict.sure >= MIN_SURE
    assert verdict.agreement_sure >= 0.98
    assert 0.9 <= verdict.agreement_all < 1.0001
    assert 0 < verdict.difference < 0.05
    assert 0 < verdict.int8_ms < verdict.fp32_ms
    assert verdict.more == {"rows": 63}
    assert read_verdict(model) == verdict
    assert accepted_int8(model) == model.beside(".int8.onnx")


def test_the_figures_are_those_of_the_engines(good, weights, photos):
    """Counted once more, with the engines that the daemon would load."""
    model, verdict = good
    fp32, int8 = (
        np.stack(
            [one.probabilities for one in load(model, weights, precision=p).predict(photos[1])]
        )
        for p in ("fp32", "int8")
    )
    same, sure = fp32.argmax(1) == int8.argmax(1), fp32.max(1) >= 0.5
    assert verdict.sure == sure.sum()
    assert verdict.agreement_sure == pytest.approx(same[sure].mean())
    assert verdict.agreement_all == pytest.approx(same.mean())
    assert verdict.difference == pytest.approx(np.abs(fp32 - int8).max(1).mean(), rel=1e-3)


def test_it_is_used_unless_the_config_says_otherwise(mine, weights):
    assert load(mine, weights).name == "onnx-int8"
    assert load(mine, weights, precision="int8").model_id.endswith("-int8")
    assert load(mine, weights, precision="fp32").name == "onnx"
    assert load(mine, weights, engine="torch").name == "torch"


@pytest.mark.parametrize("change", ["cut", "gone", "other cpu", "refused", "other version"])
def test_without_a_whole_and_accepted_file_auto_is_fp32(change, mine, weights):
    path, record = mine.beside(".int8.onnx"), mine.beside(".int8.json")
    with open(record) as file:
        known = json.load(file)
    if change == "cut":
        with open(path, "r+b") as file:
            file.truncate(1000)
    elif change == "gone":
        shutil.move(path, path + ".away")
    elif change == "other cpu":  # the state directory came from another machine
        known["verdict"]["cpu"] = "m68k"
    elif change == "refused":
        known["verdict"]["accepted"] = False
    else:
        known["quantizer"] += 1
    with open(record, "w") as file:
        json.dump(known, file)
    assert load(mine, weights).name == "onnx"
    with pytest.raises(ModelError, match="tagger model optimize"):
        load(mine, weights, precision="int8")


def test_a_bad_quantization_is_refused_and_removed(mine, weights, photos):
    """Calibrated on black pictures, its ranges fit no photo."""
    verdict = optimize(mine, np.zeros((4, 224, 224, 3), np.uint8), photos[1], threads=2)
    assert not verdict.accepted
    assert "98% are needed" in verdict.reason
    assert verdict.agreement_sure < 0.98
    assert read_verdict(mine) == verdict
    assert accepted_int8(mine) is None and left(mine) == set()
    assert load(mine, weights).name == "onnx"


def test_photos_that_prove_nothing(mine):
    """Blots of colour: the network is sure of none, so agreement is not proved."""
    verdict = optimize(mine, random_crops(4), random_crops(MIN_SURE + 2, seed=1), threads=2)
    assert not verdict.accepted
    assert f"{MIN_SURE} are needed" in verdict.reason and verdict.sure < MIN_SURE
    assert left(mine) == set()


def test_too_few_photos_are_a_mistake_and_change_nothing(mine, photos):
    with pytest.raises(ModelError, match="53 photos are too few") as raised:
        optimize(mine, photos[0][:4], photos[1][: MIN_SURE - 1])
    assert raised.value.remedy
    with pytest.raises(ModelError, match="0 photos are too few"):
        optimize(mine, *split([], os.path.dirname(mine.path)))
    assert accepted_int8(mine) is not None


def test_it_stops_when_told_to_and_changes_nothing(mine, photos):
    with pytest.raises(StoppedError):
        optimize(mine, photos[0][:4], photos[1], stop=lambda: True)
    assert accepted_int8(mine) is not None
    assert left(mine) == {accepted_int8(mine).rpartition("/")[2]}


def test_what_cannot_be_quantized_is_a_model_error(mine, photos):
    with open(mine.path, "wb") as file:
        file.write(b"no network")
    with pytest.raises(ModelError, match="mobilenet_v2 cannot be quantized") as raised:
        optimize(mine, photos[0][:4], photos[1])
    assert "model.precision: fp32" in raised.value.remedy


def test_the_split_keeps_photos_apart_and_takes_no_more_than_it_needs(tmp_path):
    def numbered():
        for number in range(10_000):
            taken.append(number)
            yield np.array([[[number % 251, number // 251, 7]]], np.uint8)

    taken: list[int] = []
    calibrate, judge = split(numbered(), str(tmp_path))
    assert calibrate.shape == (128, 1, 1, 3) and judge.shape == (600, 1, 1, 3)
    together = np.concatenate([calibrate, judge]).reshape(-1, 3) @ [1, 251, 0]
    assert together.tolist() == list(range(728))
    assert len(taken) == 728
    calibrate, judge = split(list(numbered())[:101], str(tmp_path))
    assert (len(calibrate), len(judge)) == (33, 68)
    assert os.listdir(tmp_path) == []


def test_without_room_on_the_disk_no_photo_is_decoded(converted_demo, demo_weights, tmp_path):
    [path] = converted_demo(demo_weights).glob("resnet18-*.onnx")
    model = read_converted(str(path))
    assert model is not None
    model = dataclasses.replace(model, path=str(tmp_path / path.name))
    with open(model.path, "wb") as file:
        file.truncate(1 << 43)  # as if the network had eight terabytes
    crops = iter(random_crops(2))
    with pytest.raises(ModelError, match=f"{tmp_path} has .* MB free, and .* are needed"):
        maybe_optimize(model, ENOUGH, crops)
    assert len(list(crops)) == 2
    assert os.listdir(tmp_path) == [path.name]


def test_the_daemon_optimizes_once_there_are_enough_photos(converted, photos, tmp_path):
    def crops():
        for crop in np.concatenate(photos):
            taken.append(crop)
            yield crop

    taken: list[np.ndarray] = []
    model = copy_of(converted, tmp_path / "state")
    assert maybe_optimize(model, ENOUGH - 1, crops(), threads=2) is None
    assert taken == []
    verdict = maybe_optimize(model, ENOUGH, crops(), threads=2)
    assert verdict is not None and verdict.calibrated + verdict.judged == len(taken) == 87
    assert verdict.accepted
    taken.clear()
    assert maybe_optimize(model, 100 * ENOUGH, crops(), threads=2) is None
    assert taken == [], "there is a verdict already"


def test_too_few_sure_photos_are_tried_again_when_there_are_twice_as_many(mine):
    path = mine.beside(".int8.json")
    with open(path) as file:
        known = json.load(file)
    known["verdict"] |= {"accepted": False, "sure": MIN_SURE - 1, "calibrated": 128, "judged": 172}
    with open(path, "w") as file:
        json.dump(known, file)
    assert maybe_optimize(mine, 599, []) is None
    with pytest.raises(ModelError, match="0 photos are too few"):
        maybe_optimize(mine, 600, [])
