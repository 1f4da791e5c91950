"""What holds for every view in every colour and width: it can be used by anyone, and it fits."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from fixtures.pages import OpenPage
from fixtures.scenes import SCENES, SCHEMES, WIDTHS, Scene, open_scene, register
from playwright.sync_api import Page

AXE = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
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
    assert page.evaluate("document.documentElement.scrollWidth") == width
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
