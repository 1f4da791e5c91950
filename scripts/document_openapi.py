"""Writes docs/openapi.json from the application; --check only says whether it is current."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from service.app import create_app
from service.settings import Settings

TARGET = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"


def document() -> str:
    """The document of a service with the default settings."""
    defaults = {
        name: field.get_default(call_default_factory=True)
        for name, field in Settings.model_fields.items()
    }
    found = create_app(Settings(**defaults)).openapi()
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def main() -> None:
    """Write the document, or compare it."""
    if "--check" not in sys.argv:
        TARGET.write_text(document(), encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != document():
        sys.exit(f"{TARGET.name} is not current: run python scripts/document_openapi.py")


if __name__ == "__main__":
    main()
