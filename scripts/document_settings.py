"""Writes docs/settings.md from the settings class; --check only says whether it is current."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pydantic import BaseModel

from service.client_settings import ClientSettings
from service.settings import RELEASED, Settings

TARGET = Path(__file__).resolve().parent.parent / "docs" / "settings.md"
PAGE_NAME = re.compile(r"docs/([a-z-]+\.md)")
HEAD = """# Settings

Each is an environment variable. An unknown `GPO_` name is refused at start, and so is a
combination that cannot work. This page is written by `python scripts/document_settings.py`.

| variable | default | what it is |
|---|---|---|
"""
CLIENT_HEAD = """
## Of a client

Read by `gpo groups`, `predict`, `score`, `generate`, `report` and by the Python client
([client.md](client.md)); `gpo serve` takes no notice of them.

| variable | default | what it is |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return HEAD + table(Settings) + CLIENT_HEAD + table(ClientSettings)


def table(settings: type[BaseModel]) -> str:
    """The rows of every setting of a class."""
    return "".join(row(settings, name) for name in settings.model_fields)


def row(settings: type[BaseModel], name: str) -> str:
    """One setting as a row of the table."""
    field = settings.model_fields[name]
    default = field.default
    if isinstance(default, Path):
        default = Path("models/released") / default.relative_to(RELEASED)
    shown = "" if default is None else f"`{default}`"
    description = " ".join((field.description or "").split()).replace("|", "\\|")
    description = PAGE_NAME.sub(r"[\1](\1)", description)
    return f"| `GPO_{name.upper()}` | {shown} | {description} |\n"


def main() -> None:
    """Write the page, or compare it."""
    if "--check" not in sys.argv:
        TARGET.write_text(page(), encoding="utf-8")
    elif TARGET.read_text(encoding="utf-8") != page():
        sys.exit(f"{TARGET.name} is not current: run python scripts/document_settings.py")


if __name__ == "__main__":
    main()
