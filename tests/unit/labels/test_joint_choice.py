"""Which tags a photo gets that several networks have seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tagger.config.schema import LabelsConfig
from tagger.labels.calibration import at_precision
from tagger.labels.chooser import Chooser, Outputs
from tagger.labels.evidence import Evidence, Ranking
from tagger.labels.fusion import KINDS, TERMS, load_fusion_calibration
from tagger.labels.joint_choice import MOST_PLACES
from tagger.labels.kinds import KIND_NAMES
from tagger.records import PHOTO_KINDS

LARGE = (0.1, 0.0, 0.8, 1.0)


def labels(tags):
    return [tag.label for tag in tags]


def test_people_are_found_by_the_detector(joint_chooser, evidence, boxes):
    seen = replace(evidence(), boxes=boxes(("person", 0.9)))
    [tag] = joint_chooser().choose(seen)
    assert (tag.label, tag.path) == ("person", ("person",))
    assert labels(joint_chooser().choose(replace(seen, boxes=boxes(("person", 0.6))))) == []
    assert joint_chooser().choose(replace(seen, boxes=boxes())) == ()


def test_three_people_are_a_group(joint_chooser, evidence, boxes):
    two = boxes(("person", 0.95), ("person", 0.95), ("person", 0.3))
    assert labels(joint_chooser().choose(replace(evidence(), boxes=two))) == ["person"]
    three = boxes(("person", 0.95), ("person", 0.95), ("person", 0.9))
    found = joint_chooser().choose(replace(evidence(), boxes=three))
    assert labels(found) == ["group of people", "person"]


def test_networks_that_agree_make_a_label_surer(joint_chooser, evidence, boxes):
    one = evidence(sports_car=0.75)
    both = replace(one, boxes=boxes(("car", 0.8)))
    tag, *others = joint_chooser().choose(both)
    assert (tag.label, labels(others)) == ("sports car", ["car", "vehicle", "outdoors"])
    assert tag.confidence == pytest.approx(0.75 * 0.8 / (0.75 * 0.8 + 0.25 * 0.2), abs=0.01)


def test_what_the_detector_knows_and_does_not_see_is_not_there(joint_chooser, evidence, boxes):
    seen = replace(evidence(sports_car=0.97), boxes=boxes())
    assert "car" not in labels(joint_chooser().choose(seen))
    # What it does not know is the business of the others.
    assert "lemon" in labels(joint_chooser().choose(replace(evidence(lemon=0.97), boxes=boxes())))


def test_several_doubtful_people_are_a_sure_one(joint_chooser, evidence, boxes):
    one = replace(evidence(), boxes=boxes(("person", 0.6)))
    assert labels(joint_chooser().choose(one)) == []
    three = replace(evidence(), boxes=boxes(("person", 0.6), ("person", 0.5), ("person", 0.4)))
    assert labels(joint_chooser().choose(three)) == ["person"]


def test_clothes_alone_are_nobody(joint_chooser, evidence, scenes, boxes):
    coat = evidence(cardigan=0.98)
    for seen in (
        replace(coat, boxes=boxes()),
        replace(coat, scenes=scenes(closet=0.9)),
        replace(coat, scenes=scenes(closet=0.9), boxes=boxes(("chair", 0.9))),
    ):
        assert "person" not in labels(joint_chooser().choose(seen))
    # Somebody who is hardly seen is surer with clothes on.
    half = boxes(("person", 0.7))
    assert "person" not in labels(joint_chooser().choose(replace(evidence(), boxes=half)))
    assert "person" in labels(joint_chooser().choose(replace(coat, boxes=half)))


def test_what_is_there_tells_where_it_is(joint_chooser, evidence, scenes, boxes):
    unsure = scenes(street=0.45, corridor=0.45)

    def found(**seen):
        said = replace(evidence(**seen), scenes=unsure, boxes=boxes())
        return {"indoors", "outdoors"} & set(labels(joint_chooser().choose(said)))

    assert found() == set()
    assert found(wardrobe=0.95) == {"indoors"}
    assert found(geyser=0.95) == {"outdoors"}
    assert found(wardrobe=0.45, geyser=0.45) == set()


def test_what_else_is_seen_makes_animals_unsure(vocabulary, plain, joined, evidence, boxes):
    weights = dict(joined.weights) | {"animal": (*joined.weights["animal"][:-1], -5.0)}
    made = Chooser(
        vocabulary, LabelsConfig(), calibration=plain, fusion=replace(joined, weights=weights)
    )
    alone = replace(evidence(gecko=0.9), boxes=boxes())
    assert "gecko" in labels(made.choose(alone))
    beside = replace(evidence(gecko=0.9), boxes=boxes(("couch", 0.9, LARGE)))
    assert "gecko" not in labels(made.choose(beside))


def test_places_are_summed_over_their_family(joint_chooser, evidence, scenes):
    seen = replace(evidence(), scenes=scenes(bedroom=0.5, bedchamber=0.4))
    found = labels(joint_chooser().choose(seen))
    assert found == ["bedroom", "indoors"]
    mixed = replace(evidence(), scenes=scenes(kitchen=0.4, living_room=0.3, bedroom=0.25))
    assert labels(joint_chooser().choose(mixed)) == ["indoors"]
    beach = replace(evidence(beach=0.9), scenes=scenes(beach=0.9))
    assert labels(joint_chooser().choose(beach))[:3] == ["beach", "coast", "landscape"]
    assert {"sea", "outdoors"} <= set(labels(joint_chooser().choose(beach)))


def test_at_most_a_few_places_and_subjects_are_given(joint_chooser, evidence, scenes, boxes):
    sure = [(thing, 0.99) for thing in ("person", "dog", "cat", "bicycle", "car", "umbrella")]
    seen = Evidence(None, scenes(forest_path=0.97), boxes(*sure))
    for most in (1, 2, 5):
        found = joint_chooser(levels=0, max_subjects=most).choose(seen)
        things = [tag for tag in found if tag.label not in ("forest", "outdoors")]
        assert len(things) == most
        assert {"forest", "outdoors"} <= set(labels(found))
        assert labels(found)[-2:] == ["forest", "outdoors"], "what is seen comes first"
    assert MOST_PLACES == 2


def evenly(evidence, boxes, total, *names):
    """Return that the subjects' network spreads ``total`` over the classes ``names``."""
    return replace(evidence(**dict.fromkeys(names, total / len(names))), boxes=boxes())


