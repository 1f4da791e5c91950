"""The whole service, as a process, with real vLLM behind it: a server beside it, and in-process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fixtures.serve_process import ServeProcess, serving
from fixtures.vllm_server import ENVIRONMENT, START_S, VllmServer, require_vllm

pytestmark = pytest.mark.vllm

GROUP = {
    "id": "gardeners",
    "name": "Gardeners",
    "preferences": [
        {"question": "Should lawns become meadows?", "options": ["Yes", "No"], "counts": [70, 30]},
        {"prompt": "How should a park look?", "response": "Full of trees.", "score": 0.9},
        {"prompt": "Describe a good Sunday.", "chosen": "Digging.", "rejected": "Shopping."},
    ],
}
REQUEST = {
    "group_id": "gardeners",
    "prompt": "Should the town plant more trees?",
    "n": 6,
    "max_tokens": 40,
    "seed": 11,
    "timeout_s": 120,
}


@pytest.fixture(scope="module", params=["vllm-http", "vllm-engine"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServeProcess]:
    require_vllm()
    settings = {"GPO_GENERATOR": request.param, "GPO_PRIOR": "both", **ENVIRONMENT}
    if request.param == "vllm-http":
        server: VllmServer = request.getfixturevalue("vllm_server")
        settings["GPO_GENERATOR_URL"] = server.url
    with serving(tmp_path_factory.mktemp(request.param), start_s=START_S, **settings) as running:
        yield running
        assert running.stop() == 0


@pytest.fixture
async def client(service: ServeProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=150) as client:
        (await client.put("/groups/gardeners", json=GROUP)).raise_for_status()
        yield client


async def generate(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/generate", json=REQUEST | changes)


async def test_it_is_ready(client: httpx.AsyncClient) -> None:
    response = await client.get("/readyz")
    assert response.status_code == 200, response.text
    assert response.json()["components"]["generator"]["ok"]


async def test_the_best_of_the_drawn_candidates_is_returned(client: httpx.AsyncClient) -> None:
    answer = (await generate(client)).raise_for_status().json()
    assert answer["model"].startswith("opinion-lm")
    candidates = answer["candidates"]
    assert sorted(c["index"] for c in candidates) == list(range(6))
    assert len({c["text"] for c in candidates}) > 1
    scores = [c["selection_score"] for c in candidates]
    assert scores == sorted(scores, reverse=True)
    assert answer["text"] == candidates[0]["text"]
    assert answer["usage"]["completion_tokens"] == sum(c["tokens"] for c in candidates)


async def test_the_same_seed_draws_the_same_candidates(client: httpx.AsyncClient) -> None:
    first, again = [(await generate(client)).raise_for_status().json() for _ in range(2)]
    assert [c["text"] for c in first["candidates"]] == [c["text"] for c in again["candidates"]]
    other = (await generate(client, seed=12)).raise_for_status().json()
    assert {c["text"] for c in other["candidates"]} != {c["text"] for c in first["candidates"]}


async def test_new_questions_are_put_to_vllm(
    service: ServeProcess, client: httpx.AsyncClient
) -> None:
    options = ["Once a week", "Once a month", "Only when something has to be decided"]
    asked = {"group_id": "gardeners", "question": "How often should the gardeners meet?"}
    shares = []
    for order in ([0, 1, 2], [2, 0, 1]):
        body = asked | {"options": [options[i] for i in order]}
        answer = (await client.post("/predict", json=body)).raise_for_status().json()
        found = answer["predictions"][0]
        shares.append(dict(zip(found["options"], found["distribution"], strict=True)))
    assert shares[0] == pytest.approx(shares[1], abs=1e-6)
    assert "new questions are put to opinion-lm" in service.said


async def test_a_prompt_that_is_too_long_is_the_callers_to_mend(client: httpx.AsyncClient) -> None:
    response = await generate(client, prompt="more green trees " * 1000)
    assert 400 <= response.status_code < 600
    assert response.headers["content-type"].startswith("application/problem+json")
    assert "1024" in response.json()["detail"]


async def test_time_that_runs_out_is_a_504(client: httpx.AsyncClient) -> None:
    response = await generate(client, n=32, max_tokens=900, temperature=2.0, timeout_s=0.2)
    assert response.status_code == 504, response.text


async def test_a_client_that_leaves_frees_the_engine(
    service: ServeProcess, client: httpx.AsyncClient, request: pytest.FixtureRequest
) -> None:
    call = asyncio.create_task(generate(client, n=32, max_tokens=900, temperature=2.0))
    await asyncio.sleep(0.5)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    if "vllm-http" in request.node.name:
        server: VllmServer = request.getfixturevalue("vllm_server")
        async with asyncio.timeout(60):
            while await server.running():  # noqa: ASYNC110 - another process, no event
                await asyncio.sleep(0.05)
    assert (await generate(client, n=1)).status_code == 200


def test_nothing_went_wrong_unseen(service: ServeProcess) -> None:
    assert "opinion-lm" in service.said
    assert "Traceback" not in service.said
