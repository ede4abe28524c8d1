"""The pages as they are served: their size, their policy, below a prefix, and the page of the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from imtext.search.server.routes.page import WEB
from tests.search.conftest import SCREENSHOTS, needs_browser, serving, watch

MOST_BYTES = 60_000  # of all scripts of the page


def test_scripts_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in WEB.glob("*.js")}
    assert sum(sizes.values()) < MOST_BYTES, sizes


@contextmanager
def proxy(server: str, prefix: str) -> Iterator[str]:
    """A reverse proxy that removes a prefix and passes on nothing without it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.removeprefix(prefix) if self.path.startswith(f"{prefix}/") else "/nowhere"
            answer = requests.get(server + path, headers=dict(self.headers), allow_redirects=False, timeout=20)
            self.send_response(answer.status_code)
            for name in ("content-type", "content-security-policy", "location", "set-cookie"):
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        Thread(target=listening.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()


def try_search(page: Page) -> None:
    """Send a search from the page of the API."""
    operation = page.locator("#operations-search-search_search_get")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_placeholder("q", exact=True).fill("a red star")
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    expect(operation.locator(".live-responses-table")).to_contain_text('"milliseconds"')


@pytest.mark.slow
@needs_browser
def test_the_page_of_the_api_sends_requests(browser: Browser, address: str) -> None:
    with browser.new_page(viewport={"width": 1280, "height": 1400}) as page:
        complaints = watch(page, address)
        page.goto(f"{address}/docs")
        expect(page.locator("h1")).to_contain_text("imtext")
        try_search(page)
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "docs.png")
        assert complaints == []


@pytest.mark.slow
@needs_browser
def test_pages_below_a_prefix_with_a_token(browser: Browser, drawn_index: Path) -> None:
    with (
        serving(drawn_index, "--token", "open-sesame", "--root-path", "/photos") as server,
        proxy(server, "/photos") as address,
        browser.new_page(viewport={"width": 1280, "height": 1400}) as page,
    ):
        complaints = watch(page, f"{address}/photos/")
        page.goto(f"{address}/photos/docs?token=open-sesame")
        assert page.url == f"{address}/photos/docs"
        try_search(page)
        page.goto(f"{address}/photos/?token=open-sesame")
        expect(page.locator("#status")).to_have_text("90 pictures")
        page.locator("a.name").click()
        assert page.url == f"{address}/photos/"
        expect(page.locator("#status")).to_have_text("90 pictures")
        assert complaints == []
