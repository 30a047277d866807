"""How often a photo is looked at: once where its centre decides, else at its ends as well."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest

from tagger.index.rows import unpack_top
from tagger.labels.evidence import Evidence, combine
from tagger.pipeline.inference import DECISIVE, InferenceStage, predict
from tagger.pipeline.job import Job
from tagger.pipeline.recognition import Seen
from tagger.records import Candidate, DecodedPhoto, FileStat, PhotoFacts, Prediction

CLASSES = 4


class Fake:
    """An engine whose answer is written in the crop: its class, and how sure of it it is."""

    model_id = "fake"

    def __init__(self) -> None:
        self.runs: list[int] = []

    def predict(self, crops):
        self.runs.append(len(crops))
        return [Prediction(_row(crop), np.zeros(512, np.float32), self.model_id) for crop in crops]


def _row(crop):
    label, percent = crop[0, 0, :2]
    row = np.full(CLASSES, (1 - percent / 100) / (CLASSES - 1), np.float32)
    row[label] = percent / 100
    return row


def crop(label: int, percent: int):
    made = np.zeros((224, 224, 3), np.uint8)
    made[0, 0, :2] = label, percent
    return made


def photo(centre, *ends) -> DecodedPhoto:
    more = np.stack(ends) if ends else np.zeros((0, 224, 224, 3), np.uint8)
    return DecodedPhoto(crop=centre, facts=PhotoFacts(), crop_hash=b"x", more=more)


def evidence(*crops) -> Evidence:
    return Evidence.of(combine(np.stack([_row(one) for one in crops])))


@pytest.mark.parametrize(("percent", "runs"), [(86, [1]), (84, [1, 2])])
def test_the_ends_are_looked_at_only_in_doubt(percent: int, runs: list[int]) -> None:
    assert 84 < 100 * DECISIVE <= 86
    engine, looks = Fake(), (crop(1, percent), crop(2, 90), crop(1, 60))
    [stored] = predict(engine, [photo(*looks)])
    assert engine.runs == runs
    seen = looks if len(runs) == 2 else looks[:1]
    assert Evidence.from_bytes(stored.evidence) == evidence(*seen)
    assert unpack_top(stored.top, 1)[0][0] == 1, "the raw classes are the centre's"


def test_each_photo_of_several_keeps_its_own_ends() -> None:
    engine = Fake()
    first = (crop(0, 40), crop(1, 70), crop(1, 80))
    sure = (crop(2, 95), crop(0, 90), crop(0, 90))
    square = (crop(3, 30),)
    last = (crop(1, 50), crop(3, 90))
    stored = predict(engine, [photo(*each) for each in (first, sure, square, last)])
    assert engine.runs == [4, 3]
    found = [Evidence.from_bytes(one.evidence) for one in stored]
    assert found == [evidence(*first), evidence(sure[0]), evidence(*square), evidence(*last)]


def test_without_further_crops_there_is_one_run() -> None:
    engine = Fake()
    plain = DecodedPhoto(crop=crop(0, 40), facts=PhotoFacts(), crop_hash=b"x")
    predict(engine, [plain, photo(crop(1, 30))])
    assert engine.runs == [2]


class AnsweredJustThen(Future):
    """It is answered in the moment in which somebody gives up waiting for it."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen
        threading.Timer(1.0, self._answer).start()

    def _answer(self) -> None:
        if not self.done():
            self.set_result(self._seen)

    def result(self, timeout=None):
        try:
            return super().result(timeout)
        except TimeoutError:
            self._answer()
            raise


def test_a_photo_that_is_seen_when_a_wait_ends_does_not_fail() -> None:
    stored = SimpleNamespace(model_id="m", scenes_id=None, detector_id=None, crop_hash=b"x")
    job = Job(Candidate("/p.jpg", "/", FileStat(0, 0, 1)), b"d", row=None)
    job.future = AnsweredJustThen(Seen(PhotoFacts(), stored, 1.0))
    context = SimpleNamespace(stop=threading.Event())
    stage = InferenceStage(context, SimpleNamespace(refused=frozenset()), recognition=None)
    found, failed = stage.run([job])
    assert not failed
    assert [one.job for one in found] == [job]