@pytest.mark.parametrize(
    ("root", "least", "names"),
    [
        ("vehicle", 0.96, ("unicycle", "rickshaw", "forklift", "snowmobile")),
        ("animal", 0.94, ("hammerhead_shark", "tarantula", "gecko", "koala")),
        ("landscape", 0.997, ("geyser", "coral_reef", "cliff", "volcano")),
        ("tool", 0.86, ("axe", "shovel", "compass", "padlock")),
    ],
)
def test_roots_are_given_alone_only_when_surer(joint_chooser, evidence, boxes, root, least, names):
    made = joint_chooser()

    def found(total):
        return set(labels(made.choose(evenly(evidence, boxes, total, *names)))) - {"outdoors"}

    assert found(least - 0.01) == set()
    assert found(min(least + 0.01, 1.0)) == ({root} if least < 0.99 else set())
    explained = made.explain(evenly(evidence, boxes, least - 0.01, *names))
    [row] = [row for row in explained if row.path == (root,)]
    assert (row.given, row.reason) == (False, "says too little alone")
    assert row.threshold == pytest.approx(least)


def test_a_label_that_is_not_given_makes_none_above_it_sure(joint_chooser, boxes):
    made = joint_chooser()
    assert labels(made.choose(Evidence(None, None, boxes(("cake", 0.9))))) == [
        "cake",
        "dessert",
        "food",
    ]
    unsure = Evidence(None, None, boxes(("cake", 0.75)))
    assert made.choose(unsure) == ()
    assert "food" not in {row.path[-1] for row in made.explain(unsure)}


