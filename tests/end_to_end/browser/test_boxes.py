"""The boxes of the detector, drawn over a photo where the things are."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, expect

from tests.conftest import PROJECT, wait_until
from tests.end_to_end.browser.conftest import Site
from tests.support.detectors import output_of, save_network
from tests.support.pictures import BLUE, GREEN
from tests.support.street import SIZE, THINGS, Box, street

SHOTS = Path(os.environ.get("TAGGER_SCREENSHOTS") or PROJECT / "build" / "screenshots")
"""The README's picture of a photo comes from there."""

ROTATED = 6
"""EXIF's orientation of a phone held upright: shown turned by 90 degrees clockwise."""


@pytest.fixture(scope="module")
def rotated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo that is shown upright, its left upper quarter blue, and is stored turned."""
    upright = Image.new("RGB", (600, 800), GREEN)
    upright.paste(BLUE, (0, 0, 300, 400))
    exif = Image.Exif()
    exif[0x0112] = ROTATED
    path = tmp_path_factory.mktemp("rotated") / "rotated.jpg"
    upright.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif, quality=95)
    return path


@pytest.fixture(scope="module")
def boxed(
    make_site: Callable[..., Site], tmp_path_factory: pytest.TempPathFactory, rotated: Path
) -> Site:
    """A page whose detector sees a person in the left upper quarter, if that is blue.

    Of its 64 pixels a photo of 3 by 4 fills 48 by 64.
    """
    network = tmp_path_factory.mktemp("detector") / "blue.onnx"
    save_network(network, output_of([((12.0, 16.0), (24.0, 32.0), 0, 1.0, 0.99)]))
    site = make_site(
        lambda inbox: (inbox / "rotated.jpg").write_bytes(rotated.read_bytes()), detector=network
    )
    wait_until(lambda: site.ask("/api/v1/count?q=people:1")["count"] == 1, 60)
    return site


def colour_at(page_shot: bytes, x: float, y: float) -> tuple[int, ...]:
    with Image.open(io.BytesIO(page_shot)) as shot:
        return shot.convert("RGB").getpixel((round(x), round(y)))


def covers_the_left_upper_quarter(box: Locator, picture: Locator) -> bool:
    """Whether a box is drawn around the left upper quarter of a picture, within 2 pixels."""
    drawn, shown = box.bounding_box(), picture.bounding_box()
    assert drawn is not None and shown is not None
    wanted = (shown["x"], shown["y"], shown["width"] / 2, shown["height"] / 2)
    found = (drawn["x"], drawn["y"], drawn["width"], drawn["height"])
    return all(abs(a - b) <= 3 for a, b in zip(found, wanted, strict=True))


def test_a_box_is_drawn_where_the_thing_is_on_a_rotated_photo(open_page, boxed: Site):
    [photo] = boxed.ask("/api/v1/photos?q=people:1")["photos"]
    page = open_page(f"/photos/{photo['id']}", at=boxed)
    box, view = page.locator(".boxes rect"), page.locator("#view")
    expect(box).to_have_count(1)
    wait_until(lambda: view.evaluate("image => image.complete && image.naturalWidth > 0"), 20)
    assert covers_the_left_upper_quarter(box, view)
    shown = view.bounding_box()
    assert shown["height"] > shown["width"], "it is shown upright"
    inside = colour_at(page.screenshot(), shown["x"] + 20, shown["y"] + 20)
    assert inside[2] > 150 > inside[1], f"the box is around what is blue, not {inside}"
    assert "person" in box.locator("title").text_content()
    page.get_by_role("checkbox", name="Boxes").uncheck()
    expect(page.locator("svg.boxes")).to_be_hidden()


def test_boxes_are_drawn_over_a_picture_that_is_dropped(open_page, boxed: Site, rotated: Path):
    page = open_page("/", at=boxed)
    page.set_input_files("#file", rotated)
    box = page.locator("#results .boxes rect")
    expect(box).to_have_count(1, timeout=30_000)
    view = page.locator("#results .preview").first.bounding_box()
    drawn = box.bounding_box()
    # The preview is the middle of the picture, cut to its place: the box begins at the left.
    assert abs(drawn["x"] - view["x"]) <= 3
    assert abs(drawn["width"] - view["width"] / 2) <= 4
    page.locator("#results").get_by_role("checkbox", name="Boxes").uncheck()
    expect(page.locator("#results svg.boxes")).to_be_hidden()


@pytest.fixture(scope="module")
def crossing(make_site: Callable[..., Site], shared: Path) -> Site:
    """A page whose detector is YOLOX-Nano itself, with a street."""
    site = make_site(
        lambda inbox: street().save(inbox / "crossing.jpg", quality=92),
        detector=shared / "models" / "yolox_nano.onnx",
    )
    wait_until(lambda: site.ask("/api/v1/count?q=%22stop+sign%22")["count"] == 1, 60)
    return site


def overlap(one: Box, other: Box) -> float:
    """Return the intersection of two boxes over their union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both)


def test_what_the_detector_finds_on_a_street_has_boxes_around_it(open_page, crossing: Site):
    [photo] = crossing.ask("/api/v1/photos")["photos"]
    page = open_page(f"/photos/{photo['id']}", at=crossing, viewport={"width": 1100, "height": 560})
    view, boxes = page.locator("#view"), page.locator(".boxes rect")
    expect(boxes).to_have_count(len(THINGS))
    assert view.evaluate("image => image.decode().then(() => image.naturalWidth > 0)")
    shown = view.bounding_box()
    assert shown is not None
    scale = SIZE[0] / shown["width"]
    for box in boxes.all():
        drawn = box.bounding_box()
        assert drawn is not None
        left, top = (drawn["x"] - shown["x"]) * scale, (drawn["y"] - shown["y"]) * scale
        found = (left, top, left + drawn["width"] * scale, top + drawn["height"] * scale)
        label = (box.locator("title").text_content() or "").rpartition(" ")[0].rpartition(" ")[0]
        assert overlap(found, THINGS[label]) > 0.7, label
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "boxes.png")  # the facts, with the path, are below it
