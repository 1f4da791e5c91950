"""Addresses and Back: what an address fills in, what it leaves alone, and that Back leads back."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from fixtures.pages import OpenPage
from fixtures.scenes import IDS
from playwright.sync_api import Page, expect

ASKED = {"groups": IDS[0], "question": "Asked?", "options": "Yes\nNo"}
FORMS = {"predict": "Question", "what-if": "Question", "generate": "Prompt"}


def address(view: str, text: str) -> str:
    key = FORMS[view].lower()
    return f"#{view}?{urlencode(ASKED | {key: text})}"


def hash_of(page: Page) -> str:
    return str(page.evaluate("location.hash"))


@pytest.mark.parametrize("view", FORMS)
def test_back_leaves_what_was_typed(examples: str, open_page: OpenPage, view: str) -> None:
    page = open_page(f"{examples}/{address(view, 'Asked?')}")
    field = page.locator(f".view-{view}").get_by_label(FORMS[view])
    expect(field).to_have_value("Asked?")
    field.fill("Typed?")
    page.get_by_role("link", name="Groups", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Groups")
    page.go_back()
    expect(field).to_be_visible()
    expect(page.locator("#main")).to_be_focused()
    expect(field).to_have_value("Typed?")
    # Another address fills it in, and so does the same one after a reload.
    page.evaluate("(to) => { location.hash = to }", address(view, "Another?"))
    expect(field).to_have_value("Another?")
    field.fill("Typed?")
    page.reload()
    expect(field).to_have_value("Another?")


def test_a_link_that_is_followed_again_fills_the_form_again(
    examples: str, open_page: OpenPage
) -> None:
    page = open_page(f"{examples}/#predict?groups={IDS[0]}")
    link = page.get_by_role("link", name="Ask how they would answer")
    field = page.locator(".view-predict").get_by_label("Question")
    expect(page.get_by_label("City tenants")).to_be_checked()
    page.get_by_role("link", name="Groups", exact=True).click()
    link.click()
    expect(field).not_to_have_value("")
    asked = field.input_value()
    field.fill("Typed?")
    page.get_by_role("link", name="Groups", exact=True).click()
    link.click()
    expect(field).to_have_value(asked)


def test_back_leads_away_from_a_group_that_is_not_saved(empty: str, open_page: OpenPage) -> None:
    page = open_page(f"{empty}/#predict")
    tabs = page.get_by_role("navigation", name="Views")
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text("Predict")
    tabs.get_by_role("link", name="Groups").click()
    page.get_by_role("link", name="New group").click()
    name = page.get_by_label("Name", exact=True)
    name.fill("Not yet")
    tabs.get_by_role("link", name="Groups").click()
    page.wait_for_function("location.hash === '#groups?new=1'")
    expect(name).to_have_value("Not yet")
    for _ in range(4):
        if heading.inner_text() == "Predict":
            break
        page.go_back()
        page.wait_for_timeout(200)
    expect(heading).to_have_text("Predict")


def test_a_new_group_can_be_discarded(empty: str, open_page: OpenPage) -> None:
    page = open_page(f"{empty}/#groups?new=1")
    editor, discard = page.locator(".editor"), page.get_by_role("button", name="Discard")
    page.get_by_label("Name", exact=True).fill("Not yet")
    discard.click()
    page.get_by_role("button", name="Stay").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Not yet")
    discard.click()
    page.get_by_role("button", name="Drop the changes").click()
    expect(editor).to_have_count(0)
    assert hash_of(page) == "#groups"
    page.get_by_role("link", name="New group").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("")
    discard.click()  # nothing is lost: no question
    expect(editor).to_have_count(0)


def test_a_page_opened_at_no_view_shows_the_first_one(served: str, open_page: OpenPage) -> None:
    page = open_page(f"{served}/#nope?id=nobody")
    expect(page.get_by_role("heading", level=1)).to_have_text("Groups")
    expect(page.locator("nav [aria-current=page]")).to_have_text("Groups")


def test_a_question_mark_in_an_address_cuts_nothing_off(served: str, open_page: OpenPage) -> None:
    page = open_page(f"{served}/#predict?question=Why? And how?&options=One?%0ATwo?")
    expect(page.get_by_label("Question")).to_have_value("Why? And how?")
    expect(page.get_by_label("Options")).to_have_value("One?\nTwo?")
