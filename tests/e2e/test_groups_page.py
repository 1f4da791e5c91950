"""docs/groups.md does what it says: its blocks are run, in order, against a real service."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fixtures.serve_process import environment

from service.api.transfer.csv_columns import COLUMNS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "groups.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\S[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(info: str) -> list[str]:
    return [body for found, body in BLOCK.findall(PAGE) if found == info]


@pytest.fixture(autouse=True)
def without_the_examples(service_url: str) -> Iterator[None]:
    yield
    for name in ("parkside", "roadside"):
        httpx.delete(f"{service_url}/groups/{name}")


def test_the_examples(service_url: str, tmp_path: Path) -> None:
    gpo = tmp_path / "gpo"
    gpo.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m service "$@"\n')
    gpo.chmod(0o755)
    given = environment(tmp_path, GPO_URL=service_url)
    commands, requests = blocks("bash")
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands + requests],
        cwd=tmp_path,
        env={**given, "PATH": f"{tmp_path}:{given['PATH']}"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert result.returncode == 0, result.stderr
    assert "2 created" in result.stdout
    assert '"unchanged":2' in result.stdout
    assert '"id":"roadside"' in result.stdout
    assert (tmp_path / "all-groups.csv").read_text().startswith("group_id,group_name,")


def test_the_example_of_csv_is_imported(service_url: str) -> None:
    [rows] = blocks("csv")
    answer = httpx.post(
        f"{service_url}/groups/import", content=rows, headers={"Content-Type": "text/csv"}
    ).json()
    assert answer["refused"] == 0
    [found] = answer["results"]
    group = httpx.get(f"{service_url}/groups/{found['id']}?include=preferences").json()
    assert [sorted(p) for p in group["preferences"]] == [
        ["distribution", "options", "question"],
        ["prompt", "response", "score", "weight"],
        ["chosen", "prompt", "rejected"],
    ]


def test_every_column_and_every_field_of_an_answer_is_on_the_page(service_url: str) -> None:
    for column in COLUMNS:
        assert f"`{column}`" in PAGE
    [shown] = [json.loads(block) for block in blocks("json")]
    schemas = httpx.get(f"{service_url}/openapi.json").json()["components"]["schemas"]
    assert list(shown) == list(schemas["ImportOut"]["properties"])
    assert list(shown["results"][1]) == list(schemas["ImportedGroup"]["properties"])
    assert list(shown["results"][1]["errors"][0]) == list(schemas["RowProblem"]["properties"])
