"""docs/groups.md does what it says: its blocks are run, in order, against a real service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fixtures.documented import blocks, run, with_gpo
from fixtures.serve_process import environment

from service.api.transfer.csv_columns import COLUMNS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "groups.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def without_the_examples(service_url: str) -> Iterator[None]:
    yield
    for name in ("parkside", "roadside"):
        httpx.delete(f"{service_url}/groups/{name}")


def test_the_examples(service_url: str, tmp_path: Path) -> None:
    env = with_gpo(environment(tmp_path, GPO_URL=service_url), tmp_path)
    commands, requests = blocks(PAGE, "bash")
    shown = run(commands + requests, env, tmp_path)
    assert "2 created" in shown
    assert '"unchanged":2' in shown
    assert '"id":"roadside"' in shown
    assert (tmp_path / "all-groups.csv").read_text().startswith("group_id,group_name,")


def test_the_example_of_csv_is_imported(service_url: str) -> None:
    [rows] = blocks(PAGE, "csv")
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
    [shown] = [json.loads(block) for block in blocks(PAGE, "json")]
    schemas = httpx.get(f"{service_url}/openapi.json").json()["components"]["schemas"]
    assert list(shown) == list(schemas["ImportOut"]["properties"])
    assert list(shown["results"][1]) == list(schemas["ImportedGroup"]["properties"])
    assert list(shown["results"][1]["errors"][0]) == list(schemas["RowProblem"]["properties"])
