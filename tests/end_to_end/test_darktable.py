"""The real darktable imports photos that tagger tagged: our tags are there, and all as before."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import piexif
import pytest
from PIL import Image

from tests.support import jpegs, packets

NUMBERED = ("creator", "publisher", "title", "description", "rights")
"""What darktable's table meta_data calls 0, 1, 2 and so on."""
STARS = 7
"""The bits of ``images.flags`` that are the rating."""
EXIF = {
    "0th": {
        piexif.ImageIFD.Rating: 3,
        piexif.ImageIFD.ImageDescription: b"An evening",
        piexif.ImageIFD.Artist: b"Ann",
        piexif.ImageIFD.Copyright: b"Ann 2024",
    },
    "GPS": {
        piexif.GPSIFD.GPSLatitudeRef: b"N",
        piexif.GPSIFD.GPSLatitude: ((51, 1), (30, 1), (0, 1)),
        piexif.GPSIFD.GPSLongitudeRef: b"E",
        piexif.GPSIFD.GPSLongitude: ((7, 1), (15, 1), (0, 1)),
    },
}


BEACHES = ("seaside.jpg", "xmp.jpg", "flat.jpg", "exif.jpg", "iptc.jpg", "sidecar.jpg")


@pytest.fixture(autouse=True)
def _needs_darktable():
    if shutil.which("darktable-cli") is None:
        assert not os.environ.get("TAGGER_CI"), "darktable must be installed for this test"
        pytest.skip("needs darktable-cli (Debian's package darktable)")


@dataclass
class Shown:
    """What darktable's library holds of one photo."""

    rating: int
    place: tuple[float | None, float | None]
    texts: dict[str, str] = field(default_factory=dict)
    labels: set[int] = field(default_factory=set)
    tags: set[str] = field(default_factory=set)


def imported(photos: Path, work: Path) -> dict[str, Shown]:
    """Have darktable import a copy of a folder into a new library; return what that holds.

    Its tags are without those that darktable gives by itself.
    """
    shutil.copytree(photos, work / "photos")
    words = ["darktable-cli", str(work / "photos"), str(work / "small.jpg")]
    words += ["--width", "16", "--height", "16", "--core"]
    words += ["--configdir", str(work / "config"), "--cachedir", str(work / "cache")]
    words += ["--library", str(work / "library.db"), "--conf", "plugins/opencl=FALSE"]
    done = subprocess.run(
        words,
        capture_output=True,
        check=False,
        text=True,
        timeout=300,
        env=os.environ | {"HOME": str(work)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    library = sqlite3.connect(work / "library.db")
    library.execute("ATTACH ? AS data", [str(work / "config" / "data.db")])
    rows = library.execute(
        "SELECT images.id, filename, images.flags, latitude, longitude, data.tags.name FROM images"
        " LEFT JOIN tagged_images ON imgid = images.id"
        " LEFT JOIN data.tags ON data.tags.id = tagid AND data.tags.name NOT LIKE 'darktable|%'"
    ).fetchall()
    found: dict[str, Shown] = {}
    for number, name, flags, latitude, longitude, tag in rows:
        one = found.setdefault(name, Shown(flags & STARS, (latitude, longitude)))
        if tag is not None:
            one.tags.add(tag)
        texts = library.execute("SELECT key, value FROM meta_data WHERE id = ?", [number])
        one.texts = {NUMBERED[key]: value for key, value in texts if key < len(NUMBERED)}
        colours = library.execute("SELECT color FROM color_labels WHERE imgid = ?", [number])
        one.labels = {colour for (colour,) in colours}
    library.close()
    return found


@pytest.fixture
def inbox(home, scenes):
    """Return the inbox with photos that have keywords and ratings in different places."""
    by_name = {scene.stem: scene for scene in scenes}
    plain = io.BytesIO()
    with Image.open(by_name["seaside"]) as scene:
        scene.save(plain, "JPEG", quality=95)  # without the EXIF block that it has
    for path in scenes:
        shutil.copy(path, home.inbox)
    added = {
        "xmp.jpg": jpegs.xmp(packets.LIGHTROOM),
        "flat.jpg": jpegs.xmp(packets.with_keywords("holiday")),
        "exif.jpg": jpegs.segment(0xE1, piexif.dump(EXIF)),
        "iptc.jpg": jpegs.photoshop(jpegs.iim("Rex")),
        "sidecar.jpg": jpegs.xmp(packets.rated()),
    }
    for name, segment in added.items():
        (home.inbox / name).write_bytes(jpegs.put(plain.getvalue(), segment))
    (home.inbox / "sidecar.jpg.xmp").write_bytes(packets.DARKTABLE)
    return home.inbox


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_our_tags_are_added_to_what_darktable_showed_before(home, inbox, tmp_path, target):
    home.configure(write={"target": target})
    before = imported(inbox, tmp_path / "before")
    assert len(before) == len([path for path in inbox.iterdir() if path.suffix != ".xmp"])
    assert (before["xmp.jpg"].rating, before["exif.jpg"].rating) == (4, 3)
    assert before["xmp.jpg"].texts["title"] == "Sea & sun"
    assert before["sidecar.jpg"].tags == {"nature|sea"}

    home.once()
    after = imported(inbox, tmp_path / "after")
    assert after.keys() == before.keys()
    for name in after:
        tags = home.json("show", str(inbox / name))["tags"]
        paths = {"|".join(tag["path"]) for tag in tags}
        yours = {"|".join(tag["path"]) for tag in tags if tag["source"] == "user"}
        leaves = {one for one in paths if not any(o.startswith(f"{one}|") for o in paths)}
        assert before[name].tags <= yours, name
        # It reads flat keywords only where there are no hierarchical ones: ours repeat them.
        assert after[name].tags == before[name].tags | leaves, name
        if name in BEACHES:
            assert "landscape|coast|beach" in after[name].tags
        # EXIF's ImageDescription, which darktable passes over, reaches it by a sidecar.
        assert before[name].texts.items() <= after[name].texts.items(), name
        assert {*after[name].texts} - {*before[name].texts} <= {"description"}, name
        for kind in ("rating", "place", "labels"):
            assert getattr(after[name], kind) == getattr(before[name], kind), name
