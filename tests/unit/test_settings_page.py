"""docs/settings.md names every setting, with the default and the meaning that the code has."""

import subprocess
import sys
from pathlib import Path

from service.client_settings import ClientSettings
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_the_settings_class_says() -> None:
    command = [sys.executable, "scripts/document_settings.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_every_setting_is_described() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    for name, field in (Settings.model_fields | ClientSettings.model_fields).items():
        assert field.description, name
        assert f"| `GPO_{name.upper()}` |" in page
