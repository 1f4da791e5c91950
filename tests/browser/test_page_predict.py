"""The view Predict: its figures are those of the API, and what it copies can be run."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fixtures.pages import OpenPage
from fixtures.scenes import IDS
from playwright.sync_api import Page, expect

from models.metrics import alignment_js

QUESTION = "Would a cap on rents be fair?"
OPTIONS = ["Yes, it would", "It depends", "No"]
CLIPBOARD = ["clipboard-read", "clipboard-write"]


def asked(url: str, **target: Any) -> list[dict[str, Any]]:
    body = {**target, "question": QUESTION, "options": OPTIONS}
    response = httpx.post(f"{url}/predict", json=body, timeout=60)
    response.raise_for_status()
    found: list[dict[str, Any]] = response.json()["predictions"]
    return found


def ask(page: Page, url: str, groups: list[str]) -> None:
    page.goto(f"{url}/#predict")
    for group in groups:
        page.locator(f"[type=checkbox][value={group}]").check()
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_label("Options").fill("\n".join(OPTIONS) + "\n\n")
    page.get_by_role("button", name="Predict").click()


def percent(share: float) -> str:
    return f"{math.floor(share * 100 + 0.5)}"


def test_the_bars_are_the_answer(examples: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{examples}/#predict")
    page.get_by_label("People in general").check()
    ask(page, examples, IDS)
    expected = [*asked(examples, group_ids=IDS), *asked(examples, preferences=[])]
    names = ["City tenants", "Small landlords", "People in general"]
    blocks = page.locator(".bars > li")
    expect(blocks).to_have_count(len(OPTIONS))
    for at, option in enumerate(OPTIONS):
        expect(blocks.nth(at).get_by_role("heading")).to_have_text(option)
        bars = blocks.nth(at).locator(".bar")
        expect(bars).to_have_count(3)
        for number, (name, prediction) in enumerate(zip(names, expected, strict=True)):
            share, (low, high) = prediction["distribution"][at], prediction["interval"][at]
            bar = bars.nth(number)
            expect(bar.locator(".bar-name")).to_have_text(name)
            expect(bar.locator("strong")).to_have_text(f"{percent(share)} %")
            said = f", 90 % interval from {percent(low)} to –{percent(high)}"
            expect(bar.locator(".bar-interval")).to_have_text(said)
            track = bar.locator(".track").bounding_box()
            filled = bar.locator(".track-fill").evaluate(
                "async (one) => { await Promise.all(one.getAnimations().map((a) => a.finished));"
                " return one.getBoundingClientRect().width }"
            )
            line = bar.locator(".track-interval").bounding_box()
            assert track is not None
            assert line is not None
            assert filled / track["width"] == pytest.approx(share, abs=0.01)
            assert (line["x"] - track["x"]) / track["width"] == pytest.approx(low, abs=0.01)
            assert line["width"] / track["width"] == pytest.approx(high - low, abs=0.01)
    expect(page.locator("#live")).to_contain_text("City tenants: ")


@pytest.mark.parametrize("text", ["50 % 30 % 20 %", "0.5, 0.3, 0.2", "0,5; 0,3; 0,2", "50,30,20"])
def test_the_alignment_is_that_of_the_metrics(
    examples: str, open_page: OpenPage, text: str
) -> None:
    page = open_page()
    ask(page, examples, IDS[:1])
    page.get_by_text("Compare with the true shares").click()
    page.get_by_label("True shares of City tenants").fill(text)
    [prediction] = asked(examples, group_ids=IDS[:1])
    expected = alignment_js(prediction["distribution"], [0.5, 0.3, 0.2])
    expect(page.locator(".alignment")).to_have_text(f"alignment {expected:.3f}")
    expect(page.locator(".bar-truth")).to_have_text(["true 50 %", "true 30 %", "true 20 %"])


def test_alignment_agrees_everywhere(served: str, open_page: OpenPage) -> None:
    page = open_page(served)
    rng = np.random.default_rng(3)
    pairs = [rng.dirichlet(np.full(k, 0.3), size=2) for k in range(2, 12) for _ in range(10)]
    pairs += [np.array([[1, 0], [0, 1]]), np.array([[0.2, 0.8], [0.2, 0.8]])]
    sent = [pair.tolist() for pair in pairs]
    got = page.evaluate(
        """async (pairs) => {
          const { alignment } = await import("./web/js/alignment.js");
          return pairs.map(([a, b]) => alignment(a, b));
        }""",
        sent,
    )
    assert got == pytest.approx([alignment_js(a, b) for a, b in pairs], abs=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("50 50", "Give one number for each of the 3 options; found 2."),
        ("a lot, 1, 1", "“a” is no share: give numbers of 0 or more."),
        ("-1 1 1", "“-1” is no share: give numbers of 0 or more."),
        ("0 0 0", "At least one share must be above 0."),
    ],
)
def test_what_are_no_shares(examples: str, open_page: OpenPage, text: str, said: str) -> None:
    page = open_page()
    ask(page, examples, IDS[:1])
    page.get_by_text("Compare with the true shares").click()
    field = page.get_by_label("True shares of City tenants")
    field.fill(text)
    expect(page.locator(".alignment")).to_have_text(said)
    expect(field).to_have_attribute("aria-invalid", "true")
    assert page.locator(".track-truth").count() == 0


def test_what_is_missing_is_said(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#predict")
    button, alert = page.get_by_role("button", name="Predict"), page.get_by_role("alert")
    button.click()
    expect(alert).to_have_text("Choose a group, or people in general.")
    page.get_by_label("City tenants").check()
    button.click()
    expect(alert).to_have_text("Write a question.")
    page.get_by_label("Question").fill("Why?")
    page.get_by_label("Options").fill("Because")
    button.click()
    expect(alert).to_have_text("Give at least two options, one on each line.")
    page.get_by_label("Options").fill("Yes\nNo\nYes")
    button.click()
    expect(alert).to_have_text("The option “Yes” is there twice.")


def test_what_the_service_refuses_is_a_sentence(examples: str, open_page: OpenPage) -> None:
    page = open_page(allowed=("422",))
    page.goto(f"{examples}/#predict")
    page.get_by_label("City tenants").check()
    page.get_by_label("Question").fill("Why?")
    page.get_by_label("Options").fill("Yes\n" + "no " * 600)
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_contain_text("Option 2: ")


def test_work_can_be_stopped_and_is_not_sent_twice(examples: str, open_page: OpenPage) -> None:
    page = open_page()
    sent: list[str] = []
    # Never answered: the service itself is too quick to be stopped.
    page.route("**/predict", lambda route: sent.append(route.request.url))
    ask(page, examples, IDS[:1])
    button = page.get_by_role("button", name="Predict")
    expect(page.get_by_role("progressbar", name="Predicting")).to_be_visible()
    expect(page.locator("#live")).to_have_text("Predicting")
    button.click(force=True)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_text("Stopped.")).to_be_visible()
    assert len(sent) == 1
    page.unroute("**/predict")
    button.click()
    expect(page.locator(".bar")).to_have_count(3)


def test_an_address_names_groups_beyond_the_first_page(empty: str, open_page: OpenPage) -> None:
    lines = [f'{{"id": "g{n:04}", "name": "G {n}", "preferences": []}}' for n in range(150)]
    httpx.post(
        f"{empty}/groups/import",
        content="\n".join(lines),
        headers={"Content-Type": "application/x-ndjson"},
        timeout=60,
    ).raise_for_status()
    page = open_page(f"{empty}/#predict?groups=g0001,g0149")
    for group in ("g0001", "g0149"):
        expect(page.locator(f"[type=checkbox][value={group}]")).to_be_checked()
    assert page.locator("[type=checkbox][value=g0140]").count() == 0


@pytest.mark.parametrize("how", ["curl", "Python"])
def test_what_is_copied_gives_the_same_answer(
    examples: str, open_page: OpenPage, tmp_path: Path, how: str
) -> None:
    page = open_page(permissions=CLIPBOARD)
    quoted = """Is "it's" right? \\ ü 漢 $HOME `id`"""
    page.goto(f"{examples}/#predict")
    page.get_by_label("City tenants").check()
    page.get_by_label("Question").fill(quoted)
    page.get_by_label("Options").fill("It's\nIt “isn't”")
    page.get_by_role("button", name=f"Copy as {how}").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    text = page.evaluate("navigator.clipboard.readText()")
    if how == "curl":
        command = ["bash", "-c", text]
    else:
        (tmp_path / "copied.py").write_text(text)
        command = [sys.executable, str(tmp_path / "copied.py")]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=dict(os.environ))
    assert run.returncode == 0, run.stderr
    answer = json.loads(run.stdout) if how == "curl" else eval(run.stdout)
    [prediction] = answer["predictions"]
    assert (prediction["question"], prediction["group_id"]) == (quoted, IDS[0])
    assert prediction["options"] == ["It's", "It “isn't”"]


def test_without_a_clipboard_the_text_is_shown(examples: str, open_page: OpenPage) -> None:
    page = open_page()
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.goto(f"{examples}/#predict")
    page.get_by_label("City tenants").check()
    page.get_by_label("Question").fill("Why?")
    page.get_by_label("Options").fill("a\nb")
    page.get_by_role("button", name="Copy as curl").click()
    shown = page.get_by_label("Copy it from here").input_value()
    assert shown.startswith("curl -sS -X POST")
    assert '"group_ids"' in shown
