"""docs/openai.md does what it says: its examples are run, in order, against a real service."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fixtures.serve_process import serving

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "openai.md").read_text(encoding="utf-8")
DOCUMENTED = "http://127.0.0.1:8000"
GROUP = {
    "name": "Night owls",
    "preferences": [
        {
            "prompt": "What would make our town better?",
            "response": "A bus that runs all night.",
            "score": 0.93,
        },
        {
            "prompt": "What would make our town better?",
            "chosen": "Cafés that stay open late.",
            "rejected": "Quiet hours from nine.",
        },
    ],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("page")) as running:
        httpx.put(f"{running.url}/groups/night-owls", json=GROUP).raise_for_status()
        yield running.url


def test_the_python_examples(service: str) -> None:
    code = "\n".join(blocks("python"))
    assert code.count(DOCUMENTED) == 2
    result = subprocess.run(
        [sys.executable, "-c", code.replace(DOCUMENTED, service)],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "['opinion-lm']"
    assert sum(bool(re.match(r"0\.\d+ \S", line)) for line in lines) >= 6
    assert "CompletionUsage(" in result.stdout
    assert re.search(r"1 0\.\d+$", lines[-2]), lines


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl")
def test_the_curl_examples(service: str) -> None:
    answers = []
    for command in blocks("bash"):
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command.replace(DOCUMENTED, service)],
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert result.returncode == 0, result.stderr
        answers.append(json.loads(result.stdout))
    completed, ranked = answers
    assert completed["gpo"]["group_id"] == "night-owls"
    assert ranked["results"][0]["document"]["text"] == "A bus that runs all night."
