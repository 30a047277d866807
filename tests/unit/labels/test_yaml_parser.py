"""What is refused in a vocabulary file, and how that is said."""

from __future__ import annotations

from pathlib import Path

import pytest

import tagger.labels
from tagger.errors import ConfigError
from tagger.labels.vocabulary import load_vocabulary
from tagger.labels.yaml_parser import parse_names, parse_tree
from tagger.labels.yaml_reader import name_problem

GOOD = """\
wnids: n00000001 n00000002 n00000003
tree:
  animal:
    zh: 动物
    below:
      dog: {class: 0, zh: [狗, 小狗], also: [puppy]}
      cat: {class: [1], zh: 猫, policy: reluctant}
  food: {class: 2, zh: 食物}
"""


def test_a_good_file_is_read():
    tree = parse_tree(GOOD, "v.yaml", 3)
    nodes = {node.label: node for node in tree.nodes}
    assert list(nodes) == ["animal", "dog", "cat", "food"]
    dog = nodes["dog"]
    assert (dog.parent, dog.classes, dog.policy) == ("animal", (0,), "normal")
    assert dog.names == {"en": "dog", "zh": "狗"}
    assert dog.synonyms == {"en": ("puppy",), "zh": ("小狗",)}
    assert nodes["animal"].children == ("dog", "cat")
    assert nodes["cat"].policy == "reluctant"


MISTAKES = {
    "unknown class": ("class: 0,", "class: 7,", "line 6: `dog`: unknown class 7; they are 0 to 2"),
    "missing class": ("class: 0,", "class: 7,", "1 classes have no label: 0"),
    "class twice": ("[1]", "[1, 0]", "line 7: class 0 is given twice: at `dog` and `cat`"),
    "missing language": (
        "zh: 食物",
        "also: [meal]",
        "line 8: `food` has no name in the language `zh`",
    ),
    "empty name": ("zh: 食物", "zh: ''", "line 8: `food.zh`: the name '' must not be empty"),
    "duplicate name": (
        "zh: 食物",
        "zh: 猫",
        "line 8: duplicate name: '猫' is both `cat` and `food`",
    ),
    "duplicate label": ("  food:", "  dog:", "line 8: duplicate name: `dog` is already a label"),
    "label twice": ("cat:", "dog:", "line 7: `dog` is given twice in `animal`.below"),
    "case": ("  food:", "  Dog:", "line 8: duplicate name: 'Dog' is both `dog` and `Dog`"),
    "typo in a key": (
        "also:",
        "allso:",
        "line 6: unknown key `allso` under `dog`; did you mean `also`?",
    ),
    "typo at the top": ("tree:", "treee:", "line 2: unknown key `treee`; did you mean `tree`?"),
    "unknown policy": (
        "reluctant",
        "rarely",
        "line 7: `cat`.policy must be one of normal, reluctant",
    ),
    "separator": ("  food:", "  food|drink:", "line 8: the label 'food|drink' must not hold '|'"),
    "nothing below": ("class: 2, zh: 食物", "zh: 食物", "line 8: `food` must have either"),
    "both": (
        "zh: 食物",
        "zh: 食物, below: {}",
        "line 8: `food` must have either `class` or `below`",
    ),
    "wrong order": ("n00000002 n", "n00000009 n", "n00000003 stands after n00000009"),
    "too few ids": (" n00000003", "", "line 1: `wnids` holds 2 ids, not 3"),
    "no id": ("n00000003", "dog", "line 1: `wnids`: 'dog' is not a WordNet id"),
    "not YAML": ("zh: 食物}", "zh: 食物", "line 9:"),
}


PLACES = """\
wnids: n00000001
scenes: beach living_room
indoor: living_room
things: person wine_glass
tree:
  coast:
    zh: 海岸
    scene: beach
    below:
      crab: {class: 0, zh: 蟹}
  person: {thing: person, zh: 人}
  people: {thing: person, at_least: 3, zh: 人群}
  glass: {thing: wine glass, zh: 杯}
  living room: {scene: living_room, zh: 客厅}
  indoors: {where: indoor, zh: 室内, hints: [glass]}
  sea: {zh: 海, implied_by: beach, where: outdoor}
"""


