"""A word of one's own is taught on the page: photos selected, ten questions answered by keys."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import PROJECT, wait_until
from tests.end_to_end.browser.conftest import Seen, Site

SHOTS = Path(os.environ.get("TAGGER_SCREENSHOTS") or PROJECT / "build" / "screenshots")
"""The pictures of docs/teach.md come from there."""
EACH = 6
SHOWN = """list => Promise.all(Array.from(list.querySelectorAll("img")).filter((image) => {
  const place = image.getBoundingClientRect();
  return place.bottom > 0 && place.top < innerHeight;
}).map((image) => image.decode().catch(() => 0)))"""
"""Waits for the pictures of a list that are in sight."""


@pytest.fixture(scope="module")
def drawn_site(make_site: Callable[..., Site]) -> Site:
    """Return a daemon that has tagged different photos of each scene."""
    from tagger.cli.demo.scenes import SCENES, draw

    def fill(inbox: Path) -> None:
        for scene in SCENES:
            for number in range(EACH):
                picture = draw(scene, 1000 + 37 * number)
                picture.save(inbox / f"{scene.name} {number}.jpg", quality=90)

    made = make_site(fill)
    wait_until(lambda: made.ask("/api/v1/count")["count"] == EACH * len(SCENES), 120)
    return made


def in_sidecar(site: Site, name: str, word: str) -> bool:
    sidecar = site.home.inbox / f"{name}.jpg.xmp"
    return sidecar.exists() and f"<rdf:li>{word}</rdf:li>" in sidecar.read_text()


def select(page: Page, names: list[str]) -> None:
    for name in names:
        page.locator("#photos > li", has=page.get_by_alt_text(f"{name}.jpg")).click()


def test_select_teach_and_answer_ten_questions_by_keyboard(open_page, drawn_site: Site):
    page = open_page("/library", at=drawn_site, viewport={"width": 1100, "height": 800})
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.locator("#photos").evaluate(SHOWN)
    page.screenshot(path=SHOTS / "library.png")
    page.get_by_role("button", name="Select").click()
    expect(page.get_by_role("button", name="Teach", exact=True)).to_be_disabled()
    select(page, ["lemons 0", "lemons 1"])
    select(page, ["mountain 0"])
    select(page, ["mountain 0"])  # not that one
    expect(page.locator("#chosen")).to_have_text("2 photos selected")
    page.get_by_label("These are").fill("Limoni")
    page.get_by_label("under", exact=True).fill("fruit")
    page.screenshot(path=SHOTS / "teach-select.png")
    page.keyboard.press("Enter")
    expect(page.locator("#taught")).to_contain_text("Limoni has 2 examples.")
    wait_until(lambda: in_sidecar(drawn_site, "lemons 0", "Limoni"), 60)

    page.get_by_role("link", name="Answer questions").click()
    asked = page.locator("#asked-photo")
    names = []
    for number in range(10):
        expect(page.locator("#asked")).to_have_text("Is this Limoni?")
        if number:
            expect(page.locator("#answered")).to_contain_text(f"{number} answer")
        name = asked.get_attribute("alt") or ""
        assert name not in names
        names.append(name)
        if number == 3:
            assert asked.evaluate("image => image.decode().then(() => image.naturalWidth > 0)")
            page.screenshot(path=SHOTS / "teach-ask.png")
        page.keyboard.press("s" if number == 8 else "y" if "lemons" in name else "n")
    expect(page.locator("#answered")).to_contain_text("10 answers")
    page.keyboard.press("Escape")
    expect(page.locator("#said")).to_contain_text("10 answers about Limoni")
    row = page.locator("tr[data-label=Limoni]")
    expect(row).to_contain_text("food › fruit › Limoni")

    lemons = [name.removesuffix(".jpg") for name in names if "lemons" in name]
    assert len(lemons) >= 3
    for name in lemons:
        wait_until(functools.partial(in_sidecar, drawn_site, name, "Limoni"), 60)
    assert not any(in_sidecar(drawn_site, f"mountain {n}", "Limoni") for n in range(EACH))
    found = drawn_site.ask("/api/v1/photos?q=Limoni")["photos"]
    assert {one["path"].rpartition("/")[2] for one in found} >= {f"{name}.jpg" for name in lemons}
    labels = drawn_site.ask("/api/v1/labels")["labels"]
    [food] = [tree for tree in labels if tree["label"] == "food"]
    [fruit] = [tree for tree in food["children"] if tree["label"] == "fruit"]
    assert "Limoni" in [tree["label"] for tree in fruit["children"]]

    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Forget Limoni").click()
    expect(page.locator("#said")).to_have_text("Limoni is forgotten.")
    wait_until(lambda: not in_sidecar(drawn_site, "lemons 0", "Limoni"), 60)


def test_keywords_are_offered_and_mistakes_are_told(open_page, drawn_site: Site, seen: Seen):
    seen.allowed = {409}
    for number in range(4):
        [photo] = [
            one
            for one in drawn_site.ask("/api/v1/photos?limit=200")["photos"]
            if one["path"].endswith(f"/balloon {number}.jpg")
        ]
        page = open_page(f"/photos/{photo['id']}", at=drawn_site)
        page.get_by_label("Add a keyword").fill("our flight")
        page.keyboard.press("Enter")
        expect(page.locator("tr[data-source=user]")).to_contain_text("our flight")
    page = open_page("/taught", at=drawn_site)
    page.get_by_role("button", name="See which could be learned").click()
    expect(page.locator("#suggestions li")).to_contain_text("our flight: on 4 photos")
    page.get_by_role("button", name="Teach our flight").click()
    expect(page.locator("#said")).to_contain_text("our flight is learned from 4 photos")
    expect(page.locator("tr[data-label='our flight']")).to_be_visible()

    page = open_page("/library", at=drawn_site)
    page.get_by_role("button", name="Select").click()
    select(page, ["seaside 0"])
    page.get_by_label("These are").fill("dog")
    page.get_by_role("button", name="Teach", exact=True).click()
    expect(page.locator("#taught")).to_contain_text("is a label already")
