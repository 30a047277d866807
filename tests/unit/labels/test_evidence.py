"""The stored form of a prediction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.labels.evidence import TOP_K, Evidence, combine


@given(st.integers(1, 2000), st.integers(0, 2**32 - 1))
def test_what_is_stored_comes_back(count, seed):
    values = np.random.default_rng(seed).dirichlet(np.full(count, 0.1)).astype(np.float32)
    seen = Evidence.of(values)
    blob = seen.to_bytes()
    assert len(blob) == 5 + 4 * min(count, TOP_K)
    back = Evidence.from_bytes(blob)
    assert back == seen and hash(back) == hash(seen)
    assert back.class_count == count
    assert back.top(1)[0][0] == int(np.argmax(values))
    assert back.top(1)[0][1] == pytest.approx(float(values.max()), rel=1e-3, abs=1e-6)
    assert list(back.probabilities) == sorted(back.probabilities, reverse=True)


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\x01\x03",
        b"\x02\x03\x00\x00\x00",
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
