"""What updates of the index do and leave out, on the page."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.search.conftest import in_browser

pytestmark = in_browser


def test_left_out_files(page: Page) -> None:
    page.get_by_role("button", name="2 files left out: show why").click()
    dialog = page.get_by_role("dialog", name="Left out")
    expect(dialog.locator("h3")).to_have_text(["Cannot be read", "Types that are not read"])
    expect(dialog.locator("li").last).to_have_text("1 × MOV")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_progress_of_an_update(page: Page) -> None:
    """A running update, and then a commit of another version: the timeline is counted again."""
    state = {"version": "1", "pictures": 91, "done": 30, "total": 120, "types": {}, "skipped": {}, "refused": {}}
    page.route("**/update", lambda route: route.fulfill(json={**state, "running": True}))
    page.reload()
    expect(page.locator("#working")).to_have_text("Indexing 30 of 120")
    expect(page.get_by_label("Indexing")).to_have_attribute("value", "30")
    page.unroute("**/update")
    expect(page.locator("#working")).to_be_hidden()
    expect(page.locator("#status")).to_have_text("90 pictures")
