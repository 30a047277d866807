"""`labels.stacks`: copies and the files of one shot share their tags, and their tombstones."""

from __future__ import annotations

import shutil

import pytest
from PIL import Image

from tagger.index.store import Store


@pytest.fixture
def pair(home, scenes):
    """Return a home with a photo of a tagged scene, a copy of it, and another scene."""
    home.configure(labels={"stacks": True, "crops": 1})
    shutil.copy2(scenes[0], home.inbox / "IMG_1.jpg")
    image = Image.open(scenes[0])
    image.resize((image.width // 2, image.height // 2)).save(home.inbox / "IMG_1~2.jpg")
    shutil.copy2(scenes[1], home.inbox / "other.jpg")
    home.once()
    assert len(home.json("duplicates")) == 1
    return home


def tags(home, name: str) -> set[str]:
    return {tag["label"] for tag in home.json("show", str(home.inbox / name))["tags"]}


def written(home, name: str) -> str:
    sidecar = home.inbox / f"{name}.xmp"
    return sidecar.read_text() if sidecar.exists() else ""


def give_evidence(home, name: str, source: str) -> None:
    """Let a network have seen in one photo what it saw in another."""
    with Store(str(home.state)) as store:
        ids = [store.photo(str(home.inbox / one)).id for one in (name, source)]
        evidence = store.prediction(ids[1]).evidence
        with store.transaction() as db:
            db.execute("UPDATE predictions SET evidence = ? WHERE photo_id = ?", (evidence, ids[0]))
        store.forget_keywords([str(home.inbox / one) for one in ("IMG_1.jpg", "IMG_1~2.jpg")])


def test_a_tag_of_one_reaches_the_other_but_nothing_else(pair):
    own, other = tags(pair, "IMG_1.jpg"), tags(pair, "other.jpg")
    assert own - other and other - own
    give_evidence(pair, "IMG_1~2.jpg", "other.jpg")
    pair.once()
    assert tags(pair, "IMG_1.jpg") == tags(pair, "IMG_1~2.jpg") == own | other
    assert tags(pair, "other.jpg") == other
    for label in own | other:
        assert label in written(pair, "IMG_1.jpg")


def test_it_is_gone_again_when_neither_has_it_by_itself(pair):
    own = tags(pair, "IMG_1.jpg")
    give_evidence(pair, "IMG_1~2.jpg", "other.jpg")
    pair.once()
    give_evidence(pair, "IMG_1~2.jpg", "IMG_1.jpg")
    pair.once()
    assert tags(pair, "IMG_1.jpg") == tags(pair, "IMG_1~2.jpg") == own


def test_a_tombstone_of_one_holds_for_all_until_it_is_lifted(pair):
    label = sorted(tags(pair, "IMG_1.jpg"))[0]
    pair.run("untag", str(pair.inbox / "IMG_1.jpg"), "--label", label)
    pair.once()
    assert label not in tags(pair, "IMG_1.jpg") | tags(pair, "IMG_1~2.jpg")
    assert label not in written(pair, "IMG_1~2.jpg")
    pair.run("restore", str(pair.inbox / "IMG_1~2.jpg"))
    pair.once()
    assert label in tags(pair, "IMG_1.jpg") & tags(pair, "IMG_1~2.jpg")


def test_without_it_each_has_its_own(pair):
    pair.configure(labels={"stacks": False, "crops": 1})
    own = tags(pair, "IMG_1.jpg")
    give_evidence(pair, "IMG_1~2.jpg", "other.jpg")
    pair.once()
    assert tags(pair, "IMG_1.jpg") == own and tags(pair, "IMG_1~2.jpg") == tags(pair, "other.jpg")


def test_when_it_is_switched_on_all_is_chosen_anew(pair):
    pair.configure(labels={"stacks": False, "crops": 1})
    give_evidence(pair, "IMG_1~2.jpg", "other.jpg")
    pair.once()
    pair.configure(labels={"stacks": True, "crops": 1})
    pair.once()
    assert tags(pair, "IMG_1.jpg") == tags(pair, "IMG_1~2.jpg") >= tags(pair, "other.jpg")


def test_a_copy_that_comes_later_brings_its_tags(pair, scenes):
    image = Image.open(scenes[0])
    image.resize((image.width // 3, image.height // 3)).save(pair.inbox / "sent.jpg")
    pair.once()
    assert tags(pair, "sent.jpg") == tags(pair, "IMG_1.jpg")
