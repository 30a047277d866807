"""Tags of real photos that were not used to calibrate anything."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tagger.classify.factory import load_engine
from tagger.config.schema import LabelsConfig
from tagger.decode.opening import decode
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Evidence, combine
from tagger.pipeline.inference import predict

MODEL = "mobilenet_v2"


@pytest.fixture(scope="module")
def found(shared, vocabulary):
    """Return for each photo the tags' labels, and the true path."""
    engine = load_engine(MODEL, str(shared / f"models/{MODEL}.pth"), engine="torch", threads=0)
    chooser = Chooser(vocabulary, LabelsConfig(), model_name=MODEL)
    folder = shared / "photos/imagenet"
    rows = []
    with (folder / "truth.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            photo = decode(str(folder / row["file"]), engine.spec, more=True)
            [stored] = predict(engine, [photo])
            tags = [tag.label for tag in chooser.choose(Evidence.from_bytes(stored.evidence))]
            everything = engine.predict(np.concatenate([photo.crop[np.newaxis], photo.more]))
            seen = Evidence.of(combine(np.stack([each.probabilities for each in everything])))
            assert tags == [tag.label for tag in chooser.choose(seen)], "a look was spared wrongly"
            rows.append((tags, vocabulary.path(vocabulary.leaf_of(int(row["class_index"])))))
    return rows


def test_nine_of_ten_photos_get_a_tag(found):
    assert np.mean([bool(tags) for tags, _ in found]) >= 0.90


def test_the_most_specific_tag_is_right(found):
    assert np.mean([tags[0] in truth for tags, truth in found if tags]) >= 0.95


def test_two_of_three_are_named_exactly(found):
    assert np.mean([bool(tags) and tags[0] == truth[-1] for tags, truth in found]) >= 0.65
