"""The ``labels`` section of the configuration, checked against the vocabulary."""

from __future__ import annotations

import pytest

from tagger.config.schema import LabelsConfig
from tagger.labels.config_check import (
    check_labels_config,
    labels_config_warnings,
    prefix_parts,
    renamed,
)


def test_what_fits_is_accepted(vocabulary):
    config = LabelsConfig(
        exclude=("dog", "PUPPY", "猫", "crane (bird)", "web site"),
        rename={"dog": "Hund", "hound": "Jagdhund"},
        language="zh",
        prefix="AI|photos|",
    )
    assert check_labels_config(config, vocabulary) == []
    assert check_labels_config(LabelsConfig(), vocabulary) == []
    assert renamed(config, vocabulary) == {"dog": "Hund", "hound": "Jagdhund"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"exclude": ("cat", "labrador retreiver")},
            "labels.exclude[1]: unknown label `labrador retreiver`;"
            " did you mean `Labrador retriever`?",
        ),
        (
            {"exclude": ("qqqqqq",)},
            "labels.exclude[0]: unknown label `qqqqqq`; `tagger labels --all` shows the names",
        ),
        (
            {"exclude": ("crane",)},
            "labels.exclude[0]: `crane` may mean `crane (bird)`, `crane (machine)`; name one of"
            " them",
        ),
        (
            {"rename": {"sportscar": "fast car"}},
            "labels.rename: unknown label `sportscar`; did you mean `sports car`?",
        ),
        (
            {"rename": {"dog": "Rex", "puppy": "Bello"}},
            "labels.rename: `dog` and `puppy` are one label; keep one line",
        ),
        (
            {"rename": {"dog": "a|b"}},
            "labels.rename.dog: the new name 'a|b' must not hold '|'",
        ),
        ({"rename": {"dog": ""}}, "labels.rename.dog: the new name '' must not be empty"),
        (
            {"language": "eng"},
            "labels.language: `eng` is not known; known: en, zh, de, es, fr, it, ja, ko, nl, pl,"
            " pt-BR, ru, sv, tr",
        ),
        ({"prefix": "AI|a,b"}, "labels.prefix: the level 'a,b' must not hold ','"),
    ],
)
def test_what_does_not_fit_is_said_with_its_key(vocabulary, changed, said):
    assert check_labels_config(LabelsConfig(**changed), vocabulary) == [said]


def test_every_mistake_is_told(vocabulary):
    config = LabelsConfig(exclude=("dgo", "catt"), rename={"brid": "x"}, language="xx")
    assert len(check_labels_config(config, vocabulary)) == 4


def test_the_prefix_is_split_into_levels():
    assert prefix_parts("") == ()
    assert prefix_parts("auto|") == ("auto",)
    assert prefix_parts(" AI / seen |x") == ("AI", "seen", "x")


def test_digikams_own_root_is_warned_of():
    assert "digiKam" in labels_config_warnings(LabelsConfig(prefix="Auto|"))[0]
    assert labels_config_warnings(LabelsConfig(prefix="AI|auto")) == []
    assert labels_config_warnings(LabelsConfig()) == []
