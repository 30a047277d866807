"""Copies side by side, and the choice which of them to keep."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.conftest import wait_until
from tests.end_to_end.browser.conftest import Seen
from tests.end_to_end.test_duplicates import picture


@pytest.fixture(scope="module")
def copies(make_site):
    """Return a daemon with two pictures, one of them in two sizes and formats."""

    def fill(inbox):
        picture(1).save(inbox / "beach.jpg", quality=92)
        picture(1).resize((400, 300)).save(inbox / "beach small.png")
        picture(2).save(inbox / "forest.jpg", quality=92)

    site = make_site(fill)
    wait_until(lambda: site.ask("/api/v1/duplicates")["count"] == 1, 60)
    return site


def test_copies_are_side_by_side_with_what_differs(open_page, copies):
    page = open_page("/", at=copies)
    page.get_by_role("link", name="Duplicates").click()
    expect(page.get_by_role("heading", name="Duplicates")).to_be_visible()
    shown = page.locator(".copies li")
    expect(shown).to_have_count(2)
    expect(shown.nth(0)).to_contain_text("beach.jpg")
    expect(shown.nth(0)).to_contain_text("The best one")
    expect(shown.nth(1)).to_contain_text("400 × 300")
    expect(shown.nth(1).locator("dd.differs").first).to_contain_text("400 × 300")
    assert (
        shown.nth(1)
        .locator("img")
        .evaluate("image => image.decode().then(() => image.naturalWidth > 0)")
    )


def test_another_is_chosen_and_stays_chosen(open_page, copies, seen: Seen):
    page = open_page("/duplicates", at=copies)
    page.get_by_role("button", name="Keep this one, beach small.png").click()
    expect(page.get_by_role("status")).to_contain_text("beach small.png is the one to keep")
    first = page.locator(".copies li").first
    expect(first).to_contain_text("beach small.png")
    expect(first).to_contain_text("You keep this one")
    page.reload()
    expect(page.locator(".copies li").first).to_contain_text("beach small.png")
    [group] = copies.ask("/api/v1/duplicates")["groups"]
    assert group["chosen"] and group["photos"][0]["path"].endswith("beach small.png")
    page.get_by_role("button", name="Keep this one, beach.jpg").click()
    expect(page.locator(".copies li").first).to_contain_text("beach.jpg")


def test_the_page_shuts_nobody_out(open_page, copies, axe: str):
    page = open_page("/duplicates", at=copies)
    page.evaluate(axe)
    found = page.evaluate("axe.run().then(result => result.violations.map(one => one.id))")
    assert found == []


def test_where_there_are_none_it_says_so(open_page, locked_site, site):
    page = open_page("/duplicates", at=site)
    expect(page.get_by_role("heading", name="Duplicates")).to_be_visible()
