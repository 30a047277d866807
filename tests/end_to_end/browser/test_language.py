"""The page in the browser's language, what its scripts say too; and longer words fit as well."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.browser.conftest import PHOTOS, Site

SAID = {
    "de-AT": ("de", "75 Fotos", "1 Foto ausgewählt", "Auf dem neuesten Stand, 1 fehlgeschlagen"),
    "fr-FR": ("fr", "75 photos", "1 photo sélectionnée", "À jour, 1 en échec"),
    "es-MX": ("es", "75 fotos", "1 foto seleccionada", "Al día, 1 con fallo"),
    "zh-CN": ("zh", "75 张照片", "已选择 1 张照片", "已是最新，1 张失败"),
    "ja-JP": ("ja", "写真 75 枚", "写真 1 枚を選択", "最新です。失敗 1 枚"),
    "en-GB": ("en", "75 photos", "1 photo selected", "Up to date, 1 failed"),
    "pl-PL": ("en", "75 photos", "1 photo selected", "Up to date, 1 failed"),
}
PAGES = ("/", "/library", "/duplicates", "/labels", "/taught", "/failures")


@pytest.mark.parametrize("locale", SAID)
def test_the_page_and_its_scripts_speak_the_browsers_language(
    locale: str, open_page: Callable[..., Page], site: Site
):
    language, count, selected, live = SAID[locale]
    page = open_page("/library", locale=locale)
    assert page.evaluate("document.documentElement.lang") == language
    expect(page.locator("#found")).to_have_text(count)
    assert str(PHOTOS) in count
    expect(page.locator("#live")).to_have_text(live)
    page.locator("#select").click()
    page.locator("#photos li").first.click()
    expect(page.locator("#chosen")).to_have_text(selected)


@pytest.mark.parametrize("locale", ["de-DE", "fr-FR", "ja-JP"])
def test_words_of_other_lengths_fit_on_a_phone(
    locale: str, open_page: Callable[..., Page], site: Site
):
    page = open_page("/", locale=locale, viewport={"width": 320, "height": 640})
    [photo] = site.ask("/api/v1/photos?limit=1")["photos"]
    for path in (*PAGES, f"/photos/{photo['id']}"):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
