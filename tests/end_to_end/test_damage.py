"""A damaged or lost index: no tag is lost, and nothing that the user decided."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import pytest


def tags(home) -> dict[str, list]:
    return {one["path"]: one["tags"] for one in home.json("query")}


@pytest.fixture(params=["sidecar-xmp", "embed", "sidecar-json"])
def library(home, scenes, request):
    """Return a home with tagged photos, one of them with keywords of the user's."""
    home.configure(write={"target": request.param})
    for scene in scenes:
        shutil.copyfile(scene, home.inbox / scene.name)
    home.once()
    assert all(tags(home).values())
    return home


def spoil(home, content: bytes) -> None:
    (home.state / "index.sqlite3").write_bytes(content)


def test_without_any_weights_all_tags_are_found_again(library):
    """From the files alone; classifying them again comes later."""
    before = tags(library)
    spoil(library, b"no database" * 5000)
    library.configure(model={"download": False, "weights": None})
    shutil.rmtree(library.state / "models")
    library.run("run", "--once", code=2)
    after = tags(library)
    assert after.keys() == before.keys()
    for path, found in before.items():
        assert {tuple(t["path"]): t["source"] for t in after[path]} == {
            tuple(t["path"]): t["source"] for t in found
        }
        for one, other in zip(
            sorted(found, key=lambda t: t["path"]),
            sorted(after[path], key=lambda t: t["path"]),
            strict=True,
        ):
            assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-4)


def test_afterwards_all_is_as_before(library):
    before = tags(library)
    files = {path: path.read_bytes() for path in library.inbox.iterdir()}
    spoil(library, b"")
    lines = library.once()
    assert len(lines) == len(before)
    spoil(library, os.urandom(50_000))
    library.once()
    assert tags(library) == before
    assert {path: path.read_bytes() for path in library.inbox.iterdir()} == files
    assert len(list(library.state.glob("index.damaged-*.sqlite3"))) == 1
    assert library.once() == []


def test_what_the_user_took_away_stays_away(home, scenes, eventually):
    """Only predictions are damaged; the decisions are read from the old index."""
    photo = home.inbox / "a.jpg"
    shutil.copyfile(scenes[0], photo)
    home.once()
    label = tags(home)[str(photo)][-1]["label"]
    home.run("untag", "--label", label, str(photo))
    removed = home.json("show", str(photo))["removed_by_you"]
    assert label in removed
    path = Path(home.state / "index.sqlite3")
    db = sqlite3.connect(path)
    [[root]] = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'predictions'")
    db.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    (home.state / "index.checked").unlink(missing_ok=True)
    daemon = home.start()
    eventually(lambda: home.heartbeat().get("notice"))
    eventually(lambda: [line for line in home.logged() if line.get("event") == "photo"])
    assert "built anew" in home.run("status")
    assert label not in [tag["label"] for tag in tags(home)[str(photo)]]
    assert home.json("show", str(photo))["removed_by_you"] == removed
    daemon.terminate()
    assert daemon.wait(10) == 0
