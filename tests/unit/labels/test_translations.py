"""More languages: those that are shipped, and those that a user adds as a file."""

from __future__ import annotations

import pytest

from tagger.config.schema import LabelsConfig
from tagger.errors import ConfigError
from tagger.labels import translations
from tagger.labels.chooser import Chooser
from tagger.labels.config_check import check_labels_config, meant
from tagger.labels.translations import fold_word, shipped_languages, shipped_words
from tagger.labels.vocabulary import load_vocabulary

SHIPPED = ("de", "es", "fr", "it", "ja", "ko", "nl", "pl", "pt-BR", "ru", "sv", "tr")
DOG = ("Hund", "perro", "chien", "cane", "犬", "개", "hond", "cachorro", "köpek", "собака", "hund")
EVERYDAY = (
    "dog, cat, bird, horse, person, child, beach, mountain, forest, snow, sea, lake, river, city,"
    " street, church, kitchen, living room, bedroom, garden, flower, tree, car, bicycle, train,"
    " boat, airplane, food, bread, table, chair, book, sunset, bridge, house, indoors, outdoors"
).split(", ")


@pytest.fixture
def danish(tmp_path):
    (tmp_path / "da.yaml").write_text(
        "animal: dyr\ndog: [hund, køter]\nGolden Retriever: golden retriever\n", encoding="utf-8"
    )
    return load_vocabulary(extra_dirs=(str(tmp_path),))


def test_twelve_languages_are_shipped(vocabulary):
    assert shipped_languages() == SHIPPED
    assert set(vocabulary.languages) == {"en", "zh", *SHIPPED}


@pytest.mark.parametrize("language", SHIPPED)
def test_a_shipped_language_names_every_label_by_another_word(language, vocabulary):
    words = shipped_words(language)
    assert set(words) == set(vocabulary.nodes)
    names = [found[0].casefold() for found in words.values()]
    assert len(set(names)) == len(names)
    for label, found in words.items():
        folded = [word.casefold() for word in found]
        assert len(set(folded)) == len(folded), label
        assert not any(set(word) & set("|/,;=") or word != word.strip() for word in found), label


@pytest.mark.parametrize("language", SHIPPED)
def test_no_english_is_left_over(language, vocabulary):
    words = shipped_words(language)
    known = [label for label in EVERYDAY if label in vocabulary.nodes]
    assert len(known) > 25
    same = [label for label in known if words[label][0].casefold() == label.casefold()]
    assert len(same) <= 2, same
    if language in ("ja", "ko", "ru"):
        latin = [found[0] for found in words.values() if found[0].isascii()]
        assert len(latin) <= 5, latin


@pytest.mark.parametrize("word", DOG)
def test_a_word_is_understood_whatever_the_language_of_tags(word, vocabulary):
    assert "dog" in vocabulary.resolve(word)
    assert "dog" in vocabulary.resolve(word, language="ja")


def test_a_word_of_ones_own_language_comes_first(vocabulary):
    """Polish dogs are pies."""
    assert vocabulary.resolve("pies", language="pl") == ("dog",)
    assert "dog" not in vocabulary.resolve("pies")
    found = [
        (word, language, own)
        for language in SHIPPED
        for label, words in shipped_words(language).items()
        for word in words
        if (own := vocabulary.resolve(word)) and label not in own
        if set(own) & set(vocabulary.resolve(own[0]))
    ]
    assert found, "no word means one thing in one language and something else in English"
    for word, language, own in found:
        assert vocabulary.resolve(word, language=language) != own or own == (), word
    assert vocabulary.resolve("voiture", language="de") == vocabulary.resolve("voiture")


def test_hyphens_case_and_width_do_not_matter(vocabulary):
    name = next(name for name in (w[0] for w in shipped_words("fr").values()) if "-" in name)
    label = vocabulary.resolve(name)
    assert label and label == vocabulary.resolve(name.upper().replace("-", " "))


