"""mkdocs.yml names every page, its links are those of a checkout, and a built site is checked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import check_site
import site_links

ROOT = Path(__file__).resolve().parents[2]
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def pages(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        for part in nav.values():
            yield from pages(part)
    elif isinstance(nav, list):
        for part in nav:
            yield from pages(part)


def test_the_navigation_names_every_page_once() -> None:
    named = list(pages(CONFIG["nav"]))
    there = {p.relative_to(ROOT / "docs").as_posix() for p in ROOT.glob("docs/**/*.md")}
    assert set(named) == there | set(site_links.PAGES.values())
    assert len(named) == len(set(named))


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")
    for path in ROOT.glob("docs/decisions/0*.md"):
        title = path.read_text(encoding="utf-8").splitlines()[0].split(maxsplit=2)[2]
        assert f"{int(path.name[:4])}. [{title}]({path.name})" in index


def test_every_warning_is_looked_for_and_nothing_is_fetched() -> None:
    assert CONFIG["theme"]["font"] is False
    assert CONFIG["plugins"] == ["search"]
    levels = [level for part in CONFIG["validation"].values() for level in part.values()]
    assert levels == ["warn"] * 7


def test_links_out_of_docs_lead_to_pages_and_files_of_the_site() -> None:
    text = "[a](../CONTRIBUTING.md#tests) [b](../LICENSE) [c](client.md) [d](../no-such-file)"
    wanted = "[a](contributing.md#tests) [b](files/LICENSE) [c](client.md) [d](../no-such-file)"
    assert site_links.rewritten(text, "docs/data.md") == wanted
    deeper = "[a](../../CHANGELOG.md) [b](../data.md)"
    wanted = "[a](../changelog.md) [b](../data.md)"
    assert site_links.rewritten(deeper, "docs/decisions/index.md") == wanted


def test_links_of_the_root_lead_into_the_site() -> None:
    text = "[a](docs/data.md) [b](docs/decisions/index.md) [c](https://example.org/docs/data.md)"
    wanted = "[a](data.md) [b](decisions/index.md) [c](https://example.org/docs/data.md)"
    assert site_links.rewritten(text, "CONTRIBUTING.md") == wanted


def test_code_keeps_its_text_but_not_the_word_behind_its_language() -> None:
    text = "```bash server\ncurl [a](../LICENSE)\n```\n"
    assert site_links.rewritten(text, "docs/data.md") == "```bash\ncurl [a](../LICENSE)\n```\n"


def test_only_files_out_of_docs_are_added() -> None:
    text = "[a](../LICENSE) [b](client.md) [c](../CHANGELOG.md)\n```\n[d](../Makefile)\n```\n"
    assert list(site_links.outside(text, "docs/data.md")) == ["LICENSE"]


@pytest.mark.parametrize(
    ("html", "fault"),
    [
        ('<script src="https://cdn.example.org/a.js"></script>', "loads https://cdn"),
        ('<link rel="stylesheet" href="//fonts.example.org/a.css">', "loads //fonts"),
        ('<img src="gone.png">', "gone.png, which is not there"),
        ('<p style="background: url(https://example.org/a.png)">x</p>', "loads https://example"),
        ("<style>@import 'https://example.org/a.css';</style>", "loads https://example"),
        ("<p>```bash server\nx</p>", "a code block is shown as text"),
        ("<p><strong>So.</strong>\n- one\n- two</p>", "a list is shown as text"),
        ("<p>So.\n| a | b |\n|---|---|\n| 1 | 2 |</p>", "a table is shown as text"),
    ],
)
def test_a_page_with_a_fault_is_named(tmp_path: Path, html: str, fault: str) -> None:
    (tmp_path / "index.html").write_text(html)
    found = list(check_site.faults(tmp_path))
    assert found
    assert all(line.startswith("index.html: ") for line in found)
    assert fault in found[0]


def test_a_style_that_fetches_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<p>x</p>")
    (tmp_path / "a.css").write_text("@font-face { src: url(https://example.org/a.woff2) }")
    assert list(check_site.faults(tmp_path)) == ["a.css: loads https://example.org/a.woff2"]


def test_links_for_people_and_files_of_the_site_are_no_faults(tmp_path: Path) -> None:
    (tmp_path / "a b.png").touch()
    (tmp_path / "index.html").write_text(
        '<a href="https://example.org">x</a><link rel="canonical" href="https://example.org/">'
        '<img src="a%20b.png?v=1"><img src="data:image/png;base64,AA">'
    )
    assert not list(check_site.faults(tmp_path))


def test_no_site_is_a_fault(tmp_path: Path) -> None:
    assert list(check_site.faults(tmp_path)) == [f"{tmp_path}: no page"]


def test_pictures_in_html_exist() -> None:
    for page in [ROOT / "README.md", *ROOT.glob("docs/*.md")]:
        text = page.read_text(encoding="utf-8")
        for address in re.findall(r'\bsrc(?:set)?="([^"]+)"', text):
            assert (page.parent / address).is_file(), (page.name, address)
