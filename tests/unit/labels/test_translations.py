"""More languages, by adding a file."""

from __future__ import annotations

import pytest

from tagger.config.schema import LabelsConfig
from tagger.errors import ConfigError
from tagger.labels.chooser import Chooser
from tagger.labels.config_check import check_labels_config
from tagger.labels.vocabulary import load_vocabulary


@pytest.fixture
def german(tmp_path):
    (tmp_path / "de.yaml").write_text(
        "animal: Tier\ndog: [Hund, Köter]\nGolden Retriever: Golden Retriever\n", encoding="utf-8"
    )
    return load_vocabulary(extra_dirs=(str(tmp_path),))


def test_a_half_finished_language_falls_back_to_english(german, vocabulary, plain, evidence):
    assert set(german.languages) == {"en", "zh", "de"}
    assert [german.name(label, "de") for label in ("dog", "cat")] == ["Hund", "cat"]
    assert german.name("dog", "zh") == "狗"
    config = LabelsConfig(language="de")
    assert check_labels_config(config, german) == []
    assert "`de` is not known" in check_labels_config(config, vocabulary)[0]
    chooser = Chooser(german, config, calibration=plain)
    keywords = chooser.keywords(chooser.choose(evidence(beagle=0.9)))
    assert keywords[0].path == ("Tier", "Hund", "hound", "beagle")


def test_its_words_are_found_beside_all_others(german, vocabulary):
    for word in ("Hund", "köter", "狗", "puppy"):
        assert german.resolve(word) == ("dog",)
    assert german.nearest("Hundd") == "Hund"
    assert german.digest != vocabulary.digest
    assert vocabulary.resolve("Hund") == ()


def test_a_later_folder_overrides(german, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "de.yaml").write_text("dog: Wauwau\n", encoding="utf-8")
    both = load_vocabulary(extra_dirs=(str(tmp_path), str(own), str(tmp_path / "absent")))
    assert both.name("dog", "de") == "Wauwau"
    assert both.name("animal", "de") == "Tier"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("de.yaml", "dogg: Hund\n", "line 1: unknown label `dogg`; did you mean `dog`"),
        ("de.yaml", "dog: Hund\ncat: Hund\n", "line 2: duplicate name: 'Hund'"),
        ("german.yaml", "dog: Hund\n", "`german` is not the code of a language to add"),
        ("en.yaml", "dog: doggie\n", "`en` is not the code of a language to add"),
    ],
)
def test_mistakes_are_refused_with_file_and_line(tmp_path, name, text, said):
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as raised:
        load_vocabulary(extra_dirs=(str(tmp_path),))
    assert said in str(raised.value)
    assert name in str(raised.value)
