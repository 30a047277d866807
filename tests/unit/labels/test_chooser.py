"""Which tags a prediction gets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tagger.config.schema import LabelsConfig
from tagger.errors import ConfigError
from tagger.labels.calibration import RELUCTANCE, Calibration
from tagger.labels.chooser import Chooser, Outputs
from tagger.labels.evidence import Evidence
from tagger.labels.single_choice import SECOND_MASS
from tagger.records import Keyword, Tag

KEPT = 2e-3  # half precision


def labels(tags):
    return [tag.label for tag in tags]


def test_what_is_sure_is_tagged_with_what_is_above_it(chooser, evidence):
    tags = chooser().choose(evidence(beagle=0.9))
    assert labels(tags) == ["beagle", "hound", "dog", "animal"]
    assert tags[0].path == ("animal", "dog", "hound", "beagle")
    assert tags[0].confidence == pytest.approx(0.9, abs=KEPT)
    assert {tag.source for tag in tags} == {"model"}


def test_doubt_between_breeds_is_a_dog(chooser, evidence):
    tags = chooser().choose(evidence(beagle=0.3, pug=0.3, collie=0.3))
    assert labels(tags) == ["dog", "animal"]
    assert tags[0].confidence == pytest.approx(0.9, abs=KEPT)


def test_doubt_within_a_group_is_the_group(chooser, evidence):
    tags = chooser().choose(evidence(beagle=0.4, bloodhound=0.4))
    assert labels(tags) == ["hound", "dog", "animal"]


def test_doubt_between_animals_is_an_animal_and_too_much_doubt_is_nothing(chooser, evidence):
    assert labels(chooser().choose(evidence(beagle=0.33, zebra=0.33))) == ["animal"]
    assert chooser().choose(evidence(beagle=0.3, lemon=0.3, taxi=0.3)) == ()


def test_a_threshold_is_reached_not_nearly(chooser, evidence):
    assert labels(chooser(levels=0).choose(evidence(lemon=0.805))) == ["lemon"]
    assert labels(chooser(levels=0).choose(evidence(lemon=0.795))) == ["fruit"]


@pytest.mark.parametrize("levels", range(4))
def test_levels_limits_what_is_tagged_above(chooser, evidence, levels):
    found = chooser(levels=levels).choose(evidence(beagle=0.9))
    assert labels(found) == ["beagle", "hound", "dog", "animal"][: levels + 1]
    assert found[0].path == ("animal", "dog", "hound", "beagle")


def test_a_second_subject_must_be_sure_in_what_the_first_leaves(chooser, evidence):
    both = chooser(levels=0).choose(evidence(beagle=0.71, sofa=0.28))
    assert labels(both) == ["hound", "sofa"]
    assert both[1].confidence == pytest.approx(0.28, abs=KEPT)
    # Two that share what is left are no subject, nor is a remainder that was never much.
    assert labels(chooser(levels=0).choose(evidence(beagle=0.71, sofa=0.14, lemon=0.14))) == [
        "hound"
    ]
    faint = evidence(beagle=0.99 - SECOND_MASS + 0.02, sofa=SECOND_MASS - 0.02)
    assert labels(chooser(levels=0).choose(faint)) == ["hound"]
    part = evidence(beagle=0.71, sofa=SECOND_MASS - 0.01, lemon=0.04)  # most of what is left
    assert labels(chooser(levels=0).choose(part)) == ["hound"]


def test_what_looks_like_the_first_is_no_second_subject(chooser, evidence):
    found = chooser(levels=0, threshold=0.3).choose(evidence(Siberian_husky=0.5, grey_wolf=0.4))
    assert labels(found) == ["Siberian husky"]


def test_max_subjects_with_one_plain_threshold(chooser, evidence):
    seen = evidence(beagle=0.4, sofa=0.3, lemon=0.25)
    for most in range(1, 4):
        found = chooser(levels=0, threshold=0.2, max_subjects=most).choose(seen)
        assert labels(found) == ["beagle", "sofa", "lemon"][:most]
    assert labels(chooser(levels=0, threshold=0.28).choose(seen)) == ["beagle", "sofa"]
    assert chooser(threshold=0.5).choose(seen) == ()


def test_reluctant_labels_need_far_more_and_never_is_never(chooser, evidence):
    needed = 1 - (1 - 0.8) * RELUCTANCE
    assert needed == pytest.approx(0.96)
    assert labels(chooser().choose(evidence(mask=0.95)))[0] == "accessory"
    assert labels(chooser().choose(evidence(mask=0.97)))[0] == "mask"
    # What is below a reluctant label is as reluctant.
    assert labels(chooser().choose(evidence(revolver=0.94))) == ["weapon"]
    assert labels(chooser().choose(evidence(revolver=0.97))) == ["revolver", "gun", "weapon"]
    assert labels(chooser().choose(evidence(bra=0.99))) == ["clothing"]
    assert labels(chooser(threshold=0.01, max_subjects=1).choose(evidence(bra=0.9))) != ["bra"]


def test_excluded_labels_are_not_given_but_count_above(chooser, evidence):
    seen = evidence(beagle=0.9)
    assert labels(chooser(exclude=("Beagle",)).choose(seen)) == ["hound", "dog", "animal"]
    assert labels(chooser(exclude=("狗",)).choose(seen)) == ["animal"]
    assert chooser(exclude=("animal",)).choose(seen) == ()
    # What is above an excluded label but is not excluded itself stays.
    assert labels(chooser(exclude=("beagle", "lemon")).choose(evidence(lemon=0.9))) == [
        "fruit",
        "food",
    ]


def test_written_words_are_renamed_translated_and_prefixed(chooser, evidence):
    seen = evidence(beagle=0.9)

    def words(**settings):
        made = chooser(**settings)
        return [keyword.path for keyword in made.keywords(made.choose(seen))]

    assert words() == [
        ("animal", "dog", "hound", "beagle"),
        ("animal", "dog", "hound"),
        ("animal", "dog"),
        ("animal",),
    ]
    assert words(language="zh")[0] == ("动物", "狗", "猎犬", "比格犬")
    assert words(rename={"狗": "Rex's kind"}, prefix="AI|seen|", levels=1) == [
        ("AI", "seen", "hound", "beagle"),
        ("AI", "seen", "hound"),
    ]
    assert words(rename={"hound": "dog"}) == [
        ("animal", "dog", "beagle"),
        ("animal", "dog"),
        ("animal",),
    ]
    made = chooser(language="zh", rename={"beagle": "Snoopy"})
    keywords = made.keywords(made.choose(seen))
    assert [(k.tag, k.name, k.leaf) for k in keywords[:2]] == [
        ("beagle", "Snoopy", True),
        ("hound", "猎犬", False),
    ]


def test_the_users_own_tags_are_written_as_they_are(chooser):
    own = Tag("Oma Ilse", 1.0, ("family", "Oma Ilse"), "user")
    assert chooser(prefix="AI").keywords([own]) == (
        Keyword("Oma Ilse", ("family", "Oma Ilse"), 1.0),
    )


def test_only_what_matters_changes_the_hash(chooser, vocabulary, plain):
    usual = chooser().config_hash
    assert chooser(top_k=7, crops=1).config_hash == usual
    assert (
        chooser(exclude=("cat", "dog")).config_hash == chooser(exclude=("dog", "cat")).config_hash
    )
    other = [
        {"threshold": 0.5},
        {"precision": 0.9},
        {"max_subjects": 2},
        {"levels": 1},
        {"language": "zh"},
        {"exclude": ("dog",)},
        {"rename": {"dog": "Rex"}},
        {"prefix": "AI"},
    ]
    hashes = {chooser(**settings).config_hash for settings in other}
    assert len(hashes | {usual}) == len(other) + 1
    warmer = Calibration(1.1, plain.curves)
    assert Chooser(vocabulary, LabelsConfig(), calibration=warmer).config_hash != usual


def test_temperature_sharpens_or_spreads(vocabulary, plain, evidence):
    seen = evidence(lemon=0.7, orange=0.2)
    found = {
        temperature: Chooser(
            vocabulary, LabelsConfig(), calibration=Calibration(temperature, plain.curves)
        ).choose(seen)[0]
        for temperature in (0.5, 1.0)
    }
    assert (found[1.0].label, found[0.5].label) == ("fruit", "lemon")
    # p^(1/T), scaled to sum 1: 0.49 of 0.49 + 0.04 and next to nothing.
    assert found[0.5].confidence == pytest.approx(0.49 / 0.53, abs=0.005)


def test_another_models_outputs_are_labels_of_their_own(vocabulary, plain):
    def flat(**changed):
        return Chooser(
            vocabulary,
            LabelsConfig(**changed),
            Outputs(3, ["red/panda", "cat", "cat"]),
            calibration=plain,
        )

    seen = Evidence.of(np.array([0.9, 0.08, 0.02], np.float32))
    [tag] = flat().choose(seen)
    assert (tag.label, tag.path) == ("red panda", ("red panda",))
    assert labels(flat().choose(Evidence.of(np.array([0.0, 0.1, 0.9], np.float32)))) == ["cat (2)"]
    assert flat(exclude=("Red Panda",)).choose(seen) == ()
    assert flat(rename={"cat": "Mimi"}).written("cat") == "Mimi"
    with pytest.raises(ConfigError, match="unknown label `red pandas`; did you mean `red panda`"):
        flat(exclude=("red pandas",))
    with pytest.raises(ValueError, match="a prediction of 1000 classes, for 3"):
        flat().choose(Evidence.of(np.full(1000, 1e-3, np.float32)))


def test_a_chooser_refuses_what_does_not_fit_the_vocabulary(chooser):
    with pytest.raises(ConfigError, match=r"labels\.exclude\[0\]: unknown label `dgo`"):
        chooser(exclude=("dgo",))


def test_explanations_give_the_reason(chooser, evidence):
    made = chooser(levels=1, exclude=("sofa",))
    rows = {row.path[-1]: row for row in made.explain(evidence(beagle=0.72, pug=0.1, sofa=0.1))}
    assert rows["hound"].given and rows["dog"].given
    reasons = {label: row.reason for label, row in rows.items()}
    assert reasons["hound"] == "the most specific that is sure"
    assert reasons["dog"] == "above hound"
    assert reasons["animal"] == "more levels up than labels.levels"
    assert reasons["beagle"] == "not sure enough"
    assert reasons["sofa"] == "labels.exclude"
    assert str(rows["beagle"]) == (
        "animal > dog > hound > beagle: 0.720 (needs 0.800), not tagged: not sure enough"
    )


@st.composite
def predictions(draw):
    """Probabilities of 1,000 classes: a few that stand out, on an even ground."""
    seed = draw(st.integers(0, 2**32 - 1))
    few = draw(st.lists(st.integers(0, 999), min_size=1, max_size=8, unique=True))
    weights = draw(st.lists(st.floats(0.01, 1), min_size=len(few), max_size=len(few)))
    ground = draw(st.floats(0, 1))
    values = np.random.default_rng(seed).dirichlet(np.full(1000, 0.05)) * ground
    values[few] += np.array(weights) * (1 - ground) / sum(weights)
    return (values / values.sum()).astype(np.float32)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    values=predictions(),
    levels=st.integers(0, 3),
    most=st.integers(1, 4),
    threshold=st.none() | st.floats(0.05, 0.95),
    exclude=st.sampled_from([(), ("dog",), ("vehicle", "fruit"), ("wolf", "clothing")]),
)
def test_any_prediction_is_tagged_as_explained(
    vocabulary, values, levels, most, threshold, exclude
):
    config = LabelsConfig(
        levels=levels, max_subjects=most, threshold=threshold, exclude=exclude, precision=0.8
    )
    made = Chooser(vocabulary, config, model_name="resnet18")  # temperature 1
    seen = Evidence.of(values)
    tags, rows = made.choose(seen), made.explain(seen)

    assert {row.path for row in rows if row.given} == {tag.path for tag in tags}
    assert len({tag.label for tag in tags}) == len(tags)
    excluded = {below for word in exclude for below in vocabulary.below(word)}
    kept = dict(seen.subjects.top(64))
    given_labels = {tag.label for tag in tags}
    subjects = 0
    for tag in tags:
        assert tag.path == vocabulary.path(tag.label)
        assert tag.label not in excluded
        assert vocabulary.nodes[tag.label].policy != "never"
        below = vocabulary.below(tag.label)
        total = sum(p for index, p in kept.items() if vocabulary.leaf_of(index) in below)
        assert tag.confidence == pytest.approx(min(1, total), abs=0.01)
        if not (below - {tag.label}) & given_labels:
            subjects += 1
            above = [label for label in tag.path[:-1][::-1][:levels] if label not in excluded]
            assert set(above) <= given_labels
    assert subjects <= most
    for row in rows:
        if row.given and row.reason == "the most specific that is sure":
            assert row.probability >= row.threshold
        if row.reason == "not sure enough":
            assert row.probability < row.threshold and not row.given
    again = Evidence.from_bytes(seen.to_bytes())
    assert made.choose(again) == tags
    assert all(keyword.path[-1] for keyword in made.keywords(tags))
