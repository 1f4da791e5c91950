"""The view Generate: candidates as they come, what each group chooses, stopping, errors."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import httpx
import pytest
from fixtures.pages import OpenPage
from playwright.sync_api import Page, expect

IDS = ("city-tenants", "small-landlords")
PROMPT = "Should the government put a limit on rent?"
TENANTS, LANDLORDS = "City tenants", "Small landlords"


def ask(page: Page, *names: str, n: int = 4, seed: int = 1, tokens: int = 30) -> None:
    """Fill in the form and send it."""
    for name in names:
        page.locator(".view-generate").get_by_label(name).check()
    page.get_by_label("Prompt").fill(PROMPT)
    page.get_by_label("Candidates").fill(str(n))
    page.get_by_text("More settings").click()
    page.get_by_label("Seed").fill(str(seed))
    page.get_by_label("Most tokens of each").fill(str(tokens))
    page.get_by_role("button", name="Generate").click()


def column(page: Page, name: str) -> list[dict[str, str]]:
    """The candidates as one group's column shows them."""
    found = page.get_by_role("region", name=name).locator(".ranks .candidate")
    return [
        {
            "text": one.locator(".candidate-text").inner_text(),
            "score": one.locator(".score-value").inner_text(),
            "figures": one.locator(".figures").inner_text(),
            "chosen": str(one.locator(".chosen").count()),
        }
        for one in found.all()
    ]


def test_two_groups_choose_among_the_same_candidates(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#generate?groups={','.join(IDS)}")
    ask(page)
    expect(page.locator(".verdict")).to_be_visible()
    body = {"group_ids": IDS, "prompt": PROMPT, "n": 4, "seed": 1, "max_tokens": 30}
    body |= {"temperature": 0.7, "timeout_s": 60}
    answer = httpx.post(f"{examples}/generate", json=body, timeout=60).json()
    for choice, name in zip(answer["choices"], (TENANTS, LANDLORDS), strict=True):
        shown = column(page, name)
        assert sorted(one["text"] for one in shown) == sorted(
            " ".join(one["text"].split()) for one in choice["candidates"]
        )
        assert [one["chosen"] for one in shown] == ["1", "0", "0", "0"]
        assert shown[0]["text"] == " ".join(choice["text"].split())
        scores = [float(one["score"]) for one in shown]
        assert scores == sorted(scores, reverse=True)
        assert all(re.search(r"selection 0\.\d{3}", one["figures"]) for one in shown)
        assert all(re.search(r"± 0\.\d{3}", one["figures"]) for one in shown)
    expect(page.get_by_text("seed 1 ·")).to_contain_text("in all")


def test_candidates_appear_while_others_are_drawn(examples: str, open_page: OpenPage) -> None:
    """Each as soon as it is there: what the list held at each change, in order."""
    page = open_page(f"{examples}/#generate?groups={IDS[0]}")
    page.evaluate(
        """window.counts = [];
        new MutationObserver(() => {
          const found = document.querySelectorAll(".drawn .candidate").length;
          if (found && window.counts.at(-1) !== found) window.counts.push(found);
        }).observe(document.querySelector(".view-generate"), { subtree: true, childList: true });"""
    )
    ask(page, n=6, tokens=60)
    expect(page.locator(".ranks .candidate")).to_have_count(6)
    counts = page.evaluate("window.counts")
    assert counts == sorted(counts)
    assert len(counts) > 1
    expect(page.locator(".verdict")).to_have_count(0)


def test_the_same_seed_draws_the_same_and_steering_is_for_one_group(
    examples: str, open_page: OpenPage
) -> None:
    page = open_page(f"{examples}/#generate?groups={IDS[0]}")
    ask(page, n=2, seed=5)
    expect(page.locator(".ranks .candidate")).to_have_count(2)
    first = sorted(one["text"] for one in column(page, TENANTS))
    told = page.get_by_label("The language model is told")
    expect(told).to_be_enabled()
    told.select_option("preferences")
    assert generated(page)["steering"] == "preferences"
    told.select_option("none")
    assert "steering" not in generated(page)
    assert sorted(one["text"] for one in column(page, TENANTS)) == first
    page.locator(".view-generate").get_by_label(LANDLORDS).check()
    expect(told).to_be_disabled()


def generated(page: Page) -> dict[str, Any]:
    """Send the form as it is, wait for the whole answer; the body that was sent."""
    button = page.get_by_role("button", name="Generate")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    with page.expect_request("**/generate") as sent:
        button.click()
    expect(button).not_to_have_attribute("aria-disabled", "true")
    body: dict[str, Any] = json.loads(sent.value.post_data or "")
    return body


def test_stop_ends_the_work_at_the_service(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#generate?groups={IDS[0]}")
    ask(page, n=64, tokens=400)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    expect(page.get_by_role("button", name="Generate")).not_to_have_attribute(
        "aria-disabled", "true"
    )
    deadline = time.monotonic() + 30
    while in_flight(examples):
        assert time.monotonic() < deadline, "it goes on drawing"
        time.sleep(0.1)


def in_flight(url: str) -> float:
    """Candidates that are being drawn."""
    text = httpx.get(f"{url}/metrics").text
    return float(re.search(r"^gpo_candidates_in_flight (\S+)$", text, re.MULTILINE)[1])  # type: ignore[index]


@pytest.mark.parametrize(
    ("label", "value", "said"),
    [
        ("Candidates", "1000", "Candidates: at most 64"),
        ("Temperature", "9", "Temperature: "),
        ("Time limit, seconds", "0.2", "No answer within 0.2 s."),
    ],
)
def test_what_the_service_refuses_is_said_in_a_sentence(
    examples: str, open_page: OpenPage, label: str, value: str, said: str
) -> None:
    page = open_page(
        f"{examples}/#generate?groups={IDS[0]}&prompt=Rent%3F",
        allowed=("/generate: 4", "/generate: 5", "Failed to load resource"),
    )
    page.get_by_text("More settings").click()
    page.get_by_label("Most tokens of each").fill("400")
    page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Generate").click()
    alert = page.locator(".view-generate").get_by_role("alert")
    expect(alert).to_contain_text(said)
    assert (alert.inner_text()).strip().endswith(".")


def test_what_is_missing_is_said_before_anything_is_sent(
    examples: str, open_page: OpenPage
) -> None:
    page = open_page(f"{examples}/#generate")
    button = page.get_by_role("button", name="Generate")
    alert = page.locator(".view-generate").get_by_role("alert")
    button.click()
    expect(alert).to_have_text("Choose a group, or two to compare.")
    page.locator(".view-generate").get_by_label(TENANTS).check()
    button.click()
    expect(alert).to_have_text("Write a prompt.")


def test_it_works_with_the_keyboard_alone(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#generate?groups={IDS[1]}")
    page.get_by_label("Prompt").focus()
    page.keyboard.type(PROMPT)
    page.keyboard.press("Tab")
    expect(page.get_by_label("Candidates")).to_be_focused()
    page.keyboard.press("Control+A")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(page.locator(".ranks .candidate")).to_have_count(2)
    expect(page.locator("#live")).to_contain_text("Small landlords chooses:")


def test_the_request_can_be_copied(examples: str, open_page: OpenPage) -> None:
    page = open_page(
        f"{examples}/#generate?groups={','.join(IDS)}&prompt=Rent%3F",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl -sSN -X POST")
    body = json.loads(copied.split("-d '", 1)[1].rsplit("'", 1)[0])
    assert (body["group_ids"], body["prompt"], body["stream"]) == (list(IDS), "Rent?", True)
