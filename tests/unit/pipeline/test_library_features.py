"""What is usual in the library is kept up as photos come, and no photo is read twice for it."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.index.store import Store
from tagger.labels.personal.moments import Moments
from tagger.pipeline import library_features
from tagger.pipeline.library_features import moments, sample, update_moments
from tests.support.taught import Subjects, saved_with_features


@pytest.fixture
def subjects():
    return Subjects(count=30)


@pytest.fixture
def store(tmp_path):
    with Store(str(tmp_path)) as opened:
        yield opened


def come(store, rows, first=0, model_id="net"):
    store.save([saved_with_features(first + n, row.tobytes(), model_id)
                for n, row in enumerate(rows)])  # fmt: skip


def same(found, rows):
    whole = Moments.of(rows)
    assert found.count == len(rows)
    np.testing.assert_allclose(found.mean, whole.mean, atol=1e-5)
    np.testing.assert_allclose(found.covariance, whole.covariance, atol=1e-5)


@pytest.fixture
def read(monkeypatch):
    """Return how many photos were read, each time."""
    found = []
    real = library_features.sample

    def counted(*given, **named):
        blobs = real(*given, **named)
        found.append(len(blobs))
        return blobs

    monkeypatch.setattr(library_features, "sample", counted)
    return found


def test_only_what_is_new_is_read(store, subjects, read):
    assert update_moments(store, "net") is None
    rows = subjects.photos([n % 30 for n in range(200)])
    come(store, rows[:120])
    same(update_moments(store, "net"), rows[:120])
    same(moments(store, "net"), rows[:120])
    come(store, rows[120:], 120)
    same(update_moments(store, "net"), rows)
    same(update_moments(store, "net"), rows)  # nothing has come
    assert read == [0, 120, 80]


def test_of_many_new_photos_a_sample_stands_for_all(store, subjects, read, monkeypatch):
    monkeypatch.setattr(library_features, "SAMPLE", 50)
    come(store, subjects.photos([n % 30 for n in range(400)]))
    found = update_moments(store, "net")
    assert (found.count, read) == (400, [50])


def test_they_are_made_anew_when_they_are_of_other_photos(store, subjects):
    rows = subjects.photos([n % 30 for n in range(100)])
    come(store, rows)
    update_moments(store, "net")
    store.save([saved_with_features(n, rows[n].tobytes(), "other") for n in range(50)])
    same(update_moments(store, "net"), rows[50:])
    same(update_moments(store, "other"), rows[:50])
    with store.transaction() as db:
        db.execute("UPDATE taught_statistics SET moments = x'00'")
    assert moments(store, "net") is None
    same(update_moments(store, "net"), rows[50:])


def test_a_sample_of_what_came_later(store, subjects):
    rows = subjects.photos([n % 30 for n in range(100)])
    come(store, rows)
    assert sorted(sample(store, "net")) == sorted(row.tobytes() for row in rows)
    found = sample(store, "net", after=60)
    assert sorted(found) == sorted(row.tobytes() for row in rows[60:])


def test_photos_without_features_are_left_out(store, subjects):
    rows = subjects.photos([n % 30 for n in range(100)])
    come(store, rows)
    store.save([saved_with_features(200, b""), saved_with_features(201, bytes(10))])
    found = update_moments(store, "net")
    np.testing.assert_allclose(found.mean, Moments.of(rows).mean, atol=1e-5)
