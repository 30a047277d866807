"""The stored form of a prediction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.labels.evidence import LEAST_SCORE, MOST_BOXES, TOP_K, Boxes, Evidence, Ranking, combine


@given(st.integers(1, 2000), st.integers(0, 2**32 - 1))
def test_what_is_stored_comes_back(count, seed):
    values = np.random.default_rng(seed).dirichlet(np.full(count, 0.1)).astype(np.float32)
    seen = Evidence.of(values)
    blob = seen.to_bytes()
    assert len(blob) == 5 + 4 * min(count, TOP_K)
    back = Evidence.from_bytes(blob)
    assert back.to_bytes() == blob
    assert back.class_count == count
    assert back.subjects is not None and back.scenes is None and back.boxes is None
    assert back.subjects.top(1)[0][0] == int(np.argmax(values))
    assert back.subjects.top(1)[0][1] == pytest.approx(float(values.max()), rel=1e-3, abs=1e-6)
    kept = list(back.subjects.probabilities)
    assert kept == sorted(kept, reverse=True)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x01\x03",
        b"\x03\x03\x00\x00\x00",
        b"\x02\x03\x00\x00\x00",  # no such part
        b"\x02s\x05\x00\x03",  # cut
        b"\x02s\x01\x00\x03",
        b"\x02b\x00\x00",
        b"\x02b\x01\x00\x01",  # one box in no bytes
        b"\x02b\x01\x00\x00b\x01\x00\x00",  # twice
        b"\x02b\x02\x00\x00\xff",  # a name that is no text
        b"\x01\x03\x00\x01\x00\x02\x00\x00\x3cname",
        b"\x01\x03\x00\x02\x00\x01\x00",
        b"\x01\x03\x00\x01\x00\x03\x00\x00\x3c",  # class 3 of 3
        b"\x01\x03\x00\x01\x00\x02\x00\x00\x7e",  # NaN
    ],
)
def test_other_bytes_are_refused(blob):
    with pytest.raises(ValueError, match=r"stored prediction"):
        Evidence.from_bytes(blob)


@pytest.mark.parametrize(
    "values", [[], [[0.5, 0.5]], [0.5, float("nan")], [-0.1, 1.1], [0.0, 1.5], [0.0] * 70_000]
)
def test_other_than_probabilities_are_refused(values):
    with pytest.raises(ValueError, match="probabilities must be"):
        Evidence.of(np.array(values, np.float32))


def test_several_crops_are_combined_as_the_mean_of_their_logits():
    logits = np.random.default_rng(1).normal(0, 3, (3, 10))
    rows = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    mean = np.exp(logits.mean(axis=0))
    assert combine(rows) == pytest.approx(mean / mean.sum(), rel=1e-4)
    assert combine(rows[:1]) == pytest.approx(rows[0])
    assert np.isfinite(combine(np.array([[1.0, 0.0], [0.0, 1.0]]))).all()


def some_boxes(count=3, network="a detector"):
    dice = np.random.default_rng(count)
    scores = dice.uniform(0.2, 1, count)
    return Boxes.of(dice.integers(0, 80, count), scores, dice.uniform(0, 0.5, (count, 4)), network)


@given(st.integers(0, 90), st.booleans(), st.booleans(), st.sampled_from(["", "network-é@1"]))
def test_what_several_networks_said_comes_back(count, subjects, scenes, network):
    row = np.random.default_rng(count).dirichlet(np.full(365, 0.1)).astype(np.float32)
    seen = Evidence(
        Ranking.of(row, network=network) if subjects else None,
        Ranking.of(row[::-1], network=network) if scenes else None,
        some_boxes(count, network),
    )
    back = Evidence.from_bytes(seen.to_bytes())
    assert back.to_bytes() == seen.to_bytes()
    assert (back.subjects is None, back.scenes is None) == (not subjects, not scenes)
    assert back.boxes is not None and len(back.boxes) == min(count, MOST_BOXES)
    assert back.boxes.network == network
    assert back.class_count == (365 if subjects else 0)
    assert back.scenes is None or back.scenes.top(1)[0][0] == 364 - int(np.argmax(row))


def test_a_photo_that_no_network_has_seen_is_stored_too():
    nothing = Evidence.from_bytes(Evidence().to_bytes())
    assert (nothing.subjects, nothing.scenes, nothing.boxes) == (None, None, None)


def test_rows_of_one_network_keep_their_bytes():
    row = np.array([0.25, 0.75], np.float32)
    assert Evidence.of(row).to_bytes() == b"\x01\x02\x00\x02\x00\x01\x00\x00\x00\x00\x3a\x00\x34"
    assert Evidence.from_bytes(Evidence(Ranking.of(row, network="x")).to_bytes()).subjects.network


def test_boxes_are_sorted_and_cut_to_the_picture():
    boxes = Boxes.of(
        np.array([0, 16, 0]),
        np.array([0.3, 0.9, LEAST_SCORE - 0.01]),
        np.array([[0.5, 0.5, 0.2, 0.1], [-0.1, 0.8, 0.3, 0.4], [0, 0, 1, 1]]),
    )
    assert boxes.classes.tolist() == [16, 0]
    assert boxes.scores.tolist() == pytest.approx([0.9, 0.3], abs=1e-4)
    assert boxes.rects[0].tolist() == pytest.approx([0, 0.8, 0.2, 0.2], abs=1e-4)
    assert boxes.people == 0
    assert Boxes.of(np.zeros(2), np.array([0.5, 0.44]), np.zeros((2, 4))).people == 1
    assert len(Boxes.of(np.zeros(0), np.zeros(0), np.zeros((0, 4)))) == 0


@pytest.mark.parametrize(
    ("classes", "scores", "rects"),
    [
        ([0], [0.5, 0.5], [[0, 0, 1, 1]]),
        ([0], [float("nan")], [[0, 0, 1, 1]]),
        ([0], [0.5], [[0, 0, 1, float("inf")]]),
        ([300], [0.5], [[0, 0, 1, 1]]),
    ],
)
def test_other_than_boxes_are_refused(classes, scores, rects):
    with pytest.raises(ValueError, match="boxes"):
        Boxes.of(np.array(classes), np.array(scores), np.array(rects))
