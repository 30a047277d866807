"""A watched folder that is reached by a link is the same folder by either path."""

from __future__ import annotations

import contextlib
import os
import threading
import unicodedata
from pathlib import Path

import pytest

from tagger.index.store import Store
from tagger.records import Tag
from tagger.system.known_paths import known_folders, known_path
from tests.unit.cli.conftest import saved


@pytest.fixture(scope="session")
def demo_weights():
    """No weights: nothing is classified here."""


@pytest.fixture(params=["the config has the link", "the config has the disk"])
def both(home, request):
    """Return a home, the inbox as the config has it, and as it is reached otherwise."""
    disk, link = home.folder / "disk/pics", home.folder / "Pictures"
    (disk / "sub").mkdir(parents=True)
    link.symlink_to(disk)
    (disk / "linked").symlink_to("sub")
    root, other = (link, disk) if "link" in request.param else (disk, link)
    home.configure(watch=[{"path": str(root)}])
    rows = []
    for number, name in enumerate(("dog.jpg", "sub/cat.jpg")):
        (root / name).write_bytes(b"photo %d" % number)
        rows.append(saved(root, root / name, number, [Tag("dog", 0.9, ("animal", "dog"))]))
    with Store(str(home.state)) as store:
        store.save(rows)
    return home, root, other


def test_queries_find_a_folder_by_either_path(both) -> None:
    home, root, other = both
    every = [str(root / "dog.jpg"), str(root / "sub/cat.jpg")]
    ways = [root, other, f"{other}/", f"{other}/sub/..", home.folder / "disk", home.folder]
    for way in ways:
        assert sorted(home.run("query", "--in", str(way)).split()) == every
        assert sorted(home.run("query", f'in:"{way}"').split()) == every
    for way in (root / "sub", other / "sub", root / "linked", other / "linked"):
        assert home.run("query", "--in", str(way)).split() == every[1:]
        assert home.run("query", f'not in:"{way}"').split() == every[:1]
    assert home.run("query", "--in", str(home.folder / "elsewhere")) == ""


def test_commands_run_in_a_folder_that_was_entered_by_a_link(both) -> None:
    home, root, other = both
    for way in (root, other):
        with contextlib.chdir(way):
            assert len(home.json("query", "--in", ".")) == 2
            assert home.json("show", "dog.jpg")["path"] == str(root / "dog.jpg")
        with contextlib.chdir(way / "linked"):
            assert home.json("show", "cat.jpg")["path"] == str(root / "sub/cat.jpg")
            assert home.json("show", "../dog.jpg")["path"] == str(root / "dog.jpg")


def test_every_command_that_takes_a_photo_takes_it_by_either_path(both) -> None:
    home, root, other = both
    dog = str(other / "dog.jpg")
    (home.folder / "album.jpg").symlink_to(root / "dog.jpg")
    for way in (dog, str(home.folder / "album.jpg")):
        assert home.json("show", way)["path"] == str(root / "dog.jpg")
        assert home.json("untag", "--dry-run", way)[0]["path"] == str(root / "dog.jpg")
        assert str(root / "dog.jpg") in home.run("restore", way)
        assert "1 photo" in home.run("retry", way)
    assert f"{root}: 0 photo(s)" in home.run("prune", str(other))


def test_a_folder_that_holds_watched_ones_by_links_only(tmp_path: Path) -> None:
    (tmp_path / "disk/a/inner").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home/A").symlink_to(tmp_path / "disk/a")
    (tmp_path / "home/I").symlink_to(tmp_path / "disk/a/inner")
    outer, inner = str(tmp_path / "home/A"), str(tmp_path / "home/I")
    roots = [outer, inner]
    assert set(known_folders(str(tmp_path / "disk"), roots)) == {
        str(tmp_path / "disk"),
        outer,
        inner,
    }
    # The innermost is the one that watches it.
    assert known_path(str(tmp_path / "disk/a/inner/x.jpg"), roots) == f"{inner}/x.jpg"
    assert known_path(str(tmp_path / "disk/a/x.jpg"), roots) == f"{outer}/x.jpg"
    assert known_path(str(tmp_path / "disk/b.jpg"), roots) == str(tmp_path / "disk/b.jpg")
    assert known_path("/x/y", ["/"]) == "/x/y"


def test_a_path_stays_as_it_is_when_its_disk_does_not_answer(monkeypatch, tmp_path: Path) -> None:
    ended = threading.Event()
    real = os.path.realpath
    monkeypatch.setattr("tagger.system.known_paths.ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(
        "tagger.system.known_paths.os.path.realpath",
        lambda path: ended.wait(60) and path if "away" in path else real(path),
    )
    try:
        assert known_path("/away/x.jpg", ["/away", str(tmp_path)]) == "/away/x.jpg"
        here = str(tmp_path / "x.jpg")
        assert known_path(here, ["/away", str(tmp_path)]) == here
    finally:
        ended.set()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_letters_are_the_same_however_they_are_composed(home, form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    for number, name in enumerate((b"", b"-latin1-\xe9")):
        folder = home.inbox / (unicodedata.normalize(form, "Été à la mer") + os.fsdecode(name))
        folder.mkdir()
        (folder / "x.jpg").write_bytes(b"photo %d" % number)
        tags = [Tag("dog", 0.9, ("animal", "dog"))]
        with Store(str(home.state)) as store:
            store.save([saved(home.inbox, folder / "x.jpg", number, tags)])
    asked = home.inbox / unicodedata.normalize(other, "Été à la mer")
    found = str(home.inbox / unicodedata.normalize(form, "Été à la mer") / "x.jpg") + "\n"
    assert home.run("query", "--in", str(asked)) == found
    assert home.run("query", f'in:"{asked}"') == found
    assert home.run("query", "--count", f'in:"{unicodedata.normalize(other, "été à")}"') == "2\n"
    with_byte = os.fsencode(folder)
    assert home.run("query", "--in", with_byte) == os.fsdecode(with_byte) + "/x.jpg\n"
