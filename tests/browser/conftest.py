"""A browser that watches what its pages complain of, and a service for it to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.pages import CHROMIUM, QUIET, OpenPage
from fixtures.scenes import register
from fixtures.serve_process import serving
from playwright.sync_api import Browser, Page, expect, sync_playwright

TIMEOUT_MS = 20_000
"""Far more than a step takes: the machine may be busy."""

expect.set_options(timeout=TIMEOUT_MS)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("browser")
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="there is no chromium on the PATH"))


# Not of the session: Playwright's event loop would run under the asynchronous tests that follow.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service that these tests share."""
    with serving(tmp_path_factory.mktemp("browser")) as running:
        yield running.url


@pytest.fixture
def empty(served: str) -> str:
    """The same, without any groups."""
    register(served, groups=False)
    return served


@pytest.fixture
def examples(served: str) -> str:
    """The same, with the two example groups and no others."""
    register(served, groups=True)
    return served


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages, each in a context of its own; what one complains of fails the test.

    `allowed` are parts of complaints that the test provokes.
    """
    opened: list[tuple[Page, list[str]]] = []

    def open_one(url: str | None = None, *, allowed: tuple[str, ...] = (), **context: Any) -> Page:
        page = browser.new_context(**context).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        complaints: list[str] = []

        def complain(text: str) -> None:
            if not any(part in text for part in allowed):
                complaints.append(text)

        def complain_of(method: str, url: str, failure: str | None) -> None:
            # The page itself hung up. Chromium says so of many streams that were read to their end
            # as well, also by a bare loop over the reader; not by response.text().
            if failure != "net::ERR_ABORTED":
                complain(f"{method} {url} failed: {failure}")

        page.on("console", lambda m: complain(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complain(str(error)))
        page.on("requestfailed", lambda r: complain_of(r.method, r.url, r.failure))
        page.on("response", lambda r: complain(f"{r.url}: {r.status}") if r.status >= 400 else None)
        opened.append((page, complaints))
        if url is not None:
            page.goto(url)
        return page

    yield open_one
    # Before they are closed, which breaks off what is on its way.
    found = [text for _, complaints in opened for text in complaints]
    for page, _ in opened:
        page.context.close()
    assert found == []