def test_a_reluctant_label_leaves_the_one_above_it(joint_chooser, evidence, boxes):
    seen = replace(evidence(stage_curtain=0.9), boxes=boxes())
    assert labels(joint_chooser().choose(seen)) == ["curtain", "household", "indoors"]


def test_a_costume_is_told_of_a_person_who_fills_the_picture(joint_chooser, evidence, boxes):
    person = boxes(("person", 0.9, LARGE))
    for name, path in {"kimono": ["kimono", "robe", "clothing"], "sombrero": ["sombrero"]}.items():
        sure = replace(evidence(**{name: 0.92}), boxes=person)
        assert set(path) < set(labels(joint_chooser().choose(sure)))
        unsure = replace(sure, subjects=evidence(**{name: 0.85}).subjects)
        assert labels(joint_chooser().choose(unsure)) == ["person"]
        small = replace(unsure, boxes=boxes(("person", 0.9, (0, 0, 0.2, 0.3))))
        assert set(path) < set(labels(joint_chooser().choose(small)))


def test_a_person_who_fills_the_picture_explains_the_clothes(joint_chooser, evidence, boxes):
    seen = evidence(cardigan=0.95)
    small = replace(seen, boxes=boxes(("person", 0.9, (0, 0, 0.2, 0.3))))
    assert labels(joint_chooser().choose(small)) == ["person", "cardigan", "clothing"]
    large = replace(seen, boxes=boxes(("person", 0.9, LARGE)))
    assert labels(joint_chooser().choose(large)) == ["person"]
    rows = {row.path[-1]: row for row in joint_chooser().explain(large)}
    assert rows["cardigan"].reason == "a person wears it"


def test_any_part_of_the_evidence_may_be_missing(joint_chooser, evidence, scenes, boxes):
    made = joint_chooser()
    seen = evidence(beagle=0.9)
    assert labels(made.choose(seen)) == ["beagle", "hound", "dog", "animal"]
    assert made.choose(Evidence()) == ()
    only_scenes = Evidence(None, scenes(street=0.95), None)
    assert labels(made.choose(only_scenes)) == ["street", "outdoors"]
    only_boxes = Evidence(None, None, boxes(("cat", 0.95)))
    assert labels(made.choose(only_boxes)) == ["cat", "animal"]
    with_scenes = replace(seen, scenes=scenes(kitchen=0.95))
    assert {"beagle", "kitchen"} <= set(labels(made.choose(with_scenes)))
    # Scenes of another network than was configured say nothing.
    other = Ranking.of(np.array([0.9, 0.1], np.float32))
    assert labels(made.choose(Evidence(None, other, None))) == []


def test_what_one_network_alone_has_seen_is_chosen_as_ever(joint_chooser, chooser, evidence):
    for seen in (evidence(beagle=0.72, sofa=0.28), evidence(lemon=0.79), evidence(pole=0.97)):
        assert joint_chooser().choose(seen) == chooser().choose(seen)
        assert joint_chooser().explain(seen) == chooser().explain(seen)


def test_explanations_show_every_networks_part(joint_chooser, evidence, scenes, boxes):
    seen = replace(
        evidence(beach=0.5, pug=0.3), scenes=scenes(beach=0.9), boxes=boxes(("person", 0.9))
    )
    rows = {row.path[-1]: row for row in joint_chooser().explain(seen)}
    assert rows["beach"].parts == pytest.approx({"subjects": 0.5, "scenes": 0.9}, abs=0.01)
    assert rows["person"].parts["things"] == pytest.approx(0.9, abs=0.01)
    assert str(rows["beach"]).endswith("tagged: subject 2 [subjects 0.500, scenes 0.900]")
    pug = {row.path[-1]: row for row in joint_chooser().explain(replace(seen, boxes=None))}["pug"]
    assert set(pug.parts) == {"subjects"}
    dog = replace(seen, boxes=boxes(("dog", 0.9)))
    pug = {row.path[-1]: row for row in joint_chooser().explain(dog)}["pug"]
    assert pug.parts["things"] == pytest.approx(0.9, abs=0.01), "a pug is a dog"


