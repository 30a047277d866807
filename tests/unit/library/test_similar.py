"""Photos that look alike, by features that are stored."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from tagger.index.reader import open_reader
from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.index.store import Store
from tagger.library import similar
from tagger.library.similar import make_file, most_alike
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


def ids(found: list[tuple[int, float]]) -> list[int]:
    return [number for number, _ in found]


@pytest.mark.parametrize("filed", [False, True])
def test_they_are_those_of_the_smallest_angle(site, monkeypatch, filed):
    rows = features(700)
    rows[650] = rows[3] * np.float16(1.5)  # the same direction
    put(site, rows)
    if filed:
        monkeypatch.setattr(similar, "MANY", 10)
        make_file(str(site.state))
        assert (site.state / "features.bin").exists()
    with open_reader(str(site.state)) as reader:
        for at in (3, 0, 699):
            found = most_alike(reader, str(site.state), at + 1, 12)
            wanted = expected(rows, at, 12)
            assert ids(found) == ids(wanted)
            scores = [score for _, score in wanted]
            assert [score for _, score in found] == pytest.approx(scores, abs=1e-3)
        [one] = most_alike(reader, str(site.state), 4, 1)
        assert one == (651, pytest.approx(1.0, abs=1e-3))


def test_new_and_changed_photos_count_at_once(site, monkeypatch):
    rows = features(40)
    put(site, rows)
    monkeypatch.setattr(similar, "MANY", 10)
    make_file(str(site.state))

    def nearest() -> int:
        with open_reader(str(site.state)) as reader:
            return most_alike(reader, str(site.state), 1, 1)[0][0]

    put(site, [rows[0]], first=40)
    assert nearest() == 41
    put(site, [features(1, seed=9)[0]], first=40)  # it is another picture now
    assert nearest() != 41
    put(site, [rows[0]], first=20)
    assert nearest() == 21


def test_of_a_library_that_is_still_to_be_compared_the_file_knows_most(site, monkeypatch):
    """Else a question about a million photos reads them all."""
    monkeypatch.setattr(similar, "CHANGED", 5)
    monkeypatch.setattr(similar, "MANY", 10)
    rows = features(60)
    put(site, rows)
    make_file(str(site.state))
    with open_reader(str(site.state)) as reader:
        read = []
        real = reader.waiting_features
        monkeypatch.setattr(
            reader,
            "waiting_features",
            lambda *asked: (read.append(one) or one for one in real(*asked)),
        )
        found = most_alike(reader, str(site.state), 1, 12)
    assert [number for number, _ in read] == [1, 2, 3, 4, 5]
    assert ids(found) == ids(expected(rows, 0, 12))


def test_of_many_photos_few_of_the_nearest_are_lost(site):
    rng = np.random.default_rng(4)
    heads = np.maximum(rng.normal(0.2, 1, (120, SIZE)), 0)
    near = heads[rng.integers(0, 120, 9000)] + rng.normal(0, 0.5, (9000, SIZE))
    put(site, np.maximum(near, 0).astype(np.float16))
    make_file(str(site.state))
    hits = 0
    with open_reader(str(site.state)) as reader:
        for photo in range(1, 9000, 900):
            exact = {*ids(most_alike(reader, None, photo, 10))}
            hits += len(exact & {*ids(most_alike(reader, str(site.state), photo, 10))})
    assert hits >= 95


def test_photos_of_another_network_are_not_compared(site):
    rows = features(10)
    put(site, rows[:5])
    put(site, rows[:5], first=5, model="other")
    with open_reader(str(site.state)) as reader:
        assert {*ids(most_alike(reader, str(site.state), 1, 20))} == {2, 3, 4, 5}


@pytest.mark.parametrize("filed", [False, True])
def test_odd_features_are_no_failure(site, monkeypatch, filed):
    rows = features(6)
    rows[1] = 0
    rows[2, 3], rows[3, 3] = np.float16("nan"), np.float16("inf")
    put(site, rows)
    if filed:
        monkeypatch.setattr(similar, "MANY", 1)
        make_file(str(site.state))
    with open_reader(str(site.state)) as reader:
        assert most_alike(reader, str(site.state), 2, 5) == []
        assert most_alike(reader, str(site.state), 99, 5) == []
        found = most_alike(reader, str(site.state), 1, 9)
    assert len(found) == 5
    assert all(0 <= score <= 1 for _, score in found)


def test_the_file_is_left_to_the_daemon_that_runs(site, monkeypatch):
    put(site, features(40))
    monkeypatch.setattr(similar, "MANY", 10)
    monkeypatch.setattr(similar, "daemon_runs", lambda _: True)
    make_file(str(site.state))
    assert not (site.state / "features.bin").exists()


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
