"""The frame around the views: it loads, it goes from view to view, it says what runs here."""

from __future__ import annotations

import pytest
from fixtures.pages import VIEWS, OpenPage
from playwright.sync_api import expect


def test_the_page_says_what_runs_here(served: str, open_page: OpenPage) -> None:
    page = open_page(served)
    expect(page.locator("#about")).to_contain_text("opinion-lm")
    expect(page.get_by_role("navigation", name="Views").get_by_role("link")).to_have_count(4)


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_has_an_address(served: str, open_page: OpenPage, view: str) -> None:
    page = open_page(f"{served}/#{view}")
    expect(page.get_by_role("heading", level=1)).to_have_text(VIEWS[view])
    expect(page).to_have_title(f"{VIEWS[view]} · gpo-serve")
    expect(page.locator("nav [aria-current=page]")).to_have_text(VIEWS[view])
