"""The page that says what is in a picture, as somebody uses it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.end_to_end.browser.conftest import Seen


def results(page: Page) -> Locator:
    return page.locator("#results > li")


def drop(page: Page, *paths: Path) -> None:
    """Drag files from outside the browser onto its window, and let them go there."""
    box = page.locator("#upload").bounding_box()
    assert box is not None
    where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    client = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        client.send("Input.dispatchDragEvent", {"type": kind, **where, "data": data})
        if kind == "dragOver":
            expect(page.locator("#upload")).to_have_class("drop over")


def read(result: Locator) -> list[tuple[str, float]]:
    """Return what the bars of one result say."""
    bars = result.locator(".bars li")
    expect(bars).to_have_count(3)
    said = []
    for bar in bars.all():
        percent = float(bar.locator(".percent").inner_text().removesuffix(" %"))
        filled = float(bar.locator("progress").get_attribute("value") or "nan")
        assert filled == percent
        said.append((bar.locator(".label").inner_text(), percent))
    return said


def test_a_dropped_picture_is_shown_with_three_bars_and_the_time(open_page, scenes: list[Path]):
    page = open_page("/")
    scene = next(path for path in scenes if path.stem == "seaside")
    drop(page, scene)
    expect(page.locator("#upload")).not_to_have_class("over")
    [result] = [results(page).first]
    said = read(result)
    assert said[0][0] == "beach 海滩"
    assert said[0][1] > 50
    assert said[0][1] >= said[1][1] >= said[2][1]
    expect(result.locator(".time")).to_contain_text(" ms: ")
    expect(result.locator(".tag")).to_have_text(["beach", "coast", "landscape"])
    expect(result.locator(".name")).to_have_text(scene.name)
    preview = result.locator("img")
    with Image.open(scene) as image:
        assert preview.evaluate("image => image.naturalWidth") == image.width
    result.get_by_text("Why").click()
    expect(result.locator(".why li").first).to_contain_text("the most specific that is sure")
    expect(page.locator("#progress")).to_have_text("1 of 1 picture looked at")


def test_several_at_once_each_get_their_own_result(open_page, scenes: list[Path]):
    page = open_page("/")
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").click(position={"x": 20, "y": 20})
    assert chooser.value.is_multiple()
    chooser.value.set_files(scenes)
    expect(page.locator("#progress")).to_have_text(
        f"{len(scenes)} of {len(scenes)} pictures looked at"
    )
    expect(page.locator("#bar-of-all")).to_be_hidden()
    assert results(page).count() == len(scenes)
    firsts = {
        result.locator(".name").inner_text(): read(result)[0][0].split()[0]
        for result in results(page).all()
    }
    assert set(firsts) == {scene.name for scene in scenes}
    assert len(set(firsts.values())) == len(scenes)


def test_a_picture_from_the_clipboard(open_page, tmp_path: Path, scenes: list[Path]):
    page = open_page("/", permissions=["clipboard-read", "clipboard-write"])
    with Image.open(scenes[0]) as image:
        image.convert("RGB").save(tmp_path / "copied.png")
    page.evaluate(
        """async (data) => {
            const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
            const blob = new Blob([bytes], {type: "image/png"});
            await navigator.clipboard.write([new ClipboardItem({"image/png": blob})]);
        }""",
        base64.b64encode((tmp_path / "copied.png").read_bytes()).decode(),
    )
    page.keyboard.press("Control+V")
    assert read(results(page).first)[0][1] > 50


def test_what_is_no_picture_is_told_and_the_next_one_is_looked_at(
    open_page: Callable[..., Page], seen: Seen, tmp_path: Path, scenes: list[Path]
):
    seen.allowed = {415}
    page = open_page("/")
    wrong = tmp_path / "letter.jpg"
    wrong.write_text("Dear Sir or Madam")
    drop(page, wrong, scenes[0])
    expect(page.locator("#progress")).to_have_text("2 of 2 pictures looked at")
    good, bad = results(page).all()  # the newest first
    read(good)
    expect(bad.locator(".mistake")).to_contain_text("no picture")
    expect(bad.locator(".mistake")).to_contain_text("send a JPEG, PNG")
    expect(bad.locator(".bars")).to_be_hidden()
    expect(bad.locator(".preview")).to_be_hidden()


def test_a_picture_that_is_too_large_is_not_even_sent(open_page, tmp_path: Path):
    page = open_page("/")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(40_000_000)
    page.set_input_files("#file", large)
    expect(results(page).locator(".mistake")).to_have_text(
        "Larger than 32 MB: choose a smaller picture"
    )
    assert "POST" not in sent


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_kinds_that_the_browser_may_not_show(open_page, tmp_path: Path, scenes: list[Path], kind):
    import pillow_heif

    pillow_heif.register_heif_opener()
    path = tmp_path / f"phone.{'heic' if kind == 'HEIF' else 'avif'}"
    with Image.open(scenes[0]) as image:
        image.convert("RGB").save(path, kind)
    page = open_page("/")
    page.set_input_files("#file", path)
    result = results(page).first
    assert read(result)[0][1] > 50
    if kind == "HEIF":
        expect(result.locator(".kind")).to_have_text("HEIC")
    else:
        expect(result.locator("img")).to_be_visible()


def test_with_the_keyboard_alone(open_page, scenes: list[Path]):
    page = open_page("/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    assert (
        page.locator("#upload").evaluate("form => getComputedStyle(form).outlineStyle") == "solid"
    )
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(scenes[0])
    expect(results(page).locator(".time")).to_be_visible()
    page.keyboard.press("Tab")
    expect(results(page).locator("summary")).to_be_focused()
    page.keyboard.press("Enter")
    expect(results(page).locator(".why")).to_be_visible()
