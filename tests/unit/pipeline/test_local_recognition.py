"""Photos that are decoded here wait until there is room for them, and every one gets its turn."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from tagger.errors import DamagedImageError
from tagger.pipeline.local_recognition import HELD, TOGETHER, LocalRecognition
from tagger.pipeline.networks import Networks
from tagger.records import CropSpec, DecodedPhoto, PhotoFacts, Prediction
from tests.conftest import wait_until

PHOTOS = 3 * HELD


class Subjects:
    """A network that is sure."""

    name, model_id, categories, spec = "fake", "a-00000001", ("a", "b"), CropSpec(8, 8)

    def __init__(self) -> None:
        self.may_look = threading.Event()
        self.may_look.set()

    def predict(self, crops: np.ndarray) -> list[Prediction]:
        assert self.may_look.wait(60)
        sure = np.array([0.9, 0.1], np.float32)
        return [Prediction(sure, np.zeros(4, np.float32), self.model_id) for _ in crops]


class Pool:
    """Decodes what it is asked for when the test says so."""

    def __init__(self, workers: int = 2) -> None:
        self.workers = workers
        self.asked: dict[str, Future[DecodedPhoto]] = {}

    def submit(self, path: str, **how: Any) -> Future[DecodedPhoto]:
        self.asked[path] = Future()
        return self.asked[path]

    def decode(self, path: str) -> None:
        photo = DecodedPhoto(np.zeros((8, 8, 3), np.uint8), b"1" * 16, PhotoFacts())
        self.asked[path].set_result(photo)


@pytest.fixture
def pool() -> Pool:
    return Pool()


@pytest.fixture
def recognition(pool: Pool) -> Iterator[LocalRecognition]:
    made = LocalRecognition(Networks(Subjects()), pool)  # type: ignore[arg-type]
    yield made
    made.close()


def test_a_photo_waits_until_another_is_answered(pool: Pool, recognition: LocalRecognition) -> None:
    names = [str(number) for number in range(PHOTOS)]
    seen = [recognition.submit(name) for name in names]
    assert list(pool.asked) == names[:HELD]
    for done, name in enumerate(names):
        wait_until(lambda name=name: name in pool.asked)
        pool.decode(name)
        assert seen[done].result(30).prediction.model_id == "a-00000001"
        assert len(pool.asked) <= done + 1 + HELD


def test_one_that_fails_or_is_given_up_makes_room(
    pool: Pool, recognition: LocalRecognition
) -> None:
    seen = [recognition.submit(str(number)) for number in range(PHOTOS)]
    for one in seen[HELD : 2 * HELD]:  # never begun
        assert one.cancel()
    for one in seen[1:HELD]:
        assert one.cancel()
    pool.asked["0"].set_exception(DamagedImageError("it is cut off", "0"))
    with pytest.raises(DamagedImageError):
        seen[0].result(30)
    last = [str(number) for number in range(2 * HELD, PHOTOS)]
    wait_until(lambda: all(name in pool.asked for name in last))
    for name in last:
        pool.decode(name)
    assert all(one.result(30) for one in seen[2 * HELD :])
    assert set(pool.asked) == {str(number) for number in range(HELD)} | set(last)


def test_a_photo_that_is_looked_at_still_takes_room(pool: Pool) -> None:
    subjects = Subjects()
    recognition = LocalRecognition(Networks(subjects), pool)  # type: ignore[arg-type]
    subjects.may_look.clear()
    seen = [recognition.submit(str(number)) for number in range(PHOTOS)]
    for name in list(pool.asked):
        pool.decode(name)
    assert len(pool.asked) == HELD
    subjects.may_look.set()
    for number, one in enumerate(seen):
        wait_until(lambda name=str(number): name in pool.asked)
        if number >= HELD:
            pool.decode(str(number))
        one.result(30)
    recognition.close()


def test_many_processes_have_something_to_decode_while_others_are_looked_at() -> None:
    pool = Pool(workers=16)
    recognition = LocalRecognition(Networks(Subjects()), pool)  # type: ignore[arg-type]
    seen = [recognition.submit(str(number)) for number in range(PHOTOS)]
    assert len(pool.asked) == TOGETHER + 16
    for one in seen:
        one.cancel()
    recognition.close()


def test_very_many_that_are_given_up_while_they_wait_cost_no_room(
    pool: Pool, recognition: LocalRecognition
) -> None:
    seen = [recognition.submit(str(number)) for number in range(2000)]
    for one in seen[HELD:]:
        one.cancel()
    for one in seen[:HELD]:
        one.cancel()
    more = [recognition.submit(f"more {number}") for number in range(HELD)]
    wait_until(lambda: f"more {HELD - 1}" in pool.asked)
    for number in range(HELD):
        pool.decode(f"more {number}")
    assert all(one.result(30) for one in more)
