"""The view What if: what carries an answer, and how it moves."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from fixtures.pages import OpenPage
from playwright.sync_api import Locator, Page, expect

from service.demo import OPTIONS, QUESTION

ID = "city-tenants"
ADDRESS = urlencode({"groups": ID, "question": QUESTION, "options": "\n".join(OPTIONS)})


@pytest.fixture
def page(examples: str, open_page: OpenPage) -> Page:
    """The question was asked, and its answer is there."""
    found = open_page(f"{examples}/#what-if?{ADDRESS}")
    found.get_by_role("button", name="Explain").click()
    found.locator(".influence").first.wait_for()
    return found


def predict(url: str, **more: Any) -> dict[str, Any]:
    body = {"question": QUESTION, "options": OPTIONS, **more}
    [found] = httpx.post(f"{url}/predict", json=body, timeout=60).json()["predictions"]
    return dict(found)


def share(page: Page, series: str) -> int:
    """What the bar of a series says of the first option, in percent."""
    row = page.locator(".prediction .bars > li").first.locator(".bar").filter(has_text=series)
    return int(row.locator("strong").inner_text().split()[0])


def preferences(url: str) -> list[dict[str, Any]]:
    found = httpx.get(f"{url}/groups/{ID}", params={"include": "preferences"}).json()
    return list(found["preferences"])


def test_the_strongest_preference_comes_first_with_what_it_did(page: Page, examples: str) -> None:
    found = predict(examples, group_id=ID, explain=True)
    rows = page.locator(".influence")
    expect(rows).to_have_count(20)
    texts = preferences(examples)
    at = OPTIONS.index(found["top"])
    for row, entry in zip(rows.all()[:5], found["explanation"][:5], strict=True):
        known = texts[entry["index"]]
        expect(row.locator(".influence-label")).to_have_text(
            known.get("question", known.get("prompt"))
        )
        points = f"{abs(entry['influence'][at]) * 100:.1f} points"
        expect(row.locator(".diverging-value")).to_contain_text(points)
        less = row.locator(".is-less").count() == 1
        assert less == (entry["influence"][at] < 0)
    other = 1 - at
    page.get_by_label("What each did to the share of").select_option(str(other))
    value = page.locator(".diverging-value").first
    change = found["explanation"][0]["influence"][other]
    expect(value).to_have_text(f"{'+' if change > 0 else '−'}{abs(change) * 100:.1f} points")
    assert share(page, "As registered") == round(found["distribution"][0] * 100)
    assert share(page, "Without any") == round(found["prior"][0] * 100)


def test_each_series_keeps_its_colour(page: Page) -> None:
    def colour(series: str) -> str:
        row = page.locator(".bar").filter(has_text=series).first
        fill = row.locator(".track-fill")
        return str(fill.evaluate("(one) => getComputedStyle(one).backgroundColor"))

    before = [colour("As registered"), colour("Without any")]
    page.locator(".influence").first.get_by_role("checkbox").uncheck()
    expect(page.locator(".bar").filter(has_text="With the changes")).to_have_count(len(OPTIONS))
    assert [colour("As registered"), colour("Without any")] == before
    assert len({*before, colour("With the changes")}) == 3


def test_the_prediction_moves_to_what_the_explanation_said(page: Page, examples: str) -> None:
    found = predict(examples, group_id=ID, explain=True)["explanation"][0]
    first = page.locator(".influence").first
    first.get_by_role("checkbox").uncheck()
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("Without 1 of 20 preferences: ")
    change = -found["influence"][0]
    sign = "+" if change > 0 else "−"
    expect(verdict).to_contain_text(f"{OPTIONS[0]} {sign}{abs(change) * 100:.1f} points")
    assert share(page, "With the changes") == round(found["distribution_without"][0] * 100)
    expect(first).to_have_class(re.compile("is-dropped"))
    first.get_by_role("checkbox").check()
    expect(verdict).to_contain_text("Take a preference out")
    expect(page.locator(".bar").filter(has_text="With the changes")).to_have_count(0)


def test_several_ticks_are_one_question(page: Page) -> None:
    sent: list[Any] = []
    page.on("request", lambda r: sent.append(r) if r.url.endswith("/predict") else None)
    for number in range(4):
        page.locator(".influence").nth(number).get_by_role("checkbox").uncheck()
    expect(page.locator(".verdict")).to_contain_text("Without 4 of 20 preferences: ")
    assert 1 <= len(sent) <= 2
    assert len(json.loads(sent[-1].post_data)["preferences"]) == 16


def test_a_preference_that_is_added_counts_and_can_be_taken_out(page: Page, examples: str) -> None:
    page.get_by_text("Add a preference").click()
    section = page.get_by_role("region", name="What carries the answer")
    section.get_by_role("button", name="Try it out").click()
    expect(section.get_by_role("alert")).to_have_text("Fill in the question.")
    section.get_by_label("Question", exact=True).fill(QUESTION)
    section.get_by_label("Option 1", exact=True).get_by_role("textbox").fill(OPTIONS[0])
    section.get_by_label("Option 2", exact=True).get_by_role("textbox").fill(OPTIONS[1])
    section.get_by_role("spinbutton", name="Share of option 1, in percent").fill("5")
    section.get_by_role("spinbutton", name="Share of option 1, in percent").press("Tab")
    section.get_by_role("button", name="Try it out").click()
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("With 1 more: ")
    said = {"question": QUESTION, "options": list(OPTIONS), "distribution": [0.05, 0.95]}
    wanted = predict(examples, preferences=[*preferences(examples), said])["distribution"][0]
    assert share(page, "With the changes") == round(wanted * 100)
    assert share(page, "With the changes") < share(page, "As registered")
    page.get_by_role("button", name=f"Take out {QUESTION}").click()
    expect(verdict).to_contain_text("Take a preference out")


def test_a_rating_can_be_added_too(page: Page) -> None:
    page.get_by_text("Add a preference").click()
    section = page.get_by_role("region", name="What carries the answer")
    section.get_by_label("Kind").select_option("rating")
    section.get_by_label("Prompt").fill("What should change?")
    section.get_by_label("Answer").fill("No limits on rent at all.")
    section.get_by_role("button", name="Try it out").click()
    expect(page.locator(".verdict")).to_contain_text("With 1 more: ")
    expect(page.locator(".is-added")).to_contain_text("90 % approve")


def test_changes_are_saved_as_a_group_of_their_own(page: Page, examples: str) -> None:
    page.locator(".influence").first.get_by_role("checkbox").uncheck()
    expect(page.locator(".verdict")).to_contain_text("Without 1 of 20 preferences: ")
    page.get_by_text("Save as a new group").click()
    page.get_by_label("Name", exact=True).fill("Tenants without it")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved as Tenants without it.")).to_be_visible()
    groups = httpx.get(f"{examples}/groups").json()["data"]
    [saved] = [g for g in groups if g["name"] == "Tenants without it"]
    assert saved["preference_count"] == 19


def test_start_again_takes_every_change_back(page: Page) -> None:
    for number in range(2):
        page.locator(".influence").nth(number).get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Start again").click()
    expect(page.locator(".influence input:not(:checked)")).to_have_count(0)
    expect(page.locator(".verdict")).to_contain_text("Take a preference out")


def test_ticks_work_with_the_keyboard(page: Page) -> None:
    tick = page.locator(".influence").first.get_by_role("checkbox")
    tick.focus()
    page.keyboard.press("Space")
    expect(page.locator("#live")).to_contain_text("Without 1 of 20 preferences: ")
    expect(tick).to_be_focused()


def many(count: int) -> list[dict[str, Any]]:
    return [
        {"prompt": "A day off?", "response": f"Walk number {n}.", "score": (n % 10) / 10}
        for n in range(count)
    ]


def test_a_large_group_is_listed_in_parts(examples: str, open_page: OpenPage) -> None:
    body = {"id": "large", "name": "Large", "preferences": many(60)}
    httpx.post(f"{examples}/groups", json=body, timeout=60).raise_for_status()
    page = open_page(f"{examples}/#what-if?{ADDRESS.replace(ID, 'large')}")
    page.get_by_role("button", name="Explain").click()
    rows = page.locator(".influence")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="Show 10 more of 10").click()
    expect(rows).to_have_count(60)
    expect(rows.nth(50).get_by_role("checkbox")).to_be_focused()
    expect(page.get_by_role("button", name="Show")).to_have_count(0)


def test_a_group_that_is_too_large_to_explain_is_asked_without(
    examples: str, open_page: OpenPage
) -> None:
    body = {"id": "huge", "name": "Huge", "preferences": many(300)}
    httpx.post(f"{examples}/groups", json=body, timeout=60).raise_for_status()
    page = open_page(f"{examples}/#what-if?{ADDRESS.replace(ID, 'huge')}")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_text("This group is too large to leave out each preference")).to_be_visible()
    expect(page.locator(".diverging")).to_have_count(0)
    page.locator(".influence").first.get_by_role("checkbox").uncheck()
    expect(page.locator(".verdict")).to_contain_text("Without 1 of 300 preferences: ")


def test_a_group_that_changes_between_two_answers_is_read_again(
    examples: str, open_page: OpenPage
) -> None:
    """An explanation names preferences by their places in one version."""
    page = open_page(f"{examples}/#what-if?{ADDRESS}")
    now = httpx.get(f"{examples}/groups/{ID}", params={"include": "preferences"}).json()
    before = {**now, "version": now["version"] - 1, "preferences": now["preferences"][:1]}
    page.route("**/groups/*include=preferences", lambda r: r.fulfill(json=before), times=1)
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".influence")).to_have_count(20)


def test_a_group_that_is_gone_is_said_in_a_sentence(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#what-if?{ADDRESS}", allowed=("404", "Failed to load resource"))
    expect(view(page).get_by_label("City tenants")).to_be_checked()
    httpx.delete(f"{examples}/groups/{ID}").raise_for_status()
    page.get_by_role("button", name="Explain").click()
    expect(view(page).get_by_role("alert")).to_contain_text(
        f"There is no group with the id '{ID}'."
    )


def view(page: Page) -> Locator:
    return page.locator(".view-what-if")


def test_an_option_that_is_there_twice_is_said(page: Page) -> None:
    page.get_by_label("Options").fill("Yes\nNo\nYes")
    page.get_by_role("button", name="Explain").click()
    expect(page.get_by_role("alert")).to_have_text("The option “Yes” is there twice.")
