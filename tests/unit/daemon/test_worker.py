"""The worker by itself: real index, decoding and network; int8 versions are planted."""

from __future__ import annotations

import logging
import queue
import shutil
import threading

import pytest

from tagger.config.loader import load_config
from tagger.daemon.candidate_queue import CandidateQueue
from tagger.daemon.precision_control import WORTH_MAKING
from tagger.daemon.progress import Progress
from tagger.daemon.worker import Worker
from tagger.errors import ModelError
from tagger.index.store import Store
from tagger.pipeline.context import Context, WorkerEvents
from tagger.pipeline.networks import NetworksLoader
from tagger.pipeline.outcome import Tagged
from tagger.pipeline.pipeline import Pipeline
from tagger.records import Candidate, FileStat
from tagger.system.logs import Unforeseen
from tests.conftest import wait_until
from tests.support.int8_versions import converted_in, plant_int8
from tests.support.networks import FakeDetector


class Bench:
    """One worker in its thread."""

    def __init__(self, home, *, int8="none", precision="auto", single=False):
        if int8 != "kept":
            home.use_converted_model()
        if int8 in ("good", "bad"):
            plant_int8(converted_in(home.state), good=int8 == "good")
        home.configure(model=home.settings["model"] | {"precision": precision})
        self.home = home
        self.config = load_config(str(home.config))
        self.store = Store(self.config.state_dir)
        self.pause = threading.Event()
        context = Context(self.config, self.store, stop=self.pause)
        self.candidates = CandidateQueue(context, 16)
        self.loader = NetworksLoader(self.pause.is_set)
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

    def make(**how):
        made.append(Bench(home, **how))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def id_of(work, name):
    photo = work.store.photo(str(work.home.inbox / name))
    return work.store.prediction(photo.id).model_id


def counted(work):
    """Return how many photos int8 was judged by; 0 before it is used."""
    return sum(one.judged for one in work.worker.precision.states)


def test_int8_is_used_at_once_and_judged_beside_the_work(bench, scenes, eventually):
    work = bench(int8="good")
    for number in range(3):
        assert work.tag(scenes[number], f"{number}.jpg").endswith("-int8")
    eventually(lambda: counted(work) == 3)
    [state] = work.worker.precision.states
    assert (state.kind, state.state, state.same_tags) == ("subjects", "provisional", 3)
    assert state.same == state.sure >= 1 and not state.model.endswith("int8")
    work.stop()
    again = bench(int8="kept")
    assert again.tag(scenes[3], "3.jpg").endswith("-int8")
    eventually(lambda: counted(again) == 4)


def test_a_bad_int8_is_left_and_what_it_did_is_done_again(bench, scenes, eventually, caplog):
    with caplog.at_level(logging.INFO, "tagger"):
        work = bench(int8="bad")
        before = work.tag(scenes[0], "a.jpg")
        assert before.endswith("-int8")
        eventually(lambda: id_of(work, "a.jpg") == before.removesuffix("-int8"))
    assert work.outcomes.get(timeout=60).how == "completed"
    assert work.tag(scenes[1], "b.jpg") == before.removesuffix("-int8")
    [state] = work.worker.precision.states
    assert state.state == "refused" and state.upper < 0.98
    assert "going back to fp32" in caplog.text and "refused: the same answer for 0 of 1" in (
        caplog.text
    )
    tags = {
        tag.label for tag in work.store.tags(work.store.photo(str(work.home.inbox / "a.jpg")).id)
    }
    work.stop()
    again = bench(int8="kept")
    assert again.tag(scenes[2], "c.jpg") == before.removesuffix("-int8"), "it stays refused"
    shutil.copyfile(scenes[0], work.home.inbox / "plain.jpg")
    again.tag(scenes[0], "plain.jpg")
    photo = again.store.photo(str(work.home.inbox / "plain.jpg"))
    assert {tag.label for tag in again.store.tags(photo.id)} == tags


def test_photos_of_the_index_are_judged_by_when_all_is_done(bench, scenes, eventually, monkeypatch):
    monkeypatch.setattr("tagger.daemon.precision_control.JUDGE_SECONDS", 0.01)
    monkeypatch.setattr("tagger.pipeline.local_recognition.FIRST", 0)
    monkeypatch.setattr("tagger.pipeline.local_recognition.SHARE", 10**9)
    work = bench(int8="good")
    for number in range(4):
        work.tag(scenes[number], f"{number}.jpg")
    eventually(lambda: counted(work) == 4)
    eventually(lambda: work.worker.precision.wait > 60, 60)  # there are no others


