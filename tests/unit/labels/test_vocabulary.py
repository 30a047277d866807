"""The vocabulary that is shipped."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import tagger.labels
from tagger.classify.torchvision_compat import import_torchvision
from tagger.labels.translations import fold_word
from tagger.labels.vocabulary import load_vocabulary, ready_made
from tagger.labels.yaml_parser import MAX_LEVELS, REQUIRED_LANGUAGES

PROJECT = Path(__file__).resolve().parents[3]
KNOWN_ERRORS = {
    # Names of torchvision's that mislead, so nothing is found by them.
    "Cardigan",
    "amphibian",
    "brass",
    "ear",
    "file",
    "hip",
    "passenger car",
    "swab",
    "upright",
    "walking stick",
    # Names that ours hold, as `crane (bird)`, or that mean the label above.
    "Dandie Dinmont",
    "Mexican hairless",
    "crane bird",
    "maillot tank suit",
    "mushroom",
    "racer",
    "weasel",
}


@pytest.fixture(scope="module")
def categories():
    import_torchvision()
    from torchvision.models import ResNet18_Weights

    return ResNet18_Weights.IMAGENET1K_V1.meta["categories"]


def test_every_class_stands_under_one_label(vocabulary):
    classes = Counter(index for node in vocabulary.nodes.values() for index in node.classes)
    assert classes == Counter(range(1000))
    for label, node in vocabulary.nodes.items():
        assert not (node.classes and node.children), label
        assert all(vocabulary.leaf_of(index) == label for index in node.classes)


def test_every_scene_and_every_thing_stands_under_one_label(vocabulary):
    scenes = Counter(index for node in vocabulary.nodes.values() for index in node.scenes)
    assert scenes == Counter(range(365)) and len(vocabulary.scenes) == 365
    things = Counter(
        index for node in vocabulary.nodes.values() if node.at_least == 1 for index in node.things
    )
    assert things == Counter(range(80)) and len(vocabulary.things) == 80
    for label, node in vocabulary.nodes.items():
        sources = (node.classes, node.scenes, node.things, node.implied_by, node.children)
        assert any(sources), label
        assert not set(node.implied_by) & set(node.scenes), label


def test_scenes_and_things_are_named_as_their_networks_name_them(vocabulary, shared):
    lines = (shared / "models/categories_places365.txt").read_text(encoding="utf-8").splitlines()
    names = [line.split()[0][3:].replace("_", " ") for line in lines]
    assert list(vocabulary.scenes) == names
    places = (shared / "models/IO_places365.txt").read_text(encoding="utf-8").splitlines()
    indoor = {n for n, line in enumerate(places) if line.split()[1] == "1"}
    assert set(vocabulary.nodes["indoors"].implied_by) == indoor
    assert set(vocabulary.nodes["outdoors"].implied_by) == set(range(365)) - indoor
    assert vocabulary.things[0] == "person" and vocabulary.things[79] == "toothbrush"


def test_nothing_guesses_what_people_are(vocabulary):
    assert vocabulary.below("person") == {"person", "group of people"}
    assert vocabulary.name("person", "zh") == "人"
    assert vocabulary.nodes["group of people"].at_least == 3
    guesses = {"man", "woman", "boy", "girl", "child", "baby", "lady", "gentleman", "bride"}
    for label in vocabulary.below("person"):
        node = vocabulary.nodes[label]
        words = {label, *(word for found in node.synonyms.values() for word in found)}
        assert not words & (guesses | {"男人", "女人", "男孩", "女孩", "儿童", "孩子"})


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("people", "person"),
        ("人", "person"),
        ("crowd", "group of people"),
        ("beach", "beach"),
        ("海", "sea"),
        ("forest", "forest"),
        ("snow", "snow"),
        ("street", "street"),
        ("城市", "city"),
        ("garden", "garden"),
        ("park", "park"),
        ("field", "field"),
        ("river", "river"),
        ("lake", "lake"),
        ("waterfall", "waterfall"),
        ("desert", "desert"),
        ("church", "church"),
        ("kitchen", "kitchen"),
        ("客厅", "living room"),
        ("bedroom", "bedroom"),
        ("bathroom", "bathroom"),
        ("restaurant", "restaurant"),
        ("shop", "shop"),
        ("office", "office"),
        ("stage", "stage"),
        ("playground", "playground"),
        ("swimming pool", "swimming pool"),
        ("airport", "airport"),
        ("station", "station"),
        ("indoors", "indoors"),
        ("outdoors", "outdoors"),
    ],
)
def test_the_words_that_people_search_are_labels(vocabulary, word, label):
    assert label in vocabulary.resolve(word)
    assert vocabulary.named(word) == label or label in vocabulary.resolve(word)


def test_every_label_has_a_name_of_its_own_in_every_language(vocabulary):
    assert {"en", *REQUIRED_LANGUAGES} <= set(vocabulary.languages)
    for language in ("en", *REQUIRED_LANGUAGES):
        names = [node.names[language].strip().casefold() for node in vocabulary.nodes.values()]
        assert all(names)
        assert [name for name, times in Counter(names).items() if times > 1] == []
    assert all(node.names["en"] == label for label, node in vocabulary.nodes.items())
    for label, node in vocabulary.nodes.items():
        for language, name in node.names.items():
            words = (name, *node.synonyms.get(language, ()))
            assert len({fold_word(word) for word in words}) == len(words), label


def test_chinese_names_are_chinese(vocabulary):
    for label, node in vocabulary.nodes.items():
        for word in (node.names["zh"], *node.synonyms.get("zh", ())):
            assert any("\u4e00" <= mark <= "\u9fff" for mark in word) or word == "MP3", label
        for word in (label, *node.synonyms.get("en", ())):
            assert not any("\u4e00" <= mark <= "\u9fff" for mark in word), label


def test_the_tree_hangs_together(vocabulary):
    seen = set()
    for label, node in vocabulary.nodes.items():
        path = vocabulary.path(label)
        assert len(path) <= MAX_LEVELS
        assert (path[0] in vocabulary.roots()) and path[-1] == label
        assert node.parent is None or node.parent in seen, "parents come first"
        assert all(vocabulary.nodes[child].parent == label for child in node.children)
        seen.add(label)
    everything = [vocabulary.below(root) for root in vocabulary.roots()]
    assert sum(map(len, everything)) == len(vocabulary.nodes)


def test_no_label_says_nothing(vocabulary):
    empty = {"object", "thing", "entity", "item", "artifact", "other", "miscellaneous"}
    assert not empty & set(vocabulary.nodes)


@pytest.mark.parametrize("folder", ["imagenet", "calibration"])
def test_class_indices_mean_what_the_photos_truth_says(vocabulary, categories, shared, folder):
    truth = shared / "photos" / folder / "truth.csv"
    with truth.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 60
    for row in rows:
        index = int(row["class_index"])
        assert vocabulary.wnids[index] == row["wnid"]
        assert categories[index] == row["torchvision_category"]


def test_the_order_is_torchvisions(vocabulary, categories):
    assert len(categories) == len(vocabulary.wnids) == 1000
    assert list(vocabulary.wnids) == sorted(set(vocabulary.wnids))
    unknown = {
        name
        for index, name in enumerate(categories)
        if vocabulary.leaf_of(index) not in vocabulary.resolve(name)
    }
    assert unknown <= KNOWN_ERRORS


@pytest.mark.parametrize(
    ("label", "chinese"),
    [
        ("alp", "高山"),
        ("tabby", "虎斑猫"),
        ("ski", "滑雪板"),
        ("dog", "狗"),
        ("crane (bird)", "鹤"),
        ("crane (machine)", "起重机"),
        ("red panda", "小熊猫"),
        ("giant panda", "大熊猫"),
        ("jaguar", "美洲豹"),
        ("cougar", "美洲狮"),
        ("aircraft", "飞行器"),
        ("airplane", "飞机"),
    ],
)
def test_names_that_are_easily_mistaken(vocabulary, label, chinese):
    assert vocabulary.name(label, "zh") == chinese
    assert vocabulary.name(label) == label


@pytest.mark.parametrize(
    "path",
    [
        ("animal", "dog", "Labrador retriever"),
        ("vehicle", "car", "sports car"),
        ("landscape", "mountain", "alp"),
        ("food", "fruit", "lemon"),
        ("animal", "bird", "crane (bird)"),
    ],
)
def test_paths_run_from_the_root_down(vocabulary, path):
    assert vocabulary.path(path[-1]) == path


@pytest.mark.parametrize(
    ("label", "not_seen_with_it"),
    [
        ("sink", "bathroom"),  # most are in kitchens
        ("flowerpot", "garden"),
        ("park bench", "garden"),
        ("patio", "garden"),  # of a restaurant
        ("spotlight", "theater"),
        ("stage curtain", "theater"),
        ("candle", "lamp"),
        ("clock", "household"),  # on a tower
        ("window", "household"),
        ("restaurant", "architecture"),  # seen from within
        ("bakery", "building"),
        ("toy shop", "building"),
        ("aquarium", "building"),
        ("flower shop", "shop"),  # flowers close by
    ],
)
def test_what_stands_above_a_label_is_there_whenever_it_is(vocabulary, label, not_seen_with_it):
    assert not_seen_with_it in vocabulary.nodes
    assert not_seen_with_it not in vocabulary.path(label)


@pytest.mark.parametrize(
    ("label", "above"),
    [
        ("mobile home", "house"),
        ("shower curtain", "curtain"),
        ("stage curtain", "curtain"),
        ("flower shop", "flower"),
        ("park bench", "bench"),
        ("flowerpot", "potted plant"),
    ],
)
def test_what_is_mistaken_for_another_has_one_label_with_it(vocabulary, label, above):
    assert vocabulary.nodes[label].parent == above


def test_imagenets_doubles_are_one_label_and_its_homonyms_two(vocabulary):
    for one, other in [(638, 639), (836, 837), (657, 744), (435, 876), (620, 681), (987, 998)]:
        assert vocabulary.leaf_of(one) == vocabulary.leaf_of(other)
    for index, root in {
        134: "animal",
        517: "crane (machine)",
        264: "animal",
        474: "clothing",
    }.items():
        assert vocabulary.path(vocabulary.leaf_of(index))[0] == root
    poor = {"web site": 916, "jersey": 610, "mask": 643, "nipple": 680, "brassiere": 459}
    for name, index in poor.items():
        assert vocabulary.nodes[vocabulary.leaf_of(index)].policy != "normal", name


def test_apes_are_said_with_far_more_evidence_only(vocabulary, chooser, evidence):
    for index in range(365, 383):  # orangutan to squirrel monkey
        leaf = vocabulary.leaf_of(index).replace(" ", "_")
        said = [tag.label for tag in chooser().choose(evidence(**{leaf: 0.9}))]
        assert said == ["animal"]
        assert len(chooser().choose(evidence(**{leaf: 0.98}))) == 3


@pytest.mark.parametrize(
    ("word", "label"),
    [
        ("puppy", "dog"),
        ("puppies", "dog"),
        ("hound", "dog"),
        ("hound", "hound"),
        ("狗", "dog"),
        ("DOG", "dog"),
        ("bike", "bicycle"),
        ("Bikes", "bicycle"),
        ("kitten", "cat"),
        ("crane", "crane (bird)"),
        ("crane", "crane (machine)"),
        ("golden-retriever", "golden retriever"),
        ("wolves", "wolf"),
        ("jean", "jeans"),
        ("cherry-picker", None),
        ("", None),
    ],
)
def test_words_are_found(vocabulary, word, label):
    found = vocabulary.resolve(word)
    assert label in found if label else found == ()


def test_one_search_in_any_language_finds_the_same(vocabulary):
    def found(word):
        return {below for label in vocabulary.resolve(word) for below in vocabulary.below(label)}

    assert found("狗") == found("puppy") == found("dog")
    assert {"Labrador retriever", "beagle", "dog"} <= found("dog")
    assert "dingo" not in found("dog")


def test_no_synonym_promises_more_than_its_label(vocabulary):
    """A pet is a dog or a hamster, never a shark."""
    assert "dog" in vocabulary.resolve("pet")
    for word in ("pet", "小动物", "宠物", "wildlife", "walking stick", "brass", "草泥马"):
        assert "animal" not in vocabulary.resolve(word)
        assert not {"stick insect", "memorial plaque"} & set(vocabulary.resolve(word))
    assert not any("edible" in label for label in vocabulary.nodes)  # nobody's life hangs on us


def test_an_own_word_comes_first(vocabulary):
    assert vocabulary.resolve("Rex", {"dog": "Rex"}) == ("dog",)
    assert vocabulary.resolve("cat", {"dog": "cat"}) == ("dog",)
    assert vocabulary.nearest("labrador retreiver") == "Labrador retriever"
    assert vocabulary.nearest("qqqqqqqq") is None


def test_the_ready_made_form_is_of_the_yaml_as_it_is():
    """If it fails, write it anew: CONTRIBUTING.md says how."""
    with open(shipped().removesuffix("yaml") + "json", encoding="ascii") as file:
        assert file.read() == ready_made()


def test_the_ready_made_form_says_what_the_yaml_says(vocabulary, tmp_path):
    copy = tmp_path / "imagenet.yaml"
    shutil.copyfile(shipped(), copy)  # without the other beside it
    read = load_vocabulary(str(copy))
    assert read.nodes == vocabulary.nodes
    assert list(read.nodes) == list(vocabulary.nodes)
    assert (read.digest, read.wnids) == (vocabulary.digest, vocabulary.wnids)
    assert (*read.languages, *vocabulary.shipped) == vocabulary.languages
    for word in ("dog", "puppies", "狗", "jean", "crane", "unicorn"):
        assert read.resolve(word) == vocabulary.resolve(word)
    assert read.named("Dog") == vocabulary.named("Dog") == "dog"


@pytest.mark.parametrize("spoilt", ["of another text", "cut short", "no object"])
def test_a_ready_made_form_that_is_not_its_own_is_passed_over(tmp_path, spoilt):
    copy, ready = tmp_path / "imagenet.yaml", tmp_path / "imagenet.json"
    with open(shipped(), encoding="utf-8") as file:
        text = file.read()
    copy.write_text(text, encoding="utf-8")
    made = ready_made(str(copy)).replace('"pug"', '"pig"')  # tells whether it is used
    ready.write_text(made, encoding="ascii")
    assert "pig" in load_vocabulary(str(copy)).nodes
    other = tmp_path / "other"
    other.mkdir()
    if spoilt == "of another text":
        text = text.replace("巴哥犬", "哈巴狗")
    else:
        made = made[: len(made) // 2] if spoilt == "cut short" else "[]"
    (other / "imagenet.yaml").write_text(text, encoding="utf-8")
    (other / "imagenet.json").write_text(made, encoding="ascii")
    assert "pug" in load_vocabulary(str(other / "imagenet.yaml")).nodes


def shipped():
    return os.path.join(os.path.dirname(tagger.labels.__file__), "imagenet.yaml")


def test_reading_it_needs_no_heavy_library():
    code = (
        "import sys; from tagger.labels.vocabulary import load_vocabulary; load_vocabulary();"
        " sys.exit(bool({'numpy', 'torch', 'PIL', 'yaml'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_is_to_be_seen_on_photos_of_homes_is_said_in_labels(vocabulary):
    with (PROJECT / "tools/calibrate/home_truth.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["file"] for row in rows}) > 300
    for row in rows:
        words = [word for word in row["words"].split(";") if word]
        labels = [word.rstrip("?") for word in words]
        assert set(labels) <= set(vocabulary.nodes), row
        assert len(set(labels)) == len(labels), row
