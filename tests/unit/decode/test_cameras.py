"""Files of real cameras and phones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tagger.decode.opening import decode
from tagger.records import CropSpec


def test_every_file_decodes(shared: Path) -> None:
    """Odd EXIF blocks, MakerNotes and all; "broken" in their names is only metadata."""
    files = sorted((shared / "photos" / "cameras").iterdir())
    assert len(files) == 20
    for path in files:
        photo = decode(str(path), CropSpec(), more=True)
        assert photo.crop.std() > 1, path.name
        assert photo.facts.width and photo.facts.height, path.name


@pytest.mark.parametrize(
    "name",
    [
        *("landscape_3.jpg", "landscape_6.jpg", "landscape_8.jpg", "portrait_5.jpg"),
        *("iphone_hdr_YES.jpg", "jolla.jpg", "Arbitro.tiff", "DSCN0010.jpg"),
        "iphone_13_pro_max.HEIC",
    ],
)
def test_they_are_the_right_way_up(shared: Path, name: str) -> None:
    """Compared with a full decode, turned by Pillow's own code and scaled at leisure."""
    path = shared / "photos" / "cameras" / name
    ours = decode(str(path), CropSpec()).crop
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image).convert("RGB")
    scale = 256 / min(upright.size)
    size = (int(upright.width * scale), int(upright.height * scale))
    left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
    small = upright.resize(size, Image.Resampling.BILINEAR)
    plain = np.asarray(small.crop((left, top, left + 224, top + 224)))
    close = np.abs(ours.astype(int) - plain.astype(int)).mean()
    other = np.abs(ours[::-1, ::-1].astype(int) - plain.astype(int)).mean()
    # The HEIC's own thumbnail is used, which is coarser.
    assert close < (12 if name.endswith("HEIC") else 4)
    assert other > 2 * close


@pytest.mark.parametrize(
    ("name", "taken_at", "camera", "place", "size"),
    [
        (
            "DSCN0010.jpg",
            "2008-10-22T16:28:39",
            "NIKON COOLPIX P6000",
            (43.4674483, 11.8851267),
            (640, 480),
        ),
        (
            "iphone_13_pro_max.HEIC",
            "2022-02-16T12:55:41",
            "Apple iPhone 13 Pro Max",
            (None, None),
            (3024, 4032),
        ),
        (
            "iphone_hdr_YES.jpg",
            "2015-04-10T20:12:23",
            "Apple iPhone 6",
            (40.4469722, -3.7247528),
            (3264, 2448),
        ),
        ("landscape_6.jpg", None, None, (None, None), (600, 450)),
    ],
)
def test_what_they_say(
    shared: Path,
    name: str,
    taken_at: str | None,
    camera: str | None,
    place: tuple[float | None, float | None],
    size: tuple[int, int],
) -> None:
    facts = decode(str(shared / "photos" / "cameras" / name), CropSpec()).facts
    assert (facts.taken_at, facts.camera) == (taken_at, camera)
    assert (facts.latitude, facts.longitude) == place
    assert (facts.width, facts.height) == size
