"""A network that comes later looks at the photos that it has not seen, and at no others."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import pytest

from tagger.config.schema import Config
from tagger.index.store import Store
from tagger.labels.evidence import Evidence
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.pipeline.completion import AGAIN_SECONDS, Completion
from tagger.pipeline.context import Context
from tagger.pipeline.networks import Networks
from tagger.pipeline.outcome import Skipped, Tagged, Unchanged
from tests.support.networks import FakeDetector, FakeScenes
from tests.support.pipelines import candidate, opened, through


@pytest.fixture
def photos(home, scenes):
    """Return three photos that were tagged before there were further networks."""
    made = []
    for name, scene in zip("abc", scenes, strict=False):
        made.append(home.inbox / f"{name}.jpg")
        shutil.copy2(scene, made[-1])
    with opened(home) as (pipeline, _):
        outcomes = through(pipeline, [candidate(photo) for photo in made])
    assert all(isinstance(one, Tagged) for one in outcomes)
    return made


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def completed(pipeline, context, limit=8):
    """Complete all that is to be completed; return the outcomes by name."""
    completion = Completion(context, pipeline.networks)
    outcomes = []
    while batch := completion.take(limit):
        outcomes += through(pipeline, batch)
    return {os.path.basename(one.path): one for one in outcomes}


def stored(context, photo):
    return context.store.prediction(context.store.photo(str(photo)).id)


def test_new_photos_are_looked_at_by_all_networks_at_once(home, scenes):
    photo = home.inbox / "new.jpg"
    shutil.copy2(scenes[0], photo)
    looking = FakeScenes(), FakeDetector()
    with opened(home, further=looking) as (pipeline, context):
        [outcome] = through(pipeline, [candidate(photo)])
        assert isinstance(outcome, Tagged) and outcome.how == "classified"
        kept = stored(context, photo)
        assert (kept.scenes_id, kept.detector_id, kept.people) == (
            "scenes-00000001",
            "detector-00000001",
            3,
        )
        assert Evidence.from_bytes(kept.evidence).scenes.top(1)[0][0] == 48
        assert completed(pipeline, context) == {}
    assert looking[0].seen == [1] and looking[1].seen == 1


def test_photos_from_before_are_completed(home, photos):
    sidecars = {path: path.read_bytes() for path in home.inbox.glob("*.xmp")}
    looking = FakeScenes(), FakeDetector(boxes=())
    with opened(home, further=looking) as (pipeline, context):
        before = {photo: stored(context, photo) for photo in photos}
        outcomes = completed(pipeline, context, limit=2)
        assert {name: one.how for name, one in outcomes.items()} == dict.fromkeys(
            ("a.jpg", "b.jpg", "c.jpg"), "completed"
        )
        for photo in photos:
            kept = stored(context, photo)
            assert (kept.scenes_id, kept.detector_id, kept.people) == (
                "scenes-00000001",
                "detector-00000001",
                0,
            )
            assert kept.top == before[photo].top and kept.model_id == before[photo].model_id
            assert kept.features == before[photo].features
            now, then = (Evidence.from_bytes(one.evidence) for one in (kept, before[photo]))
            assert now.subjects.top(64) == then.subjects.top(64)
        assert completed(pipeline, context) == {}, "once is enough"
    assert sum(looking[0].seen) == looking[1].seen == 3
    assert set(sidecars) == set(home.inbox.glob("*.xmp"))


def test_only_the_network_that_is_new_looks(home, photos):
    detector = FakeDetector()
    with opened(home, further=(None, detector)) as (pipeline, context):
        assert len(completed(pipeline, context)) == 3
        assert stored(context, photos[0]).scenes_id is None
    scenes = FakeScenes()
    with opened(home, further=(scenes, detector)) as (pipeline, context):
        assert len(completed(pipeline, context)) == 3
        kept = stored(context, photos[0])
        assert kept.scenes_id and kept.detector_id and kept.people == 3
    assert detector.seen == 3, "it had looked already"


def test_a_network_in_the_place_of_another_looks_at_all(home, photos):
    detector = FakeDetector()
    with opened(home, further=(FakeScenes(), detector)) as (pipeline, context):
        assert len(completed(pipeline, context)) == 3
    other = FakeScenes(scene=7, model_id="scenes-00000002")
    with opened(home, further=(other, detector)) as (pipeline, context):
        assert len(completed(pipeline, context)) == 3
        kept = stored(context, photos[0])
        assert (kept.scenes_id, kept.detector_id) == ("scenes-00000002", "detector-00000001")
        assert Evidence.from_bytes(kept.evidence).scenes.top(1)[0][0] == 7
        assert completed(pipeline, context) == {}, "once is enough"
    assert detector.seen == 3
    assert sum(other.seen) == 3


def test_the_same_network_in_another_precision_looks_again_only_if_that_was_refused(home, photos):
    small = FakeScenes(model_id="scenes-00000001-int8"), FakeDetector()
    with opened(home, further=small) as (pipeline, context):
        assert len(completed(pipeline, context)) == 3
    full = FakeScenes(scene=7)
    with opened(home, further=(full, small[1])) as (pipeline, context):
        assert Completion(context, pipeline.networks).remaining == 0
        assert completed(pipeline, context) == {}
        subjects = pipeline.networks.subjects.model_id
        pipeline.use(replace(pipeline.networks, refused=frozenset({"scenes-00000001-int8"})))
        assert pipeline.completion.remaining == 3
        assert len(completed(pipeline, context)) == 3
        assert stored(context, photos[0]).scenes_id == "scenes-00000001"
        assert completed(pipeline, context) == {}, "once is enough"
        with context.store.transaction() as db:
            db.execute("UPDATE predictions SET model_id = model_id || '-int8' WHERE photo_id = 1")
        pipeline.use(replace(pipeline.networks, refused=frozenset({f"{subjects}-int8"})))
        assert list(completed(pipeline, context)) == ["a.jpg"]
        assert stored(context, photos[0]).model_id == subjects
    assert sum(full.seen) == 4 and small[1].seen == 4, "the last photo is looked at by all"


def test_what_was_done_before_a_stop_is_not_done_again(home, photos):
    detector = FakeDetector()
    with opened(home, further=(None, detector)) as (pipeline, context):
        completion = Completion(context, pipeline.networks)
        assert completion.remaining == 3
        through(pipeline, completion.take(2))
        assert completion.remaining == 1
    with opened(home, further=(None, detector)) as (pipeline, context):
        assert Completion(context, pipeline.networks).remaining == 1
        assert list(completed(pipeline, context)) == ["c.jpg"]
    assert detector.seen == 3


def test_a_photo_that_cannot_be_opened_keeps_its_tags(home, photos):
    with opened(home, further=(None, FakeDetector())) as (pipeline, context):
        row = context.store.photo(str(photos[0]))
        tags = context.store.tags(row.id)
        batch = Completion(context, pipeline.networks).take(8)
        photos[0].write_bytes(b"no longer a photo" * 50)
        same = replace(batch[0], stat=candidate(photos[0]).stat)
        with context.store.transaction() as db:  # as if it had always been so
            db.execute("UPDATE photos SET size = ?, mtime_ns = ?, inode = ?, ctime_ns = ?"
                       " WHERE id = ?", (same.stat.size, same.stat.mtime_ns, same.stat.inode,
                                         same.stat.ctime_ns, row.id))  # fmt: skip
        outcomes = {os.path.basename(o.path): o for o in through(pipeline, [same, *batch[1:]])}
        assert isinstance(outcomes["a.jpg"], Skipped)
        assert isinstance(outcomes["b.jpg"], Tagged)
        assert context.store.photo(str(photos[0])).status == "tagged"
        assert context.store.tags(row.id) == tags


def test_a_photo_that_changed_meanwhile_is_left_to_the_watch(home, photos, scenes):
    with opened(home, further=(None, FakeDetector())) as (pipeline, context):
        batch = Completion(context, pipeline.networks).take(8)
        shutil.copyfile(scenes[3], photos[0])
        os.utime(photos[0], ns=(5, 5))
        outcomes = {os.path.basename(one.path): one for one in through(pipeline, batch)}
        assert isinstance(outcomes["a.jpg"], Skipped)
        assert isinstance(outcomes["b.jpg"], Tagged)


def test_an_ordinary_candidate_is_not_opened_for_it(home, photos):
    detector = FakeDetector()
    with opened(home, further=(None, detector)) as (pipeline, _):
        assert all(
            isinstance(one, Unchanged)
            for one in through(pipeline, [candidate(photo) for photo in photos])
        )
    assert detector.seen == 0


def test_photos_of_a_folder_that_is_away_are_tried_again_later(home, photos):
    clock, away = Clock(), {"away": True}
    networks = Networks(FakeScenes(), None, FakeDetector())  # what is asked for is all that counts
    with Store(str(home.state)) as store:
        health = BlockedRoots(Config(), is_online=lambda path: not away["away"])
        completion = Completion(Context(None, store, health), networks, clock=clock)
        assert completion.take(2) == [] and completion.is_done and completion.remaining == 3
        away["away"] = False
        assert completion.take(2) == []
        clock.now += AGAIN_SECONDS
        assert [os.path.basename(one.path) for one in completion.take(2)] == ["a.jpg", "b.jpg"]
        assert not completion.is_done and completion.remaining == 1
        assert len(completion.take(2)) == 1 and completion.take(2) == []


def test_without_further_networks_there_is_nothing_to_complete(home, photos):
    with opened(home) as (pipeline, context):
        completion = Completion(context, pipeline.networks)
        assert completion.take(9) == [] and completion.is_done and completion.remaining == 0


def test_a_photo_without_a_hash_of_its_picture_gets_one(home, photos):
    with opened(home) as (pipeline, context):
        kept = stored(context, photos[0])
        assert len(kept.picture_hash) == 32
        with context.store.transaction() as db:  # as an older index has it
            db.execute("UPDATE predictions SET picture_hash = NULL")
        before = photos[0].stat()
        assert len(completed(pipeline, context)) == 3
        assert stored(context, photos[0]) == kept
        assert photos[0].stat().st_mtime_ns == before.st_mtime_ns
        assert completed(pipeline, context) == {}