def test_scenes_of_another_network_mean_what_is_said(vocabulary, joined, plain):
    made = Chooser(
        vocabulary,
        LabelsConfig(),
        Outputs(scenes=["airport_terminal", "", "living room", "zoo"]),
        calibration=plain,
        fusion=joined,
    )

    def found(*values):
        seen = Evidence(None, Ranking.of(np.array(values, np.float32)), None)
        return labels(made.choose(seen))

    assert found(0.9, 0.04, 0.03, 0.03) == ["airport", "indoors"]
    assert found(0.03, 0.03, 0.91, 0.03) == ["living room", "indoors"]
    assert found(0.0, 1.0, 0.0, 0.0) == found(0.0, 0.0, 0.0, 1.0) == []


def test_a_model_with_categories_of_its_own_is_joined_by_the_others(
    vocabulary, plain, joined, boxes
):
    made = Chooser(
        vocabulary,
        LabelsConfig(),
        Outputs(2, ["weld", "crack"]),
        calibration=plain,
        fusion=joined,
    )
    seen = Evidence(Ranking.of(np.array([0.9, 0.1], np.float32)), None, boxes(("person", 0.9)))
    assert labels(made.choose(seen)) == ["weld", "person"]
    assert {"weld", "person"} <= {row.path[-1] for row in made.explain(seen)}


def test_stored_evidence_gives_the_same_tags(joint_chooser, evidence, scenes, boxes):
    seen = replace(
        evidence(beagle=0.61),
        scenes=scenes(park=0.62, lawn=0.2),
        boxes=boxes(("dog", 0.77), ("person", 0.513, LARGE), ("car", 0.2)),
    )
    back = Evidence.from_bytes(seen.to_bytes())
    assert joint_chooser(precision=0.5).choose(back) == joint_chooser(precision=0.5).choose(seen)


def test_what_the_file_says_is_a_tag_where_that_is_wanted(joint_chooser, evidence, boxes):
    seen = replace(evidence(), boxes=boxes(("person", 0.9)))
    kinds = ("selfie", "edited")
    assert labels(joint_chooser().choose(seen, kinds)) == ["person"]
    made = joint_chooser(kinds=True, language="zh", prefix="AI")
    tags = made.choose(seen, kinds)
    assert labels(tags) == ["person", "selfie", "edited"]
    assert [tag.confidence for tag in tags[1:]] == [1.0, 1.0]
    assert [keyword.path for keyword in made.keywords(tags)] == [
        ("AI", "人"),
        ("AI", "自拍"),
        ("AI", "已编辑"),
    ]
    assert set(KIND_NAMES["zh"]) == set(PHOTO_KINDS)
    assert made.config_hash != joint_chooser(language="zh", prefix="AI").config_hash


def test_the_shipped_calibration_is_whole():
    shipped = load_fusion_calibration()
    assert set(shipped.weights) == set(KINDS)
    assert all(len(weights) == TERMS for weights in shipped.weights.values())
    for weights in shipped.weights.values():
        assert all(weight >= 0 for weight in weights[3:-1:3]), "more evidence, more sure"
    for kind in KINDS:
        steps = [at_precision(shipped.curves[kind], p) for p in (0.5, 0.8, 0.9, 0.95, 0.99)]
        assert steps == sorted(steps) and steps[0] > 0 and steps[-1] < 1


def test_other_weights_are_another_hash(vocabulary, plain, joined):
    def made(fusion):
        return Chooser(vocabulary, LabelsConfig(), calibration=plain, fusion=fusion).config_hash

    other = replace(joined, scenes_temperature=1.1)
    assert made(joined) == made(joined) != made(other)
