"""The README's commands do what it says: they are run, in order, against a real service."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.documented import blocks, run
from fixtures.serve_process import serving

from service.client_settings import ClientSettings
from service.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTED = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("readme")) as running:
        yield running.url


def test_the_first_command_is_the_demo_and_the_second_the_tests() -> None:
    assert [body.strip() for body in blocks(README, "bash")[:2]] == ["make demo", "make test"]


def test_every_make_target_that_is_named_exists() -> None:
    texts = [README, (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")]
    # In code: inside a fenced block or between backticks, so that prose may say "make sure".
    pattern = re.compile(r"(?:^|`|> )make ([a-z-]+)", re.MULTILINE)
    named = {target for text in texts for target in pattern.findall(text)}
    assert {"demo", "test", "serve", "check"} <= named
    for target in sorted(named):
        result = subprocess.run(
            ["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True
        )
        assert result.returncode == 0, (target, result.stderr)


def test_linked_files_exist() -> None:
    links = re.findall(r"\]\(([^)#\s]+)\)", README)
    assert links
    for link in links:
        if "://" not in link:
            assert (ROOT / link).exists(), link


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's commands use curl")
def test_the_commands_against_a_running_service(service: str) -> None:
    commands = blocks(README, "bash server")
    assert len(commands) == 3
    answers = []
    for command in commands:
        assert DOCUMENTED in command
        answers.append(json.loads(run(command.replace(DOCUMENTED, service), os.environ, ROOT)))
    group, predicted, generated = answers
    assert (group["id"], group["preference_count"]) == ("night-owls", 4)
    (prediction,) = predicted["predictions"]
    assert sum(prediction["distribution"]) == pytest.approx(1, abs=1e-6)
    assert len(prediction["interval"]) == 3
    assert len(generated["candidates"]) == 8
    assert generated["text"] == generated["candidates"][0]["text"]


def test_named_settings_are_settings() -> None:
    for name in set(re.findall(r"GPO_[A-Z_]+", README)):
        fields = Settings.model_fields | ClientSettings.model_fields
        assert name.removeprefix("GPO_").lower() in fields, name
