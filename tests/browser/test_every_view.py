"""What holds for every view in every colour and width: it can be used by anyone, and it fits."""

from __future__ import annotations

import json
from importlib import resources
from urllib.parse import urlencode

import httpx
import pytest
from fixtures.pages import OpenPage
from fixtures.scenes import SCENES, SCHEMES, WIDTHS, Scene, open_scene, register
from playwright.sync_api import Page, expect

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
SCROLL_WIDTH = "document.documentElement.scrollWidth"
SERIOUS = {"serious", "critical"}
LOOKS = [(width, scheme) for width in WIDTHS for scheme in SCHEMES]


@pytest.fixture(params=SCENES, ids=lambda scene: scene.name)
def scene(request: pytest.FixtureRequest, served: str) -> Scene:
    chosen: Scene = request.param
    register(served, groups=chosen.groups)
    return chosen


def findings(page: Page) -> list[str]:
    """What axe-core finds seriously wrong, each with the elements."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run().then((result) => result.violations)")
    return [
        f"{one['id']}: {json.dumps([node['html'][:120] for node in one['nodes']])}"
        for one in found
        if one["impact"] in SERIOUS
    ]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_view(served: str, scene: Scene, open_page: OpenPage, width: int, scheme: str) -> None:
    page = open_page(
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme=scheme,
        reduced_motion="reduce",
        bypass_csp=True,  # for axe-core, which is no part of the page
    )
    open_scene(page, served, scene)
    assert findings(page) == []
    assert page.evaluate(SCROLL_WIDTH) == width
    past_the_edge = page.evaluate(
        """[...document.querySelectorAll("main *")]
           .filter((one) => one.checkVisibility() && !one.closest(".hidden-text"))
           .filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5)
           .map((one) => one.outerHTML.slice(0, 120))"""
    )
    assert past_the_edge == []


def test_axe_would_find_something(served: str, open_page: OpenPage) -> None:
    page = open_page(bypass_csp=True)
    page.goto(served)
    page.evaluate(
        """document.getElementById("main").insertAdjacentHTML("beforeend",
           '<button></button><p style="color:#bbb;background:#fff">pale</p>')"""
    )
    found = findings(page)
    assert any(one.startswith("button-name") for one in found)
    assert any(one.startswith("color-contrast") for one in found)


@pytest.mark.parametrize("width", WIDTHS)
def test_words_of_any_length_stay_inside(empty: str, open_page: OpenPage, width: int) -> None:
    name = "N" * 200
    httpx.put(
        f"{empty}/groups/long", json={"name": name, "preferences": []}, timeout=30
    ).raise_for_status()
    page = open_page(empty, viewport={"width": width, "height": 900})
    asked = {"groups": "long", "question": "Which?", "options": f"{'W' * 300}\nShort"}
    page.goto(f"{empty}/#groups?id=long")
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    assert page.evaluate(SCROLL_WIDTH) == width
    page.goto(f"{empty}/#predict?{urlencode(asked)}")
    page.get_by_role("button", name="Predict", exact=True).click()
    expect(page.locator(".bar")).to_have_count(2)
    assert page.evaluate(SCROLL_WIDTH) == width
    page.goto(f"{empty}/#generate?{urlencode({'groups': 'long', 'prompt': 'Why?'})}")
    page.get_by_role("button", name="Generate", exact=True).click()
    expect(page.get_by_text("chosen", exact=True)).to_have_count(1, timeout=60_000)
    assert page.evaluate(SCROLL_WIDTH) == width
