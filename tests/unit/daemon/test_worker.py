"""The worker by itself: real index, decoding and network; the finder of int8 is a fake."""

from __future__ import annotations

import logging
import queue
import shutil
import threading
from dataclasses import dataclass

import pytest

from tagger.classify.int8_trial import Verdict
from tagger.config.loader import load_config
from tagger.daemon.candidate_queue import CandidateQueue
from tagger.daemon.int8_promotion import TRIAL_STEP, WORTH_A_TRIAL
from tagger.daemon.progress import Progress
from tagger.daemon.worker import Worker
from tagger.errors import ModelError
from tagger.index.store import Store
from tagger.pipeline.context import Context, WorkerEvents
from tagger.pipeline.networks import NetworksLoader
from tagger.pipeline.pipeline import Pipeline
from tagger.records import Candidate, FileStat, Tagged
from tagger.system.logs import Unforeseen
from tests.conftest import wait_until
from tests.support.networks import FakeDetector


@dataclass
class Quantized:
    """The engine under another name, as int8 is."""

    engine: object
    name: str = "onnx-int8"

    def __post_init__(self):
        self.model_id = f"{self.engine.model_id}-int8"
        self.categories, self.spec = self.engine.categories, self.engine.spec

    def predict(self, crops):
        return self.engine.predict(crops)


class Loader(NetworksLoader):
    """An engine loader that finds out about int8 as the test says."""

    def __init__(self, stop, answer):
        super().__init__(stop)
        self.answer, self.asked, self.renewed = answer, [], 0

    def maybe_optimize(self, config, seen, crops):
        self.asked.append((seen, len([*crops])))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def renew(self, config):
        self.renewed += 1
        self.engine = Quantized(self.engine)
        return self.engine


def verdict(*, accepted):
    return Verdict(accepted, "", 128, 600, 400, 1.0, 1.0, 0.0, 9.0, 3.0, "m", "x")


class Bench:
    """One worker in its thread."""

    def __init__(self, home, answer, *, single=False):
        home.use_converted_model()
        self.home = home
        self.config = load_config(str(home.config))
        self.store = Store(self.config.state_dir)
        self.pause = threading.Event()
        context = Context(self.config, self.store, stop=self.pause)
        self.candidates = CandidateQueue(context, 16)
        self.loader = Loader(self.pause.is_set, answer)
        self.progress = Progress()
        self.outcomes = queue.Queue()
        self.until = threading.Event() if single else None
        self.worker = Worker(
            context,
            self.loader,
            self.candidates,
            self.progress,
            WorkerEvents(self.outcomes.put),
            until=self.until.is_set if self.until else None,
        )
        self.thread = threading.Thread(target=self.worker.run)
        self.thread.start()

    def tag(self, scene, name):
        """Drop a photo; return the id of the model that its prediction comes from."""
        photo = self.home.inbox / name
        shutil.copyfile(scene, photo)
        self.candidates.found(Candidate(str(photo), str(photo.parent), FileStat.of(photo.lstat())))
        outcome = self.outcomes.get(timeout=60)
        assert isinstance(outcome, Tagged)
        return self.store.prediction(self.store.photo(str(photo)).id).model_id

    def stop(self):
        self.pause.set()
        self.worker.wake()
        self.thread.join(10)
        assert not self.thread.is_alive()
        self.store.close()


@pytest.fixture
def bench(home):
    made = []

    def make(answer, **how):
        made.append(Bench(home, answer, **how))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_int8_is_proved_beside_the_work_and_taken_up(bench, scenes, eventually):
    one = bench(verdict(accepted=True))
    first = one.tag(scenes[0], "a.jpg")
    eventually(lambda: one.loader.renewed)
    assert one.tag(scenes[1], "b.jpg") == f"{first.removesuffix('-int8')}-int8"
    assert one.loader.renewed == 1
    assert len(one.loader.asked) == 1, "asked again only after many more photos"


def test_a_refused_int8_changes_nothing(bench, scenes, eventually):
    one = bench(verdict(accepted=False))
    eventually(lambda: one.loader.asked)
    assert not one.tag(scenes[0], "a.jpg").endswith("int8")
    assert one.loader.renewed == 0


def test_trouble_with_int8_is_said_and_the_work_goes_on(bench, scenes, caplog):
    with caplog.at_level(logging.WARNING, "tagger"):
        one = bench(ModelError("too few", "tag some first"))
        assert one.tag(scenes[0], "a.jpg")
    assert "int8 is not used: too few" in caplog.text


