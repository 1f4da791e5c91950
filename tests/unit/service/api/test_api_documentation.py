"""The OpenAPI document and /docs: complete, unique, and without another host."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest
from fixtures.service_app import Bench

from service.api.schemas.generate import GenerateIn
from service.api.schemas.groups import AppendIn, GroupIn
from service.api.schemas.openai import ChatIn, CompletionIn
from service.api.schemas.predict import PredictIn
from service.api.schemas.preferences import ComparisonIn, RatingIn, ShareIn
from service.api.schemas.rerank import RerankIn
from service.api.schemas.score import ScoreIn


async def document(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = (await bench.client.get("/openapi.json")).json()
    return found


async def test_every_operation_is_named_tagged_and_described(bench: Bench) -> None:
    operations = [
        operation
        for path in (await document(bench))["paths"].values()
        for operation in path.values()
    ]
    names = [operation["operationId"] for operation in operations]
    assert sorted(names) == sorted(set(names))
    assert set(names) == {
        "append_preferences", "chat_completions", "completions", "create_group", "delete_group",
        "export_groups", "generate", "get_group", "health", "import_groups", "list_groups",
        "list_models", "livez", "metrics",
        "predict", "put_group", "readyz", "rerank", "rerank_v2", "retrieve_model", "score",
        "version",
    }  # fmt: skip
    for operation in operations:
        assert operation["tags"]
        assert operation["description"]


async def test_errors_are_documented_as_problems(bench: Bench) -> None:
    paths = (await document(bench))["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            errors = {s: r for s, r in operation["responses"].items() if s >= "400"}
            if "operations" in operation["tags"]:
                continue
            if "requestBody" in operation or "parameters" in operation:
                assert "422" in errors, (method, path)
            if "requestBody" in operation:
                assert {"400", "413", "415"} <= set(errors), (method, path)
            for response in errors.values():
                [media] = response["content"]
                assert media == "application/problem+json"


async def test_a_problem_is_what_the_document_says(bench: Bench) -> None:
    schemas = (await document(bench))["components"]
    schema = {"$ref": "#/components/schemas/Problem", "components": schemas}
    for path in ("/groups", "/v1/groups"):
        problem = (await bench.client.post(path, json={"name": 1})).json()
        jsonschema.validate(problem, schema)


@pytest.mark.parametrize(
    "model",
    [
        GroupIn,
        AppendIn,
        PredictIn,
        ScoreIn,
        GenerateIn,
        ShareIn,
        RatingIn,
        ComparisonIn,
        ChatIn,
        CompletionIn,
        RerankIn,
    ],
)
def test_examples_are_valid(model: type[Any]) -> None:
    example = model.model_json_schema().get("example")
    assert example is not None
    model.model_validate(example)


@pytest.mark.parametrize("prefix", ["", "/v1"])
async def test_versioned_routes_are_the_same_ones(bench: Bench, prefix: str) -> None:
    for path in ("/livez", "/readyz", "/health", "/version", "/groups"):
        assert (await bench.client.get(prefix + path)).status_code == 200


async def test_docs_need_no_other_host(bench: Bench) -> None:
    page = await bench.client.get("/docs")
    assert page.status_code == 200
    assert "//" not in re.sub(r"<!--.*?-->", "", page.text.replace("<!DOCTYPE", ""))
    sources = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(sources) >= 3
    for source in sources:
        assert source.startswith("/")
        assert (await bench.client.get(source)).status_code == 200
