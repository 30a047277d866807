"""A photo that another program renames keeps its tags; nothing is taken for deleted or doubled.

digiKam renames the photo and, with its sidecars turned on, ``photo.jpg.xmp``; darktable does so and
writes the sidecar anew from its library, with xmpMM:DerivedFrom.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.photo_programs import Darktable, DigiKam, Xmp, stamp

TARGETS = ["sidecar-xmp", "embed"]


@pytest.fixture
def tagged(home: Any, scenes: list[Path]) -> Callable[[str], Path]:
    """Return a function that has one photo tagged."""

    def make(target: str) -> Path:
        home.configure(write={"target": target})
        photo = home.inbox / "a.jpg"
        shutil.copy2(scenes[0], photo)
        home.once()
        return Path(photo)

    return make


def moved(photo: Path, *suffixes: str) -> Path:
    new = photo.with_name("b.jpg")
    for suffix in ("", *suffixes):
        if os.path.exists(f"{photo}{suffix}"):
            os.rename(f"{photo}{suffix}", f"{new}{suffix}")
    return new


def tags_in(shown: dict[str, Any], source: str) -> list[str]:
    return sorted("/".join(tag["path"]) for tag in shown["tags"] if tag["source"] == source)


def seen(home: Any, photo: Path, before: dict[str, Any]) -> dict[str, Any]:
    """Return what tagger says of the photo at its new name; it writes nothing more."""
    home.once()
    shown: dict[str, Any] = home.json("show", str(photo))
    assert tags_in(shown, "model") == tags_in(before, "model")
    assert shown["removed_by_you"] == []
    known = {str(path): path.read_bytes() for path in home.inbox.iterdir()}
    assert home.once() == []
    left = {str(path): path.read_bytes() for path in home.inbox.iterdir()}
    assert left == known
    assert {Path(path).name for path in known} <= {"b.jpg", "b.jpg.xmp", ".tagger-root"}
    for file in (photo, Path(f"{photo}.xmp")):
        for name in ("dc:subject", "lr:hierarchicalSubject", "digiKam:TagsList"):
            values = Xmp(file).values(name) if file.exists() else []
            assert len(values) == len(set(values))
    return shown


@pytest.mark.parametrize("looks", [True, False])
@pytest.mark.parametrize("target", TARGETS)
def test_digikam_renames_photo_and_sidecar(target: str, looks: bool, home, tagged) -> None:
    """Whether or not tagger looks between its edit and the renaming."""
    photo = tagged(target)
    before = home.json("show", str(photo))
    file = photo if target == "embed" else Path(f"{photo}.xmp")
    program = DigiKam()
    program.import_(file)
    program.tags.append("Rex")
    program.write(file)
    if looks:
        home.once()
    shown = seen(home, moved(photo, ".xmp"), before)
    assert (tags_in(shown, "user"), shown["overwritten"]) == (["Rex"], [])


def test_digikam_as_installed_renames_the_photo_alone(home, tagged) -> None:
    photo = tagged("sidecar-xmp")
    before = home.json("show", str(photo))
    shown = seen(home, moved(photo), before)
    assert (tags_in(shown, "user"), shown["overwritten"]) == ([], [])


@pytest.mark.parametrize(
    ("target", "knows"), [("sidecar-xmp", True), ("sidecar-xmp", False), ("embed", False)]
)
def test_darktable_renames_and_writes_the_sidecar_anew(
    knows: bool, target: str, home, tagged
) -> None:
    photo = tagged(target)
    before = home.json("show", str(photo))
    sidecar = Path(f"{photo}.xmp")
    program = Darktable(stamp(photo.stat().st_mtime + (1e6 if knows else 1)), ["Rex"])
    if knows:
        program.import_(sidecar if sidecar.exists() else photo)
        program.tags.append("Rex")
    program.write(sidecar, rating=3)
    home.once()
    new = moved(photo, ".xmp")
    program.write(Path(f"{new}.xmp"), rating=3)
    said = Xmp(Path(f"{new}.xmp"))
    said.say("xmpMM:DerivedFrom", new.name)
    said.save()
    shown = seen(home, new, before)
    assert tags_in(shown, "user") == ["Rex"]
    assert bool(shown["overwritten"]) is (not knows)


def test_darktable_renames_what_it_does_not_know_in_one_go(home, tagged) -> None:
    """The first thing that it ever writes is the sidecar at the new name."""
    photo = tagged("sidecar-xmp")
    before = home.json("show", str(photo))
    new = moved(photo, ".xmp")
    Darktable(stamp(new.stat().st_mtime + 1)).write(Path(f"{new}.xmp"))
    shown = seen(home, new, before)
    assert sorted(shown["overwritten"]) == sorted(tag["label"] for tag in before["tags"])
