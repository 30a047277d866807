"""Sidecars of ours go with a photo that was deleted elsewhere, unless anybody changed them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tagger.metadata.options import WriteOptions
from tagger.metadata.orphans import remove_sidecars
from tests.support import jpegs, packets
from tests.support.metadata_tools import EMBED, JSON, SIDECAR, Tagger, left_behind


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    return path


def removed(tagger: Tagger) -> list[str]:
    folder = str(tagger.path.parent)
    found = [*remove_sidecars(str(tagger.path), folder, tagger.journal)]
    assert [error for _, error in found if error is not None] == []
    return [os.path.basename(file) for file, _ in found]


@pytest.mark.parametrize(("options", "name"), [(SIDECAR, "a.jpg.xmp"), (JSON, "a.jpg.tags.json")])
def test_ours_goes_with_the_photo(options: WriteOptions, name: str, photo: Path) -> None:
    tagger = Tagger(photo, options)
    tagger.write()
    assert removed(tagger) == []  # the photo is there
    photo.unlink()
    assert removed(tagger) == [name]
    assert os.listdir(photo.parent) == []
    assert removed(tagger) == []


@pytest.mark.parametrize("before", [b"", packets.DARKTABLE])
def test_one_that_anybody_changed_stays(before: bytes, photo: Path) -> None:
    sidecar = photo.with_name("a.jpg.xmp")
    if before:
        sidecar.write_bytes(before)
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    if not before:
        sidecar.write_bytes(sidecar.read_bytes() + b"\n")
    left = sidecar.read_bytes()
    photo.unlink()
    assert removed(tagger) == []
    assert sidecar.read_bytes() == left


def test_nothing_but_sidecars_of_this_photo(photo: Path) -> None:
    tagger = Tagger(photo, EMBED)
    tagger.write()
    photo.rename(photo.with_name("b.jpg"))
    assert removed(tagger) == []
    assert os.listdir(photo.parent) == ["b.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may delete anywhere")
def test_a_folder_that_refuses(photo: Path) -> None:
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    photo.unlink()
    photo.parent.chmod(0o555)
    try:
        ((file, error),) = remove_sidecars(str(photo), str(photo.parent), tagger.journal)
    finally:
        photo.parent.chmod(0o755)
    assert error is not None
    assert os.listdir(photo.parent) == [os.path.basename(file)]
    assert left_behind(photo.parent) == []
