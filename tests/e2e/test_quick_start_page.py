"""docs/quick-start.md does what it says: its commands are run, in order, against a real service."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.documented import blocks, run, with_gpo
from fixtures.serve_process import environment, serving

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "quick-start.md").read_text(encoding="utf-8")
DOCUMENTED = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("quick-start")) as running:
        yield running.url


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands use curl")
def test_the_requests(service: str, tmp_path: Path) -> None:
    commands = blocks(PAGE, "bash http")
    assert all(DOCUMENTED in command for command in commands)
    env = environment(tmp_path)
    registered, predicted, generated = (
        json.loads(run(command.replace(DOCUMENTED, service), env, ROOT)) for command in commands
    )
    assert registered["id"] == "night-owls"
    (prediction,) = predicted["predictions"]
    assert len(prediction["interval"]) == len(prediction["options"]) == 3
    assert generated["text"] == generated["candidates"][0]["text"]


def test_the_commands(service: str, tmp_path: Path) -> None:
    env = with_gpo(environment(tmp_path, GPO_URL=service, COLUMNS="100"), tmp_path)
    (script,) = blocks(PAGE, "bash gpo")
    shown = run(script, env, ROOT)
    assert "city-tenants" in shown
    assert "small-landlords" in shown
    assert "chosen" in shown


def test_the_commands_of_the_readme_are_the_same() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert blocks(readme, "bash server") == blocks(PAGE, "bash http")
