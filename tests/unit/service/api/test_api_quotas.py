"""Quotas: 429 and what is left, for each key by itself; candidates by how many are asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fakes import FakeEmbedder, FakeGenerator, FakeScorer
from fixtures.keys import ANN, ANN_2, BOB, KEYS, bearer
from pydantic import SecretStr

from service.adapters.quotas.open import open_meters
from service.adapters.stores.sqlite_store import SqliteStore
from service.app import create_app
from service.core.quotas import Meter, Resource
from service.settings import Settings
from service.wiring import Parts

CHAT = {"messages": [{"role": "user", "content": "?"}]}
DRAW = {"preferences": [], "prompt": "?"}


@asynccontextmanager
async def limited(tmp_path: Path, **quotas: str) -> AsyncIterator[httpx.AsyncClient]:
    url = f"sqlite:///{tmp_path / 'groups.db'}"
    settings = Settings(
        store_url=url,
        api_keys=SecretStr(KEYS),
        max_n=8,
        max_candidates_in_flight=16,
        best_of=4,
        **quotas,  # type: ignore[arg-type]
    )
    async with AsyncExitStack() as stack:
        meters: Mapping[Resource, Meter] = await stack.enter_async_context(open_meters(settings))
        store = SqliteStore(tmp_path / "groups.db")
        stack.push_async_callback(store.close)
        parts = Parts(store, FakeGenerator(), FakeEmbedder(), FakeScorer(), meters=meters)
        app = create_app(settings, parts)
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        yield await stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://test")
        )


async def test_requests_are_counted_for_each_key(tmp_path: Path) -> None:
    async with limited(tmp_path, rate_requests="3/hour") as client:
        for left in (2, 1, 0):
            response = await client.get("/groups", headers=bearer(ANN))
            assert response.status_code == 200
            assert response.headers["X-RateLimit-Limit-Requests"] == "3"
            assert response.headers["X-RateLimit-Remaining-Requests"] == str(left)
            reset = response.headers["X-RateLimit-Reset-Requests"]
            assert 0 < int(reset.removesuffix("s")) <= 7_200
            assert "X-RateLimit-Limit-Candidates" not in response.headers
        for path in ("/groups", "/nowhere", "/v1/models", "/metrics"):
            response = await client.get(path, headers=bearer(ANN))
            body = response.json()
            assert (response.status_code, body["code"]) == (429, "rate_limited")
            assert response.headers["Content-Type"] == "application/problem+json"
            assert 1 <= int(response.headers["Retry-After"]) <= 7_200
            assert response.headers["X-RateLimit-Remaining-Requests"] == "0"
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "3 per 1 hour" in body["detail"]
            assert ("error" in body) == path.startswith("/v1")
        for key in (BOB, ANN_2):
            assert (await client.get("/groups", headers=bearer(key))).status_code == 200
        for path in ("/livez", "/readyz"):
            assert (await client.get(path, headers=bearer(ANN))).status_code == 200


async def test_strangers_take_from_no_quota(tmp_path: Path) -> None:
    async with limited(tmp_path, rate_requests="1/hour") as client:
        for _ in range(3):
            response = await client.get("/groups")
            assert response.status_code == 401
            assert not [name for name in response.headers if name.startswith("x-ratelimit")]
        assert (await client.get("/groups", headers=bearer(ANN))).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "cost"),
    [
        ("/generate", {**DRAW, "n": 3}, 3),
        ("/v1/generate", {**DRAW}, 8),
        ("/generate", {**DRAW, "n": 2, "stream": True}, 2),
        ("/v1/completions", {"prompt": "?"}, 1),
        ("/v1/completions", {"prompt": "?", "n": 2, "stream": True}, 2),
        ("/v1/chat/completions", {**CHAT, "n": 5}, 5),
        ("/v1/chat/completions", {**CHAT, "group_id": "town"}, 4),
        ("/v1/chat/completions", {**CHAT, "group_id": "town", "best_of": 6, "n": 2}, 6),
        ("/v1/completions", {"prompt": "?", "group_id": "town", "best_of": 2, "stream": True}, 2),
        ("/predict", {"preferences": [], "question": "?", "options": ["a", "b"]}, None),
        ("/score", {**DRAW, "responses": ["a", "b"]}, None),
    ],
    ids=str,
)
async def test_candidates_cost_what_is_drawn(
    tmp_path: Path, path: str, body: dict[str, Any], cost: int | None
) -> None:
    async with limited(tmp_path, rate_candidates="8/hour") as client:
        await client.put(
            "/groups/town", json={"name": "Town", "preferences": []}, headers=bearer(ANN)
        )
        response = await client.post(path, json=body, headers=bearer(ANN))
        assert response.status_code == 200, response.text
        left = response.headers.get("X-RateLimit-Remaining-Candidates")
        assert left == (None if cost is None else str(8 - cost))
        rest = await client.post("/generate", json={**DRAW, "n": 8}, headers=bearer(ANN))
        if cost is not None:
            assert (rest.status_code, rest.json()["code"]) == (429, "rate_limited")
            assert rest.headers["X-RateLimit-Remaining-Candidates"] == left
        else:
            assert rest.status_code == 200


async def test_what_is_refused_takes_nothing(tmp_path: Path) -> None:
    async with limited(tmp_path, rate_candidates="8/hour") as client:
        for body, status in (
            ({**DRAW, "n": 0}, 422),
            ({**DRAW, "n": 9}, 413),
            ({"prompt": "?", "n": 2}, 422),
        ):
            response = await client.post("/generate", json=body, headers=bearer(ANN))
            assert response.status_code == status
        half = await client.post("/generate", json={**DRAW, "n": 5}, headers=bearer(ANN))
        assert half.headers["X-RateLimit-Remaining-Candidates"] == "3"
        much = await client.post("/generate", json={**DRAW, "n": 4}, headers=bearer(ANN))
        assert much.status_code == 429
        rest = await client.post("/generate", json={**DRAW, "n": 3}, headers=bearer(ANN))
        assert rest.headers["X-RateLimit-Remaining-Candidates"] == "0"


async def test_what_no_waiting_makes_fit_is_413(tmp_path: Path) -> None:
    async with limited(tmp_path, rate_candidates="2/hour") as client:
        for path, body, pointer in (
            ("/generate", {**DRAW, "n": 3}, "/n"),
            ("/v1/completions", {"prompt": "?", "n": 3}, "/n"),
        ):
            response = await client.post(path, json=body, headers=bearer(ANN))
            assert response.status_code == 413
            assert "Retry-After" not in response.headers
            [error] = response.json()["errors"]
            assert error["pointer"] == pointer
            assert "2 per 1 hour" in error["detail"]


async def test_without_quotas_nothing_is_said_of_them(tmp_path: Path) -> None:
    async with limited(tmp_path) as client:
        response = await client.post("/generate", json=DRAW, headers=bearer(ANN))
        assert response.status_code == 200
        assert not [name for name in response.headers if name.startswith("x-ratelimit")]
