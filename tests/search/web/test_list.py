"""The virtual list, over a hundred thousand made-up pictures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from imtext.search import Bundle
from scripts.page_speed import SMALL, make_up
from tests.search.conftest import in_browser, opened, serving

pytestmark = in_browser
COUNT, MOST_NODES = 100_000, 400


@pytest.fixture(scope="module")
def many(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server over pictures without files."""
    folder = tmp_path_factory.mktemp("many") / "index"
    make_up(folder, bundle, COUNT)
    with serving(folder) as address:
        yield address


@pytest.fixture
def page(browser: Browser, many: str) -> Iterator[Page]:
    with opened(browser, f"{many}/?") as page:
        page.route("**/thumbnails/*", lambda route: route.fulfill(body=SMALL, content_type="image/gif"))
        page.reload()
        expect(page.locator("#status")).to_have_text("100,000 pictures")
        yield page


def nodes(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('#list *').length"))


def test_only_what_is_in_sight_is_there(page: Page) -> None:
    assert nodes(page) < MOST_NODES
    tops = page.locator(".tile").evaluate_all("all => all.map(one => one.getBoundingClientRect().top)")
    side = page.locator(".tile").first.evaluate("one => one.offsetWidth")
    assert page.evaluate("document.documentElement.scrollHeight") > COUNT / tops.count(tops[0]) * side
    assert page.locator(".tile").first.get_attribute("aria-setsize") == str(COUNT)


def test_jump_to_a_year(page: Page) -> None:
    page.get_by_label("Jump to a date").select_option("2010")
    expect(page.locator("#heads h2", has_text="December 2010")).to_be_visible()
    expect(page.locator(".tile[data-name^='48']").first).to_be_visible()
    assert nodes(page) < MOST_NODES
    page.wait_for_url("**/?at=2010-12")
    page.reload()
    expect(page.locator("#heads h2", has_text="December 2010")).to_be_visible()
    page.locator("#rail button", has_text="2021").click()
    expect(page.locator("#heads h2", has_text="December 2021")).to_be_visible()


def test_keys_reach_the_ends(page: Page) -> None:
    page.locator("#query").press("ArrowDown")
    expect(page.locator(".tile:focus")).to_have_attribute("aria-posinset", "1")
    page.keyboard.press("End")
    expect(page.locator(".tile:focus")).to_have_attribute("aria-posinset", str(COUNT))
    expect(page.locator(".tile:focus")).to_have_attribute("data-name", "0.jpg")
    page.keyboard.press("PageUp")
    page.keyboard.press("ArrowUp")
    assert int(page.locator(".tile:focus").get_attribute("aria-posinset") or 0) < COUNT - 10
    page.keyboard.press("Home")
    expect(page.locator(".tile:focus")).to_have_attribute("data-name", f"{COUNT - 1}.jpg")
    assert nodes(page) < MOST_NODES


def test_what_is_scrolled_past_is_not_fetched(page: Page) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/thumbnails/" in request.url or "/pictures?" in request.url:
            asked.append(request.url)

    expect(page.locator(".tile img[src]")).not_to_have_count(0)
    page.on("request", note)
    page.evaluate(
        """async () => {
            for (let step = 1; step <= 60; step++) {
                scrollTo(0, step * 20000);
                await new Promise(requestAnimationFrame);
            }
        }"""
    )
    expect(page.locator(".tile[data-id] img[src]")).not_to_have_count(0)
    page.wait_for_timeout(500)
    pages = [url for url in asked if "/pictures?" in url]
    assert 1 <= len(pages) <= 20, "of 60 places, most were only passed"
    assert len(asked) - len(pages) < 20 * 100
    assert nodes(page) < MOST_NODES


def test_pictures_out_of_sight_are_no_longer_loaded(page: Page) -> None:
    held: list[Route] = []
    cancelled: list[str] = []
    page.unroute("**/thumbnails/*")
    page.route("**/thumbnails/*", lambda route: held.append(route))
    page.on("requestfailed", lambda one: cancelled.append(one.url))
    page.get_by_label("Jump to a date").select_option("2015")
    expect(page.locator(".tile[data-id] img[src]")).not_to_have_count(0)
    page.wait_for_timeout(300)
    page.get_by_label("Jump to a date").select_option("2005")
    page.wait_for_timeout(300)
    assert len(cancelled) > 0


def test_the_window_changes(page: Page) -> None:
    page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_timeout(300)
    rights = page.locator(".tile").evaluate_all("all => all.map(one => one.getBoundingClientRect().right)")
    assert 600 < max(rights) <= 700
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
