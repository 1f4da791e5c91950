"""Two tenants on one real service, over SQLite and Redis: what each sees, and what is logged."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from fixtures.every_route import NOWHERE, UNDOCUMENTED, is_open, operations
from fixtures.keys import ANN, ANN_2, BOB, KEYS, NOBODY, bearer
from fixtures.openai_fake import FakeServer, Reply, Request, chat, fake_server, models
from fixtures.serve_process import ServeProcess, environment, serving_beside

from service.client import AsyncGPOClient, RateLimited, Retries, Unauthorized
from service.core.tenants import cache_salt

MARKER = "xylophone-of-glass"
SHARE = {
    "question": f"Is the {MARKER} too loud?",
    "options": ["Far too loud", "Just right", "Too quiet"],
    "distribution": [0.7, 0.2, 0.1],
}
RATING = {"prompt": "Describe a good day off.", "response": f"A {MARKER}.", "score": 0.9}
GROUP = {
    "id": "town",
    "name": f"Friends of the {MARKER}",
    "description": f"They like a {MARKER}.",
    "metadata": {"note": MARKER},
    "preferences": [SHARE, RATING],
}
ASK = {"question": f"Who plays the {MARKER}?", "options": ["The mayor", "Nobody"]}
CHAT = {"messages": [{"role": "user", "content": f"Praise the {MARKER}."}]}
QUOTAS = {"GPO_RATE_REQUESTS": "4000/hour", "GPO_RATE_CANDIDATES": "500/hour"}


async def vllm(request: Request) -> Reply:
    """Draws one text, or reads a prompt with an option behind it."""
    body = request.body
    if "prompt_logprobs" in body:
        turns = body["messages"]
        words = [w for m in turns if m["role"] == "user" for w in m["content"].split()]
        words += ["|"] + [
            w for m in turns if m["role"] == "assistant" for w in m["content"].split()
        ]
        read = [{str(zlib.crc32(w.encode()) % 50_000): {"logprob": -0.5}} for w in words]
        return Reply(body={"prompt_logprobs": [None, *read], "choices": []})
    if request.path.endswith("/chat/completions"):
        return chat(f"The {MARKER} is fine.")
    return Reply(body={"choices": [{"index": 0, "text": f" {MARKER}", "finish_reason": "stop"}]})


@dataclass
class House:
    """A service with two tenants, and the LLM server that it asks."""

    service: ServeProcess
    upstream: FakeServer
    client: httpx.AsyncClient

    async def ask(
        self, key: str | None, method: str, path: str, body: Any = None
    ) -> httpx.Response:
        headers = {} if key is None else bearer(key)
        return await self.client.request(method, path, json=body, headers=headers)


@asynccontextmanager
async def opened(folder: Path, **settings: str) -> AsyncIterator[House]:
    (folder / "keys.txt").write_text("# who\n" + KEYS.replace(",", "\n"), encoding="utf-8")
    async with (
        fake_server(vllm, listing=models("lm", owner="vllm")) as upstream,
        serving_beside(
            folder,
            GPO_API_KEYS="@keys.txt",
            GPO_GENERATOR="vllm-http",
            GPO_GENERATOR_URL=upstream.url,
            GPO_LOG_LEVEL="debug",
            **settings,
        ) as service,
        httpx.AsyncClient(base_url=service.url, timeout=120) as client,
    ):
        yield House(service, upstream, client)


# Each over one store, so that both stores see both kinds of prior and of bank.
STORES = {
    "sqlite": {"GPO_BANK": "both", "GPO_RESULT_CACHE_MB": "1"},
    "redis": {"GPO_BANK": "own", "GPO_PRIOR": "both", **QUOTAS},
}


@pytest.mark.parametrize("store", STORES)
async def test_two_tenants(store: str, tmp_path: Path, redis_url: str) -> None:
    settings = dict(STORES[store])
    if store == "redis":
        settings["GPO_STORE_URL"] = redis_url
    async with opened(tmp_path, **settings) as house:
        await no_route_without_a_key(house)
        await nothing_is_shared(house)
        await every_draw_is_salted(house, reads=store == "redis")
        await clients_send_their_key(house, tmp_path)
        await what_is_refused(house)
        house.service.stop(signal.SIGTERM)
        nothing_secret_is_said(house.service)


async def no_route_without_a_key(house: House) -> None:
    document = (await house.ask(ANN, "GET", "/openapi.json")).json()
    for method, path in [*operations(document), *(("GET", p) for p in UNDOCUMENTED + NOWHERE)]:
        for key in (None, NOBODY):
            response = await house.ask(key, method, path, {"name": MARKER})
            if is_open(path):
                assert response.status_code in {200, 307}, path
            else:
                assert response.status_code == 401, (method, path)
                assert response.headers["WWW-Authenticate"] == "Bearer"
                assert response.json()["code"] == "unauthorized"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "server" not in response.headers
        known = await house.ask(ANN, method, path)
        assert known.status_code not in {401, 500}, (method, path, known.text)
    assert (await house.ask(None, "GET", "/readyz")).json() == {"status": "ready"}


async def nothing_is_shared(house: House) -> None:
    for key, name in ((ANN, "A"), (BOB, "B")):
        made = await house.ask(key, "POST", "/groups", {**GROUP, "name": name})
        assert (made.status_code, made.json()["version"]) == (201, 1), made.text
    again = await house.ask(ANN_2, "PUT", "/groups/town", {**GROUP, "name": "A2"})
    assert again.json()["version"] == 2
    assert (await house.ask(BOB, "GET", "/groups/town")).json()["name"] == "B"
    # The bank of a tenant does not change what another's group is predicted to answer.
    before = await predicted(house, BOB)
    for i in range(3):
        body = {**GROUP, "id": f"more-{i}", "preferences": [{**ASK, "distribution": [1, 0]}, SHARE]}
        assert (await house.ask(ANN, "PUT", f"/groups/more-{i}", body)).status_code == 201
    assert await predicted(house, BOB) == pytest.approx(before, abs=1e-6)
    assert (await predicted(house, ANN))[0] > before[0] + 0.05
    assert (await house.ask(BOB, "DELETE", "/groups/town")).status_code == 204
    assert (await house.ask(BOB, "GET", "/groups")).json()["data"] == []
    for method, path, body in (
        ("GET", "/groups/town", None),
        ("DELETE", "/groups/town", None),
        ("POST", "/groups/town/preferences", {"preferences": [RATING]}),
        ("POST", "/predict", {"group_id": "town", **ASK}),
        ("POST", "/score", {"group_id": "town", "prompt": "?", "responses": ["a"]}),
        ("POST", "/generate", {"group_id": "town", "prompt": "?", "n": 1}),
        ("POST", "/v1/rerank", {"group_id": "town", "query": "?", "documents": ["a"]}),
        ("POST", "/v2/rerank", {"group_id": "town", "query": "?", "documents": ["a"]}),
        ("POST", "/v1/completions", {"group_id": "town", "prompt": "?"}),
        ("POST", "/v1/chat/completions", {"model": "lm@town", **CHAT}),
        ("GET", "/v1/models/lm@town", None),
    ):
        response = await house.ask(BOB, method, path, body)
        assert response.status_code == 404, (method, path, response.text)
        assert response.json()["code"] == "group_not_found"
    assert (await house.ask(ANN, "GET", "/groups/town")).json()["name"] == "A2"
    assert len((await house.ask(ANN, "GET", "/groups")).json()["data"]) == 4


async def predicted(house: House, key: str) -> list[float]:
    response = await house.ask(key, "POST", "/predict", {"group_id": "town", **ASK})
    assert response.status_code == 200, response.text
    found: list[float] = response.json()["predictions"][0]["distribution"]
    return found


async def every_draw_is_salted(house: House, *, reads: bool) -> None:
    for key, tenant in ((ANN, "ann"), (BOB, "bob")):
        await house.ask(key, "PUT", "/groups/town", GROUP)
        house.upstream.requests.clear()
        for path, body in (
            ("/generate", {"group_id": "town", "prompt": MARKER, "n": 2}),
            ("/generate", {"preferences": [], "prompt": MARKER, "n": 2, "stream": True}),
            ("/v1/completions", {"prompt": MARKER}),
            ("/v1/completions", {"prompt": MARKER, "stream": True}),
            ("/v1/completions", {"prompt": MARKER, "group_id": "town"}),
            ("/v1/chat/completions", {**CHAT, "n": 2}),
            ("/v1/chat/completions", {**CHAT, "stream": True}),
            ("/v1/chat/completions", {**CHAT, "model": "lm@town", "stream": True}),
            ("/predict", {"group_id": "town", "question": "New to all?", "options": ["Y", "N"]}),
        ):
            before = len(house.upstream.completions)
            response = await house.ask(key, "POST", path, body)
            assert response.status_code == 200, response.text
            if path != "/predict" or reads:
                assert len(house.upstream.completions) > before, path
        salts = {request.body.get("cache_salt") for request in house.upstream.completions}
        assert salts == {cache_salt(tenant)}
        sent = json.dumps([r.headers for r in house.upstream.requests])
        assert key not in sent


async def clients_send_their_key(house: House, folder: Path) -> None:
    url = house.service.url
    async with AsyncGPOClient(url, api_key=ANN) as gpo:
        assert (await gpo.groups.get("town")).id == "town"
    async with AsyncGPOClient(url) as gpo:
        with pytest.raises(Unauthorized):
            await gpo.groups.get("town")
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=BOB) as client:
        assert [model.id async for model in client.models.list()] == ["lm"]
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=NOBODY) as client:
        with pytest.raises(openai.AuthenticationError, match="not known"):
            await client.models.list()
    for key, status, said in ((ANN, 0, "town"), (NOBODY, 1, "--api-key or GPO_API_KEY")):
        result = await asyncio.to_thread(command, folder, url, key)
        assert result.returncode == status, result.stderr
        assert said in result.stdout + result.stderr
        assert key not in result.stdout + result.stderr


def command(folder: Path, url: str, key: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", "groups", "list"],
        env=environment(folder, GPO_URL=url, GPO_API_KEY=key, COLUMNS="100"),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


async def what_is_refused(house: House) -> None:
    """Texts and keys in every place where a request can be wrong."""
    wrong: list[tuple[str, Any]] = [
        ("/groups", {**GROUP, MARKER: MARKER}),
        ("/groups", {**GROUP, "id": MARKER, "name": None}),
        ("/groups", GROUP),
        ("/predict", {"group_id": "nobody", **ASK}),
        ("/predict", {"preferences": [SHARE, {**SHARE, "distribution": [0.1, 0.1, 0.1]}], **ASK}),
        ("/score", {"preferences": [RATING], "prompt": MARKER * 5_000, "responses": [MARKER, ""]}),
        ("/generate", {"preferences": [RATING], "prompt": MARKER, "n": 1_000}),
        ("/v1/chat/completions", {**CHAT, "model": MARKER}),
        ("/v1/rerank", {"query": MARKER, "documents": [MARKER], "group_id": "nobody"}),
    ]
    for path, body in wrong:
        assert (await house.ask(ANN, "POST", path, body)).status_code in range(400, 500), path
    headers = {**bearer(ANN), "Content-Type": "application/json"}
    broken = await house.client.post("/groups", content=f'{{"{MARKER}"'.encode(), headers=headers)
    assert broken.status_code == 400
    for header in ({"Authorization": f"Basic {BOB}"}, {**bearer(ANN), "X-Large": MARKER * 1_000}):
        await house.client.get("/groups", params={"api_key": BOB, "q": MARKER}, headers=header)
    # The LLM server fails, and repeats what it was sent.
    answer = house.upstream.answer

    async def fail(request: Request) -> Reply:
        return Reply(status=500, body={"error": {"message": f"cannot do {request.body}"}})

    house.upstream.answer = fail
    drawn = {"preferences": [RATING], "prompt": MARKER, "n": 2}
    for body in (drawn, {**drawn, "stream": True}):
        await house.ask(ANN, "POST", "/generate", body)
    failed = await house.ask(ANN, "POST", "/v1/chat/completions", CHAT)
    assert failed.status_code == 502
    house.upstream.answer = answer


def nothing_secret_is_said(service: ServeProcess) -> None:
    said = service.said
    assert "3 keys for 2 tenants" in service.announced
    assert '"status": 401' in service.logged
    assert '"code": "unauthorized"' in service.logged
    for secret in (
        ANN,
        BOB,
        ANN_2,
        NOBODY,
        *(entry.partition(":")[2] for entry in KEYS.split(",")),
    ):
        assert secret not in said
    assert MARKER not in said.replace(f"/groups/{MARKER}", "")


async def test_a_quota_in_redis_is_one_for_all_replicas(tmp_path: Path, redis_url: str) -> None:
    settings = {"GPO_STORE_URL": redis_url, "GPO_RATE_REQUESTS": "6/hour"}
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    async with opened(folders[0], **settings) as here, opened(folders[1], **settings) as there:
        for i in range(6):
            response = await (here, there)[i % 2].ask(ANN, "GET", "/groups")
            assert response.status_code == 200
            assert response.headers["X-RateLimit-Remaining-Requests"] == str(5 - i)
        for house in (here, there):
            response = await house.ask(ANN, "GET", "/groups")
            assert (response.status_code, response.json()["code"]) == (429, "rate_limited")
            assert int(response.headers["Retry-After"]) >= 1
            async with AsyncGPOClient(
                house.service.url, api_key=ANN, retries=Retries(most=0)
            ) as gpo:
                with pytest.raises(RateLimited) as refused:
                    [group async for group in gpo.groups.list()]
            assert refused.value.retry_after_s is not None
            assert (await house.ask(BOB, "GET", "/groups")).status_code == 200


async def test_a_head_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        host, port = house.service.url.removeprefix("http://").split(":")
        for size, status in ((10_000, b"431"), (60_000, b"431"), (3_000_000, b"400")):
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Large: " + b"x" * size)
                if status == b"431":
                    writer.write(b"\r\n\r\n")
                async with asyncio.timeout(20):
                    first = await reader.readline()
                assert first.split()[1] == status, size
            except ConnectionResetError:
                assert size > 1_000_000
            finally:
                writer.close()
        assert (await house.client.get("/livez")).status_code == 200
