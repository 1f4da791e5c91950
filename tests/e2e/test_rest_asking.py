"""What the REST contract says of /predict, /score and reranking, on the released module."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fixtures.wire import check

PREFERENCES = [
    {"question": "Parks or roads?", "options": ["Parks", "Roads"], "distribution": [0.9, 0.1]},
    {"prompt": "A day off?", "response": "A quiet lake.", "score": 0.95, "weight": 40},
    {"prompt": "A day off?", "chosen": "A forest.", "rejected": "A casino."},
]
OPTIONS = ["Yes", "Only at weekends", "No"]
ASKED = {"question": "Should the main street be closed to cars?", "options": OPTIONS}
RESPONSES = ["A walk in the woods.", "A race on the motorway.", "Nothing at all."]
LONG = "word " * 400


@pytest.fixture(scope="module", params=["", "/v1"], ids=["native", "v1"])
def client(service_url: str, request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service_url + request.param, timeout=60) as opened:
        for name in ("asked-a", "asked-b"):
            kept = PREFERENCES if name.endswith("a") else PREFERENCES[:1]
            body = {"name": name, "preferences": kept}
            opened.put(f"/groups/{name}", json=body).raise_for_status()
        yield opened


def post(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def refused(response: httpx.Response, status: int, pointer: str) -> None:
    check(response)
    assert response.status_code == status, response.text
    assert pointer in [error["pointer"] for error in response.json()["errors"]]


# --- predict


def test_a_prediction(client: httpx.Client) -> None:
    body = post(client, "/predict", group_id="asked-a", **ASKED)
    assert {"model", "predictions", "usage", "timings"} <= set(body)
    [found] = body["predictions"]
    assert (found["group_id"], found["group_version"]) == ("asked-a", found["group_version"])
    assert isinstance(found["group_version"], int)
    assert (found["question"], found["options"]) == (ASKED["question"], OPTIONS)
    assert math.fsum(found["distribution"]) == pytest.approx(1, abs=1e-6)
    assert len(found["std"]) == len(found["interval"]) == 3
    for share, (low, high) in zip(found["distribution"], found["interval"], strict=True):
        assert 0 <= low <= share <= high <= 1
    best = max(range(3), key=found["distribution"].__getitem__)
    assert found["top"] == OPTIONS[best]
    assert "id" not in found


def test_the_order_of_the_options_makes_no_difference(client: httpx.Client) -> None:
    [ahead] = post(client, "/predict", group_id="asked-a", **ASKED)["predictions"]
    turned = {**ASKED, "options": OPTIONS[::-1]}
    [back] = post(client, "/predict", group_id="asked-a", **turned)["predictions"]
    assert back["distribution"][::-1] == pytest.approx(ahead["distribution"], abs=1e-5)
    assert back["std"][::-1] == pytest.approx(ahead["std"], abs=1e-5)


def test_neither_the_batch_nor_where_the_preferences_are_makes_a_difference(
    client: httpx.Client,
) -> None:
    [alone] = post(client, "/predict", group_id="asked-a", **ASKED)["predictions"]
    questions = [
        {"id": "one", **ASKED},
        {"question": "Tea or coffee?", "options": ["Tea", "Coffee"]},
        {"id": "three", "question": "More trees?", "options": ["Yes", "No", "Fewer", "None"]},
    ]
    both = post(client, "/predict", group_ids=["asked-b", "asked-a"], questions=questions)
    found = both["predictions"]
    assert [(p["group_id"], p.get("id")) for p in found] == [
        (name, key) for name in ("asked-b", "asked-a") for key in ("one", None, "three")
    ]
    assert found[3]["distribution"] == pytest.approx(alone["distribution"], abs=1e-5)
    assert found[0]["distribution"] != pytest.approx(alone["distribution"], abs=1e-5)
    [inline] = post(client, "/predict", preferences=PREFERENCES, **ASKED)["predictions"]
    assert inline["distribution"] == pytest.approx(alone["distribution"], abs=1e-6)
    assert (inline["group_id"], inline["group_version"]) == (None, None)
    [prior] = post(client, "/predict", preferences=[], **ASKED)["predictions"]
    assert math.fsum(prior["distribution"]) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("path", ["/predict", "/score", "/generate"])
def test_exactly_one_of_three_names_the_group(client: httpx.Client, path: str) -> None:
    rest = {
        "/predict": ASKED,
        "/score": {"prompt": "A day off?", "responses": RESPONSES},
        "/generate": {"prompt": "A day off?", "n": 1, "max_tokens": 1},
    }[path]
    refused(client.post(path, json=rest), 422, "/group_id")
    two = {**rest, "group_id": "asked-a", "preferences": []}
    refused(client.post(path, json=two), 422, "/preferences")
    refused(client.post(path, json={**rest, "group_ids": []}), 422, "/group_ids")
    many = [f"g{index}" for index in range(65)]
    refused(client.post(path, json={**rest, "group_ids": many}), 413, "/group_ids")


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"options": ["One"]}, 422, "/options"),
        ({"options": ["Same", "Same "]}, 422, "/options"),
        ({"options": [str(i) for i in range(65)]}, 413, "/options"),
        ({"options": ["Short", LONG]}, 422, "/options/1"),
        ({"question": LONG}, 422, "/question"),
        ({"question": None, "options": None, "questions": []}, 422, "/questions"),
        ({"question": None, "options": None, "questions": [ASKED] * 257}, 413, "/questions"),
        ({"questions": [ASKED]}, 422, "/question"),
        ({"question": None}, 422, "/question"),
        ({"colour": "red"}, 422, "/colour"),
    ],
)
def test_wrong_questions(
    client: httpx.Client, change: dict[str, Any], status: int, pointer: str
) -> None:
    refused(
        client.post("/predict", json={"group_id": "asked-a", **ASKED, **change}), status, pointer
    )


# --- score


def test_scores(client: httpx.Client) -> None:
    body = post(client, "/score", group_id="asked-a", prompt="A day off?", responses=RESPONSES)
    [scored] = body["scores"]
    assert scored["group_id"] == "asked-a"
    results = scored["results"]
    assert [result["index"] for result in results] == [0, 1, 2]
    assert math.fsum(result["probability"] for result in results) == pytest.approx(1)
    for result in results:
        low, high = result["interval"]
        assert 0 <= low <= result["score"] <= high <= 1
        assert not result["truncated"]
    order = sorted(results, key=lambda r: r["score"])
    assert order == sorted(results, key=lambda r: r["probability"])
    odds = [r["score"] / (1 - r["score"]) for r in results]
    assert [r["probability"] for r in results] == pytest.approx(
        [value / sum(odds) for value in odds], rel=1e-4
    )


def test_a_score_does_not_depend_on_the_others(client: httpx.Client) -> None:
    asked = {"group_ids": ["asked-a", "asked-b"], "prompt": "A day off?"}
    together = post(client, "/score", **asked, responses=RESPONSES)["scores"]
    assert [scored["group_id"] for scored in together] == ["asked-a", "asked-b"]
    for index, response in enumerate(RESPONSES):
        alone = post(client, "/score", **asked, responses=[response])["scores"]
        for one, all_of_them in zip(alone, together, strict=True):
            assert one["results"][0]["score"] == pytest.approx(
                all_of_them["results"][index]["score"], abs=1e-5
            )


def test_long_texts_are_cut_and_said_to_be(client: httpx.Client) -> None:
    body = post(client, "/score", group_id="asked-a", prompt=LONG, responses=["Short.", "x " * 500])
    assert [r["truncated"] for r in body["scores"][0]["results"]] == [True, True]
    body = post(client, "/score", group_id="asked-a", prompt="Why?", responses=["Short.", LONG])
    assert [r["truncated"] for r in body["scores"][0]["results"]] == [False, True]


def test_caps_of_score(client: httpx.Client) -> None:
    asked = {"group_id": "asked-a", "prompt": "A day off?"}
    refused(client.post("/score", json={**asked, "responses": []}), 422, "/responses")
    refused(client.post("/score", json={**asked, "responses": ["a"] * 1_001}), 413, "/responses")


# --- rerank


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_reranking(service_url: str, client: httpx.Client, version: str) -> None:
    scored = post(client, "/score", group_id="asked-a", prompt="A day off?", responses=RESPONSES)
    scores = [result["score"] for result in scored["scores"][0]["results"]]
    asked = {"group_id": "asked-a", "query": "A day off?", "documents": RESPONSES}
    with httpx.Client(base_url=f"{service_url}/{version}", timeout=60) as ranking:
        body = post(ranking, "/rerank", **asked)
        assert {"id", "model", "results"} <= set(body)
        assert [r["index"] for r in body["results"]] == sorted(range(3), key=lambda i: -scores[i])
        for result in body["results"]:
            assert result["relevance_score"] == pytest.approx(scores[result["index"]], abs=1e-6)
            assert "document" not in result
        [best] = post(ranking, "/rerank", **asked, top_n=1, return_documents=True)["results"]
        assert best["document"] == {"text": RESPONSES[best["index"]]}
        everything = post(ranking, "/rerank", **asked, top_n=99)["results"]
        assert len(everything) == 3
        refused(ranking.post("/rerank", json={**asked, "documents": []}), 422, "/documents")
        refused(
            ranking.post("/rerank", json={**asked, "documents": ["a"] * 1_001}), 413, "/documents"
        )
        refused(ranking.post("/rerank", json={**asked, "top_n": 0}), 422, "/top_n")
        refused(ranking.post("/rerank", json={"query": "q", "documents": ["a"]}), 422, "/group_id")
