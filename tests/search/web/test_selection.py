"""Selecting pictures, and what is done with them."""

from __future__ import annotations

import zipfile

from playwright.sync_api import Page, expect

from tests.search.conftest import in_browser, names

pytestmark = in_browser


def check(page: Page, place: int, *modifiers: str) -> None:
    tile = page.locator(f"#grid .tile[data-place='{place}']")
    tile.hover()
    tile.locator(".check").click(modifiers=list(modifiers))  # type: ignore[arg-type]


def test_a_zip_of_the_selected(page: Page) -> None:
    shown = names(page)
    check(page, 1)
    check(page, 4, "Shift")
    expect(page.locator("#selection output")).to_have_text("4 selected")
    check(page, 2)
    expect(page.locator("#selection output")).to_have_text("3 selected")
    expect(page.locator(".tile[aria-selected=true]")).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ZIP").click()
    assert download.value.suggested_filename == "pictures.zip"
    with zipfile.ZipFile(download.value.path()) as opened:
        assert opened.testzip() is None
        assert sorted(opened.namelist()) == sorted(shown[place].rpartition("/")[2] for place in (1, 3, 4))
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#selection")).to_be_hidden()


def test_a_refused_zip_says_why(page: Page) -> None:
    page.route("**/zip?*", lambda route: route.fulfill(status=422, json={"detail": "Choose fewer."}))
    check(page, 0)
    page.get_by_role("button", name="Download ZIP").click()
    expect(page.locator("#selection p")).to_have_text("Choose fewer.")


def test_names_are_copied(page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    check(page, 0)
    check(page, 1)
    page.get_by_role("button", name="Copy names").click()
    expect(page.locator("#selection p")).to_have_text("Copied, one name a line")
    assert page.evaluate("navigator.clipboard.readText()").split("\n") == names(page)[:2]


def test_selecting_with_keys(page: Page) -> None:
    page.locator("#query").press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#grid .tile[data-place='0']")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#selection output")).to_have_text("3 selected")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Selected")).to_be_visible()
    page.keyboard.press("x")
    page.keyboard.press("Escape")
    expect(page.locator("#selection output")).to_have_text("2 selected")
    page.keyboard.press("Escape")
    expect(page.locator("#selection")).to_be_hidden()
    expect(page.locator(".tile[aria-selected=true]")).to_have_count(0)


def test_a_selection_survives_a_search(page: Page) -> None:
    check(page, 0)
    page.locator("#query").fill("a star")
    expect(page.locator("#status")).to_contain_text("ms")
    expect(page.locator("#selection output")).to_have_text("1 selected")
