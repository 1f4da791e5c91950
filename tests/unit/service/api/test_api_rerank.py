"""Rerank: the order of /score, in the shapes of other services."""

from __future__ import annotations

from typing import Any

import pytest
from fixtures.service_app import Bench

ASKED: dict[str, Any] = {"group_id": "town", "query": "Why?", "documents": ["One.", "Two.", "Six."]}


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
async def test_the_best_come_first_with_the_scores_of_score(bench: Bench, path: str) -> None:
    await bench.add()
    body = {"group_id": "town", "prompt": "Why?", "responses": ASKED["documents"]}
    [scored] = (await bench.client.post("/score", json=body)).json()["scores"]
    scores = {r["index"]: r["score"] for r in scored["results"]}
    answer = (await bench.client.post(path, json=ASKED)).json()
    assert [(r["index"], r["relevance_score"]) for r in answer["results"]] == sorted(
        scores.items(), key=lambda item: -item[1]
    )
    assert answer["meta"]["api_version"]["version"] == path[2]
    assert (answer["group_id"], answer["group_version"]) == ("town", 1)
    assert all("document" not in r for r in answer["results"])


async def test_texts_and_the_best_alone(bench: Bench) -> None:
    await bench.add()
    documents = [{"text": "One.", "id": 7}, "Two."]
    body = ASKED | {"documents": documents, "return_documents": True, "top_n": 1}
    [best] = (await bench.client.post("/v1/rerank", json=body)).json()["results"]
    assert best["document"] == {"text": ["One.", "Two."][best["index"]]}


async def test_a_long_document_is_truncated_and_says_so(bench: Bench) -> None:
    await bench.add()
    body = ASKED | {"documents": ["word " * 60, "Two."], "max_tokens_per_doc": 4096}
    results = (await bench.client.post("/v1/rerank", json=body)).json()["results"]
    assert {r["index"]: r["truncated"] for r in results} == {0: True, 1: False}


@pytest.mark.parametrize("model", ["fake-scorer@0", "fake-scorer", "fake-scorer@0@town"])
async def test_the_module_by_its_names(bench: Bench, model: str) -> None:
    await bench.add()
    response = await bench.client.post("/v1/rerank", json=ASKED | {"model": model})
    assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"group_id": None}, 422, "/group_id"),
        ({"model": "rerank-v3.5"}, 404, None),
        ({"group_id": "nobody"}, 404, None),
        ({"documents": []}, 422, "/documents"),
        ({"documents": ["x"] * 7}, 413, "/documents"),
        ({"documents": ["x", " "]}, 422, "/documents/1"),
        ({"documents": [{"title": "x"}]}, 422, "/documents/0"),
        ({"top_n": 0}, 422, "/top_n"),
        ({"rank_fields": ["title"]}, 422, "/rank_fields"),
        ({"query": ""}, 422, "/query"),
        ({"tenant": "x"}, 422, "/tenant"),
    ],
)
async def test_what_is_refused(
    bench: Bench, changes: dict[str, Any], status: int, pointer: str | None
) -> None:
    await bench.add()
    response = await bench.client.post("/v2/rerank", json=ASKED | changes)
    assert response.status_code == status, response.text
    assert [e["pointer"] for e in response.json()["errors"]] == ([pointer] if pointer else [])
    assert response.json()["error"]["message"]
