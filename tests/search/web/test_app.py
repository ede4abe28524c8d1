"""The page as a whole: everybody can use it, on every screen."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.search.conftest import in_browser, show_all_results

pytestmark = in_browser


def complaints(page: Page) -> list[tuple[str, Any]]:
    """What axe-core finds that keeps people from using the page."""
    found = Axe().run(page).response["violations"]
    return [
        (one["id"], [(node["html"], node["failureSummary"]) for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "colours"), [("desktop", "light"), ("phone", "dark")])
def test_accessibility(page: Page, width: str, colours: Any) -> None:
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")
    page.locator("#query").press("ArrowDown")
    page.keyboard.press("Space")
    expect(page.locator("#selection")).to_be_visible()
    assert complaints(page) == []
    page.locator("#filters summary").click()
    assert complaints(page) == []
    page.locator("#filters summary").click()
    page.locator("#query").fill("a red star")
    expect(page.locator("#status")).to_contain_text("ms")
    show_all_results(page)
    assert complaints(page) == []
    page.locator("#grid .tile[data-place='0']").click()
    expect(page.locator("#viewer")).to_be_visible()
    assert complaints(page) == []
    page.keyboard.press("Escape")
    page.locator("#left-out").click()
    assert complaints(page) == []


def test_less_motion(page: Page) -> None:
    tile = page.locator("#grid .tile img").first
    assert tile.evaluate("one => getComputedStyle(one).transitionDuration") != "0s"
    page.emulate_media(reduced_motion="reduce")
    assert tile.evaluate("one => getComputedStyle(one).transitionDuration") == "0s"
