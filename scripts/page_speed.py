"""Measure the search page in a browser: ``python scripts/page_speed.py --bundle my-bundle --pictures 100000``.

Serves an index of made-up pictures (no files; the browser gets a small picture in place of each thumbnail), opens its
page, and prints how long the first picture and the first result of a search take, how long frames are while the list
scrolls, how long a jump takes, and how many nodes the list has. Needs chromium and the development tools.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from playwright.sync_api import Page, sync_playwright

from imtext.search import Bundle, Index, load_bundle
from imtext.search.facts import Facts
from imtext.search.store import File, Picture

SMALL = b"GIF89a\1\0\1\0\0\0\0;"  # a picture of one pixel
SCROLL = """async () => {
    const times = []
    let before = await new Promise(requestAnimationFrame)
    for (let step = 1; step <= 300; step++) {
        scrollBy(0, 120)
        const now = await new Promise(requestAnimationFrame)
        times.push(now - before)
        before = now
    }
    return times
}"""


def make_up(folder: Path, bundle: Bundle, count: int) -> None:
    """An index of pictures without files, one taken each two hours from 2000 on."""
    index = Index.create(folder, bundle)
    vectors = np.random.default_rng(0).standard_normal((count, bundle.embed_dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    contents = [number.to_bytes(16, "big") for number in range(1, count + 1)]
    taken = (datetime(2000, 1, 1) + timedelta(hours=2 * number) for number in range(count))
    index.store.commit(
        (Picture(content, vector) for content, vector in zip(contents, vectors, strict=True)),
        (File(f"/pictures/{number}.jpg", 1, 1, content) for number, content in enumerate(contents)),
        facts={content: Facts(taken=date.isoformat()) for content, date in zip(contents, taken, strict=True)},
    )
    index.store.remember(["/pictures"])
    index.close()


def measure(page: Page, address: str) -> None:
    """Print the times of one page."""
    page.route("**/thumbnails/*", lambda route: route.fulfill(body=SMALL, content_type="image/gif"))
    loaded = ".tile img[src]"
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(loaded)
    print(f"first picture: {1000 * (time.perf_counter() - started):.0f} ms after opening the page")
    frames = np.array(page.evaluate(SCROLL))
    middle, high = np.percentile(frames, [50, 99])
    print(f"frames while scrolling: {middle:.1f} ms (99th percentile {high:.1f}, longest {frames.max():.1f})")
    print(f"nodes of the list: {page.locator('#list *').count()}")
    started = time.perf_counter()
    page.get_by_label("Jump to a date").select_option("2005")
    page.wait_for_selector(loaded)
    print(f"jump to 2005: {1000 * (time.perf_counter() - started):.0f} ms")
    started = time.perf_counter()
    page.goto(f"{address}/?q=a+dog&min_relevance=0")
    page.wait_for_selector(loaded)
    print(f"first result of a search: {1000 * (time.perf_counter() - started):.0f} ms after opening its address")


def main() -> None:
    """Read the arguments, make up an index, serve it and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=100_000)
    arguments = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with tempfile.TemporaryDirectory() as folder:
        make_up(Path(folder) / "index", load_bundle(arguments.bundle), arguments.pictures)
        command = [sys.executable, "-m", "imtext", "serve", str(Path(folder) / "index"), "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as playwright:
            assert server.stdout is not None
            address = server.stdout.readline().split(" at ")[1].split()[0]
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            measure(browser.new_page(viewport={"width": 1440, "height": 900}), address)
            browser.close()
            server.terminate()


if __name__ == "__main__":
    main()