def test_scenes_and_things_are_read():
    tree = parse_tree(PLACES, "v.yaml", 1)
    assert tree.scenes == ("beach", "living room")
    assert tree.things == ("person", "wine glass")
    nodes = {node.label: node for node in tree.nodes}
    assert (nodes["coast"].scenes, nodes["coast"].children) == ((0,), ("crab",))
    assert (nodes["person"].things, nodes["person"].at_least) == ((0,), 1)
    assert (nodes["people"].things, nodes["people"].at_least) == ((0,), 3)
    assert nodes["glass"].things == (1,)
    assert nodes["indoors"].implied_by == (1,)
    assert nodes["indoors"].hints == ("glass",)
    assert set(nodes["sea"].implied_by) == {0}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("scene: beach\n", "scene: baech\n", "line 8: `coast`: 'baech' is not among `scenes`; did"),
        ("scene: living_room", "scene: beach", "given twice: at `coast` and `living room`"),
        ("scene: living_room,", "class: 0,", "1 scenes have no label: living room"),
        ("thing: wine glass", "thing: person", "1 things have no label: wine glass"),
        ("indoor: living", "indoor: dining", "line 3: `indoor`: unknown scene 'dining room'"),
        ("where: indoor", "where: inside", "`indoors`.where must be one of indoor, outdoor"),
        ("[glass]", "[mug]", "`indoors`.hints: there is no label `mug`"),
        ("at_least: 3", "at_least: 1", "`people`.at_least must be 2 or more"),
        ("beach living_room", "beach beach", "`scenes`: 'beach' is named twice"),
    ],
)
def test_a_mistake_in_scenes_and_things_is_refused(old, new, said):
    assert old in PLACES
    with pytest.raises(ConfigError) as raised:
        parse_tree(PLACES.replace(old, new, 1), "v.yaml", 1)
    assert said in str(raised.value)


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_refused_with_its_place(name):
    old, new, said = MISTAKES[name]
    assert old in GOOD
    with pytest.raises(ConfigError) as raised:
        parse_tree(GOOD.replace(old, new, 1), "folder/v.yaml", 3)
    assert str(raised.value).startswith("folder/v.yaml")
    assert said in str(raised.value)


def test_levels_are_counted_and_cycles_seen():
    deep = "wnids: n00000001\ntree:\n"
    for level, label in enumerate("abcd"):
        deep += f"{'    ' * level}  {label}:\n{'    ' * level}    zh: 名{label}\n"
        deep += f"{'    ' * level}    below:\n"
    deep += f"{'    ' * 4}  e: {{class: 0, zh: 名e}}\n"
    with pytest.raises(ConfigError, match="`e` is on level 5; 4 are allowed"):
        parse_tree(deep, "v.yaml", 1)
    cycle = "wnids: n00000001\ntree:\n  a:\n    zh: 名\n    below: &a\n"
    cycle += "      b: {class: 0, zh: 字}\n      c: {zh: 环, below: *a}\n"
    with pytest.raises(ConfigError, match=r"line 7: cycle: `c`\.below holds itself"):
        parse_tree(cycle, "v.yaml", 1)


def test_all_mistakes_are_told_at_once():
    bad = (
        GOOD.replace("also:", "allso:").replace("class: 2", "class: 9").replace("zh: 猫", "zh: 狗")
    )
    with pytest.raises(ConfigError, match="4 mistakes") as raised:
        parse_tree(bad, "v.yaml", 3)
    assert [line.split(":")[0].strip() for line in str(raised.value).splitlines()[1:5]] == [
        "1 classes have no label",
        "line 6",
        "line 7",
        "line 8",
    ]


def test_the_shipped_file_is_not_read_with_a_slip(tmp_path):
    shipped = Path(tagger.labels.__file__).with_name("imagenet.yaml").read_text(encoding="utf-8")
    copy = tmp_path / "imagenet.yaml"
    copy.write_text(shipped, encoding="utf-8")
    assert len(load_vocabulary(str(copy)).wnids) == 1000
    for old, new, said in [
        ("class: 207,", "class: 208,", "class 208 is given twice"),
        (
            "{class: 207, zh: [金毛寻回犬",
            "{class: 207, zh: [边境牧羊犬",
            "duplicate name: '边境牧羊犬'",
        ),
        ("n02099601 ", "", "holds 999 ids"),
    ]:
        assert old in shipped
        copy = tmp_path / f"{len(said)}.yaml"  # another path: what was read is kept
        copy.write_text(shipped.replace(old, new, 1), encoding="utf-8")
        with pytest.raises(ConfigError, match=said):
            load_vocabulary(str(copy))


def test_a_file_that_cannot_be_read_is_said_so(tmp_path):
    with pytest.raises(ConfigError, match="cannot read"):
        load_vocabulary(str(tmp_path / "none.yaml"))
    (tmp_path / "latin.yaml").write_bytes("tree: {Bär: {}}".encode("latin-1"))
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_vocabulary(str(tmp_path / "latin.yaml"))


def test_translations_are_checked_too():
    labels = ("dog", "cat")
    assert parse_names("dog: [Hund, Hündchen]\n", "de.yaml", labels) == {
        "dog": ("Hund", "Hündchen")
    }
    for text, said in [
        ("dogg: Hund", "line 1: unknown label `dogg`; did you mean `dog`?"),
        ("dog: Tier\ncat: tier", "line 2: duplicate name: 'tier' is both `dog` and `cat`"),
        ("dog:", "`dog` must be a name or a list of names"),
        ("dog: a/b", "must not hold '/'"),
        ("- dog", "the file must hold `key: value` lines"),
    ]:
        with pytest.raises(ConfigError) as raised:
            parse_names(text, "de.yaml", labels)
        assert said in str(raised.value)


@pytest.mark.parametrize("name", ["", " ", " dog", "a|b", "a/b", "a,b", "a;b", "a\nb"])
def test_names_that_programs_would_cut_are_unfit(name):
    assert name_problem(name)
    assert name_problem("crane (bird)") is None
