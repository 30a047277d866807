"""Photos are looked at in fp32 as well: what counts as the same, and what is kept of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
import pytest

from tagger.classify.int8_agreement import read_agreement
from tagger.classify.int8_files import FullNetwork, Int8Record
from tagger.classify.network_input import NetworkInput
from tagger.labels.evidence import Boxes, Ranking
from tagger.pipeline.int8_judge import (
    WRITE_AFTER,
    Int8Judge,
    Trial,
    same_class,
    same_things,
)
from tagger.pipeline.networks import Networks
from tagger.records import Box, CropSpec, DecodedPhoto, PhotoFacts, Tag
from tests.support.networks import PERSON, FakeDetector, FakeScenes

RECORD = Int8Record("key", "cpu", 2, 9.0, 3.0, "digest")


class Chooser:
    """Gives each network's best class as a tag."""

    def choose(self, evidence, kinds=()):
        said = [("s", evidence.subjects), ("p", evidence.scenes)]
        names = [f"{letter}{one.top(1)[0][0]}" for letter, one in said if one is not None]
        if evidence.boxes is not None:
            names += [f"b{n}" for n in set(evidence.boxes.classes.tolist())]
        return tuple(Tag(name, 1.0, (name,)) for name in names)


@dataclass
class Bench:
    """A judge of three networks, the full ones among them, and what was loaded."""

    judge: Int8Judge
    full: dict
    loaded: list


def bench(tmp_path, *, full_scenes=48, full_boxes=(PERSON,), full_subject=3):
    small = Networks(
        FakeScenes(scene=3, spec=CropSpec(), model_id="subjects-int8"),
        FakeScenes(scene=48, model_id="scenes-int8"),
        FakeDetector(boxes=(PERSON,), model_id="detector-int8"),
    )
    full = {
        "subjects": FakeScenes(scene=full_subject, spec=CropSpec(), model_id="subjects"),
        "scenes": FakeScenes(scene=full_scenes, model_id="scenes"),
        "detector": FakeDetector(boxes=full_boxes, model_id="detector"),
    }
    trials = {}
    for kind in full:
        own = files(tmp_path, kind)
        trials[kind] = Trial(own, RECORD, read_agreement(own, RECORD))
    loaded = []

    def opened(kind):
        loaded.append(kind)
        return full[kind]

    return Bench(Int8Judge(small, trials, Chooser(), opened), full, loaded)


def files(tmp_path, kind):
    taken = NetworkInput("x", 8)
    return FullNetwork(f"{kind}.onnx", str(tmp_path / kind), kind, "key", taken)


def photo(number, **changes):
    crop = np.full((224, 224, 3), number % 256, np.uint8)
    picture = np.zeros((72, 96, 3), np.uint8)
    digest = number.to_bytes(16, "big")[::-1]
    facts = PhotoFacts(format="JPEG", width=4000, height=3000)
    made = DecodedPhoto(crop, digest, facts, crop[np.newaxis][:0], False, crop, picture)
    return replace(made, **changes)


def counts(judge, kind):
    found = judge.trials[kind].counts
    return found.judged, found.sure, found.same, found.same_tags


def test_networks_that_agree_are_proven(tmp_path):
    work = bench(tmp_path)
    for number in range(148):
        assert work.judge.judge(photo(number)) == []
    assert work.loaded == ["subjects", "scenes", "detector"], "each is loaded once"
    assert sorted(work.judge.judge(photo(148))) == ["detector", "scenes", "subjects"]
    assert {one.state for one in work.judge.states().values()} == {"proven"}
    assert counts(work.judge, "detector") == (149, 149, 149, 149)
    assert not work.judge.has_open
    assert all(trial.network is None for trial in work.judge.trials.values()), "memory goes back"
    assert work.judge.judge(photo(149)) == []
    assert counts(work.judge, "scenes")[0] == 149, "what is proven is not asked again"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("subjects", {"full_subject": 4}),
        ("scenes", {"full_scenes": 5}),
        ("detector", {"full_boxes": (PERSON, Box(16, 0.9, 0.1, 0.1, 0.2, 0.2))}),
    ],
)
def test_one_that_does_not_agree_is_refused_at_once(kind, change, tmp_path):
    work = bench(tmp_path, **change)
    assert work.judge.judge(photo(0)) == [kind]
    assert counts(work.judge, kind) == (1, 1, 0, 0)
    assert work.judge.states()[kind].state == "refused"
    others = {"subjects", "scenes", "detector"} - {kind}
    assert all(counts(work.judge, other) == (1, 1, 1, 1) for other in others)
    assert read_agreement(files(tmp_path, kind), RECORD).state == "refused", "kept at once"


