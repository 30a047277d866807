"""The queue between the watcher and the worker."""

from __future__ import annotations

import threading

import pytest

from tagger.config.schema import Config
from tagger.daemon.candidate_queue import CandidateQueue
from tagger.index.store import Store
from tagger.pipeline.context import Context
from tagger.records import Candidate, FileStat


class Blocked:
    """Stands for the folders that are blocked: this one is, until it has been asked twice."""

    def __init__(self):
        self.asked = 0

    def is_blocked(self, root):
        self.asked += root == "/blocked"
        return root == "/blocked" and self.asked < 2


@pytest.fixture
def context(tmp_path):
    with Store(str(tmp_path)) as store:
        yield Context(Config(state_dir=str(tmp_path)), store, Blocked())


def photo(name, root="/p"):
    return Candidate(f"{root}/{name}", root, FileStat(1, 1))


def test_batches_have_a_limit_and_come_in_order(context):
    first = []
    candidates = CandidateQueue(context, 8, first=lambda: first.append(len(candidates)))
    photos = [photo(f"{number}.jpg") for number in range(5)]
    for one in photos:
        candidates.found(one)
    assert first == [1] and len(candidates) == 5
    assert candidates.take(3) == photos[:3]
    assert candidates.take(3, None) == photos[3:]
    assert candidates.take(3) == [] == candidates.take(3, 0.01)


def test_the_scan_waits_while_it_is_full(context):
    full = threading.Event()
    candidates = CandidateQueue(context, 1, full=full.set)
    candidates.found(photo("a.jpg"))
    assert not full.is_set()
    thread = threading.Thread(target=candidates.found, args=(photo("b.jpg"),))
    thread.start()
    assert full.wait(30)
    assert candidates.take(1) == [photo("a.jpg")]
    assert candidates.take(1, 30.0) == [photo("b.jpg")]
    thread.join(30)


def test_nothing_is_put_in_after_the_stop(context):
    candidates = CandidateQueue(context, 1)
    candidates.found(photo("a.jpg"))
    context.stop.set()
    candidates.found(photo("b.jpg"))
    candidates.found(photo("c.jpg", "/blocked"))
    assert candidates.take(9, None) == [photo("a.jpg")]


def test_photos_of_a_blocked_folder_are_held_back(context):
    candidates = CandidateQueue(context)
    candidates.found(photo("a.jpg", "/blocked"))
    assert candidates.take(9) == [photo("a.jpg", "/blocked")]


def test_a_wait_ends_when_the_worker_is_woken(context):
    candidates = CandidateQueue(context)
    threading.Timer(0.05, candidates.wake).start()
    assert candidates.take(9, None) == []
