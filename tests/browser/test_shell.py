"""The frame around the views: it loads, it goes from view to view, it says what runs here."""

from __future__ import annotations

import pytest
from fixtures.pages import VIEWS, OpenPage
from playwright.sync_api import Locator, Page, Route, expect


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


def test_the_keyboard_alone_goes_everywhere(examples: str, open_page: OpenPage) -> None:
    page = open_page(examples)
    expect(page.get_by_role("link", name="City tenants")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    expect(page.locator(".skip")).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    assert page.url.rstrip("/") == examples

    # From the top to the view Predict, to a group, to the answer.
    reach(page, page.get_by_role("link", name="Predict"))
    page.keyboard.press("Enter")
    expect(page).to_have_title("Predict · gpo-serve")
    expect(page.locator("#main")).to_be_focused()
    reach(page, page.get_by_label("Small landlords"))
    page.keyboard.press("Space")
    expect(page.get_by_label("Small landlords")).to_be_checked()
    expect(page.get_by_label("Small landlords")).to_be_focused()
    reach(page, page.get_by_label("Question"))
    page.keyboard.type("Are rents too high?")
    reach(page, page.get_by_label("Options"))
    page.keyboard.type("Yes\nNo")
    reach(page, page.get_by_role("button", name="Predict"))
    page.keyboard.press("Enter")
    expect(page.locator(".bar")).to_have_count(2)
    expect(page.get_by_role("button", name="Predict")).to_be_focused()


def test_each_control_shows_that_it_has_the_focus(examples: str, open_page: OpenPage) -> None:
    page = open_page(f"{examples}/#groups?id=city-tenants")
    expect(page.locator(".editor h2")).to_be_focused()
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        outline = page.evaluate(
            """() => {
              const one = document.activeElement;
              const style = getComputedStyle(one);
              return [one.outerHTML.slice(0, 100), style.outlineStyle, style.outlineWidth];
            }"""
        )
        if outline[0].startswith("<body"):
            break
        assert outline[1:] == ["solid", "2px"] or outline[1] == "auto", outline
        seen.add(outline[0])
    assert len(seen) > 25


def test_the_colours_can_be_chosen_and_stay(served: str, open_page: OpenPage) -> None:
    page = open_page(served, color_scheme="light")
    back = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(back)
    button = page.get_by_role("button", name="Colours")
    expect(button).to_have_text("Colours: auto")
    button.click()
    expect(button).to_have_text("Colours: light")
    button.click()
    expect(button).to_have_text("Colours: dark")
    dark = page.evaluate(back)
    assert dark != light
    page.reload()
    expect(button).to_have_text("Colours: dark")
    assert page.evaluate(back) == dark


def test_an_address_that_is_no_view_leaves_the_page_as_it_is(
    served: str, open_page: OpenPage
) -> None:
    page = open_page(f"{served}/#predict")
    expect(page.get_by_role("heading", level=1)).to_have_text("Predict")
    page.evaluate("location.hash = 'nowhere'")
    expect(page.get_by_role("heading", level=1)).to_have_text("Predict")


def test_the_page_works_behind_a_prefix(examples: str, open_page: OpenPage) -> None:
    """A proxy that takes the prefix off: every request of the page has to carry it."""
    page = open_page()

    def forward(route: Route) -> None:
        url = route.request.url
        assert url.startswith("http://proxy.test/some/where/"), url
        inner = url.replace("http://proxy.test/some/where", examples)
        answer = route.fetch(url=inner)
        route.fulfill(response=answer)

    page.route("**/*", forward)
    page.goto("http://proxy.test/some/where/#groups?id=city-tenants")
    expect(page.locator(".preference")).to_have_count(20)


def test_server_sent_events_are_read_however_they_are_cut(served: str, open_page: OpenPage) -> None:
    page = open_page(served)
    text = (
        ': hello\r\n\r\nevent: one\r\ndata: {"a": "ü\\n"}\r\n\r\n'
        "event: two\ndata: 1\ndata: 2\n\ndata:no event\n\nevent: cut\ndata: off"
    )
    for size in (1, 2, 3, 7, 1000):
        events = page.evaluate(
            """async ([text, size]) => {
              const { readEvents } = await import("./web/js/sse.js");
              const bytes = new TextEncoder().encode(text);
              const stream = new ReadableStream({
                start(out) {
                  for (let at = 0; at < bytes.length; at += size)
                    out.enqueue(bytes.slice(at, at + size));
                  out.close();
                },
              });
              const found = [];
              for await (const one of readEvents(stream)) found.push([one.event, one.data]);
              return found;
            }""",
            [text, size],
        )
        assert events == [["one", '{"a": "ü\\n"}'], ["two", "1\n2"], ["message", "no event"]]


def test_a_stream_of_generate_comes_event_by_event(examples: str, open_page: OpenPage) -> None:
    page = open_page(examples)
    events = page.evaluate(
        """async () => {
          const { Api } = await import("./web/js/api.js");
          const found = [];
          const group = { group_id: "city-tenants" };
          const body = { ...group, prompt: "Why?", n: 3, max_tokens: 8, stream: true };
          for await (const { event, data } of new Api().stream("generate", body)) {
            found.push([event, typeof data]);
          }
          return found;
        }"""
    )
    names = [name for name, _ in events]
    assert names == ["candidate"] * 3 + ["scored", "selected", "done"]


@pytest.mark.parametrize(
    ("pointer", "name"),
    [
        ("/preferences/1/distribution", "Preference 2, distribution"),
        ("/preferences/0/options/2", "Preference 1, option 3"),
        ("/group_ids", "Group ids"),
        ("/n", "Candidates"),
        ("", "The request"),
        ("/metadata/a~1b", "Metadata, a/b"),
    ],
)
def test_pointers_become_words(served: str, open_page: OpenPage, pointer: str, name: str) -> None:
    page = open_page(served)
    found = page.evaluate(
        "async (pointer) => (await import('./web/js/api.js')).nameOf(pointer)", pointer
    )
    assert found == name


def reach(page: Page, wanted: Locator) -> None:
    """Press Tab until it has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if wanted.evaluate("(one) => one === document.activeElement"):
            return
    raise AssertionError(f"{wanted} is not reached by Tab")


def test_a_number_that_is_missing_is_copied_as_what_the_page_sends(
    served: str, open_page: OpenPage
) -> None:
    page = open_page(served)
    request = "{ method: 'POST', path: 'groups', body: { counts: [NaN, 3] } }"
    text = page.evaluate(f"import('./web/js/copy.js').then((copy) => copy.asPython({request}))")
    assert 'json={"counts": [None, 3]},' in text
