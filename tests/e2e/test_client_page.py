"""docs/client.md does what it says: its blocks are run, in order, against a real service."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fixtures.documented import blocks, run, with_gpo
from fixtures.serve_process import environment

from service import client

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "client.md").read_text(encoding="utf-8")


@pytest.fixture
def shell(tmp_path: Path, service_url: str) -> dict[str, str]:
    """An environment in which gpo is this checkout's, and knows the service."""
    httpx.delete(f"{service_url}/groups/townsfolk")
    return with_gpo(environment(tmp_path, GPO_URL=service_url, COLUMNS="100"), tmp_path)


def test_the_python_examples(shell: dict[str, str], tmp_path: Path) -> None:
    examples = blocks(PAGE, "python")
    assert len(examples) == 4
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(examples)],
        cwd=tmp_path,
        env=shell,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr
    assert "chosen: " in result.stdout
    assert "somebody was faster" in result.stdout
    assert "['townsfolk'" in result.stdout
    assert "404 group_not_found" in result.stdout


def test_the_shell_examples(shell: dict[str, str], tmp_path: Path) -> None:
    examples = blocks(PAGE, "bash")
    assert len(examples) == 3
    outputs = [run(example, shell, tmp_path) for example in examples]
    assert "townsfolk" in outputs[0]
    assert "chosen" in outputs[1]
    assert json.loads(outputs[2])["predictions"][0]["group_id"] == "townsfolk"


def test_the_completion_for_bash_can_be_read(shell: dict[str, str], tmp_path: Path) -> None:
    [example] = blocks(PAGE, "bash completion")
    assert "gpo" in run(example + "complete -p gpo\n", shell, tmp_path)


def test_every_error_is_on_the_page() -> None:
    kinds = [k for k in vars(client).values() if isinstance(k, type)]
    for kind in kinds:
        if issubclass(kind, client.GPOError):
            assert f"`{kind.__name__}`" in PAGE
