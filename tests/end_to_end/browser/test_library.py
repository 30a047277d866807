"""The library, as somebody goes through it: searched, scrolled, corrected, and kept true."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.conftest import wait_until
from tests.end_to_end.browser.conftest import PASSWORD, Seen, Site, commented

PAGE = 60


def photos(page: Page) -> Locator:
    return page.locator("#photos > li")


def is_shown(image: Locator) -> bool:
    """Whether a picture has come."""
    return bool(image.evaluate("image => image.decode().then(() => image.naturalWidth > 0)"))


def first(site: Site, query: str) -> dict[str, Any]:
    """Return the newest photo that ``query`` finds."""
    found: dict[str, Any] = site.ask(f"/api/v1/photos?limit=1&q={query}")["photos"][0]
    return found


def test_a_search_with_what_is_suggested(open_page, site: Site):
    page = open_page("/library")
    box = page.get_by_role("combobox", name="Search")
    box.click()
    page.keyboard.type("mount")
    expect(page.get_by_role("option", name="mountain", exact=True)).to_be_visible()
    page.keyboard.press("ArrowDown")
    expect(page.locator("[role=option][aria-selected=true]")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#suggestions")).to_be_hidden()
    expect(box).to_have_value(re.compile("^mountain"))
    page.keyboard.type("in:holiday")
    page.keyboard.press("Enter")
    page.wait_for_url("**/library?q=mountain*")
    count = site.ask("/api/v1/count?q=mountain+in:holiday")["count"]
    assert 0 < count < PAGE
    expect(page.locator("#found")).to_have_text(f"{count} photos")
    expect(photos(page)).to_have_count(count)
    expect(photos(page).locator(".caption").filter(has_text="mountain")).to_have_count(count)
    assert is_shown(photos(page).locator("img").first)


def test_a_search_that_is_a_mistake_says_what_to_write(open_page, seen: Seen):
    seen.allowed = {400}
    page = open_page("/library")
    page.locator("#q").fill("taken:yesterdayish")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("yesterdayish")
    expect(page.locator("#q")).to_have_value("taken:yesterdayish")
    expect(page.locator("#q")).to_have_attribute("aria-invalid", "true")


def test_scrolling_loads_what_is_further_down(open_page, site: Site):
    count = site.ask("/api/v1/count")["count"]
    page = open_page("/library")
    expect(photos(page)).to_have_count(PAGE)
    for _ in range(20):
        page.mouse.wheel(0, 6000)
        page.wait_for_timeout(50)
        if photos(page).count() >= count:
            break
    expect(photos(page)).to_have_count(count)
    expect(page.locator("#more")).to_have_count(0)
    ids = photos(page).evaluate_all("items => items.map((item) => item.dataset.id)")
    assert len(set(ids)) == count
    last = photos(page).last.locator("img")
    last.scroll_into_view_if_needed()
    assert is_shown(last)


def test_a_tag_is_removed_from_the_photo_s_sidecar_and_one_is_added(open_page, site: Site):
    page = open_page("/library?q=lemon")
    photo = first(site, "lemon")
    sidecar = Path(photo["path"] + ".xmp")
    assert "<rdf:li>lemon</rdf:li>" in sidecar.read_text()
    original = Path(photo["path"]).read_bytes()
    photos(page).locator(f"a[href='/photos/{photo['id']}']").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(Path(photo["path"]).name)
    assert is_shown(page.locator("#view"))
    expect(page.locator("tr[data-tag=lemon]")).to_contain_text("food › fruit › lemon")

    page.get_by_role("button", name="Remove lemon", exact=True).click()
    expect(page.locator("#said")).to_have_text("lemon is removed, and is not given again")
    expect(page.locator("tr[data-tag=lemon]")).to_have_count(0)
    expect(page.locator("#removed")).to_contain_text("lemon")
    text = sidecar.read_text()
    assert "lemon" not in text
    assert "<rdf:li>fruit</rdf:li>" in text

    page.get_by_label("Add a keyword").fill("Grandma's kitchen")
    page.keyboard.press("Enter")
    expect(page.locator("tr[data-source=user]")).to_contain_text("Grandma's kitchen")
    assert "<rdf:li>Grandma's kitchen</rdf:li>" in sidecar.read_text()
    assert first(site, "%22Grandma's%20kitchen%22")["id"] == photo["id"]
    assert Path(photo["path"]).read_bytes() == original
    page.reload()
    expect(page.locator("tr[data-tag=lemon]")).to_have_count(0)
    expect(page.locator("tr[data-source=user]")).to_have_count(1)


def test_a_photo_put_into_the_inbox_appears_by_itself(open_page, site: Site, scenes: list[Path]):
    page = open_page("/library")
    # A stream that was refused is asked for again after 25 s.
    expect(page.locator("#live")).to_contain_text("Up to date", timeout=40_000)
    page.evaluate("window.stays = true")
    before = site.ask("/api/v1/count")["count"]
    scene = next(path for path in scenes if path.stem == "strawberries")
    part = site.home.inbox / ".just.part"
    part.write_bytes(commented(scene.read_bytes(), "just arrived"))
    part.rename(site.home.inbox / "just arrived.jpg")
    arrived = photos(page).first
    expect(arrived.locator("img")).to_have_attribute("alt", "just arrived.jpg")
    expect(arrived.locator(".caption")).to_contain_text("strawberry")
    expect(page.locator("#found")).to_have_text(f"{before + 1} photos")
    assert is_shown(arrived.locator("img"))
    assert page.evaluate("window.stays") is True


def test_a_picture_that_was_looked_at_is_kept(open_page, site: Site, scenes: list[Path]):
    page = open_page("/")
    page.set_input_files("#file", scenes[0])
    result = page.locator("#results > li").first
    result.get_by_role("button", name="Keep it in inbox").click()
    said = result.locator(".keep [role=status]")
    expect(said).to_contain_text("Kept as ")
    path = site.home.inbox / said.inner_text().removeprefix("Kept as ")
    assert path.parent == site.home.inbox
    assert path.read_bytes() == scenes[0].read_bytes()
    expect(result.get_by_role("button")).to_have_count(0)
    wait_until((path.parent / f"{path.name}.xmp").exists)


def test_a_failure_is_told_while_it_happens_and_tried_again(
    open_page, site: Site, scenes: list[Path]
):
    page = open_page("/failures")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(1)
    expect(page.locator("#live")).to_contain_text("Up to date", timeout=40_000)
    torn = site.home.inbox / "torn.jpg"
    torn.write_bytes(scenes[0].read_bytes()[:700])
    expect(rows).to_have_count(2)
    row = rows.filter(has_text="torn.jpg")
    expect(row).to_contain_text("damaged or truncated")
    row.get_by_role("button").click()
    expect(page.locator("#said")).to_have_text("torn.jpg is tried again")
    shutil.copyfile(scenes[0], torn)
    expect(rows).to_have_count(1)


def test_labels_lead_to_their_photos(open_page, site: Site):
    page = open_page("/labels")
    entry = page.locator("#tree [data-label=mountain]")
    count = int(entry.locator(".count").first.inner_text())
    entry.get_by_role("link").first.click()
    expect(page.locator("#found")).to_have_text(f"{count} photos")


def test_a_page_with_a_password_shows_nothing_without(open_page, locked_site: Site, seen: Seen):
    seen.allowed = {401}
    page = open_page("/library", at=locked_site)
    expect(page.get_by_role("heading")).to_have_text("Log in")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type("password1234")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the password")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading")).to_have_text("Library")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("heading")).to_have_text("Log in")
    page.goto("/library")
    expect(page.get_by_role("heading")).to_have_text("Log in")
