"""A service with keys, a quota, and an end: what the page says of each."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fixtures.keys import ANN, BOB, KEYS, bearer
from fixtures.pages import OpenPage
from fixtures.scenes import register
from fixtures.serve_process import ServeProcess, serving
from playwright.sync_api import Page, expect

QUOTA = 60


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("keyed")
    with serving(folder, GPO_API_KEYS=KEYS, GPO_RATE_REQUESTS=f"{QUOTA}/hour") as running:
        yield running.url


def enter(page: Page, key: str) -> None:
    page.get_by_label("Your key").fill(key)
    page.get_by_role("button", name="Use this key").click()


def test_the_page_asks_for_a_key_and_sends_it(keyed: str, open_page: OpenPage) -> None:
    body = {"id": "anns", "name": "Ann's group", "preferences": []}
    made = httpx.put(f"{keyed}/groups/anns", json=body, headers=bearer(ANN), timeout=30)
    made.raise_for_status()
    # Until a key is there, nothing is asked that would be refused: there is no complaint.
    page = open_page(f"{keyed}/#groups?id=anns")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This service asks for an API key. Enter yours.")
    alert.get_by_role("button", name="Enter a key").click()
    expect(page.get_by_label("Your key")).to_be_focused()
    enter(page, ANN)
    expect(page.get_by_label("Name", exact=True)).to_have_value("Ann's group")
    expect(alert).to_have_count(0)
    # It is there after a reload, and in no other tab or store.
    page.reload()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Ann's group")
    assert page.evaluate("JSON.stringify(localStorage) + document.cookie").count(ANN) == 0
    # What is copied names it, and does not hold it.
    copied = page.evaluate(
        """async () => {
          const { asCurl, asPython } = await import("./web/js/copy.js");
          const asked = { method: "POST", path: "predict", body: {} };
          return [asCurl(asked, { hasKey: true }), asPython(asked, { hasKey: true })];
        }"""
    )
    for text in copied:
        assert "GPO_API_KEY" in text
        assert ANN not in text


def from_ann_to_bob(page: Page) -> None:
    """Enter a key that has a group, and then another, which has none."""
    page.get_by_role("button", name="Enter a key").click()
    enter(page, ANN)
    expect(page.get_by_role("link", name="Ann's group")).to_be_visible()
    page.get_by_role("button", name="API key").click()
    enter(page, BOB)
    expect(page.get_by_role("button", name="Load two example groups")).to_be_visible()


def test_another_key_shows_nothing_of_the_one_before(keyed: str, open_page: OpenPage) -> None:
    page = open_page(keyed)
    from_ann_to_bob(page)
    assert "Ann's group" not in page.content()


def test_a_wrong_key_is_said(keyed: str, open_page: OpenPage) -> None:
    page = open_page(keyed, allowed=("401",))
    page.get_by_role("button", name="Enter a key").click()
    enter(page, "wrong")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This service does not know your API key. Enter another one.")


def test_what_can_be_no_key_is_said(keyed: str, open_page: OpenPage) -> None:
    page = open_page(keyed)
    page.get_by_role("button", name="Enter a key").click()
    enter(page, "schlüssel 日本")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This is not an API key")
    alert.get_by_role("button", name="Enter a key").click()
    enter(page, ANN)
    expect(alert).to_have_count(0)


FORBID = """for (const name of ["localStorage", "sessionStorage"])
  Object.defineProperty(window, name, { get() { throw new DOMException("forbidden"); } });"""


def test_without_storage_a_key_lives_in_the_page(keyed: str, open_page: OpenPage) -> None:
    page = open_page()
    page.add_init_script(FORBID)
    page.goto(keyed)
    from_ann_to_bob(page)
    # The page took the key along when it was emptied, and left it nowhere.
    assert BOB not in page.evaluate("JSON.stringify(history.state) + location.href")
    colours = page.get_by_role("button", name="Colours")
    for chosen in ("light", "dark", "auto"):
        colours.click()
        expect(colours).to_have_text(f"Colours: {chosen}")


def test_an_export_sends_the_key(keyed: str, open_page: OpenPage) -> None:
    page = open_page(keyed)
    page.get_by_role("button", name="Enter a key").click()
    enter(page, ANN)
    with page.expect_download() as started:
        page.get_by_role("button", name="JSON Lines").click()
    assert "Ann's group" in Path(started.value.path()).read_text()


def test_a_used_up_quota_is_said(keyed: str, open_page: OpenPage) -> None:
    page = open_page(keyed, allowed=("429",))
    page.get_by_role("button", name="Enter a key").click()
    enter(page, BOB)
    expect(page.get_by_role("button", name="Load two example groups")).to_be_visible()
    for _ in range(QUOTA):
        httpx.get(f"{keyed}/version", headers=bearer(BOB), timeout=30)
    page.get_by_role("button", name="Load two example groups").click()
    alert = page.locator(".first-step").get_by_role("alert")
    expect(alert).to_contain_text("Try again in")


@pytest.fixture
def ending(tmp_path: Path) -> Iterator[ServeProcess]:
    """A service of its own, which listens on for a while after its end has been asked for."""
    with serving(tmp_path, GPO_DRAIN_DELAY_S="20") as running:
        register(running.url, groups=True)
        yield running


def test_a_service_that_stops_is_said(ending: ServeProcess, open_page: OpenPage) -> None:
    page = open_page(f"{ending.url}/#predict", allowed=("503", "ERR_CONNECTION_REFUSED"))
    page.get_by_label("City tenants").check()
    page.get_by_label("Question").fill("Why?")
    page.get_by_label("Options").fill("Yes\nNo")
    ending.send(signal.SIGTERM)
    alert, button = page.get_by_role("alert"), page.get_by_role("button", name="Predict")
    while httpx.get(f"{ending.url}/readyz", timeout=30).status_code == 200:
        page.wait_for_timeout(50)
    button.click()
    expect(alert).to_contain_text("shutting down")
    expect(alert).to_contain_text("Try again in")
    ending.process.kill()
    ending.process.wait()
    button.click()
    expect(alert).to_have_text("The service cannot be reached. Is it still running?")
