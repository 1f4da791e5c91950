"""`gpo demo` as a user runs it: a process, a real service, the released models."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.demo import DRAWS, LEAST_DIFFERENCE, QUESTION
from service.settings import RELEASED


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", "demo", *arguments],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("demo")
    result = demo(folder, "--json")
    assert result.returncode == 0, result.stderr
    assert list(folder.iterdir()) == [], "the demo left something behind"
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_groups_differ_as_their_contexts_say(outcome: dict[str, Any]) -> None:
    tenants, landlords = outcome["groups"]
    assert outcome["ok"]
    assert tenants["distribution"][0] - landlords["distribution"][0] >= LEAST_DIFFERENCE
    for group in (tenants, landlords):
        assert sum(group["distribution"]) == pytest.approx(1, abs=1e-6)


def test_each_group_chooses_among_the_same_drafts(outcome: dict[str, Any]) -> None:
    drawn = [
        sorted((c["index"], c["text"]) for c in group["candidates"]) for group in outcome["groups"]
    ]
    assert len(drawn[0]) == DRAWS["n"]
    assert drawn[0] == drawn[1]
    assert len({text for _, text in drawn[0]}) > 1
    for group in outcome["groups"]:
        best = max(group["candidates"], key=lambda c: float(c["score"]))
        assert best["selected"]
        assert group["text"] == best["text"]


def test_a_second_run_says_the_same_in_words(outcome: dict[str, Any], tmp_path: Path) -> None:
    result = demo(tmp_path)
    assert result.returncode == 0, result.stdout
    for group in outcome["groups"]:
        assert f"{group['distribution'][0]:.0%}" in result.stdout
        assert group["text"].split()[0] in result.stdout
    assert f"{outcome['difference']:+.2f}" in result.stdout


def test_the_question_is_in_no_bank() -> None:
    # The vectors and cards that ship hold no sentences, so a digest of the question cannot be
    # searched for: what can be checked is that no released file contains its words.
    for path in RELEASED.rglob("*"):
        if path.suffix in {".json", ".jsonl", ".txt", ".md"}:
            assert QUESTION not in path.read_text(encoding="utf-8", errors="replace"), path
