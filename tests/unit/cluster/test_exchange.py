"""What comes of a worker's answers: who gets them, and what is looked at again."""

from __future__ import annotations

from concurrent.futures import Future

import numpy as np
import pytest

from tagger.cluster.exchange import take_answers
from tagger.cluster.members import Asked, Task
from tagger.errors import DamagedImageError, DecoderCrashedError, PhotoVanishedError
from tagger.index.rows import StoredPrediction, pack_top
from tagger.labels.evidence import Evidence
from tagger.pipeline.recognition import Seen
from tagger.pipeline.seen_bytes import pack_answer
from tagger.records import PhotoFacts

IDS = ("resnet18-1", None, None)
WORKER, OTHER = "tcp://10.0.0.1:99", "tcp://10.0.0.2:99"


def seen(ids=IDS) -> bytes:
    """Return the answer of a network with these ids."""
    row = np.full(1000, 0.001, np.float32)
    stored = StoredPrediction(
        ids[0],
        pack_top([(1, 0.5)]),
        Evidence.of(row).to_bytes(),
        b"\0" * 1024,
        b"\1" * 16,
        *ids[1:],
    )
    return pack_answer(Seen(PhotoFacts("JPEG", 8, 8), stored))


def task(count: int = 1) -> Task:
    return Task([Asked(f"/p/{n}.jpg", "/p", 9, Future()) for n in range(count)], 0.0)


def test_each_photo_gets_its_own_answer():
    one = task(3)
    damaged = DamagedImageError("/p/1.jpg is damaged", "look at it")
    taken = take_answers(WORKER, one, [seen(), pack_answer(damaged), seen()], IDS)
    first, second, third = (asked.seen for asked in one.photos)
    assert first.result().prediction == third.result().prediction
    assert isinstance(second.exception(), DamagedImageError)
    assert (taken.count, taken.again, taken.outdated) == (3, [], False)


@pytest.mark.parametrize(
    "answer",
    [PhotoVanishedError("/p/0.jpg is gone", "nothing"), RuntimeError("what nobody foresaw")],
    ids=["unseen", "failure"],
)
def test_what_a_worker_does_not_see_others_look_at(answer):
    one = task()
    taken = take_answers(WORKER, one, [pack_answer(answer)], IDS)
    (asked,) = one.photos
    assert taken.again == [asked] and not asked.done and WORKER in asked.avoid
    again = take_answers(OTHER, Task([asked], 1.0), [seen()], IDS)
    assert again.unseen == [asked] and asked.seen.result().facts.format == "JPEG"


def test_what_is_no_answer_is_asked_of_another_one():
    one = task()
    assert take_answers(WORKER, one, [b"no answer"], IDS).again == list(one.photos)


@pytest.mark.parametrize("ids", [None, ("resnet18-2", None, None), (*IDS[:2], "yolox-1")])
def test_an_answer_of_other_networks_does_not_count(ids):
    one = task()
    taken = take_answers(WORKER, one, [seen()], ids)
    assert taken.outdated and taken.again == list(one.photos) and not one.photos[0].done


def test_of_a_worker_that_stood_still_only_what_it_saw_counts():
    one = task(3)
    one.left = one.lost = True
    crashed = DecoderCrashedError("/p/0.jpg took more than 60 s to open", "wait")
    gone = PhotoVanishedError("/p/1.jpg is gone", "nothing")
    taken = take_answers(WORKER, one, [pack_answer(crashed), pack_answer(gone), seen()], IDS)
    first, second, third = one.photos
    assert not first.done and not second.done and third.done
    assert taken.again == [], "others have them already"


def test_a_late_answer_is_no_second_one():
    one = task()
    (asked,) = one.photos
    take_answers(OTHER, Task([asked], 1.0), [seen()], IDS)
    first = asked.seen.result()
    one.left = one.lost = True
    take_answers(WORKER, one, [seen()], IDS)
    assert asked.seen.result() is first
    asked.avoid[WORKER] = "gone"
    late = take_answers(WORKER, one, [pack_answer(PhotoVanishedError("gone", "nothing"))], IDS)
    assert late.again == []


def test_what_is_slow_and_not_still_may_say_that_a_photo_is_bad():
    one = task()
    one.left = True  # others were given it, but the worker works
    crashed = DecoderCrashedError("/p/0.jpg took more than 60 s to open", "wait")
    take_answers(WORKER, one, [pack_answer(crashed)], IDS)
    assert isinstance(one.photos[0].seen.exception(), DecoderCrashedError)
