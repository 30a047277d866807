"""Photos that look alike, by features that are stored."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from tagger.index.reader import open_reader
from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.index.store import Store
from tagger.library.similar import KEPT_SECONDS, SimilarPhotos, most_alike
from tagger.records import FileStat, PhotoFacts

SIZE = 64


def features(count: int, seed: int = 0) -> NDArray[np.float16]:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(0.2, 1, (count, SIZE)), 0).astype(np.float16)


def put(site, rows: Iterable[NDArray[np.float16]], *, first: int = 0, model: str = "m") -> None:
    with Store(str(site.state)) as store:
        store.save(
            [
                SavedPhoto(
                    path=str(site.inbox / f"{number}.jpg"), root=str(site.inbox),
                    stat=FileStat(number, number), sidecar=None, content_hash=b"", source_hash=b"",
                    facts=PhotoFacts(), tags=(),
                    prediction=StoredPrediction(model, b"", b"", row.astype("<f2").tobytes(), b""),
                )
                for number, row in enumerate(rows, first)
            ]
        )  # fmt: skip


def expected(rows: NDArray[np.float16], at: int, limit: int) -> list[tuple[int, float]]:
    exact = rows.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    scores = exact @ exact[at]
    order = [index for index in np.argsort(-scores) if index != at][:limit]
    return [(int(index) + 1, float(scores[index])) for index in order]


def test_they_are_those_of_the_smallest_angle(site):
    rows = features(700)
    rows[650] = rows[3] * np.float16(1.5)  # the same direction
    put(site, rows)
    similar = SimilarPhotos()
    with open_reader(str(site.state)) as reader:
        for at in (3, 0, 699):
            found = similar.like(reader, at + 1, 12)
            wanted = expected(rows, at, 12)
            assert [number for number, _ in found] == [number for number, _ in wanted]
            scores = [score for _, score in wanted]
            assert [score for _, score in found] == pytest.approx(scores, abs=1e-3)
        assert similar.like(reader, 4, 1) == [(651, pytest.approx(1.0, abs=1e-3))]


def test_new_photos_count_at_once_and_changed_ones_later(site, clock):
    rows = features(40)
    put(site, rows)
    similar = SimilarPhotos(clock=clock)

    def nearest() -> int:
        with open_reader(str(site.state)) as reader:
            return similar.like(reader, 1, 1)[0][0]

    nearest()
    put(site, [rows[0]], first=40)
    assert nearest() == 41
    put(site, [features(1, seed=9)[0]], first=40)  # it is another picture now
    assert nearest() != 41, "it is compared by what is stored"
    put(site, [rows[0]], first=20)
    clock.now += KEPT_SECONDS + 1
    assert nearest() == 21


def test_every_photo_is_compared_whichever_block_it_is_in(site, clock):
    rows = features(300)
    rows[0] = rows[299] = rows[150]
    put(site, rows[:250])
    similar = SimilarPhotos(block=64, clock=clock)
    with open_reader(str(site.state)) as reader:
        assert similar.like(reader, 151, 1)[0][0] == 1
    put(site, rows[250:], first=250)
    with open_reader(str(site.state)) as reader:
        assert {number for number, _ in similar.like(reader, 151, 2)} == {1, 300}
    put(site, [features(1, seed=9)[0]], first=0)  # it is another picture now
    put(site, [rows[150]], first=100)
    for _ in range(10):  # one block at a time
        clock.now += KEPT_SECONDS + 1
        with open_reader(str(site.state)) as reader:
            found = similar.like(reader, 151, 2)
    assert {number for number, _ in found} == {101, 300}


def test_all_that_are_read_one_by_one_give_the_same(site):
    rows = features(500)
    put(site, rows)
    with open_reader(str(site.state)) as reader:
        quick, exact = SimilarPhotos().like(reader, 5, 20), most_alike(reader, 5, 20)
        assert most_alike(reader, 9999, 5) == []
    assert [number for number, _ in quick] == [number for number, _ in exact]
    assert [one for _, one in quick] == pytest.approx([one for _, one in exact], abs=1e-3)


def test_of_many_photos_few_of_the_nearest_are_lost(site):
    rng = np.random.default_rng(4)
    heads = np.maximum(rng.normal(0.2, 1, (120, SIZE)), 0)
    near = heads[rng.integers(0, 120, 9000)] + rng.normal(0, 0.5, (9000, SIZE))
    put(site, np.maximum(near, 0).astype(np.float16))
    hits = 0
    with open_reader(str(site.state)) as reader:
        similar = SimilarPhotos()
        for photo in range(1, 9000, 900):
            exact = {number for number, _ in most_alike(reader, photo, 10)}
            hits += len(exact & {number for number, _ in similar.like(reader, photo, 10)})
    assert hits >= 95


def test_photos_of_another_network_are_not_compared(site):
    rows = features(10)
    put(site, rows[:5])
    put(site, rows[:5], first=5, model="other")
    with open_reader(str(site.state)) as reader:
        assert {number for number, _ in SimilarPhotos().like(reader, 1, 20)} == {2, 3, 4, 5}


def test_odd_features_are_no_failure(site):
    rows = features(6)
    rows[1] = 0
    rows[2, 3], rows[3, 3] = np.float16("nan"), np.float16("inf")
    put(site, rows)
    with open_reader(str(site.state)) as reader:
        similar = SimilarPhotos()
        assert similar.like(reader, 2, 5) == []
        assert similar.like(reader, 99, 5) == []
        found = similar.like(reader, 1, 9)
    assert len(found) == 5
    assert all(0 <= score <= 1 for _, score in found)


def test_the_page_gets_them_with_their_thumbnails_but_none_that_is_missing(client, site):
    rows = features(30)
    rows[7] = rows[0]
    put(site, rows)
    with Store(str(site.state)) as store:
        store.mark_missing([str(site.inbox / "7.jpg")])
    found = client.get("/api/v1/photos/1/similar?limit=5").json
    assert len(found) == 5
    assert 8 not in [photo["id"] for photo in found]
    assert found[0]["thumbnail"] == f"/photos/{found[0]['id']}/thumbnail"
    similarity = [photo["similarity"] for photo in found]
    assert similarity == sorted(similarity, reverse=True)
