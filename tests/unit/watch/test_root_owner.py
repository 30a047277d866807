"""Which of several taggers writes into a folder, on one machine and on several."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tagger.watch.root_identity import MARKER, read_marker, write_marker
from tagger.watch.root_owner import RootOwners, read_writer

HERE, THERE = "a" * 16, "b" * 16


@pytest.fixture
def make(tmp_path: Path):
    def make(name: str, machine: str = HERE) -> RootOwners:
        (tmp_path / name).mkdir(exist_ok=True)
        return RootOwners(str(tmp_path / name), machine)

    return make


@pytest.fixture
def root(tmp_path: Path) -> str:
    folder = tmp_path / "photos"
    folder.mkdir()
    assert write_marker(str(folder))
    return str(folder)


@pytest.mark.parametrize("machine", [HERE, THERE, "-"])
def test_the_first_that_comes_writes(machine, make, root: str) -> None:
    marker = read_marker(root)
    assert make("one").claim(root) == ""
    line = Path(root, MARKER).read_text()
    second = make("two", machine)
    assert "another tagger" in second.claim(root)
    assert "tagger take-over" in second.foreign(root, root)
    assert Path(root, MARKER).read_text() == line
    assert second.claim(root, take_over=True) == ""
    assert "another tagger" in make("one").claim(root)
    assert read_marker(root) == marker, "the folder is still known"


def test_restored_on_another_machine(make, root: str, tmp_path: Path) -> None:
    assert make("one").claim(root) == ""
    moved = make("one", THERE)
    assert "another machine" in moved.claim(root) and "take-over" in moved.claim(root)
    assert moved.claim(root, take_over=True) == ""
    assert "another machine" in make("one", HERE).claim(root)


def test_state_lost_moved_and_copied_on_one_machine(make, root: str, tmp_path: Path) -> None:
    assert make("one").claim(root) == ""
    shutil.rmtree(tmp_path / "one")
    assert make("one").claim(root) == ""
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    assert "another tagger" in make("copy").claim(root)
    os.rename(tmp_path / "one", tmp_path / "moved")
    assert make("moved").claim(root) == ""


def test_a_container_made_anew_with_its_state_goes_on(make, root: str, monkeypatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "3f2a")
    assert make("one", "-").claim(root) == ""
    monkeypatch.setattr("socket.gethostname", lambda: "99bc")
    assert make("one", "-").claim(root) == ""


def test_the_nearest_marker_upwards_decides(make, root: str) -> None:
    inner = os.path.join(root, "a", "b")
    os.makedirs(inner)
    one, two = make("one"), make("two", THERE)
    assert one.claim(root) == ""
    assert write_marker(inner)
    assert "another tagger" in two.claim(inner)
    assert read_writer(inner) is None
    assert two.claim(inner, take_over=True) == ""
    assert one.claim(root) == "" and one.foreign(os.path.join(root, "a"), root) == ""
    assert "another tagger" in one.foreign(inner, root)


def test_folders_that_cannot_be_marked_are_nobodys(make, tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    assert make("one").claim(str(folder)) == make("two").claim(str(folder)) == ""
    (folder / MARKER).symlink_to(tmp_path / "elsewhere")
    assert make("one").claim(str(folder), take_over=True) == ""
    assert not (tmp_path / "elsewhere").exists()
