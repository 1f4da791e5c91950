"""Words without an end, which may widen neither a card nor the window."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from fixtures.pages import OpenPage
from fixtures.scenes import WIDTHS, register
from playwright.sync_api import Page, expect

NAMES = {"n": "N" * 200, "m": "M" * 200}


@pytest.fixture
def named(served: str) -> Iterator[str]:
    """Two groups whose names are as long as names can be."""
    register(served, groups=False)
    for group, name in NAMES.items():
        preference = {"prompt": "Q" * 300, "response": "R" * 300, "score": 0.5}
        body = {"id": group, "name": name, "preferences": [preference]}
        httpx.post(f"{served}/groups", json=body, timeout=60).raise_for_status()
    yield served
    register(served, groups=False)


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, open_page: OpenPage) -> Page:
    width: int = request.param
    return open_page(viewport={"width": width, "height": WIDTHS[width]})


def fits(page: Page) -> None:
    """Nothing reaches beyond the window or out of its card, beside what scrolls by itself."""
    page.wait_for_function("document.getAnimations().every((one) => one.playState !== 'running')")
    assert page.viewport_size is not None
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
    wide = page.evaluate(
        """() => [...document.querySelectorAll("main .card")]
          .filter((one) => one.offsetParent && one.scrollWidth > one.clientWidth)
          .map((one) => one.className)"""
    )
    assert wide == []


@pytest.mark.parametrize("letters", [60, 300])
def test_a_prediction(named: str, page: Page, letters: int) -> None:
    page.goto(f"{named}/#predict?groups=n,m")
    page.get_by_label("Question").fill("Q" * letters)
    page.get_by_label("Options").fill(f"{'W' * letters}\nNo")
    page.get_by_role("button", name="Predict").click()
    expect(page.locator(".prediction .bar")).to_have_count(4)
    fits(page)
    page.get_by_text("Compare with the true shares").click()
    page.get_by_label("True shares of N").fill("1, 3")
    fits(page)


def test_a_group_that_is_open(named: str, page: Page) -> None:
    page.goto(f"{named}/#groups?id=n")
    expect(page.locator(".editor h2")).to_have_text(NAMES["n"])
    fits(page)
    page.get_by_role("button", name="Delete").click()
    box = page.locator("dialog[open]")
    assert box.evaluate("(one) => one.scrollWidth <= one.clientWidth")


def test_a_generation(named: str, page: Page) -> None:
    page.goto(f"{named}/#generate?groups=n,m")
    page.get_by_label("Prompt").fill("W" * 60)
    page.get_by_label("Candidates").fill("2")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator(".view-generate .verdict")).to_be_visible()
    fits(page)


def test_what_carries_an_answer(named: str, page: Page) -> None:
    page.goto(f"{named}/#what-if?groups=n")
    page.get_by_label("Question").fill("Q" * 300)
    page.get_by_label("Options").fill(f"{'W' * 300}\nNo")
    page.get_by_role("button", name="Explain").click()
    page.locator(".influence").first.get_by_role("checkbox").uncheck()
    expect(page.locator(".bar").filter(has_text="With the changes")).to_have_count(2)
    fits(page)
