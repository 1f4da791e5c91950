"""docs/api.md does what it says: every command and example is run, in order, on a real service.

Each route of the OpenAPI document has its section with both, and an answer that is shown holds no
field that the real one lacks.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fixtures.serve_process import serving

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
DOCUMENT = json.loads((ROOT / "docs" / "openapi.json").read_text(encoding="utf-8"))
DOCUMENTED = "http://127.0.0.1:8000"
HEADING = re.compile(r"^### ([A-Z]+ /\S*)$", re.MULTILINE)
BLOCK = re.compile(r"^```(\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What the runner below puts before each output, so that it can be told whose it is.
MARK = "\x1e"
RUNNER = f"""
import subprocess as _subprocess
def _shell(number, script):
    command = ["bash", "-euo", "pipefail", "-c", script]
    found = _subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, (script, found.stdout, found.stderr)
    print(f"{MARK}{{number}}\\n{{found.stdout}}", flush=True)
"""
FAILING = 'curl() { command curl --fail-with-body "$@"; }\n'


@dataclass(frozen=True)
class Block:
    """One fenced block of the page."""

    info: str
    text: str

    @property
    def is_command(self) -> bool:
        return self.info.split()[0] == "bash"


BLOCKS = [Block(info, text) for info, text in BLOCK.findall(PAGE)]


def sections() -> Iterator[tuple[str, str]]:
    """Each route's heading with what stands below it."""
    found = list(HEADING.finditer(PAGE))
    for here, following in zip(found, [*found[1:], None], strict=True):
        yield here[1], PAGE[here.end() : following.start() if following else len(PAGE)]


def test_every_route_has_a_section_with_both_examples() -> None:
    routes = {
        f"{method.upper()} {path}" for path, found in DOCUMENT["paths"].items() for method in found
    }
    described = dict(sections())
    assert len(described) == len(list(sections()))
    assert set(described) == routes
    for route, text in described.items():
        method, path = route.split(" ")
        pattern = re.sub(r"\\{\w+\\}", r"[^/\\s]+", re.escape(path))
        infos = [info for info, _ in BLOCK.findall(text)]
        assert "python" in infos, f"{route} lacks a Python example"
        commands = [body for info, body in BLOCK.findall(text) if info == "bash"]
        assert any(re.search(rf"{DOCUMENTED}{pattern}(?=['?\s]|$)", c) for c in commands), (
            f"{route} lacks a curl example"
        )
        if method in ("PUT", "DELETE", "PATCH"):
            assert any(f"-X {method}" in command for command in commands), route


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """What each command of the page printed, by the number of its block."""
    if shutil.which("curl") is None:
        pytest.skip("the examples use curl")
    folder = tmp_path_factory.mktemp("api-page")
    lines = [RUNNER]
    for number, block in enumerate(BLOCKS):
        if block.info == "python":
            lines.append(block.text)
        elif block.is_command:
            guard = "" if block.info.endswith("error") else FAILING
            lines.append(f"_shell({number}, {guard + block.text!r})\n")
    with serving(folder) as service:
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", "".join(lines).replace(DOCUMENTED, service.url)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        assert "Traceback" not in service.said
    found: dict[int, str] = {}
    for part in result.stdout.split(MARK)[1:]:
        number_text, _, printed = part.partition("\n")
        found[int(number_text)] = printed
    return found


def test_every_command_ran(outputs: dict[int, str]) -> None:
    assert set(outputs) == {number for number, block in enumerate(BLOCKS) if block.is_command}


def test_the_answers_shown_are_like_the_real_ones(outputs: dict[int, str]) -> None:
    compared = 0
    for number, block in enumerate(BLOCKS):
        if block.info == "json":
            answer, _ = json.JSONDecoder().raw_decode(outputs[number - 1])
            assert_alike(json.loads(block.text), answer, f"block {number}")
            compared += 1
    assert compared >= 18


def test_what_the_page_says_of_a_few_answers(outputs: dict[int, str]) -> None:
    answers = [text for _, text in sorted(outputs.items())]
    assert "event: candidate" in "".join(answers)
    assert "# HELP" in "".join(answers)
    [error] = [outputs[n] for n, block in enumerate(BLOCKS) if block.info == "bash error"]
    problem, _ = json.JSONDecoder().raw_decode(error)
    assert problem["request_id"] == "my-request-1"


def assert_alike(shown: Any, real: Any, where: str) -> None:
    """Every field that is shown is in the real answer, with a value of its kind."""
    if isinstance(shown, dict):
        assert isinstance(real, dict), where
        for name, value in shown.items():
            assert name in real, f"{where}: no {name} in {sorted(real)}"
            assert_alike(value, real[name], f"{where}/{name}")
    elif isinstance(shown, list):
        assert isinstance(real, list), where
        assert len(real) >= len(shown), where
        for index, value in enumerate(shown):
            assert_alike(value, real[index], f"{where}/{index}")
    elif isinstance(shown, bool) or shown is None:
        assert shown == real, where
    elif isinstance(shown, int | float):
        assert isinstance(real, int | float), where
    else:
        assert isinstance(real, str), where
