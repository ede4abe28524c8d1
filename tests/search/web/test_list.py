"""The virtual list, over a hundred thousand made-up pictures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from imtext.search import Bundle, Index
from imtext.search.facts import Facts
from imtext.search.store import File, Picture
from tests.search.conftest import in_browser, opened, serving

pytestmark = in_browser
COUNT, MOST_NODES = 100_000, 400
PIXEL = b"GIF89a\1\0\1\0\0\0\0;"


@pytest.fixture(scope="module")
def many(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server over pictures without files: one each two hours from 2000 on."""
    index = Index.create(tmp_path_factory.mktemp("many") / "index", bundle)
    vectors = np.random.default_rng(0).standard_normal((COUNT, bundle.embed_dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    contents = [number.to_bytes(16, "big") for number in range(1, COUNT + 1)]
    taken = (datetime(2000, 1, 1) + timedelta(hours=2 * number) for number in range(COUNT))
    index.store.commit(
        (Picture(content, vector) for content, vector in zip(contents, vectors, strict=True)),
        (File(f"/pictures/{number}.jpg", 1, 1, content) for number, content in enumerate(contents)),
        facts={content: Facts(taken=date.isoformat()) for content, date in zip(contents, taken, strict=True)},
    )
    index.store.remember(["/pictures"])
    index.close()
    with serving(index.folder) as address:
        yield address


@pytest.fixture
def page(browser: Browser, many: str) -> Iterator[Page]:
    with opened(browser, f"{many}/?") as page:
        page.route("**/thumbnails/*", lambda route: route.fulfill(body=PIXEL, content_type="image/gif"))
        page.reload()
        expect(page.locator("#status")).to_have_text("100,000 pictures")
        yield page


def nodes(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('#list *').length"))


def test_only_what_is_in_sight_is_there(page: Page) -> None:
    assert nodes(page) < MOST_NODES
    columns = page.evaluate(
        "new Set([...document.querySelectorAll('.tile')].map(one => one.offsetLeft + one.style.transform.split(',')[0])).size"
    )
    side = page.locator(".tile").first.evaluate("one => one.offsetWidth")
    assert page.evaluate("document.documentElement.scrollHeight") > COUNT / columns * side, (
        "the height is known at once"
    )
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
    assert int(page.locator(".tile:focus").get_attribute("aria-posinset") or 0) < COUNT - 20
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
    page.route("**/thumbnails/*", held.append)
    page.on("requestfailed", lambda one: cancelled.append(one.url))
    page.get_by_label("Jump to a date").select_option("2015")
    expect(page.locator(".tile[data-id] img[src]")).not_to_have_count(0)
    page.wait_for_timeout(300)
    page.get_by_label("Jump to a date").select_option("2005")
    page.wait_for_timeout(300)
    assert len(cancelled) > 0


def test_the_window_changes(page: Page) -> None:
    wide = page.locator(".tile").first.evaluate("one => one.offsetWidth")
    page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_timeout(300)
    right = page.evaluate(
        "Math.max(...[...document.querySelectorAll('.tile')].map(one => one.getBoundingClientRect().right))"
    )
    assert 600 < right <= 700
    assert wide > 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
