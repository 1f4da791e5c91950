"""What the OpenAPI document adds to FastAPI's: examples, caps, headers, links, rules of bodies."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from fixtures.service_app import GROUP, Bench

from service.api.etags import TAGS_PATTERN, is_unchanged
from service.core.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[4]


def test_the_committed_document_is_current() -> None:
    result = subprocess.run(
        [sys.executable, "scripts/document_openapi.py", "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


async def fetch(bench: Bench) -> dict[str, Any]:
    found: dict[str, Any] = (await bench.client.get("/openapi.json")).json()
    return found


def operations(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in found["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def valid(example: Any, schema: dict[str, Any], found: dict[str, Any]) -> None:
    whole = {**schema, "components": found["components"]}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(
        example
    )


async def test_every_body_answer_and_error_has_a_valid_example(bench: Bench) -> None:
    found = await fetch(bench)
    for name, operation in operations(found):
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for place in [*bodies, *operation["responses"].values()]:
            for media, content in place.get("content", {}).items():
                if media == "text/plain":
                    continue
                assert "example" in content or "examples" in content, (name, media)
                if media.endswith("json") and "example" in content:
                    valid(content["example"], content["schema"], found)
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            for content in response.get("content", {}).values():
                if status >= "400" and "code" in content.get("example", {}):
                    assert content["example"]["status"] == int(status)


async def test_every_route_tells_of_faults_and_work_of_a_service_that_stops(bench: Bench) -> None:
    for name, operation in operations(await fetch(bench)):
        if "operations" in operation["tags"]:
            continue
        assert "500" in operation["responses"], name
        if not name.startswith("get "):
            assert "503" in operation["responses"], name


async def test_streams_are_described_event_by_event(bench: Bench) -> None:
    paths = (await fetch(bench))["paths"]
    streams = {
        path: operation["responses"]["200"]["content"]["text/event-stream"]
        for path in ("/generate", "/v1/chat/completions", "/v1/completions")
        for operation in [paths[path]["post"]]
    }
    for content in streams.values():
        assert content["example"].endswith("\n\n")
        assert content["schema"]["required"] == ["data"]
    names = streams["/generate"]["schema"]["properties"]["event"]["enum"]
    assert names == ["candidate", "scored", "selected", "done", "error"]


async def test_tags_are_described_and_used(bench: Bench) -> None:
    found = await fetch(bench)
    used = {tag for _, operation in operations(found) for tag in operation["tags"]}
    assert {tag["name"] for tag in found["tags"]} == used
    assert all(tag["description"] for tag in found["tags"])


async def test_every_answer_tells_of_its_headers(bench: Bench) -> None:
    found = await fetch(bench)
    for name, operation in operations(found):
        for status, response in operation["responses"].items():
            assert response["headers"]["X-Request-Id"]["required"], (name, status)
    created = found["paths"]["/groups"]["post"]["responses"]["201"]
    assert {"ETag", "Location"} <= set(created["headers"])
    names = {operation["operationId"] for _, operation in operations(found)}
    for link in created["links"].values():
        assert link["operationId"] in names


async def test_the_caps_are_those_of_the_service(bench: Bench) -> None:
    found = await fetch(bench)
    assert "x-" not in re.findall(r'"(x-)[a-z]+":', json.dumps(found))
    schemas = found["components"]["schemas"]

    def bound(name: str, field: str, key: str) -> Any:
        schema = schemas[name]["properties"][field]
        kinds = [kind[key] for kind in [schema, *schema.get("anyOf", [])] if key in kind]
        assert len(kinds) == 1, (name, field)
        return kinds[0]

    # Those of the fixture `settings`, which are not the defaults.
    assert bound("ShareIn", "options", "maxItems") == 6
    assert bound("GroupIn", "preferences", "maxItems") == 5
    assert bound("PredictIn", "questions", "maxItems") == 4
    assert bound("PredictIn", "group_ids", "maxItems") == 3
    assert bound("ScoreIn", "responses", "maxItems") == 6
    assert bound("RerankIn", "documents", "maxItems") == 6
    assert bound("GenerateIn", "n", "maximum") == 8
    assert bound("ChatIn", "best_of", "maximum") == 8
    assert bound("GenerateIn", "max_tokens", "maximum") == 512
    assert bound("ChatIn", "max_completion_tokens", "maximum") == 512
    parameters = found["paths"]["/groups"]["get"]["parameters"]
    assert [p["schema"]["maximum"] for p in parameters if p["name"] == "limit"] == [20]


@pytest.mark.parametrize(
    ("name", "body", "fits"),
    [
        ("PredictIn", {"group_id": "a", "question": "Why?", "options": ["a", "b"]}, True),
        ("PredictIn", {"group_id": "a", "group_ids": None, "preferences": None,
                       "questions": [{"question": "Why?", "options": ["a", "b"]}]}, True),
        ("PredictIn", {"question": "Why?", "options": ["a", "b"]}, False),
        ("PredictIn", {"group_id": "a", "preferences": [],
                       "question": "Why?", "options": ["a", "b"]}, False),
        ("PredictIn", {"group_id": "a", "question": "Why?"}, False),
        ("PredictIn", {"group_id": "a", "question": "Why?", "options": ["a"]}, False),
        ("GenerateIn", {"group_id": "a", "prompt": "Why?"}, True),
        ("GenerateIn", {"preferences": [], "messages": [{"role": "user", "content": "x"}]}, True),
        ("GenerateIn", {"group_id": "a", "prompt": "Why?", "messages": []}, False),
        ("GenerateIn", {"group_id": "a", "messages": [{"role": "system", "content": "x"}]}, False),
        ("GenerateIn", {"group_id": "a", "prompt": " \n"}, False),
        ("GenerateIn", {"group_id": "a", "prompt": "a\0"}, False),
        ("ShareIn", {"question": "q", "options": ["a", "b"], "counts": [1, 2]}, True),
        ("ShareIn", {"question": "q", "options": ["a", "b"]}, False),
        ("ShareIn", {"question": "q", "options": ["a", "b"], "distribution": [0.5, 0.5],
                     "counts": [1, 2]}, False),
        ("RatingIn", {"prompt": "q", "response": "r", "score": 4, "scale": [1, 5]}, True),
        ("RatingIn", {"prompt": "q", "response": "r", "score": 4}, False),
        ("ComparisonIn", {"prompt": "q", "chosen": "r", "rejected": "s", "weight": 0}, False),
    ],
)  # fmt: skip
async def test_the_document_and_the_service_agree(
    bench: Bench, name: str, body: dict[str, Any], fits: bool
) -> None:
    """What the schema says of a body is what the route makes of it."""
    found = await fetch(bench)
    schema = {**found["components"]["schemas"][name], "components": found["components"]}
    assert jsonschema.Draft202012Validator(schema).is_valid(body) == fits
    await bench.add(id="a")
    path = {"PredictIn": "/predict", "GenerateIn": "/generate"}.get(name, "/groups")
    if path == "/groups":
        body = {"name": "x", "preferences": [body]}
    response = await bench.client.post(path, json=body)
    assert response.is_success == fits, response.text


@pytest.mark.parametrize("value", ['"3"', 'W/"3"', '"1", "x"', ' "1" ,W/"2" '])
def test_conditions_are_described_as_they_are_read(value: str) -> None:
    assert re.search(TAGS_PATTERN, value)
    assert is_unchanged(value, 3) == ("3" in value)
    assert not re.search(TAGS_PATTERN, value + '"')
    with pytest.raises(InvalidInput):
        is_unchanged(value + '"', 3)


async def test_whole_numbers_may_be_written_with_a_point(bench: Bench) -> None:
    """To JSON Schema, and to JavaScript, 2.0 is 2."""
    await bench.add()
    sent = b'{"group_id": "town", "prompt": "Why?", "n": 2.0, "seed": 1e2}'
    response = await bench.client.post(
        "/generate", content=sent, headers={"Content-Type": "application/json"}
    )
    assert len(response.json()["candidates"]) == 2
    assert response.json()["seed"] == 100
    response = await bench.client.post("/generate", json={**GROUP, "n": 2.5})
    assert response.status_code == 422
