"""A photo keeps its own tags, and gets nobody else's, whatever name it is given."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import wait_until

TARGETS = ["sidecar-xmp", "embed", "none"]
ENDINGS = ("", ".xmp", ".tags.json")


def mv(folder: Path, old: str, new: str, beside: bool) -> None:
    for ending in ENDINGS if beside else ENDINGS[:1]:
        if (folder / f"{old}{ending}").exists():
            os.rename(folder / f"{old}{ending}", folder / f"{new}{ending}")


def over(folder: Path, beside: bool) -> dict[str, str]:
    mv(folder, "b.jpg", "a.jpg", beside)
    return {"a.jpg": "b.jpg", "c.jpg": "c.jpg"}


def over_an_orphan(folder: Path, beside: bool) -> dict[str, str]:
    os.unlink(folder / "a.jpg")
    return over(folder, beside)


def renumber(folder: Path, beside: bool) -> dict[str, str]:
    os.unlink(folder / "a.jpg")
    mv(folder, "b.jpg", "a.jpg", beside)
    mv(folder, "c.jpg", "b.jpg", beside)
    return {"a.jpg": "b.jpg", "b.jpg": "c.jpg"}


def swap(folder: Path, beside: bool) -> dict[str, str]:
    mv(folder, "a.jpg", "t", beside)
    mv(folder, "b.jpg", "a.jpg", beside)
    mv(folder, "t", "b.jpg", beside)
    return {"a.jpg": "b.jpg", "b.jpg": "a.jpg", "c.jpg": "c.jpg"}


def rotate(folder: Path, beside: bool) -> dict[str, str]:
    mv(folder, "a.jpg", "t", beside)
    mv(folder, "b.jpg", "a.jpg", beside)
    mv(folder, "c.jpg", "b.jpg", beside)
    mv(folder, "t", "c.jpg", beside)
    return {"a.jpg": "b.jpg", "b.jpg": "c.jpg", "c.jpg": "a.jpg"}


def copy_over(folder: Path, beside: bool) -> dict[str, str]:
    for ending in ENDINGS if beside else ENDINGS[:1]:
        if (folder / f"b.jpg{ending}").exists():
            shutil.copy2(folder / f"b.jpg{ending}", folder / f"a.jpg{ending}")
    return {"a.jpg": "b.jpg", "b.jpg": "b.jpg", "c.jpg": "c.jpg"}


def only_the_sidecar(folder: Path, beside: bool) -> dict[str, str]:
    for ending in ENDINGS[1:]:
        if (folder / f"b.jpg{ending}").exists():
            shutil.copy2(folder / f"b.jpg{ending}", folder / f"a.jpg{ending}")
    return {name: name for name in ("a.jpg", "b.jpg", "c.jpg")}


MOVES = [over, over_an_orphan, renumber, swap, rotate, copy_over, only_the_sidecar]


@pytest.fixture
def three(home, scenes):
    for name, scene in zip(("a.jpg", "b.jpg", "c.jpg"), scenes, strict=False):
        shutil.copy2(scene, home.inbox / name)
    return home


def told(home, name):
    shown = home.json("show", str(home.inbox / name))
    ours = [t["label"] for t in shown["tags"] if t["source"] == "model"]
    yours = [t["label"] for t in shown["tags"] if t["source"] == "user"]
    return sorted(ours), sorted(yours), shown["removed_by_you"]


def words_left(home):
    """Return every keyword that is in a file of the inbox."""
    found = set()
    for path in home.inbox.rglob("*"):
        if path.suffix in (".xmp", ".jpg"):
            found |= set(re.findall(rb"<rdf:li>([^<]*)</rdf:li>", path.read_bytes()))
        elif path.suffix == ".json":
            found |= {one["label"] for one in json.loads(path.read_text())["labels"]}
    return found


CASES = [
    *(("sidecar-xmp", move, False) for move in MOVES),
    *(("sidecar-xmp", move, True) for move in MOVES if move is not only_the_sidecar),
    *(("sidecar-json", move, False) for move in (renumber, swap)),
    *(("embed", move, False) for move in (over, swap, copy_over)),
    ("sidecar-json", swap, True),
    ("none", swap, False),
]


@pytest.mark.parametrize(
    "target, move, beside", CASES, ids=[f"{t}-{m.__name__}-{b}" for t, m, b in CASES]
)
def test_a_moved_photo_keeps_its_own_tags(target, move, beside, three):
    three.configure(write={"target": target})
    three.once()
    before = {name: told(three, name)[0] for name in ("a.jpg", "b.jpg", "c.jpg")}
    assert len({tuple(tags) for tags in before.values()}) == 3
    now = move(three.inbox, beside)
    three.once()
    three.once()
    for name, was in now.items():
        assert told(three, name) == (before[was], [], []), name
    three.run("untag", "--all")
    assert words_left(three) == set()
    if beside or target == "embed" or move is only_the_sidecar:
        assert not list(three.inbox.glob("*.xmp"))


@pytest.mark.parametrize("target", TARGETS)
def test_decisions_and_own_keywords_travel_with_the_photo_they_are_of(target, three):
    three.configure(write={"target": target})
    three.once()
    before = {name: told(three, name)[0] for name in ("a.jpg", "b.jpg", "c.jpg")}
    gone = before["b.jpg"][0]
    three.run("untag", "--label", gone, str(three.inbox / "b.jpg"))
    left = told(three, "b.jpg")
    now = rotate(three.inbox, False)
    three.once()
    assert told(three, "a.jpg") == left
    for name in ("b.jpg", "c.jpg"):
        assert told(three, name) == (before[now[name]], [], [])
    swap(three.inbox, True)
    three.once()
    assert told(three, "b.jpg") == left
    assert told(three, "a.jpg") == (before["c.jpg"], [], [])


def test_keywords_of_the_users_stay_beside_their_name(three):
    three.once()
    before = {name: told(three, name)[0] for name in ("a.jpg", "b.jpg")}
    sidecar = three.inbox / "a.jpg.xmp"
    text = sidecar.read_text()
    sidecar.write_text(text.replace("<rdf:li>", "<rdf:li>Rex</rdf:li><rdf:li>", 1))
    three.once()
    assert told(three, "a.jpg") == (before["a.jpg"], ["Rex"], [])
    swap(three.inbox, False)
    three.once()
    assert told(three, "a.jpg") == (before["b.jpg"], ["Rex"], [])
    assert told(three, "b.jpg") == (before["a.jpg"], [], [])
    three.run("untag", "--all")
    assert words_left(three) == {b"Rex"}


@pytest.mark.parametrize("target", ["sidecar-xmp", "sidecar-json", "embed"])
def test_without_an_index_a_swap_is_seen_by_what_the_files_say(target, three):
    three.configure(write={"target": target})
    three.once()
    before = {name: told(three, name)[0] for name in ("a.jpg", "b.jpg")}
    shutil.rmtree(three.state)
    swap(three.inbox, False)
    three.once()
    assert told(three, "a.jpg") == (before["b.jpg"], [], [])
    assert told(three, "b.jpg") == (before["a.jpg"], [], [])
    three.run("untag", "--all")
    assert words_left(three) == set()


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_without_provenance_the_journal_knows(target, three):
    three.configure(write={"target": target, "provenance": False})
    three.once()
    before = {name: told(three, name)[0] for name in ("a.jpg", "b.jpg", "c.jpg")}
    now = rotate(three.inbox, False)
    three.once()
    for name, was in now.items():
        assert told(three, name) == (before[was], [], []), name
    three.run("untag", "--all")
    assert words_left(three) == set()


def test_another_photo_in_the_place_of_one_gets_none_of_its_tags(three, scenes):
    three.once()
    before = {name: told(three, name)[0] for name in ("a.jpg", "b.jpg", "c.jpg")}
    three.run("untag", "--label", before["a.jpg"][0], str(three.inbox / "a.jpg"))
    left = told(three, "a.jpg")
    os.rename(three.inbox / "a.jpg", three.inbox / "d.jpg")
    shutil.copy2(scenes[3], three.inbox / "a.jpg")
    three.once()
    assert told(three, "d.jpg") == left
    ours, yours, _ = told(three, "a.jpg")
    assert yours == [] and ours


def test_a_series_is_renumbered_while_the_daemon_runs(three):
    three.once()
    before = {name: told(three, name)[0] for name in ("a.jpg", "b.jpg", "c.jpg")}
    three.start()
    wait_until(lambda: three.heartbeat().get("state") == "running", 60)
    now = renumber(three.inbox, False)
    expected = {name: (before[was], [], []) for name, was in now.items()}

    def followed():
        try:
            return {name: told(three, name) for name in now} == expected
        except AssertionError:
            return False  # the row of a photo that was renamed is not there for a moment

    wait_until(followed, 60)


@pytest.mark.parametrize("target", TARGETS)
def test_a_folder_named_by_another_path_keeps_its_photos_and_our_tags_can_be_taken_out(
    target, three
):
    """The config names what a link leads to, and no longer the link."""
    three.configure(write={"target": target})
    link = three.folder / "link"
    link.symlink_to(three.inbox)
    untouched = {path.name: path.read_bytes() for path in three.inbox.iterdir()}
    three.configure(watch=[{"path": str(link)}])
    three.once()
    before = three.json("show", str(link / "a.jpg"))["tags"]
    (label,) = {one["label"] for one in before} - {one["label"] for one in before[1:]}
    three.run("untag", "--label", label, str(link / "a.jpg"))
    left = three.json("show", str(link / "a.jpg"))["tags"]
    assert label not in {one["label"] for one in left}
    three.configure(watch=[{"path": str(three.inbox)}])
    assert three.once() == [], "nothing is read or written again"
    assert three.run("query", "--count") == "3\n"
    assert three.json("show", str(three.inbox / "a.jpg"))["tags"] == left
    three.run("untag", "--all")
    now = {path.name: path.read_bytes() for path in three.inbox.glob("[abc]*")}
    assert now == untouched
