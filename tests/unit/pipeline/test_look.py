"""What further networks say of a photo goes into one evidence, in the order of the photos."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tagger.labels.evidence import Evidence
from tagger.pipeline.look import look_further, stored_subjects
from tagger.pipeline.networks import Networks
from tagger.records import Box, CropSpec, DecodedPhoto, ExtraViews, PhotoFacts, Prediction

PERSON = Box(0, 0.9, 0.1, 0.2, 0.3, 0.4)
DOG = Box(16, 0.6, 0, 0, 1, 1)


class Scenes:
    """Says that the scene is the value of the crop's first pixel."""

    name, model_id, categories = "fake", "scenes-1", tuple("abcd")

    def __init__(self, spec: CropSpec = CropSpec(8, 8)) -> None:  # noqa: B008 - it is frozen
        self.spec = spec
        self.runs = 0

    def predict(self, crops: np.ndarray) -> list[Prediction]:
        self.runs += 1
        rows = np.full((len(crops), 4), 0.1, np.float32)
        rows[np.arange(len(crops)), crops[:, 0, 0, 0]] = 0.7
        return [Prediction(row, np.zeros(2, np.float32), self.model_id) for row in rows]


class Detector:
    """Sees a person in a picture that is not black."""

    name, model_id, side = "fake", "detector-1", 16

    def detect(self, pictures: list[np.ndarray]) -> list[tuple[Box, ...]]:
        return [(PERSON, PERSON, DOG) if picture.any() else () for picture in pictures]


def with_(scenes: Scenes | None = None, detector: Detector | None = None) -> Networks:
    return Networks(Scenes(), scenes, detector)


def photo(
    scene: int, *, bright: bool = True, other: bool = False, picture: bool = True
) -> DecodedPhoto:
    crop = np.full((8, 8, 3), scene, np.uint8)
    return DecodedPhoto(
        np.zeros((8, 8, 3), np.uint8) if other else crop,
        bytes([scene]) * 16,
        PhotoFacts(),
        other=crop if other else None,
        picture=np.full((16, 12, 3), bright, np.uint8) if picture else None,
    )


def subjects(one: DecodedPhoto):
    prediction = Prediction(np.array([0.25, 0.75], np.float32), np.ones(3, np.float32), "s-1")
    return stored_subjects("s-1", one, [prediction])


def test_all_that_is_said_is_in_one_evidence() -> None:
    photos = [photo(1), photo(3, bright=False), photo(0)]
    before = [subjects(one) for one in photos]
    scenes = Scenes()
    found = look_further(photos, before, with_(scenes, Detector()))
    assert scenes.runs == 1, "all photos go in one run"
    for stored, scene, people in zip(found, (1, 3, 0), (2, 0, 2), strict=True):
        evidence = Evidence.from_bytes(stored.evidence)
        assert evidence.subjects.top(1) == ((1, 0.75),)
        assert evidence.scenes is not None and evidence.scenes.top(1)[0][0] == scene
        assert evidence.boxes is not None and evidence.boxes.people == people == stored.people
        assert (stored.scenes_id, stored.detector_id) == ("scenes-1", "detector-1")
    assert Evidence.from_bytes(found[0].evidence).boxes.classes.tolist() == [0, 0, 16]
    assert [one.crop_hash for one in found] == [one.crop_hash for one in photos]


@pytest.mark.parametrize(("size", "told"), [((40, 40), True), ((39, 400), False), ((1, 1), False)])
def test_of_a_tiny_picture_only_the_detector_says_something(size, told) -> None:
    one = replace(photo(1), facts=PhotoFacts(width=size[0], height=size[1]))
    [found] = look_further([one], [subjects(one)], with_(Scenes(), Detector()))
    evidence = Evidence.from_bytes(found.evidence)
    assert evidence.subjects is not None and evidence.scenes is not None
    best = [ranking.top(1)[0][1] for ranking in (evidence.subjects, evidence.scenes)]
    assert best == pytest.approx([0.75, 0.7] if told else [0.5, 0.25], abs=1e-3)
    assert evidence.boxes is not None and evidence.boxes.people == 2


def test_without_further_networks_it_stays_as_it_was() -> None:
    photos = [photo(1)]
    before = [subjects(photos[0])]
    assert look_further(photos, before, with_()) == before
    assert before[0].evidence[0] == 1, "the form of the first version"
    assert (before[0].scenes_id, before[0].detector_id, before[0].people) == (None, None, None)


def test_each_alone() -> None:
    photos = [photo(2)]
    before = [subjects(photos[0])]
    [scenes] = look_further(photos, before, with_(Scenes()))
    [boxes] = look_further(photos, before, with_(None, Detector()))
    assert (scenes.scenes_id, scenes.detector_id, scenes.people) == ("scenes-1", None, None)
    assert (boxes.scenes_id, boxes.detector_id, boxes.people) == (None, "detector-1", 2)
    assert Evidence.from_bytes(scenes.evidence).boxes is None
    # One after the other is the same as both at once.
    [both] = look_further(photos, before, with_(Scenes(), Detector()))
    assert look_further(photos, [scenes], with_(None, Detector())) == [both]
    assert look_further(photos, [boxes], with_(Scenes())) == [both]


def test_the_crop_that_a_network_wants_is_taken() -> None:
    squashing = Scenes(CropSpec(8, 8, squash=True))
    [stored] = look_further([one := photo(3, other=True)], [subjects(one)], with_(squashing))
    assert Evidence.from_bytes(stored.evidence).scenes.top(1)[0][0] == 3


def test_a_photo_decoded_for_fewer_networks_is_left() -> None:
    """One that was on its way when a network came."""
    photos = [photo(1, picture=False), photo(2)]
    before = [subjects(one) for one in photos]
    found = look_further(photos, before, with_(Scenes(CropSpec(9, 9)), Detector()))
    assert found[0] == before[0]
    assert found[1].detector_id == "detector-1" and found[1].scenes_id is None


@pytest.mark.parametrize(
    ("scenes", "detector", "views"),
    [
        (None, None, ExtraViews(None, 0, True)),
        (Scenes(CropSpec()), None, ExtraViews(None, 0, True)),
        (Scenes(CropSpec(squash=True)), None, ExtraViews(CropSpec(squash=True), 0, True)),
        (Scenes(CropSpec()), Detector(), ExtraViews(None, 16, True)),
    ],
)
def test_no_more_is_decoded_than_is_looked_at(scenes, detector, views) -> None:
    assert Networks(Scenes(CropSpec()), scenes, detector).views == views
