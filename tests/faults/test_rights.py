"""Links lead nowhere, and what is private stays so."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.conftest import Home
from tests.faults.conftest import WITHOUT_OVERRIDE


def test_links_are_never_followed_out_of_a_root(home: Home, scenes: list[Path]) -> None:
    outside = home.folder / "outside"
    outside.mkdir()
    for name in ("secret.jpg", "other.jpg"):
        shutil.copyfile(scenes[0], outside / name)
    (home.inbox / "linked.jpg").symlink_to(outside / "secret.jpg")
    (home.inbox / "folder").symlink_to(outside)
    (home.inbox / "deep").mkdir()
    (home.inbox / "deep" / "up").symlink_to("../..")
    shutil.copyfile(scenes[1], home.inbox / "own.jpg")
    home.once()
    assert home.run("query").splitlines() == [str(home.inbox / "own.jpg")]
    assert sorted(os.listdir(outside)) == ["other.jpg", "secret.jpg"]


def test_sidecars_are_never_written_through_a_link(home: Home, scenes: list[Path]) -> None:
    treasure = home.folder / "treasure.xmp"
    treasure.write_bytes(b"mine")
    for name, scene in (("a.jpg", scenes[0]), ("b.jpg", scenes[1])):
        shutil.copyfile(scene, home.inbox / name)
    (home.inbox / "a.jpg.xmp").symlink_to(treasure)
    (home.inbox / "b.xmp").symlink_to(home.folder / "not there yet.xmp")
    home.configure(write={"target": "sidecar-xmp"})
    home.once()
    assert treasure.read_bytes() == b"mine"
    assert not (home.folder / "not there yet.xmp").exists()
    assert (home.inbox / "a.jpg.xmp").is_symlink() and (home.inbox / "b.xmp").is_symlink()
    # They are found all the same: the index has their tags.
    assert home.run("query", "--count") == "2\n"


def test_a_folder_that_becomes_a_link_is_not_followed(home: Home, scenes: list[Path]) -> None:
    inner, away = home.inbox / "inner", home.folder / "away"
    inner.mkdir()
    shutil.copyfile(scenes[0], inner / "a.jpg")
    home.once()
    inner.rename(away)
    inner.symlink_to(away)
    (away / "a.jpg.xmp").unlink()
    home.run("retry", "--all")
    home.once()
    assert not (away / "a.jpg.xmp").exists()


def test_a_folder_that_becomes_a_link_while_it_is_watched(
    home: Home, scenes: list[Path], eventually: Callable[..., Any]
) -> None:
    inner, away = home.inbox / "inner", home.folder / "away"
    inner.mkdir()
    shutil.copyfile(scenes[0], inner / "a.jpg")
    home.start()
    eventually((inner / "a.jpg.xmp").exists, 60)
    eventually(lambda: home.run("query", "--count") == "1\n", 10)
    inner.rename(away)
    inner.symlink_to(away)
    (away / "a.jpg.xmp").unlink()
    home.run("scan", str(inner / "a.jpg"))
    shutil.copyfile(scenes[1], home.inbox / "b.jpg")
    eventually((home.inbox / "b.jpg.xmp").exists, 20)
    time.sleep(2)
    home.run("untag", str(inner / "a.jpg"), code=2)
    assert "link" in home.err
    assert os.listdir(away) == ["a.jpg"]


def test_a_photo_that_may_be_read_later_is_tagged_then(
    home: Home, scenes: list[Path], eventually: Callable[..., Any]
) -> None:
    photo, sidecar = home.inbox / "a.jpg", home.inbox / "a.jpg.xmp"
    shutil.copyfile(scenes[0], photo)
    photo.chmod(0)
    home.within = WITHOUT_OVERRIDE
    home.start()
    eventually(lambda: home.heartbeat().get("model"), 60)
    eventually(lambda: "PhotoForbiddenError" in home.run("failures", "--json"), 60)
    photo.chmod(0o600)
    home.run("scan", str(photo))
    eventually(sidecar.exists, 20)


def test_the_state_directory_is_private(home: Home) -> None:
    home.configure(model={"weights": None, "download": False})
    before = os.umask(0o022)
    try:
        home.run_process("run", "--once", code=2)  # it has no weights
    finally:
        os.umask(before)
    # 0700, or 0750 for a group that may ask.
    assert home.state.stat().st_mode & 0o027 == 0, oct(home.state.stat().st_mode)


def test_what_is_in_photos_is_not_logged(home: Home, scenes: list[Path]) -> None:
    from tests.support import jpegs, packets

    photo = home.inbox / "a.jpg"
    photo.write_bytes(jpegs.put(scenes[0].read_bytes(), jpegs.xmp(packets.LIGHTROOM)))
    home.once()
    assert home.json("show", str(photo))["tags"]
    for word in ("Anna", "Rügen", "sea", "gps", "latitude"):
        assert f'"{word}"' not in home.err
