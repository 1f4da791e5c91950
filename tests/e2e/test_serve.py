"""The real server, over a real socket, as a real process on the embedded defaults."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.openai_fake import Reply, Request, chat, fake_server
from fixtures.serve_process import ServeProcess, serving, serving_beside

PARKS = {
    "question": "Should the old harbour become a park?",
    "options": ["Yes", "No"],
    "counts": [80, 20],
}
LAKE = {"prompt": "Describe a good day off.", "response": "A swim in the lake.", "score": 0.9}
SOUP = {"prompt": "Describe a good lunch.", "chosen": "Soup.", "rejected": "Cake."}
GROUP = {"id": "swimmers", "name": "Swimmers", "preferences": [PARKS, LAKE, SOUP]}
QUESTION = {"question": "Should the river be cleaned?", "options": ["Yes", "Later", "No"]}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serving(tmp_path_factory.mktemp("serve")) as process:
        yield process


@pytest.fixture
async def client(service: ServeProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=120) as client:
        await client.put("/groups/swimmers", json=GROUP)
        yield client


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_it_says_what_it_loaded(service: ServeProcess) -> None:
    lines = service.announced.splitlines()
    assert lines[0].startswith("gpo-serve listens on http://127.0.0.1:")
    assert [line.split()[0] for line in lines[1:5]] == ["store", "generator", "scorer", "embedder"]
    assert "groups.db" in lines[1]
    assert "reads English" in lines[5]
    assert len(lines) == 6


async def test_operations(client: httpx.AsyncClient) -> None:
    for path in ("/livez", "/readyz", "/health", "/version", "/docs", "/openapi.json"):
        response = await client.get(path)
        assert response.status_code == 200, path
        assert len(response.headers["X-Request-Id"]) == 32
    root = await client.get("/")
    assert root.status_code == 200
    assert "server" not in root.headers


async def test_an_answer_on_a_kept_connection_waits_for_no_acknowledgement(
    client: httpx.AsyncClient,
) -> None:
    """Linux holds an ACK back for 40 ms; a server that waits for it adds that to each answer."""
    seconds = []
    for _ in range(30):
        started = time.perf_counter()
        await client.get("/livez")
        seconds.append(time.perf_counter() - started)
    assert min(seconds[10:]) < 0.03


async def test_groups(client: httpx.AsyncClient) -> None:
    created = await client.post("/v1/groups", json={**GROUP, "id": "walkers"})
    assert created.status_code == 201
    got = await client.get(created.headers["Location"], params={"include": "preferences"})
    assert got.json()["preferences"] == [PARKS, LAKE, SOUP]
    same = await client.get("/groups/walkers", headers={"If-None-Match": got.headers["ETag"]})
    assert same.status_code == 304
    more = await client.post("/groups/walkers/preferences", json={"preferences": [LAKE]})
    assert more.json()["context_tokens"] == 6
    stale = await client.delete("/groups/walkers", headers={"If-Match": got.headers["ETag"]})
    assert stale.status_code == 412
    assert {g["id"] for g in (await client.get("/groups")).json()["data"]} >= {"walkers"}
    assert (await client.delete("/groups/walkers")).status_code == 204


async def test_predict_does_not_depend_on_how_it_is_asked(client: httpx.AsyncClient) -> None:
    stored = await post(client, "/predict", {"group_id": "swimmers", **QUESTION})
    [prediction] = stored["predictions"]
    distribution = prediction["distribution"]
    assert sum(distribution) == pytest.approx(1, abs=1e-6)
    inline = await post(client, "/predict", {"preferences": GROUP["preferences"], **QUESTION})
    assert inline["predictions"][0]["distribution"] == pytest.approx(distribution, abs=1e-5)
    other = {"question": "Should dogs be allowed?", "options": ["Yes", "No"]}
    flipped = {**QUESTION, "options": QUESTION["options"][::-1]}
    batch = await post(
        client, "/predict", {"group_id": "swimmers", "questions": [other, flipped, other]}
    )
    turned = batch["predictions"][1]["distribution"][::-1]
    assert turned == pytest.approx(distribution, abs=1e-5)


async def test_score_and_generate(client: httpx.AsyncClient) -> None:
    prompt = "What should the town do with the river?"
    scored = await post(
        client, "/score", {"group_id": "swimmers", "prompt": prompt, "responses": ["Swim.", "No."]}
    )
    assert [r["index"] for r in scored["scores"][0]["results"]] == [0, 1]
    asked = {"prompt": prompt, "n": 4, "max_tokens": 24, "seed": 3}
    generated = await post(client, "/generate", {"group_id": "swimmers", **asked})
    assert generated["text"] == generated["candidates"][0]["text"]
    assert len(generated["candidates"]) == 4
    assert generated["usage"]["completion_tokens"] <= 4 * 24
    again = await post(client, "/generate", {"group_id": "swimmers", **asked})
    assert again["candidates"] == generated["candidates"]
    many = await post(client, "/generate", {"group_ids": ["swimmers"], **asked})
    assert many["choices"][0]["text"] == generated["text"]


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("POST", "/groups", b"{", 400),
        ("POST", "/groups", json.dumps({**GROUP, "id": "x", "name": ""}).encode(), 422),
        ("POST", "/groups", b" " * 8_000_001, 413),
        ("POST", "/predict", json.dumps({"group_id": "swimmers", "question": "why " * 2_000,
                                         "options": ["a", "b"]}).encode(), 422),
        ("POST", "/generate", b'{"group_id": "swimmers", "prompt": "p", "n": 0}', 422),
        ("POST", "/generate", b'{"group_id": "swimmers", "prompt": "p", "n": 65}', 413),
        ("POST", "/generate", b'{"group_id": "nobody", "prompt": "p"}', 404),
        ("DELETE", "/groups", b"", 405),
        ("GET", "/nothing", b"", 404),
    ],
)  # fmt: skip
async def test_bad_input(
    client: httpx.AsyncClient, method: str, path: str, content: bytes, status: int
) -> None:
    before = (await client.get("/groups")).json()
    response = await client.request(
        method, path, content=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["request_id"] == response.headers["X-Request-Id"]
    assert (await client.get("/groups")).json() == before


async def test_a_chunked_body_over_the_limit_is_refused(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 100_000

    response = await client.post(
        "/groups", content=endless(), headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


async def test_many_at_once(client: httpx.AsyncClient) -> None:
    bodies = [{"group_id": "swimmers", **QUESTION} for _ in range(20)]
    answers = await asyncio.gather(*(post(client, "/predict", body) for body in bodies))
    first = answers[0]["predictions"][0]["distribution"]
    for answer in answers:
        assert answer["predictions"][0]["distribution"] == pytest.approx(first, abs=1e-5)


async def test_groups_outlive_a_kill_and_a_termination_is_clean(tmp_path: Path) -> None:
    async def always(request: Request) -> Reply:
        return chat("A swim.")

    async with fake_server(always) as upstream:
        settings = {"GPO_GENERATOR": "vllm-http", "GPO_GENERATOR_URL": upstream.url}
        async with serving_beside(tmp_path, **settings) as first:
            async with httpx.AsyncClient(base_url=first.url, timeout=60) as client:
                created = await client.post("/groups", json=GROUP)
                assert created.status_code == 201
            assert await asyncio.to_thread(first.stop, signal.SIGKILL) == -signal.SIGKILL
        async with serving_beside(tmp_path, **settings) as second:
            async with httpx.AsyncClient(base_url=second.url, timeout=60) as client:
                assert (await client.get("/groups/swimmers")).json() == created.json()
                answer = await post(client, "/predict", {"group_id": "swimmers", **QUESTION})
                assert answer["predictions"][0]["group_version"] == 1
            assert await asyncio.to_thread(second.stop, signal.SIGTERM) == 0
            assert len(second.announced.splitlines()) == 6
            assert "Traceback" not in second.logged


async def test_a_client_that_leaves_frees_the_generator(tmp_path: Path) -> None:
    hanging = asyncio.Event()

    async def hang(request: Request) -> Reply:
        if hanging.is_set():
            return chat("At last.")
        await asyncio.sleep(600)
        raise AssertionError("nobody waits for this")

    async with fake_server(hang) as upstream:
        settings = {
            "GPO_GENERATOR": "vllm-http",
            "GPO_GENERATOR_URL": upstream.url,
            "GPO_MAX_N": "4",
            "GPO_MAX_CANDIDATES_IN_FLIGHT": "4",
        }
        async with serving_beside(tmp_path, **settings) as service:
            asked = {"preferences": [LAKE], "prompt": "Why?", "n": 4, "timeout_s": 500}
            async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
                leaving = asyncio.create_task(client.post("/generate", json=asked))
                await until(lambda: upstream.under_way == 4)
                full = await client.post("/generate", json=asked)
                assert (full.status_code, full.json()["code"]) == (503, "overloaded")
                assert int(full.headers["Retry-After"]) >= 1
                leaving.cancel()
                await until(lambda: upstream.left == 4)
                hanging.set()
                freed = await client.post("/generate", json=asked)
                assert freed.json()["text"] == "At last."
            assert await asyncio.to_thread(service.stop) == 0


async def test_it_starts_while_its_parts_are_down_and_says_so(tmp_path: Path) -> None:
    settings = {
        "GPO_STORE_URL": "redis://:swordfish@127.0.0.1:1/0",
        "GPO_GENERATOR": "vllm-http",
        "GPO_GENERATOR_URL": "http://127.0.0.1:2/v1",
    }
    async with serving_beside(tmp_path, **settings) as service:
        said = service.said
        assert "redis://:***@127.0.0.1:1/0" in said
        assert "swordfish" not in said
        down = [line.split()[2] for line in said.splitlines() if "not ready" in line]
        assert down == ["store:", "generator:"]
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
            assert (await client.get("/livez")).status_code == 200
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            oks = {name: c["ok"] for name, c in ready.json()["components"].items()}
            assert oks == {"store": False, "generator": False, "scorer": True}
            lost = await client.post("/groups", json=GROUP)
            assert (lost.status_code, lost.json()["code"]) == (503, "store_unavailable")
            assert int(lost.headers["Retry-After"]) >= 1
            asked = {"preferences": [LAKE], "prompt": "Why?", "n": 2}
            failed = await client.post("/generate", json=asked)
            assert (failed.status_code, failed.json()["code"]) == (502, "generator_unavailable")
            answer = await post(client, "/predict", {"preferences": [LAKE], **QUESTION})
            assert len(answer["predictions"]) == 1
        assert await asyncio.to_thread(service.stop) == 0


async def until(condition: Any, *, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.05)
