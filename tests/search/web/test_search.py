"""Searching on the page: words, pictures, filters, relevance, duplicates and the address."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, Route, expect

from tests.search.conftest import SCREENSHOTS, in_browser, names, show_all_results

pytestmark = in_browser


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


def first(page: Page) -> Any:
    return page.locator("#grid .tile[data-place='0']")


def test_everything_by_date(page: Page) -> None:
    expect(page.locator("#status")).to_have_text("90 pictures")
    expect(page.locator("#heads h2")).to_have_count(1)
    expect(first(page).locator(".dated")).to_have_text("file date")
    expect(page.locator("#views a[aria-current=page]")).to_have_text("Timeline")


def test_results_come_while_typing(page: Page) -> None:
    page.locator("#query").press_sequentially("a red star", delay=40)
    expect(page.locator("#status")).to_contain_text("of 90 pictures")
    show_all_results(page)
    expect(page.locator(".badge").first).to_contain_text("%")
    page.wait_for_url("**/?q=a+red+star&min_relevance=0.00")
    page.reload()
    expect(page.locator("#query")).to_have_value("a red star")
    expect(page.locator("#status")).to_contain_text("60+ of 90 pictures")
    page.locator("#query").fill("a flurb + star - circle")
    expect(page.locator("#status")).to_contain_text("not in the model's vocabulary: flurb")
    page.locator("#query").fill("red - red")
    expect(page.locator("#nothing")).to_contain_text("cancel each other out")


def test_enter_repeats_a_failed_search(page: Page) -> None:
    page.route("**/search?*", lambda route: route.fulfill(status=422, json={"detail": "The cable is out."}))
    page.locator("#query").fill("a red star")
    expect(page.locator("#nothing")).to_contain_text("The cable is out.")
    page.unroute("**/search?*")
    page.locator("#query").press("Enter")
    expect(page.locator("#status")).to_contain_text("of 90 pictures")


def test_chips_and_the_address(page: Page) -> None:
    page.locator("#filters summary").click()
    page.get_by_label("Folder").fill("more")
    page.get_by_label("Folder").press("Enter")
    expect(page.locator("#status")).to_have_text("10 of 90 pictures")
    expect(page.locator("#chips button")).to_have_text(["Folder more"])
    page.wait_for_url("**/?in=more")
    page.locator("#query").fill("a red star")
    page.wait_for_url("**/?q=a+red+star&in=more*")
    show_all_results(page)
    expect(page.locator("#status")).to_contain_text("10 of 90 pictures")
    page.locator("#filters summary").click()
    page.get_by_label("Order").select_option("newest first")
    page.get_by_label("Near").fill("38.72,-9.14")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("#chips button")).to_have_text(["Folder more", "Within 25km of 38.72,-9.14", "Newest first"])
    expect(page.locator("#nothing")).to_contain_text("No picture passes the filters.")
    page.get_by_role("button", name="Remove filter: Within 25km of 38.72,-9.14").click()
    expect(page.locator("#status")).to_contain_text("10 of 90 pictures")
    page.go_back()
    expect(page.locator("#chips button")).to_have_count(3)
    page.go_back()
    page.go_back()
    expect(page.locator("#status")).to_have_text("10 of 90 pictures")
    expect(page.locator("#query")).to_have_value("")
    page.go_forward()
    expect(page.locator("#query")).to_have_value("a red star")
    page.goto(page.url.split("?")[0] + "?after=2024-13")
    expect(page.locator("#nothing")).to_contain_text("has no month 13")
    page.keyboard.press("Escape")
    expect(page.locator("#status")).to_have_text("90 pictures")
    expect(page.locator("#chips button")).to_have_count(0)


def test_a_dropped_picture_finds_itself(page: Page, drawings: Path) -> None:
    drop(page, drawings / "drawing 33.png")
    expect(page.locator("#like")).to_be_visible()
    expect(first(page)).to_have_attribute("data-name", "drawing 33.png")
    page.get_by_label("Remove the picture").click()
    expect(page.locator("#like")).to_be_hidden()
    page.locator("#file").set_input_files(drawings / "drawing 44.png")
    expect(first(page)).to_have_attribute("data-name", "drawing 44.png")


def test_an_upload_that_is_not_a_picture_is_explained(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    drop(page, broken)
    expect(page.locator("#nothing")).to_contain_text("cannot be read")
    page.locator("#query").fill("a star - a blue circle")
    expect(page.locator("#status")).to_contain_text("of 90 pictures")


def test_slider_and_no_good_match(page: Page) -> None:
    page.locator("#query").fill("a blue circle")
    expect(page.locator("#status")).to_contain_text("of 90 pictures")
    page.locator("#relevance").fill("100")
    expect(page.locator("#grid .tile")).to_have_count(0)
    expect(page.locator("#nothing h2")).to_have_text("No good match")
    page.get_by_role("button", name="Show the nearest anyway").click()
    expect(page.locator("#nothing")).to_be_hidden()
    expect(page.locator("#grid .tile")).not_to_have_count(0)


def test_more_results_while_scrolling(page: Page) -> None:
    page.goto(page.url.split("?")[0] + "?q=a+star&min_relevance=0")
    expect(page.locator("#status")).to_contain_text("60+ of 90 pictures")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    expect(page.locator("#status")).to_contain_text("89 of 90 pictures")  # one is a near duplicate
    page.keyboard.press("End")
    expect(page.locator(".tile:focus")).to_have_attribute("aria-posinset", "89")


def test_why_where_and_near_duplicates(page: Page) -> None:
    """As the server says it of a picture that the drawings do not have."""

    def richer(route: Route) -> None:
        answer = route.fetch()
        content = answer.json() | {"place": "Lisbon, Portugal"}
        content["results"][0] |= {"near_duplicates": 3, "found_by": ["picture", "file name"]}
        for other in content["results"][1:]:
            other |= {"near_duplicates": 0, "found_by": ["picture"]}
        route.fulfill(response=answer, json=content)

    page.route("**/search?*", richer)
    page.goto(page.url.split("?")[0] + "?q=a+star&min_relevance=0")
    expect(page.locator(".stack")).to_have_text(["+3"])
    expect(page.locator(".why")).to_have_text(["file name"])
    expect(page.locator("#status")).to_contain_text("near Lisbon, Portugal")
    expect(first(page)).to_have_attribute("aria-label", re.compile("found by file name, 3 near duplicates folded$"))
    page.locator(".stack").click()
    page.wait_for_url("**/?duplicates=*")  # of a picture without any
    expect(page.locator("#nothing h2")).to_have_text("No near duplicates")


def test_duplicates(page: Page) -> None:
    page.get_by_role("link", name="Duplicates").click()
    expect(page.locator("#heads h2")).to_contain_text(["2 pictures"])  # two drawings of the same shapes
    listed = page.request.get(page.url.split("?")[0] + "images?limit=5").json()["results"]
    of_file = {"copies": 0, "width": 400, "height": 300, "bytes": 12_345}
    pictures = [{name: one[name] for name in ("id", "name", "date")} | of_file for one in listed]
    pictures[3]["copies"] = 1
    for offset, group in ((0, pictures[:3]), (1, pictures[3:])):
        content = {"groups": [group], "total": 2}
        page.route(f"**/duplicates?offset={offset}", lambda route, _, json=content: route.fulfill(json=json))
    page.reload()
    expect(page.locator("#heads h2")).to_contain_text(["3 pictures", "2 pictures, 3 files"])
    expect(page.locator("#status")).to_have_text("5 pictures")
    assert [names(page)[place] for place in (0, 3)] == ["400 × 300 · 12 kB", "400 × 300 · 12 kB · 2 files"]
    page.route("**/pictures/*/duplicates", lambda route: route.fulfill(json={"pictures": pictures[:2]}))
    page.goto(page.url.split("?")[0] + f"?duplicates={listed[0]['id']}")
    expect(page.locator("#like")).to_contain_text("Near duplicates of this")
    expect(page.locator("#grid .tile")).to_have_count(2)


def test_phone_with_a_query_that_is_too_long(page: Page) -> None:
    page.locator("#query").fill("a red circle above a blue star " * 12 + "ring" * 30)
    expect(page.locator("#status")).to_contain_text("too long for the model, not read: ")
    expect(page.locator("#status")).to_contain_text(" " + "ring" * 30)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_phone(page: Page) -> None:
    page.locator("#query").fill("a green square")
    expect(page.locator("#status")).to_contain_text("ms")
    show_all_results(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    left, right = (page.locator(f"#grid .tile[data-place='{place}']").bounding_box() for place in (0, 1))
    assert left is not None
    assert right is not None
    assert left["y"] == right["y"]  # two beside each other
    first(page).tap()
    expect(page.locator("#viewer")).to_be_visible()
    page.screenshot(path=SCREENSHOTS / "phone_viewer.png")
    page.get_by_role("button", name="Similar").tap()
    expect(page.locator("#like")).to_be_visible()
