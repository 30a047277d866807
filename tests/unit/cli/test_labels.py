"""``tagger labels``, and searching by the words of the vocabulary."""

from __future__ import annotations

import json

import pytest

from tagger.index.store import Store
from tagger.labels.vocabulary import load_vocabulary
from tagger.records import Tag
from tests.unit.cli.conftest import saved


@pytest.fixture(scope="session")
def demo_weights():
    """No weights: nothing is classified here."""


@pytest.fixture
def seen(home):
    """Return a home in whose index are a beagle, a pug, a wolf and a lemon."""
    known = load_vocabulary()
    photos = []
    for number, label in enumerate(["beagle", "pug", "grey wolf", "lemon"]):
        path = known.path(label)
        tags = [Tag(name, 0.9, path[: depth + 1]) for depth, name in enumerate(path)]
        file = home.inbox / f"{label}.jpg"
        file.touch()
        photos.append(saved(home.inbox, file, number, reversed(tags)))
    with Store(str(home.state)) as store:
        store.save(photos)
    return home


def names(output):
    return [line.rpartition("/")[2].removesuffix(".jpg") for line in output.splitlines()]


def test_the_tree_shows_what_there_is_with_counts(seen):
    assert seen.run("labels") == (
        "animal  3\n  dog  2\n    pug  1\n    hound  1\n      beagle  1\n"
        "  wolf  1\n    grey wolf  1\nfood  1\n  fruit  1\n    lemon  1\n"
    )
    assert seen.run("labels", "狗") == "dog  2\n  pug  1\n  hound  1\n    beagle  1\n"


def test_json_nests_and_leaves_have_their_classes(seen):
    [dog] = seen.json("labels", "dog")
    assert (dog["label"], dog["count"], dog["names"]["zh"]) == ("dog", 2, "狗")
    assert "classes" not in dog
    [pug] = [child for child in dog["children"] if child["label"] == "pug"]
    assert (pug["names"]["en"], pug["names"]["zh"], pug["names"]["de"]) == ("pug", "巴哥犬", "Mops")
    assert len(pug["names"]) == 14
    assert pug == {
        "label": "pug",
        "names": pug["names"],
        "count": 1,
        "children": [],
        "classes": [254],
    }


def test_the_whole_vocabulary_has_every_class_once(home):
    found = []

    def collect(branches):
        for branch in branches:
            found.extend(branch.get("classes", ()))
            collect(branch["children"])

    collect(json.loads(home.run("labels", "--all", "--json")))
    assert sorted(found) == list(range(1000))
    assert len(home.run("labels", "--all").splitlines()) == len(load_vocabulary().nodes)


def test_an_unknown_label_is_refused_with_the_nearest(home):
    home.run("labels", "labrador", "retreiver", code=2)
    assert "there is no label 'labrador retreiver'; did you mean `Labrador retriever`?" in home.err


@pytest.mark.parametrize("word", ["dog", "狗", "puppy", "Dogs", "doggy"])
def test_a_word_finds_everything_below_it_in_any_language(seen, word):
    assert names(seen.run("query", word)) == ["beagle", "pug"]


def test_other_words_find_what_they_mean(seen):
    assert names(seen.run("query", "动物")) == ["beagle", "pug", "grey wolf"]
    assert names(seen.run("query", "timber", "wolf")) == ["grey wolf"]
    assert names(seen.run("query", "pet")) == ["beagle", "pug"]
    assert names(seen.run("query", "柠檬")) == ["lemon"]
    assert names(seen.run("query", "bike")) == []
    seen.configure(labels={"rename": {"dog": "Rex"}})
    assert names(seen.run("query", "rex")) == ["beagle", "pug"]
