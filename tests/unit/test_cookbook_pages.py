"""docs/cookbook quotes the examples as they are, and every example is explained somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {p.name: p.read_text(encoding="utf-8") for p in (ROOT / "docs" / "cookbook").glob("*.md")}
INDEX = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")


def test_the_code_on_the_pages_is_that_of_the_examples() -> None:
    command = [sys.executable, "scripts/document_cookbook.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_page_shows_an_example_and_what_it_prints() -> None:
    assert len(PAGES) == 4
    for name, text in PAGES.items():
        [(kind, code), (other, output)] = re.findall(r"<!-- (\w+): (\w+) -->", text)
        assert (kind, other) == ("code", "output"), name
        assert code == output == name.removesuffix(".md").replace("-", "_")
        assert re.search(r"<!-- output: \w+ -->\n```text\n\S.*?```\n<!-- end -->", text, re.DOTALL)


def test_every_example_is_in_the_index() -> None:
    scripts = sorted(p.name for p in (ROOT / "examples").glob("*.py"))
    assert sorted(re.findall(r"examples/(\w+\.py)", INDEX)) == scripts


def test_every_link_of_the_pages_and_the_index_leads_somewhere() -> None:
    texts = {ROOT / "docs" / "cookbook" / name: text for name, text in PAGES.items()}
    texts[ROOT / "examples" / "README.md"] = INDEX
    reports = ROOT / "docs" / "reports.md"
    texts[reports] = reports.read_text(encoding="utf-8")
    for page, text in texts.items():
        for link in re.findall(r"\]\(([^)#\s:]+)", text):
            assert (page.parent / link).exists(), (page.name, link)