def test_without_its_ready_form_a_language_says_the_same(monkeypatch, vocabulary):
    lines = translations._ready_form("pl")
    monkeypatch.setattr(translations, "mark", lambda text: [0, 0])
    translations._ready_form.cache_clear()
    try:
        made = translations._ready_form("pl")
    finally:
        translations._ready_form.cache_clear()
    assert made == lines


def test_accents_and_kana_may_be_left_out(vocabulary):
    for word, plain in (("vélo", "VELO"), ("щётка", "щетка"), ("ağaç", "agac"), ("イヌ", "いぬ")):
        assert vocabulary.resolve(word) == vocabulary.resolve(plain), word
    assert fold_word("が") != fold_word("か") and fold_word("개") == "개"
    assert fold_word("İstanbul ışık") == "istanbul isik"


def test_unknown_words_stay_unknown(vocabulary):
    for word in ("xyzzy", "|", "=dog", "Hund|Köter", "\n", "H"):
        assert vocabulary.resolve(word) == (), word


def test_a_config_in_ones_language(vocabulary, plain, evidence):
    config = LabelsConfig(language="de", exclude=("Katze",), rename={"Hund": "Wauwau"})
    assert check_labels_config(config, vocabulary) == []
    assert meant(vocabulary, "Hund", "de") == ("dog",)
    chooser = Chooser(vocabulary, config, calibration=plain)
    path = chooser.keywords(chooser.choose(evidence(beagle=0.9)))[0].path
    assert path[0] == shipped_words("de")["animal"][0] and "Wauwau" in path
    near = check_labels_config(LabelsConfig(language="de", exclude=("Hundd",)), vocabulary)
    assert "did you mean `Hund`" in near[0]


def test_tags_are_chosen_anew_only_for_a_change_of_their_own_language(
    vocabulary, plain, monkeypatch
):
    def hashes():
        configs = [LabelsConfig(language=language) for language in ("en", "de", "fr")]
        return [Chooser(vocabulary, one, calibration=plain).config_hash for one in configs]

    before, source = hashes(), translations._source
    monkeypatch.setattr(translations, "_source", lambda one: source(one) + "#" * (one == "de"))
    assert [a == b for a, b in zip(before, hashes(), strict=True)] == [True, False, True]


def test_a_half_finished_language_falls_back_to_english(danish, vocabulary, plain, evidence):
    assert set(danish.languages) == {"en", "zh", "da", *SHIPPED}
    assert [danish.name(label, "da") for label in ("dog", "cat")] == ["hund", "cat"]
    assert danish.name("dog", "zh") == "狗"
    config = LabelsConfig(language="da")
    assert check_labels_config(config, danish) == []
    assert "`da` is not known" in check_labels_config(config, vocabulary)[0]
    chooser = Chooser(danish, config, calibration=plain)
    keywords = chooser.keywords(chooser.choose(evidence(beagle=0.9)))
    assert keywords[0].path == ("dyr", "hund", "hound", "beagle")


def test_its_words_are_found_beside_all_others(danish, vocabulary):
    for word in ("køter", "狗", "puppy", "Hund"):
        assert danish.resolve(word) == ("dog",)
    assert danish.nearest("køterr") == "køter"
    assert danish.digest != vocabulary.digest
    assert vocabulary.resolve("køter") == ()


def test_a_later_folder_and_ones_own_words_override(danish, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    (own / "da.yaml").write_text("dog: vovse\n", encoding="utf-8")
    (own / "de.yaml").write_text("dog: Wauwau\n", encoding="utf-8")
    both = load_vocabulary(extra_dirs=(str(tmp_path), str(own), str(tmp_path / "absent")))
    assert both.name("dog", "da") == "vovse"
    assert both.name("animal", "da") == "dyr"
    assert (both.name("dog", "de"), both.name("animal", "de")) == ("Wauwau", "Tier")
    assert both.resolve("Wauwau", language="de") == ("dog",)


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