def test_a_photo_counts_once_and_counts_are_kept(tmp_path):
    work = bench(tmp_path)
    for number in range(WRITE_AFTER):
        assert not work.judge.knows(photo(number).crop_hash)
        work.judge.judge(photo(number))
        work.judge.judge(photo(number))
        assert work.judge.knows(photo(number).crop_hash)
    assert counts(work.judge, "scenes")[0] == WRITE_AFTER
    assert counts(bench(tmp_path).judge, "scenes")[0] == WRITE_AFTER
    work.judge.judge(photo(99))
    assert counts(bench(tmp_path).judge, "scenes")[0] == WRITE_AFTER
    work.judge.close()
    again = bench(tmp_path)
    assert counts(again.judge, "scenes")[0] == WRITE_AFTER + 1
    assert again.judge.knows(photo(99).crop_hash)


def test_a_photo_without_a_picture_says_nothing_of_a_detector(tmp_path):
    work = bench(tmp_path)
    work.judge.judge(photo(0, picture=None))
    assert counts(work.judge, "detector")[0] == 0 and counts(work.judge, "scenes")[0] == 1


def test_a_disk_that_takes_nothing(tmp_path, caplog):
    work = bench(tmp_path / "gone")
    work.judge.judge(photo(0))
    with pytest.raises(OSError, match="gone"):
        work.judge.write()
    work.judge.judge(photo(1))
    work.judge.close()
    assert "is not kept" in caplog.text
    assert not os.path.exists(tmp_path / "gone")


@pytest.mark.parametrize(
    ("full", "small", "sure", "same"),
    [
        ([0.6, 0.4], [0.9, 0.1], True, True),
        ([0.6, 0.4], [0.4, 0.6], True, False),
        ([0.4, 0.3], [0.4, 0.3], False, True),
    ],
)
def test_the_same_class(full, small, sure, same):
    one, two = (Ranking.of(np.array(values, np.float32)) for values in (full, small))
    assert same_class(one, two) == (sure, same)


def boxes(**scores):
    rects = [[0.1, 0.1, 0.2, 0.2]] * len(scores)
    return Boxes.of(np.array([int(n[1:]) for n in scores]), list(scores.values()), rects)


@pytest.mark.parametrize(
    ("full", "small", "sure", "same"),
    [
        ({"c0": 0.9}, {"c0": 0.5}, True, True),
        ({"c0": 0.9}, {"c0": 0.49}, True, False),
        ({"c0": 0.9}, {}, True, False),
        ({"c0": 0.9, "c7": 0.55}, {"c0": 0.9}, True, True),  # of this one it is not sure
        ({"c0": 0.9, "c7": 0.45}, {"c0": 0.9, "c7": 0.6}, True, True),
        ({"c0": 0.9, "c7": 0.35}, {"c0": 0.9, "c7": 0.6}, True, False),
        ({"c0": 0.9}, {"c0": 0.9, "c7": 0.5}, True, False),
        ({"c0": 0.55}, {"c0": 0.55}, False, True),
        ({}, {}, False, True),
    ],
)
def test_the_same_things(full, small, sure, same):
    assert same_things(boxes(**full), boxes(**small)) == (sure, same)
