"""docs/cookbook and docs/reports.md do what they say: their code and commands run on a service.

What an example prints is compared with what its page shows, but for numbers and drawn texts.
"""

from __future__ import annotations

import csv
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
COOKBOOK = ROOT / "docs" / "cookbook"
DOCUMENTED = "http://127.0.0.1:8000"
PAGES = ("two-markets", "survey", "rerank", "ten-groups")
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What an LLM drew, or a group chose of it: those lines are told by what stands before.
DRAWN = re.compile(r"^(?P<kept>\S+ +0\.\d\d  ).*|^(?P<said>  )\S.*(?<=[.!?])$")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("cookbook")) as running:
        yield running.url


@pytest.fixture(scope="module")
def printed(service: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each page's example prints; the survey's table is left in `survey.csv`."""
    folder = tmp_path_factory.mktemp("examples")
    found = {"folder": str(folder)}
    for page in PAGES:
        result = subprocess.run(
            [sys.executable, "-W", "error", ROOT / "examples" / f"{page.replace('-', '_')}.py"],
            cwd=folder,
            env=environment(folder, GPO_URL=service, PYTHONPATH=str(ROOT)),
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr == ""
        found[page] = result.stdout
    return found


def text_of(page: str) -> str:
    return (COOKBOOK / f"{page}.md").read_text(encoding="utf-8")


def shape(text: str, *, drawn: bool) -> list[str]:
    """The lines without their numbers, spaces' lengths and drawn texts."""
    lines = []
    for line in text.strip("\n").splitlines():
        found = DRAWN.match(line) if drawn else None
        kept = f"{found['kept'] or found['said']}…" if found else line
        lines.append(re.sub(r"\s+", " ", re.sub(r"[+-]?\d[\d.,]*", "#", kept)).strip())
    return lines


@pytest.mark.parametrize("page", PAGES)
def test_the_example_prints_what_the_page_shows(printed: dict[str, str], page: str) -> None:
    [shown] = re.findall(r"<!-- output: \w+ -->\n```text\n(.*?)```\n", text_of(page), re.DOTALL)
    drawn = page in ("rerank", "ten-groups")
    assert shape(printed[page], drawn=drawn) == shape(shown, drawn=drawn)


def test_the_markets_differ_as_their_contexts_say(printed: dict[str, str]) -> None:
    support = re.findall(r"^  Support .*?([+-]0\.\d\d)", printed["two-markets"], re.MULTILINE)
    assert len(support) == 2
    assert all(float(difference) > 0.1 for difference in support)


def test_the_table_of_the_survey_holds_every_cell(printed: dict[str, str]) -> None:
    with (Path(printed["folder"]) / "survey.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    header = re.findall(r"^```csv\n(.*)\n```$", text_of("survey"), re.MULTILINE)
    assert header == [",".join(rows[0])]
    assert len({(r["group"], r["question"], r["option"]) for r in rows}) == len(rows) == 10 * 15
    for row in rows:
        assert float(row["low"]) <= float(row["share"]) <= float(row["high"])


def test_one_draw_costs_a_tenth_of_the_tokens(printed: dict[str, str]) -> None:
    one, ten = (
        int(n.replace(",", "")) for n in re.findall(r"([\d,]+) tokens", printed["ten-groups"])
    )
    assert ten > 9 * one
    assert "10 of 10 groups got the same answer" in printed["ten-groups"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the commands use curl")
@pytest.mark.parametrize("page", [*(f"cookbook/{p}" for p in PAGES), "reports"])
def test_the_commands(service: str, printed: dict[str, str], tmp_path: Path, page: str) -> None:
    gpo = tmp_path / "bin" / "gpo"
    gpo.parent.mkdir()
    gpo.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service "$@"\n')
    gpo.chmod(0o755)
    examples = ROOT / "examples"
    given = environment(
        tmp_path, GPO_URL=service, EXAMPLES=str(examples), MARKETS=str(examples / "markets")
    )
    commands = BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))
    assert commands or page == "cookbook/survey"
    for command in commands:
        fails = 'curl() { command curl --fail-with-body "$@"; }\n'
        result = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", fails + command.replace(DOCUMENTED, service)],
            cwd=tmp_path,
            env={
                **given,
                "PATH": f"{gpo.parent}:{given['PATH']}",
                "PYTHONPATH": str(ROOT),
                "COLUMNS": "100",
            },
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert result.returncode == 0, (command, result.stdout, result.stderr)
        if command.startswith("curl"):
            json.loads(result.stdout)
    wanted = {
        "cookbook/two-markets": {"markets.html"},
        "reports": {"report-cedar-city.html", "two.html"},
    }
    assert {p.name for p in tmp_path.glob("*.html")} == wanted.get(page, set())


def test_what_the_page_on_reports_shows_is_what_is_printed(service: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
    shown = re.findall(r"^Cedar City: .*\nwritten: .*$", text, re.MULTILINE)
    result = subprocess.run(
        [sys.executable, "-m", "service", "report", "cedar-city"],
        cwd=tmp_path,
        env=environment(tmp_path, GPO_URL=service, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr
    assert [shape(s, drawn=False) for s in shown] == [shape(result.stdout, drawn=False)]
    figures = [
        [float(n) for n in re.findall(r"\d+(?:\.\d+)?", t)] for t in (shown[0], result.stdout)
    ]
    assert figures[0] == pytest.approx(figures[1], abs=0.02, rel=0.05)


def test_own_data_is_trained_served_and_asked(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "examples" / "train_own.py"],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert "served by club@" in result.stdout
    assert len(re.findall(r"^  \S.* \d+% \(\d+% to \d+%\)$", result.stdout, re.MULTILINE)) == 2