def test_after_trouble_with_int8_it_is_asked_for_less_often(bench, scenes, eventually):
    one = bench(ModelError("no room", "make some"))
    one.tag(scenes[0], "a.jpg")
    eventually(lambda: one.loader.asked)
    one.progress.add(TRIAL_STEP)
    one.tag(scenes[1], "b.jpg")
    one.tag(scenes[2], "c.jpg")
    assert len(one.loader.asked) == 1
    one.progress.add(3 * TRIAL_STEP)
    one.tag(scenes[3], "d.jpg")
    eventually(lambda: len(one.loader.asked) == 2)


def test_a_single_run_proves_int8_only_when_it_is_worth_it(bench, scenes, eventually):
    one = bench(verdict(accepted=True), single=True)
    one.tag(scenes[0], "a.jpg")
    assert one.loader.asked == []
    one.progress.expect(WORTH_A_TRIAL)
    one.tag(scenes[1], "b.jpg")
    eventually(lambda: one.loader.renewed)
    [(seen, crops)] = one.loader.asked
    assert seen == crops >= 1
    one.until.set()
    one.thread.join(10)
    assert not one.thread.is_alive()


def test_how_it_stands_is_told(bench, scenes):
    one = bench(None)
    one.tag(scenes[0], "a.jpg")
    one.tag(scenes[1], "b.jpg")
    assert one.worker.last.path.endswith("b.jpg")
    assert one.worker.last.milliseconds > 1
    standing = one.worker.standing()
    assert (standing.done, standing.remaining) == (2, 0)


def test_an_error_that_nobody_foresaw_ends_no_work(bench, scenes, caplog, monkeypatch):
    """All that the work is done with is made anew, and what is found next is tagged."""
    monkeypatch.setattr("tagger.daemon.worker.TROUBLE_SECONDS", 0.05)
    one = bench(None)
    one.tag(scenes[0], "a.jpg")
    advance = Pipeline.advance

    def failing(self, candidates):
        if any(candidate.path[-5] in "xyz" for candidate in candidates):
            raise ZeroDivisionError("nobody foresaw it")
        return advance(self, candidates)

    monkeypatch.setattr(Pipeline, "advance", failing)
    with caplog.at_level(logging.ERROR, "tagger"), Unforeseen() as heard:
        for name in ("x.jpg", "y.jpg", "z.jpg"):
            shutil.copyfile(scenes[1], one.home.inbox / name)
            photo = one.home.inbox / name
            one.candidates.found(
                Candidate(str(photo), str(photo.parent), FileStat.of(photo.lstat()))
            )
            wait_until(lambda count=heard.count: heard.count > count)
        assert one.tag(scenes[2], "b.jpg")
    assert heard.count == 3
    assert "nobody foresaw it" in heard.told()["last"]
    assert one.thread.is_alive()


def test_a_single_run_does_not_try_for_ever(bench, monkeypatch):
    monkeypatch.setattr("tagger.daemon.worker.TROUBLE_SECONDS", 0.01)
    monkeypatch.setattr("tagger.daemon.int8_promotion.Int8Promotion.tick", lambda *_: 1 / 0)
    raised = []
    monkeypatch.setattr(threading, "excepthook", lambda end: raised.append(end.exc_type))
    one = bench(None, single=True)
    one.thread.join(60)
    assert raised == [ZeroDivisionError]


def people(bench, name):
    """Return how many people were seen in a photo; None when no detector has looked."""
    photo = bench.store.photo(str(bench.home.inbox / name))
    return bench.store.prediction(photo.id).people


def test_a_network_that_comes_later_is_taken_up(bench, scenes, eventually):
    """What was tagged before is completed, and what comes then is looked at by all at once."""
    work = bench(None)
    work.tag(scenes[0], "before.jpg")
    assert people(work, "before.jpg") is None
    detector = FakeDetector()
    work.loader.further._detector.engine = detector
    work.loader.further.changed()
    eventually(lambda: people(work, "before.jpg") == 3)
    assert work.outcomes.get(timeout=60).how == "completed"
    work.tag(scenes[1], "after.jpg")
    assert people(work, "after.jpg") == 3
    assert detector.seen == 2
    eventually(lambda: work.worker.incomplete == 0)


def test_a_single_run_completes_too(bench, scenes, eventually):
    first = bench(None)
    first.tag(scenes[0], "a.jpg")
    first.stop()
    work = bench(None, single=True)
    eventually(lambda: work.worker._pipeline is not None)
    work.loader.further._detector.engine = FakeDetector()
    work.loader.further.changed()
    eventually(lambda: people(work, "a.jpg") == 3)
    work.until.set()
    work.thread.join(60)
    assert not work.thread.is_alive()
