"""Cohere's own clients, and Jina's requests, against `gpo serve`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cohere
import httpx
import pytest
from cohere.errors import NotFoundError, UnprocessableEntityError
from fixtures.serve_process import ServeProcess, serving

GROUP = {
    "name": "Gardeners",
    "preferences": [
        {"prompt": "How should a park look?", "response": "Full of trees.", "score": 0.95},
        {"prompt": "How should a park look?", "response": "Full of cars.", "score": 0.05},
    ],
}
QUERY = "How should the square look?"
DOCUMENTS = ["Paved for cars.", "Planted with trees.", "As it is now."]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serving(tmp_path_factory.mktemp("rerank")) as running:
        httpx.put(f"{running.url}/groups/gardeners", json=GROUP).raise_for_status()
        yield running
        assert "Traceback" not in running.said


@pytest.fixture(params=[cohere.Client, cohere.ClientV2], ids=["v1", "v2"])
def client(service: ServeProcess, request: pytest.FixtureRequest) -> Iterator[Any]:
    with httpx.Client(timeout=60) as connections:
        yield request.param("none", base_url=service.url, httpx_client=connections)


@pytest.fixture(scope="module")
def expected(service: ServeProcess) -> list[float]:
    asked = {"group_id": "gardeners", "prompt": QUERY, "responses": DOCUMENTS}
    [scored] = httpx.post(f"{service.url}/score", json=asked).json()["scores"]
    return [result["score"] for result in scored["results"]]


@pytest.mark.parametrize(
    "how",
    [
        {"model": "gpo-minilm@gardeners"},
        {
            "model": "gpo-minilm",
            "request_options": {"additional_body_parameters": {"group_id": "gardeners"}},
        },
        {
            "model": "gpo-minilm",
            "request_options": {"additional_headers": {"X-Group-Id": "gardeners"}},
        },
    ],
    ids=["model", "body", "header"],
)
def test_documents_come_in_the_order_of_their_scores(
    client: Any, expected: list[float], how: dict[str, Any]
) -> None:
    answer = client.rerank(query=QUERY, documents=DOCUMENTS, **how)
    order = sorted(range(3), key=lambda i: -expected[i])
    assert [result.index for result in answer.results] == order
    assert [r.relevance_score for r in answer.results] == pytest.approx(
        [expected[i] for i in order], abs=1e-6
    )
    assert answer.id
    assert answer.results[0].index == 1


def test_top_n_cuts_the_list(client: Any) -> None:
    answer = client.rerank(model="gpo-minilm@gardeners", query=QUERY, documents=DOCUMENTS, top_n=1)
    assert [result.index for result in answer.results] == [1]


def test_documents_of_the_first_version_may_be_objects(service: ServeProcess) -> None:
    with httpx.Client(timeout=60) as connections:
        client = cohere.Client("none", base_url=service.url, httpx_client=connections)
        answer = client.rerank(
            model="gpo-minilm@gardeners",
            query=QUERY,
            documents=[{"text": text, "title": "x"} for text in DOCUMENTS],
            return_documents=True,
            rank_fields=["text"],
        )
    assert answer.results[0].document is not None
    assert answer.results[0].document.text == DOCUMENTS[1]


def test_errors_are_the_clients_own(client: Any) -> None:
    for model in ("rerank-v3.5", "gpo-minilm@nobody"):
        with pytest.raises(NotFoundError):
            client.rerank(model=model, query=QUERY, documents=DOCUMENTS)
    with pytest.raises(UnprocessableEntityError, match="name the group"):
        client.rerank(model="gpo-minilm", query=QUERY, documents=DOCUMENTS)


def test_jinas_request(service: ServeProcess, expected: list[float]) -> None:
    body = {
        "model": "gpo-minilm@gardeners",
        "query": QUERY,
        "documents": [DOCUMENTS[0], {"text": DOCUMENTS[1]}, DOCUMENTS[2]],
        "top_n": 2,
        "return_documents": True,
        "truncation": True,
    }
    answer = httpx.post(f"{service.url}/v1/rerank", json=body).raise_for_status().json()
    assert answer["model"].startswith("gpo-minilm@")
    best = answer["results"][0]
    assert (best["index"], best["document"]) == (1, {"text": DOCUMENTS[1]})
    assert best["relevance_score"] == pytest.approx(expected[1], abs=1e-6)
    assert len(answer["results"]) == 2
