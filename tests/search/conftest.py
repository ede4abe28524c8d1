"""The page in a real browser (Debian's chromium, or Chrome). Pictures of it go to build/screenshots."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from imtext.search import Bundle, Index
from tests.conftest import picture

SCREENSHOTS = Path("build/screenshots")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
expect.set_options(timeout=20_000)  # milliseconds; a busy machine draws slowly
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium or google-chrome")
in_browser = [pytest.mark.slow, needs_browser]


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety drawings, and two files that are left out."""
    folder = tmp_path_factory.mktemp("page") / "pictures"
    (folder / "more").mkdir(parents=True)
    for number in range(90):
        picture(folder / ("more" if number >= 80 else "") / f"drawing {number:02}.png", number)
    (folder / "broken.jpg").write_bytes(b"nothing")
    (folder / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  \0\0\0\0qt  ")
    return folder


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[str]:
    """The address of a server over an index."""
    command = [sys.executable, "-m", "imtext", "serve", str(folder), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().split(" at ")[1].split()[0]
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def drawn_index(bundle: Bundle, drawings: Path) -> Path:
    folder = drawings.parent / "index"
    Index.create(folder, bundle).update([str(drawings)])
    return folder


@pytest.fixture(scope="session")
def address(drawn_index: Path) -> Iterator[str]:
    with serving(drawn_index) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser. Not for the whole session: it has an event loop in this thread, which other tests start themselves."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The opened page. The console must stay empty, and nothing may be fetched from other hosts."""
    with opened(browser, address, "phone" in request.node.name) as page:
        expect(page.locator("#grid .tile img[src]")).not_to_have_count(0)
        yield page
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SCREENSHOTS / f"{request.node.name}.png")


@contextmanager
def opened(browser: Browser, address: str, phone: bool = False) -> Iterator[Page]:
    """The page, in a window of a computer or of a phone."""
    size = {"width": 390, "height": 844} if phone else {"width": 1280, "height": 860}
    context = browser.new_context(viewport=size, has_touch=phone, is_mobile=phone)  # type: ignore[arg-type]
    page = context.new_page()
    complaints = watch(page, address.partition("/?")[0])
    page.goto(address)
    yield page
    context.close()
    assert complaints == []


def watch(page: Page, address: str) -> list[str]:
    """What the console says and what is fetched elsewhere, without refusals, which a test may provoke."""
    complaints: list[str] = []

    def listen(text: str) -> None:
        if not any(status in text for status in ("404", "422")):
            complaints.append(text)

    page.on("console", lambda message: listen(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda one: complaints.append(one.url) if not one.url.startswith((address, "data:", "blob:")) else None,
    )
    return complaints


def show_all_results(page: Page) -> None:
    """Results of any relevance."""
    page.locator("#relevance").evaluate("one => { one.value = 0; one.dispatchEvent(new Event('input')) }")


def names(page: Page) -> list[str]:
    """The names of the pictures in sight, in order."""
    found: list[str] = page.locator("#grid .tile[data-id]").evaluate_all(
        "all => all.sort((a, b) => a.dataset.place - b.dataset.place).map(one => one.dataset.name)"
    )
    return found
