"""Folders that let some things be done and others not: their photos are found all the same."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Home
from tests.end_to_end.test_shares import needs
from tests.support import packets

MARK = ".tagger-root"
TARGETS = ("sidecar-xmp", "sidecar-json", "embed")
fuse = pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="no FUSE here")
Mount = Callable[..., Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Return a function that mounts a folder which refuses what bindfs is told to."""
    places: list[Path] = []

    def mounted(*options: str) -> Path:
        real, place = tmp_path / f"real{len(places)}", tmp_path / f"odd{len(places)}"
        real.mkdir()
        place.mkdir()
        subprocess.run(["bindfs", *options, real, place], check=True)
        places.append(place)
        return place

    yield mounted
    for place in places:
        subprocess.run(["fusermount3", "-u", "-z", place], check=False)


@pytest.fixture
def chattr() -> Iterator[Callable[[str, Path], None]]:
    set_: list[tuple[str, Path]] = []

    def change(flag: str, path: Path) -> None:
        done = subprocess.run(["chattr", f"+{flag}", path], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("this file system has no such flags")
        set_.append((flag, path))

    yield change
    for flag, path in set_:
        subprocess.run(["chattr", f"-{flag}", path], check=True)


def left(folder: Path) -> list[str]:
    return [n for n in os.listdir(folder) if n.startswith(".tagger-") and n != MARK]


def tag(home: Home, folder: Path, target: str, scene: Path) -> Path:
    """Let a photo in an odd folder, and one in a sound folder, be tagged twice."""
    photo = folder / "odd.jpg"
    if not photo.exists():
        shutil.copyfile(scene, photo)
    shutil.copyfile(scene, home.inbox / "good.jpg")
    home.configure(
        watch=[{"path": str(home.inbox)}, {"path": str(folder)}], write={"target": target}
    )
    home.once()
    home.run("retry", "--all")
    home.once()
    found = home.run("query", "is:tagged").splitlines()
    assert sorted(found) == sorted(map(str, (photo, home.inbox / "good.jpg"))), home.err
    assert home.json("show", str(home.inbox / "good.jpg"))["written"]
    return photo


def doctor(home: Home, folder: Path) -> str:
    """Return what ``tagger doctor`` says of a folder."""
    command = [sys.executable, "-m", "tagger", "--config", home.config, "doctor"]
    done = subprocess.run(command, capture_output=True, check=False, env=home.environ(), text=True)
    return next(line for line in done.stdout.splitlines() if f"folder {folder}" in line)


@needs("bindfs", "fusermount3")
@fuse
@pytest.mark.parametrize(
    ("options", "target"),
    [*(("--chmod-deny --chown-deny", target) for target in TARGETS), ("--xattr-none", "embed")],
)
def test_what_is_not_needed_is_done_without(
    options: str, target: str, home: Home, scenes: list[Path], mount: Mount
) -> None:
    folder = mount(*options.split())
    photo = tag(home, folder, target, scenes[0])
    assert home.json("show", str(photo))["written"]
    assert left(folder) == []


@needs("bindfs", "fusermount3")
@fuse
@pytest.mark.parametrize(
    ("deny", "target"),
    [
        ("rename", "embed"),
        ("delete", "sidecar-xmp"),
        ("rename delete", "sidecar-json"),
        ("rename delete", "embed"),
    ],
)
def test_where_nothing_is_renamed_or_deleted_no_litter_grows(
    deny: str, target: str, home: Home, scenes: list[Path], mount: Mount
) -> None:
    folder = mount(*(f"--{one}-deny" for one in deny.split()))
    photo = tag(home, folder, target, scenes[0])
    assert len(left(folder)) <= ("delete" in deny)
    says = doctor(home, folder)
    assert "warning" in says and deny.split(maxsplit=1)[0] in says
    if deny == "rename delete":
        assert photo.read_bytes() == scenes[0].read_bytes()


@needs("chattr")
@pytest.mark.parametrize(
    ("flag", "what", "target"),
    [
        ("i", "photo", "embed"),
        ("a", "photo", "embed"),
        ("a", "folder", "sidecar-xmp"),
        ("a", "folder", "embed"),
    ],
)
def test_immutable_and_append_only(
    flag: str,
    what: str,
    target: str,
    home: Home,
    scenes: list[Path],
    chattr: Callable[[str, Path], None],
) -> None:
    folder = home.folder / "odd"
    folder.mkdir()
    shutil.copyfile(scenes[0], folder / "odd.jpg")
    chattr(flag, folder / "odd.jpg" if what == "photo" else folder)
    photo = tag(home, folder, target, scenes[0])
    assert left(folder) == []
    assert photo.read_bytes() == scenes[0].read_bytes()
    # A sidecar is made beside it all the same; in an append-only folder, too.
    assert home.json("show", str(photo))["written"]


@needs("chattr")
@pytest.mark.parametrize(
    ("flag", "target", "name"),
    [("i", "sidecar-xmp", "odd.jpg.xmp"), ("a", "sidecar-json", "odd.jpg.tags.json")],
)
def test_a_sidecar_that_cannot_be_replaced(
    target: str,
    name: str,
    flag: str,
    home: Home,
    scenes: list[Path],
    chattr: Callable[[str, Path], None],
) -> None:
    folder = home.folder / "odd"
    folder.mkdir()
    sidecar = folder / name
    sidecar.write_bytes(b'{"version": 1}' if name.endswith(".json") else packets.DARKTABLE)
    before = sidecar.read_bytes()
    chattr(flag, sidecar)
    photo = tag(home, folder, target, scenes[0])
    assert left(folder) == [] and sidecar.read_bytes() == before
    assert "chattr" in home.json("show", str(photo))["note"]
