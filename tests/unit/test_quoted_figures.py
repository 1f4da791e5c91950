"""Figures that pages quote are those that were measured, and the code that they name exists."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.mark.parametrize("script", ["document_evaluation.py", "document_sizing.py"])
def test_the_tables_are_current(script: str) -> None:
    command = [sys.executable, f"scripts/{script}", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def decimals(text: str) -> set[str]:
    """Figures such as .8525 or -0.0001, without their sign and the zero in front."""
    return set(re.findall(r"(?<![\w.])(?:0)?(\.\d{3,4})(?!\d)", text))


def test_the_method_quotes_what_the_experiments_measured() -> None:
    page = (DOCS / "method.md").read_text(encoding="utf-8")
    quoted = decimals(page.split("## Where it departs from the paper")[1])
    sources = ("experiments.md", "evaluation.md")
    measured = decimals("".join((DOCS / s).read_text(encoding="utf-8") for s in sources))
    rounded = {f"{float(figure):.3f}"[1:] for figure in measured}
    assert len(quoted) > 15
    assert quoted <= measured | rounded


def test_functions_that_the_method_names_exist() -> None:
    page = (DOCS / "method.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:models|service)\.[\w.]+)`", page))
    assert len(named) > 20
    for name in named:
        parts = name.split(".")
        depth = next(n for n in range(len(parts), 0, -1) if is_module(".".join(parts[:n])))
        found: object = importlib.import_module(".".join(parts[:depth]))
        for part in parts[depth:]:
            assert hasattr(found, part), name
            found = getattr(found, part)


def is_module(name: str) -> bool:
    return (ROOT / name.replace(".", "/")).with_suffix(".py").is_file()


def test_the_weights_of_the_network_are_counted() -> None:
    from models.scorer import GPOScorer

    scorer = GPOScorer.load(ROOT / "models" / "released" / "minilm")
    count = sum(parameter.numel() for parameter in scorer.network.parameters())
    assert f"{count:,} weights" in (DOCS / "method.md").read_text(encoding="utf-8")


def test_named_settings_are_settings() -> None:
    from service.client_settings import ClientSettings
    from service.settings import Settings

    fields = {f"GPO_{name.upper()}" for name in Settings.model_fields | ClientSettings.model_fields}
    for page in DOCS.glob("*.md"):
        for name in set(re.findall(r"\bGPO_[A-Z_]+", page.read_text(encoding="utf-8"))):
            # GPO_MAX_… names several at a time.
            several = name.endswith("_") and any(field.startswith(name) for field in fields)
            assert several or name in fields, (page.name, name)


def test_named_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+)(?=.*:)", makefile, re.MULTILINE))
    for page in DOCS.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:^|`|> |\w=\S+ )make ([a-z-]+)", text, re.MULTILINE))
        assert named <= targets, (page.name, named - targets)
