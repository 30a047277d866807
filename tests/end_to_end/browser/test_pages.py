"""Every page, light and dark, wide and narrow: nobody is shut out of it, and it fits.

Pictures of them are written into build/screenshots, or the folder that TAGGER_SCREENSHOTS
names, for a person to look at.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import PROJECT
from tests.end_to_end.browser.conftest import Seen, Site

SHOTS = Path(os.environ.get("TAGGER_SCREENSHOTS") or PROJECT / "build" / "screenshots")
WIDE, PHONE, NARROW = (1280, 900), (390, 844), (320, 640)

Opens = Callable[..., Page]


def classify(opens: Opens, scenes: list[Path], _: Site) -> Page:
    return opens("/")


def results(opens: Opens, scenes: list[Path], _: Site) -> Page:
    page = opens("/")
    wrong = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear Sir or Madam"}
    page.set_input_files("#file", wrong)
    page.set_input_files("#file", scenes[:3])
    expect(page.locator("#results > li .time:visible")).to_have_count(3)
    expect(page.locator("#results > li .mistake")).to_have_count(1)
    page.locator("summary:visible").first.click()
    return page


def library(opens: Opens, scenes: list[Path], _: Site) -> Page:
    page = opens("/library")
    expect(page.locator("#photos > li").first).to_be_visible()
    return page


def mistaken_search(opens: Opens, scenes: list[Path], _: Site) -> Page:
    return opens("/library?q=taken:yesterdayish")


def nothing_found(opens: Opens, scenes: list[Path], _: Site) -> Page:
    return opens("/library?q=in:nowhere")


def photo(opens: Opens, scenes: list[Path], site: Site) -> Page:
    number = site.ask("/api/v1/photos?q=mountain&limit=1")["photos"][0]["id"]
    page = opens(f"/photos/{number}")
    for details in page.locator("details").all():
        details.locator("summary").click()
    return page


def labels(opens: Opens, scenes: list[Path], _: Site) -> Page:
    return opens("/labels")


def failures(opens: Opens, scenes: list[Path], _: Site) -> Page:
    return opens("/failures")


def selecting(opens: Opens, scenes: list[Path], _: Site) -> Page:
    page = opens("/library?q=mountain")
    page.get_by_role("button", name="Select").click()
    page.locator("#photos > li").first.click()
    expect(page.locator("#chosen")).to_have_text("1 photo selected")
    return page


def taught(opens: Opens, scenes: list[Path], _: Site) -> Page:
    return opens("/taught")


def not_found(opens: Opens, scenes: list[Path], _: Site) -> Page:
    return opens("/photos/999999")


def login(opens: Opens, scenes: list[Path], locked: Site) -> Page:
    return opens("/library", at=locked)


PAGES = [
    classify, results, library, mistaken_search, nothing_found, photo, labels, failures, not_found,
    login, selecting, taught,
]  # fmt: skip


def faults(page: Page) -> list[str]:
    """Return what axe-core finds serious or critical."""
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    assert len(found["passes"]) > 5
    return [
        f"{fault['impact']} {fault['id']}: {node['html']} {node.get('failureSummary', '')}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


@pytest.mark.parametrize("reach", PAGES, ids=lambda reach: reach.__name__)
def test_a_page_shuts_nobody_out_and_fits(
    reach: Callable[..., Page],
    open_page: Opens,
    site: Site,
    locked_site: Site,
    seen: Seen,
    scenes: list[Path],
    axe: str,
):
    seen.allowed = {400, 401, 404, 415}
    # Colours on their way to others are not what is judged.
    opens = functools.partial(open_page, reduced_motion="reduce")
    page = reach(opens, scenes, locked_site if reach is login else site)
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.evaluate(axe)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for width, height in (WIDE, PHONE, NARROW):
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate("scrollTo(0, 0)")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if width != NARROW[0]:
                whole = reach is not library
                page.screenshot(
                    path=SHOTS / f"{reach.__name__}-{scheme}-{width}.png", full_page=whole
                )
            if width != WIDE[0] and scheme == "dark":
                continue  # colours are what differs
            assert faults(page) == [], (scheme, width)
    assert page.title().endswith("tagger")
    assert page.locator("h1").count() == 1


@pytest.mark.parametrize("reach", [classify, library, labels, failures, photo])
def test_every_control_is_reached_with_the_keyboard_and_seen(
    reach: Callable[..., Page], open_page: Opens, site: Site, scenes: list[Path]
):
    page = reach(open_page, scenes, site)
    page.reload()  # what was clicked is where Tab would go on from
    controls = page.locator(
        "a[href], button:not(:disabled), input:not([type=hidden]), select, summary"
    ).locator("visible=true")
    wanted = min(controls.count(), 12)
    focused: list[str] = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        at = page.locator(":focus")
        focused.append(at.evaluate("one => one.outerHTML.slice(0, 200)"))
        outline = at.evaluate(
            "one => [one, one.closest('form')].some("
            "(it) => it && getComputedStyle(it).outlineStyle === 'solid')"
        )
        assert outline, f"the focus is not seen on {focused[-1]}"
    assert len(set(focused)) == wanted
    assert "Skip to the content" in focused[0]
