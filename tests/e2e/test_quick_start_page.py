"""docs/quick-start.md does what it says: its commands are run, in order, against a real service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.serve_process import environment, serving

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "quick-start.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOCUMENTED = "http://127.0.0.1:8000"


def blocks(info: str) -> list[str]:
    return [body for found, body in BLOCK.findall(PAGE) if found == info]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("quick-start")) as running:
        yield running.url


def run(script: str, env: dict[str, str]) -> str:
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the page's commands use curl")
def test_the_requests(service: str, tmp_path: Path) -> None:
    commands = blocks("bash http")
    assert all(DOCUMENTED in command for command in commands)
    env = environment(tmp_path)
    registered, predicted, generated = (
        json.loads(run(command.replace(DOCUMENTED, service), env)) for command in commands
    )
    assert registered["id"] == "night-owls"
    (prediction,) = predicted["predictions"]
    assert len(prediction["interval"]) == len(prediction["options"]) == 3
    assert generated["text"] == generated["candidates"][0]["text"]


def test_the_commands(service: str, tmp_path: Path) -> None:
    gpo = tmp_path / "gpo"
    gpo.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service "$@"\n')
    gpo.chmod(0o755)
    env = environment(tmp_path, GPO_URL=service, COLUMNS="100")
    (script,) = blocks("bash gpo")
    shown = run(script, {**env, "PATH": f"{tmp_path}:{env['PATH']}"})
    assert "city-tenants" in shown
    assert "small-landlords" in shown
    assert "chosen" in shown


def test_the_commands_of_the_readme_are_the_same() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    given = [body for found, body in BLOCK.findall(readme) if found == "bash server"]
    assert given == blocks("bash http")
