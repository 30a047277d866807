"""What a file says it is: always found, written as a tag only where the config says so."""

from __future__ import annotations

import shutil
from pathlib import Path

from PIL import Image

from tagger.records import PHOTO_KINDS
from tests.conftest import Home
from tests.support.kind_files import FILES


def test_every_kind_is_found_by_its_name(home: Home, scenes: list[Path]) -> None:
    photos: dict[str, set[str]] = {kind: set() for kind in PHOTO_KINDS}
    with Image.open(scenes[0]) as scene:
        for number, (kind, suffix, make) in enumerate(FILES.values()):
            photo = home.inbox / f"{number}.{suffix}"
            photo.write_bytes(make(scene.convert("RGB")))
            photos[kind].add(str(photo))
    assert all(photos.values()), "a kind without a file"
    shutil.copyfile(scenes[0], home.inbox / f"plain{scenes[0].suffix}")
    home.once()
    for kind, paths in photos.items():
        assert set(home.run("query", f'kind:"{kind}"').splitlines()) == paths, kind


def test_a_screenshot_is_tagged_as_one_only_if_asked(home: Home, scenes: list[Path]) -> None:
    photo = home.inbox / "Screenshot_20240501-101112.jpg"
    shutil.copyfile(scenes[0], photo)
    beside = Path(f"{photo}.xmp")
    home.once()
    shown = home.json("show", str(photo))
    assert shown["kinds"] == ["screenshot"]
    assert "screenshot" not in [tag["label"] for tag in shown["tags"]]
    assert b"screenshot" not in beside.read_bytes().replace(photo.name.encode(), b"").lower()
    assert home.run("query", "kind:screenshot").splitlines() == [str(photo)]

    home.configure(labels={"kinds": True})
    home.once()
    tags = home.json("show", str(photo))["tags"]
    assert "screenshot" in [tag["label"] for tag in tags if tag["source"] == "model"]
    assert b"<rdf:li>screenshot</rdf:li>" in beside.read_bytes()

    home.configure(labels={"kinds": False})
    home.once()
    assert b"<rdf:li>screenshot</rdf:li>" not in beside.read_bytes()
