"""The README's pictures: the moving one plays in every browser, and shows nobody's own folders."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from PIL import Image

from tests.conftest import PROJECT
from tools.cast import COLUMNS, PLACE, Shown, svg
from tools.screenshots import PICTURES

SVG = "{http://www.w3.org/2000/svg}"


def texts(root: ET.Element) -> list[str]:
    return ["".join(one.itertext()).rstrip("\n") for one in root.iter(f"{SVG}text")]


def test_the_moving_picture_shows_the_demo_and_queries():
    root = ET.parse(PLACE).getroot()
    shown = texts(root)
    for command in ("tagger demo", "tagger query --explain 'landscape not beach'"):
        assert command in shown
    assert any("seaside.jpg: landscape > coast > beach" in line for line in shown)
    paths = [word for line in shown for word in line.split() if word.startswith("/")]
    assert paths and all(path.startswith("/tmp/tagger-demo") for path in paths)
    assert max(map(len, shown)) <= COLUMNS
    lasts = {one.get("dur") for one in root.iter() if one.get("dur")}
    assert len(lasts) == 1, "all goes round together"


def test_lines_appear_when_they_were_printed_and_scroll():
    lines = [Shown(0.5, "a <command>", typed=True), *(Shown(n, f"line {n}") for n in range(1, 40))]
    root = ET.fromstring(svg(lines))
    assert texts(root)[1] == "a <command>" and texts(root)[-1] == "line 39"
    (move,) = root.iter(f"{SVG}animateTransform")
    times = [float(one) for one in move.get("keyTimes").split(";")]
    assert times == sorted(times) and times[0] == 0 and times[-1] < 1
    (group,) = (one for one in root.iter(f"{SVG}g") if one.get("transform"))
    assert group.get("transform") == f"translate({move.get('values').split(';')[-1]})", (
        "one that does not move shows the end"
    )


@pytest.mark.parametrize("name", PICTURES.values())
def test_a_picture_of_the_page_is_there_and_light(name):
    with Image.open(PROJECT / "docs" / name) as picture:
        assert picture.width >= 800
        corner = picture.convert("RGB").getpixel((2, picture.height - 2))
    assert min(corner) > 200, "the light page"
    assert (PROJECT / "docs" / name).stat().st_size < 250_000