def test_an_int8_version_is_made_in_the_background(bench, scenes, eventually, monkeypatch):
    monkeypatch.setattr("tagger.daemon.precision_control.START_SECONDS", 0.0)
    monkeypatch.setattr("tagger.classify.int8_files.make_int8", lambda full, **_: plant_int8(full))
    work = bench(int8="none")
    first = work.tag(scenes[0], "a.jpg")
    eventually(lambda: [one.state for one in work.worker.precision.states] == ["provisional"])
    assert work.tag(scenes[1], "b.jpg") == f"{first.removesuffix('-int8')}-int8"


def test_trouble_with_int8_is_said_and_the_work_goes_on(bench, scenes, caplog, monkeypatch):
    def failing(full, **how):
        asked.append(full)
        raise ModelError("no room", "make some")

    asked = []
    monkeypatch.setattr("tagger.daemon.precision_control.START_SECONDS", 0.0)
    monkeypatch.setattr("tagger.classify.int8_files.make_int8", failing)
    with caplog.at_level(logging.WARNING, "tagger"):
        work = bench(int8="none")
        for number in range(3):
            assert not work.tag(scenes[number], f"{number}.jpg").endswith("-int8")
    assert "int8 is not used: no room" in caplog.text
    assert len(asked) == 1, "it is tried again in an hour"


def test_without_the_full_network_nothing_is_judged(bench, scenes, caplog, monkeypatch):
    def failing(loader, config):
        raise ModelError("the file is gone", "put it back")

    monkeypatch.setattr("tagger.classify.loader.NetworkLoader.open_fp32", failing)
    with caplog.at_level(logging.WARNING, "tagger"):
        work = bench(int8="good")
        for number in range(3):
            assert work.tag(scenes[number], f"{number}.jpg").endswith("-int8")
    assert caplog.text.count("int8 is not judged for now: the file is gone") == 1


@pytest.mark.parametrize("worth", [True, False])
def test_a_single_run_makes_int8_only_when_it_is_worth_it(
    worth, bench, scenes, eventually, monkeypatch
):
    made = []
    monkeypatch.setattr("tagger.daemon.precision_control.START_SECONDS", 0.0)
    monkeypatch.setattr(
        "tagger.classify.int8_files.make_int8", lambda full, **_: made.append(plant_int8(full))
    )
    work = bench(int8="none", single=True)
    work.tag(scenes[0], "a.jpg")
    assert made == []
    if worth:
        work.progress.expect(WORTH_MAKING)
        work.tag(scenes[1], "b.jpg")
        eventually(lambda: made)
    work.until.set()
    work.thread.join(60)
    assert not work.thread.is_alive() and len(made) == worth


def test_fp32_is_what_it_says(bench, scenes):
    work = bench(int8="good", precision="fp32")
    assert not work.tag(scenes[0], "a.jpg").endswith("-int8")
    assert work.worker.precision.states == ()


def test_how_it_stands_is_told(bench, scenes):
    one = bench()
    one.tag(scenes[0], "a.jpg")
    one.tag(scenes[1], "b.jpg")
    assert one.worker.last.path.endswith("b.jpg")
    assert one.worker.last.milliseconds > 1
    standing = one.worker.standing()
    assert (standing.done, standing.remaining) == (2, 0)


def test_an_error_that_nobody_foresaw_ends_no_work(bench, scenes, caplog, monkeypatch):
    """All that the work is done with is made anew, and what is found next is tagged."""
    monkeypatch.setattr("tagger.daemon.worker.TROUBLE_SECONDS", 0.05)
    one = bench()
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
    monkeypatch.setattr("tagger.daemon.precision_control.PrecisionControl.tick", lambda *_: 1 / 0)
    raised = []
    monkeypatch.setattr(threading, "excepthook", lambda end: raised.append(end.exc_type))
    one = bench(single=True)
    one.thread.join(60)
    assert raised == [ZeroDivisionError]


def people(bench, name):
    """Return how many people were seen in a photo; None when no detector has looked."""
    photo = bench.store.photo(str(bench.home.inbox / name))
    return bench.store.prediction(photo.id).people


def test_a_network_that_comes_later_is_taken_up(bench, scenes, eventually):
    """What was tagged before is completed, and what comes then is looked at by all at once."""
    work = bench()
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
    first = bench()
    first.tag(scenes[0], "a.jpg")
    first.stop()
    work = bench(single=True)
    eventually(lambda: work.worker._pipeline is not None)
    work.loader.further._detector.engine = FakeDetector()
    work.loader.further.changed()
    eventually(lambda: people(work, "a.jpg") == 3)
    work.until.set()
    work.thread.join(60)
    assert not work.thread.is_alive()
