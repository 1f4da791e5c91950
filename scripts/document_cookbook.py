"""Puts the examples and what they print into docs/cookbook; --check only compares the code.

A page holds `<!-- code: NAME -->` and `<!-- output: NAME -->`, each up to `<!-- end -->`; between
them goes `examples/NAME.py`, and what it printed against a service that is started for this.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from service.demo import SERVE, running_service

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "cookbook"
EXAMPLES = ROOT / "examples"
PLACE = re.compile(r"<!-- (code|output): (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def code(name: str) -> str:
    """An example as a block."""
    return f"```python\n{(EXAMPLES / f'{name}.py').read_text(encoding='utf-8')}```\n"


def run(name: str, url: str, folder: Path) -> str:
    """What an example prints. Raises CalledProcessError."""
    found = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")],
        cwd=folder,
        env={**os.environ, "GPO_URL": url, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return found.stdout.strip("\n") + "\n"


def filled(page: str, output: Callable[[str], str] | None) -> str:
    """The page with its places filled; without `output` those of outputs stay as they are."""

    def fill(place: re.Match[str]) -> str:
        kind, name = place.groups()
        if kind == "output" and output is None:
            return place[0]
        block = code(name) if kind == "code" else f"```text\n{output(name) if output else ''}```\n"
        return f"<!-- {kind}: {name} -->\n{block}<!-- end -->"

    return PLACE.sub(fill, page)


def pages() -> Iterator[tuple[Path, str]]:
    """Every page with its text."""
    for path in sorted(PAGES.glob("*.md")):
        yield path, path.read_text(encoding="utf-8")


def main() -> None:
    """Fill the pages, or compare them."""
    if "--check" in sys.argv:
        old = [path.name for path, text in pages() if filled(text, None) != text]
        if old:
            sys.exit(f"{', '.join(old)}: not current; run python scripts/document_cookbook.py")
        return
    with (
        tempfile.TemporaryDirectory() as scratch,
        running_service(Console(stderr=True), SERVE, Path(scratch)) as url,
    ):
        for path, text in pages():
            path.write_text(
                filled(text, lambda name: run(name, url, Path(scratch))), encoding="utf-8"
            )


if __name__ == "__main__":
    main()
