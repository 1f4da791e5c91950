"""Answers that come late: what was done meanwhile stays, and nobody is called back to a view."""

from __future__ import annotations

import re
from collections.abc import Callable

import httpx
import pytest
from fixtures.pages import OpenPage
from fixtures.scenes import IDS
from playwright.sync_api import Page, Route, expect


@pytest.fixture
def hold() -> Callable[[Page, str, str], list[Route]]:
    """Keeps the next request of a method back; it is in the list once it was made."""

    def hold_next(page: Page, pattern: str, method: str) -> list[Route]:
        held: list[Route] = []

        def keep(route: Route) -> None:
            if route.request.method == method and not held:
                held.append(route)
            else:
                route.fallback()

        page.route(pattern, keep)
        return held

    return hold_next


Hold = Callable[[Page, str, str], list[Route]]


def heading(page: Page) -> str:
    return page.locator("section:not([hidden]) h1").inner_text()


def test_what_is_typed_while_a_new_group_is_saved_stays(
    empty: str, open_page: OpenPage, hold: Hold
) -> None:
    page = open_page(f"{empty}/#groups?new=1")
    name, description = page.get_by_label("Name", exact=True), page.get_by_label("Description")
    name.fill("First")
    held = hold(page, "**/groups", "POST")
    with page.expect_request(lambda r: r.method == "POST"):
        page.get_by_role("button", name="Create the group").click()
    description.fill("Typed meanwhile.")
    held[0].continue_()
    expect(page.locator(".editor h2")).to_have_text("First")
    expect(page.locator(".state")).to_have_text("Unsaved changes")
    expect(description).to_have_value("Typed meanwhile.")
    expect(description).to_be_focused()
    page.wait_for_function("location.hash.startsWith('#groups?id=')")
    expect(page.get_by_label("Id (optional)")).to_be_hidden()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".state")).to_have_text("Saved as version 2")
    [group] = httpx.get(f"{empty}/groups", timeout=30).json()["data"]
    assert group["description"] == "Typed meanwhile."


def test_a_new_group_that_was_left_while_it_was_saved(
    examples: str, open_page: OpenPage, hold: Hold
) -> None:
    page = open_page(f"{examples}/#groups?new=1")
    page.get_by_label("Name", exact=True).fill("Left")
    held = hold(page, "**/groups", "POST")
    with page.expect_request(lambda r: r.method == "POST"):
        page.get_by_role("button", name="Create the group").click()
    page.get_by_role("link", name="City tenants").click()
    page.get_by_role("button", name="Drop the changes").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("City tenants")
    held[0].continue_()
    expect(page.get_by_role("link", name="Left")).to_be_visible()
    expect(page.get_by_label("Name", exact=True)).to_have_value("City tenants")
    expect(page).to_have_url(f"{examples}/#groups?id={IDS[0]}")


@pytest.mark.parametrize("work", ["save", "delete"])
def test_nobody_is_called_back_from_another_view(
    examples: str, open_page: OpenPage, hold: Hold, work: str
) -> None:
    if work == "save":
        page = open_page(f"{examples}/#groups?new=1")
        page.get_by_label("Name", exact=True).fill("Late")
        held = hold(page, "**/groups", "POST")
        with page.expect_request(lambda r: r.method == "POST"):
            page.get_by_role("button", name="Create the group").click()
    else:
        page = open_page(f"{examples}/#groups?id={IDS[0]}")
        page.get_by_role("button", name="Delete", exact=True).click()
        held = hold(page, "**/groups/*", "DELETE")
        with page.expect_request(lambda r: r.method == "DELETE"):
            page.get_by_role("button", name="Delete it").click()
    page.get_by_role("link", name="Predict", exact=True).click()
    question = page.locator(".view-predict").get_by_label("Question")
    question.fill("Why?")
    with page.expect_response(lambda r: r.request.method in ("POST", "DELETE")):
        held[0].continue_()
    said = "Saved as version" if work == "save" else "Deleted."
    expect(page.locator("#live")).to_contain_text(said)
    expect(question).to_be_focused()
    assert heading(page) == "Predict"
    page.get_by_role("link", name="Groups", exact=True).click()
    expect(page.locator(".editor")).to_have_count(0)


