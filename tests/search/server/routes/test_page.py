"""The page in a real browser (Debian's chromium, or Chrome). Pictures of it go to build/screenshots."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from imtext.search import Bundle, Index
from tests.conftest import picture

SCREENSHOTS = Path("build/screenshots")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
expect.set_options(timeout=20_000)  # milliseconds; a busy machine draws slowly
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or google-chrome")]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "pictures"
    (folder / "more").mkdir(parents=True)
    for number in range(90):
        picture(folder / ("more" if number >= 80 else "") / f"drawing {number:02}.png", number)
    return folder


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "imtext", "serve", str(folder), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split()[3]
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def index(bundle: Bundle, pictures: Path) -> Path:
    folder = pictures.parent / "index"
    Index.create(folder, bundle).update([str(pictures)])
    return folder


@pytest.fixture(scope="module")
def address(index: Path) -> Iterator[str]:
    with serving(index) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The opened page. The console must stay empty, and nothing may be fetched from other hosts."""
    phone = "phone" in request.node.name
    size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 860}
    context = browser.new_context(viewport=size, has_touch=phone, is_mobile=phone)  # type: ignore[arg-type]
    page = context.new_page()
    complaints = watch(page, address)
    page.goto(address)
    expect(page.locator("#grid li")).not_to_have_count(0)
    page.locator("#relevance").evaluate("one => { one.value = 0; one.dispatchEvent(new Event('input')) }")
    yield page
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{request.node.name}.png")
    context.close()
    assert complaints == []


