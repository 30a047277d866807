"""What a file says it is: always found, written as a tag only where the config says so."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.conftest import Home


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