def test_a_list_that_comes_late_keeps_what_was_saved_meanwhile(
    empty: str, open_page: OpenPage, hold: Hold
) -> None:
    page = open_page()
    held = hold(page, "**/groups?limit=*", "GET")
    with page.expect_request("**/groups?limit=*"):
        page.goto(f"{empty}/#groups?new=1")
    before = httpx.get(f"{empty}/groups?limit=100", timeout=30).json()
    page.get_by_label("Name", exact=True).fill("Quick")
    page.get_by_role("button", name="Create the group").click()
    expect(page.locator(".state")).to_have_text("Saved as version 1")
    held[0].fulfill(json=before)
    page.get_by_role("link", name="Predict", exact=True).click()
    expect(page.locator(".view-predict").get_by_label("Quick")).to_be_visible()
    page.get_by_role("link", name="Groups", exact=True).click()
    expect(page.get_by_role("link", name="Quick")).to_be_visible()


def test_a_view_that_comes_late_leaves_the_one_that_is_read(
    examples: str, open_page: OpenPage, hold: Hold
) -> None:
    page = open_page(f"{examples}/#groups")
    expect(page.get_by_role("link", name="City tenants")).to_be_visible()
    held = hold(page, "**/views/predict.js", "GET")
    with page.expect_request("**/views/predict.js"):
        page.get_by_role("link", name="Predict", exact=True).click()
    page.get_by_role("link", name="Groups", exact=True).click()
    expect(page.locator("#main")).to_be_focused()
    search = page.locator(".view-groups").get_by_label("Find a group")
    page.get_by_text("Import a file").click()
    where = page.get_by_label("A group that exists with other content")
    where.focus()
    held[0].continue_()
    expect(page.locator(".view-predict h1")).to_have_count(1)
    expect(where).to_be_focused()
    assert heading(page) == "Groups"
    expect(search).to_have_count(1)


@pytest.mark.parametrize("file", ["views/predict.js", "predict/prediction.js"])
def test_a_view_that_could_not_be_loaded_is_tried_again(
    examples: str, open_page: OpenPage, file: str
) -> None:
    page = open_page(examples, allowed=("Failed to fetch", "ERR_FAILED"))
    page.route(f"**/{file}*", lambda route: route.abort(), times=1)
    page.get_by_role("link", name="Predict", exact=True).click()
    alert = page.locator(".view-predict").get_by_role("alert")
    expect(alert).to_contain_text("The view Predict could not be loaded.")
    alert.get_by_role("button", name="Try again").click()
    if file != "views/predict.js":  # the browser remembers that it failed
        alert.get_by_role("button", name="Reload the page").click()
    expect(page.locator(".view-predict h1")).to_have_text("Predict")
    expect(alert).to_have_count(0)


def test_an_id_that_is_typed_does_not_take_the_focus(empty: str, open_page: OpenPage) -> None:
    for number in range(9):
        body = {"id": f"g{number}", "name": f"Group {number}", "preferences": []}
        httpx.post(f"{empty}/groups", json=body, timeout=30).raise_for_status()
    page = open_page(f"{empty}/#predict")
    found = page.locator(".view-predict").get_by_label("Find a group")
    found.focus()
    page.keyboard.type("g3")
    expect(page.locator(".view-predict .picker-line")).to_have_count(1)
    expect(found).to_be_focused()


def test_back_under_the_question_and_whoever_stays(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#groups?id={IDS[1]}")
    name = page.get_by_label("Name", exact=True)
    expect(name).to_have_value("Small landlords")
    page.get_by_role("link", name="City tenants").click()
    expect(name).to_have_value("City tenants")
    page.get_by_label("Description").fill("Not saved.")
    page.get_by_role("link", name="New group").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_be_visible()
    for wanted in IDS:  # from the new group to the open one, and to the one before
        page.go_back()
        page.wait_for_function("(id) => location.hash === `#groups?id=${id}`", arg=wanted)
    expect(dialog).to_have_count(1)
    page.get_by_role("button", name="Stay").click()
    expect(dialog).to_have_count(0)
    page.wait_for_function("(id) => location.hash === `#groups?id=${id}`", arg=IDS[0])
    expect(page.get_by_label("Description")).to_have_value("Not saved.")


def test_back_under_the_question_and_whoever_leaves(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#groups?id={IDS[0]}")
    page.get_by_label("Description").fill("Not saved.")
    page.get_by_role("link", name="Small landlords").click()
    expect(page.get_by_role("alertdialog")).to_be_visible()
    page.go_back()
    page.wait_for_function("(id) => location.hash === `#groups?id=${id}`", arg=IDS[0])
    page.get_by_role("button", name="Drop the changes").click()
    expect(page.get_by_label("Description")).not_to_have_value("Not saved.")
    expect(page.get_by_label("Name", exact=True)).to_have_value("City tenants")
    expect(page).to_have_url(re.compile(f"#groups\\?id={IDS[0]}$"))