def watch(page: Page, address: str) -> list[str]:
    """What the console says and what is fetched elsewhere, without refusals, which a test may provoke."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if "422" not in message.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda one: complaints.append(one.url) if not one.url.startswith((address, "data:", "blob:")) else None,
    )
    return complaints


def drop(page: Page, path: Path) -> None:
    """The browser event of a file that is dragged onto the page."""
    page.evaluate(
        """([bytes, name]) => {
            const data = new DataTransfer()
            data.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }))
            for (const kind of ['dragenter', 'dragover', 'drop'])
                document.body.dispatchEvent(
                    new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }))
        }""",
        [list(path.read_bytes()), path.name],
    )


def test_all_pictures_while_scrolling(page: Page) -> None:
    expect(page.locator("#status")).to_have_text("90 pictures")
    expect(page.locator("#grid li")).to_have_count(60)
    page.mouse.wheel(0, 9000)
    expect(page.locator("#grid li")).to_have_count(90)


def test_a_page_of_all_may_be_short(page: Page) -> None:
    def without_one(route: Route) -> None:
        answer = route.fetch()
        content = answer.json()
        if "offset=0" in route.request.url:
            content["results"].pop()
        route.fulfill(response=answer, json=content)

    page.route("**/images?*", without_one)
    page.reload()
    expect(page.locator("#grid li")).to_have_count(59)
    page.mouse.wheel(0, 9000)
    expect(page.locator("#grid li")).to_have_count(90)


def test_enter_repeats_a_failed_search(page: Page) -> None:
    page.route("**/search?*", lambda route: route.fulfill(status=422, json={"detail": "The cable is out."}))
    page.locator("#query").fill("a red star")
    expect(page.locator("#nothing")).to_contain_text("The cable is out.")
    page.unroute("**/search?*")
    page.locator("#query").press("Enter")
    expect(page.locator("#status")).to_contain_text("of 90 pictures")


def test_filters(page: Page) -> None:
    page.locator("#filters summary").click()
    page.get_by_label("Folder").fill("more")
    page.get_by_label("Folder").press("Enter")
    expect(page.locator("#grid li")).to_have_count(10)
    expect(page.locator("#filters summary")).to_have_text("Filters (1)")
    page.locator("#query").fill("a red star")
    expect(page.locator("#status")).to_contain_text("10 of 90 pictures")
    page.wait_for_url("**/?q=a+red+star&in=more")
    page.reload()
    expect(page.get_by_label("Folder")).to_have_value("more")
    expect(page.locator("#status")).to_contain_text("10 of 90 pictures")
    page.get_by_label("Order").select_option("newest first")
    page.wait_for_url("**/?q=a+red+star&in=more&sort=date")
    page.locator("#grid button").first.press("s")
    expect(page.locator("#like")).to_be_visible()
    expect(page.locator("#grid li")).to_have_count(10)
    page.get_by_label("From").fill("2024-13")
    page.get_by_label("From").press("Enter")
    expect(page.locator("#nothing")).to_contain_text("has no month 13")
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text("90 pictures")
    expect(page.locator("#filters summary")).to_have_text("Filters ")


def test_results_come_while_typing(page: Page) -> None:
    page.locator("#query").press_sequentially("a red star", delay=40)
    expect(page.locator("#status")).to_contain_text("of 90 pictures")
    expect(page.locator(".badge").first).to_contain_text("%")
    page.wait_for_url("**/?q=a+red+star")
    page.reload()
    expect(page.locator("#query")).to_have_value("a red star")
    expect(page.locator("#status")).to_contain_text("of 90 pictures")
    page.locator("#query").fill("a flurb + star - circle")
    expect(page.locator("#status")).to_contain_text("not in the model's vocabulary: flurb")
    page.locator("#query").fill("red - red")
    expect(page.locator("#nothing")).to_contain_text("cancel each other out")


def test_a_dropped_picture_finds_itself(page: Page, pictures: Path) -> None:
    drop(page, pictures / "drawing 33.png")
    expect(page.locator("#like")).to_be_visible()
    expect(page.locator("#grid .caption").first).to_have_text("drawing 33.png")
    page.get_by_label("Remove the picture").click()
    expect(page.locator("#like")).to_be_hidden()
    page.locator("#file").set_input_files(pictures / "drawing 44.png")
    expect(page.locator("#grid .caption").first).to_have_text("drawing 44.png")


def test_an_upload_that_is_not_a_picture_is_explained(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    drop(page, broken)
    expect(page.locator("#nothing")).to_contain_text("cannot be read")
    page.locator("#query").fill("a star")
    expect(page.locator("#nothing")).to_be_hidden()


def test_slider_and_no_good_match(page: Page) -> None:
    page.locator("#query").fill("a blue circle")
    expect(page.locator(".badge").first).to_contain_text("%")
    before = page.locator("#grid li").count()
    page.locator("#relevance").fill("100")
    expect(page.locator("#grid li")).to_have_count(0)
    expect(page.locator("#nothing h2")).to_have_text("No good match")
    page.screenshot(path=SCREENSHOTS / "no_good_match.png")
    page.get_by_role("button", name="Show the nearest anyway").click()
    expect(page.locator("#grid li")).to_have_count(before)


def test_keyboard_alone(page: Page) -> None:
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type("two stars")
    expect(page.locator("#status")).to_contain_text("ms")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#grid button").nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    expect(viewer).to_be_visible()
    expect(viewer.locator(".file")).to_have_text(page.locator("#grid .caption").nth(1).text_content() or "?")
    viewer.locator("img").evaluate("one => one.decode()")
    page.screenshot(path=SCREENSHOTS / "viewer.png")
    page.keyboard.press("ArrowRight")
    third = page.locator("#grid .caption").nth(2).text_content() or "?"
    expect(viewer.locator(".file")).to_have_text(third)
    page.keyboard.press("s")
    expect(viewer).to_be_hidden()
    expect(page.locator("#grid .caption").first).to_have_text(third)
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text("90 pictures")


def test_phone_with_a_query_that_is_too_long(page: Page) -> None:
    page.locator("#query").fill("a red circle above a blue star " * 12 + "ring" * 30)
    expect(page.locator("#status")).to_contain_text("too long for the model, not read: ")
    expect(page.locator("#status")).to_contain_text(" " + "ring" * 30)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_phone(page: Page) -> None:
    page.locator("#query").fill("a green square")
    expect(page.locator("#status")).to_contain_text("ms")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    left, right = (page.locator("#grid button").nth(place).bounding_box() for place in (0, 1))
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]  # two beside each other
    page.locator("#grid button").first.tap()
    expect(page.locator("#viewer")).to_be_visible()
    page.get_by_role("button", name="Similar").tap()
    expect(page.locator("#like")).to_be_visible()


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


def test_the_page_of_the_api_sends_requests(browser: Browser, address: str) -> None:
    with browser.new_page(viewport={"width": 1280, "height": 1400}) as page:
        complaints = watch(page, address)
        page.goto(f"{address}/docs")
        expect(page.locator("h1")).to_contain_text("imtext")
        try_search(page)
        page.screenshot(path=SCREENSHOTS / "docs.png")
        assert complaints == []


def test_pages_below_a_prefix_with_a_token(browser: Browser, index: Path) -> None:
    with (
        serving(index, "--token", "open-sesame", "--root-path", "/photos") as server,
        proxy(server, "/photos") as address,
        browser.new_page(viewport={"width": 1280, "height": 1400}) as page,
    ):
        complaints = watch(page, f"{address}/photos/")
        page.goto(f"{address}/photos/docs?token=open-sesame")
        assert page.url == f"{address}/photos/docs"
        try_search(page)
        page.goto(f"{address}/photos/?token=open-sesame")
        expect(page.locator("#grid li")).to_have_count(60)
        page.locator("a.name").click()
        assert page.url == f"{address}/photos/"
        expect(page.locator("#grid li")).to_have_count(60)
        assert complaints == []
