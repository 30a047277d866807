"""Mean and covariance of a library are the same whether its photos come at once or in parts."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.labels.personal import moments
from tagger.labels.personal.moments import Moments
from tagger.labels.personal.stored_features import rooted
from tagger.labels.personal.whitening import Whitening
from tests.support.taught import Subjects


@pytest.fixture(scope="module")
def library():
    return Subjects().photos([n for n in range(30) for _ in range(10)])


def test_they_are_what_numpy_says(library, monkeypatch):
    roots = rooted(library).astype(np.float64)
    for together in (4096, 70):
        monkeypatch.setattr(moments, "TOGETHER", together)
        found = Moments.of(library)
        assert found.count == 300
        np.testing.assert_allclose(found.mean, roots.mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(found.covariance, np.cov(roots.T, bias=True), atol=1e-6)


def test_photos_that_come_later_make_the_same(library):
    whole = Moments.of(library)
    parts = Moments.of(library[:170])
    for further in (library[170:171], library[171:300]):
        parts = parts.with_further(Moments.of(further))
    assert parts.count == whole.count
    np.testing.assert_allclose(parts.mean, whole.mean, atol=1e-6)
    np.testing.assert_allclose(parts.covariance, whole.covariance, atol=1e-6)


def test_a_sample_counts_for_as_many_as_it_stands_for(library):
    few = Moments.of(library[:100])
    found = few.with_further(Moments.of(library[100:200]).standing_for(900))
    assert found.count == 1000
    wanted = 0.1 * few.mean + 0.9 * Moments.of(library[100:200]).mean
    np.testing.assert_allclose(found.mean, wanted, atol=1e-9)


def test_they_come_back_from_their_bytes(library):
    whole = Moments.of(library)
    again = Moments.from_bytes(whole.to_bytes())
    assert again.count == whole.count
    np.testing.assert_allclose(again.mean, whole.mean, rtol=1e-6)
    np.testing.assert_allclose(again.covariance, whole.covariance, rtol=1e-6)
    assert (again.covariance == again.covariance.T).all()
    of, back = Whitening.of(whole), Whitening.of(again)
    assert back.count == 300
    np.testing.assert_allclose(
        back.vectors(library[:20], 0.3), of.vectors(library[:20], 0.3), atol=1e-3
    )
    for damaged in (b"", whole.to_bytes()[:-1], bytes(len(whole.to_bytes()))):
        with pytest.raises(ValueError):
            Moments.from_bytes(damaged)
