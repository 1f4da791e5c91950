"""Replaces what stands between `<!-- NAME:begin -->` and `<!-- NAME:end -->` in a page."""

from __future__ import annotations

import sys
from pathlib import Path


def replaced(text: str, name: str, content: str) -> str:
    """`text` with other content in its block. Raises ValueError where there is not one block."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"needs one {begin} and one {end}")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}{end}{after}"


def write_or_check(target: Path, name: str, content: str, *, script: str) -> None:
    """Write the block into the page, or with --check end with a message if it is not current."""
    text = target.read_text(encoding="utf-8")
    wanted = replaced(text, name, content)
    if "--check" not in sys.argv:
        target.write_text(wanted, encoding="utf-8")
    elif text != wanted:
        sys.exit(f"{target.name} is not current: run python scripts/{script}")
