"""The page without a mouse."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.search.conftest import SCREENSHOTS, in_browser, show_all_results

pytestmark = in_browser


def test_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type("two stars")
    page.wait_for_url("**/?q=two+stars*")
    expect(page.locator("#grid")).to_have_attribute("aria-busy", "false")
    show_all_results(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    second = page.locator("#grid .tile[data-place='1']")
    expect(second).to_be_focused()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    expect(viewer).to_be_visible()
    expect(viewer.locator(".file")).to_have_text(second.get_attribute("data-name") or "?")
    viewer.locator("img").evaluate("one => one.decode()")
    page.screenshot(path=SCREENSHOTS / "viewer.png")
    page.keyboard.press("ArrowRight")
    third = page.locator("#grid .tile[data-place='2']").get_attribute("data-name") or "?"
    expect(viewer.locator(".file")).to_have_text(third)
    page.keyboard.press("s")
    expect(viewer).to_be_hidden()
    expect(page.locator("#grid .tile[data-place='0']")).to_have_attribute("data-name", third)
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text("90 pictures")


def test_up_from_the_first_row_is_the_search(page: Page) -> None:
    page.locator("#query").press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#grid .tile[data-place='0']")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(page.locator("#query")).to_be_focused()


def test_one_stop_of_the_tab_key(page: Page) -> None:
    expect(page.locator("#grid .tile[tabindex='0']")).to_have_count(1)
    page.locator("#query").press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#grid .tile[tabindex='0']")).to_have_attribute("data-place", "1")


def test_list_of_keys(page: Page) -> None:
    page.locator("#query").press("ArrowDown")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_be_hidden()
    expect(page.locator("#grid .tile[data-place='0']")).to_be_focused()
