"""The service itself is killed while it writes, or its disk is full: no group is ever torn."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.calls import QUESTION, expect_problem, healed, numbers, rating, until
from fixtures.redis_server import RedisServer
from fixtures.serve_process import ServeProcess, serving_beside

WITHOUT_LLM = {"GPO_GENERATOR": "vllm-http", "GPO_GENERATOR_URL": "http://127.0.0.1:2/v1"}
TOGETHER = 3


@asynccontextmanager
async def running(
    folder: Path, **settings: str
) -> AsyncIterator[tuple[ServeProcess, httpx.AsyncClient]]:
    async with (
        serving_beside(folder, **settings) as service,
        httpx.AsyncClient(base_url=service.url, timeout=30) as client,
    ):
        yield service, client


@pytest.mark.parametrize("store", ["sqlite", "redis"])
async def test_the_service_killed_while_it_writes(
    tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    settings = dict(WITHOUT_LLM)
    if store == "redis":
        redis: RedisServer = request.getfixturevalue("durable_redis")
        settings["GPO_STORE_URL"] = redis.url
    acknowledged: dict[tuple[str, int], int] = {}
    replaced: dict[int, int] = {}

    async def append(client: httpx.AsyncClient, group_id: str, first: int) -> None:
        """Several preferences in one write, until the service is gone."""
        for number in range(first, first + 9_000, TOGETHER):
            body = {"preferences": [rating(number + i) for i in range(TOGETHER)]}
            try:
                answer = await client.post(f"/groups/{group_id}/preferences", json=body)
            except httpx.TransportError:
                return
            assert answer.status_code == 200, answer.text
            acknowledged[group_id, number] = int(answer.headers["ETag"].strip('"'))

    async def replace(client: httpx.AsyncClient) -> None:
        for number in range(10_000):
            body = {"name": str(number), "preferences": [rating(number)] * (1 + number % 50)}
            try:
                answer = await client.put("/groups/replaced", json=body)
            except httpx.TransportError:
                return
            assert answer.is_success, answer.text
            replaced[int(answer.headers["ETag"].strip('"'))] = number

    groups = ["one", "two", "three"]
    async with running(tmp_path, **settings) as (service, client):
        for group_id in groups:
            body = {"name": group_id, "preferences": []}
            (await client.put(f"/groups/{group_id}", json=body)).raise_for_status()
        writers = [append(client, groups[k % 3], 9_000 * k) for k in range(6)]
        tasks = [asyncio.create_task(w) for w in (*writers, replace(client))]
        await until(lambda: len(acknowledged) > 40 and len(replaced) > 5)
        service.process.kill()
        await asyncio.gather(*tasks)
    async with running(tmp_path, **settings) as (service, client):
        for group_id in groups:
            group = await whole_group(client, group_id)
            kept = numbers(group)
            writes = [kept[i : i + TOGETHER] for i in range(0, len(kept), TOGETHER)]
            assert all(w == list(range(w[0], w[0] + TOGETHER)) for w in writes)
            assert group["version"] == 1 + len(writes)
            for (of, number), version in acknowledged.items():
                assert of != group_id or writes[version - 2][0] == number
            answer = await client.post("/predict", json={"group_id": group_id, **QUESTION})
            [found] = answer.raise_for_status().json()["predictions"]
            assert found["group_version"] == group["version"]
        group = await whole_group(client, "replaced")
        number = int(group["name"])
        assert numbers(group) == [number] * (1 + number % 50)
        assert group["version"] >= max(replaced)
        assert replaced.get(group["version"], number) == number
        body = {"name": "next", "preferences": []}
        after = (await client.put("/groups/replaced", json=body)).raise_for_status()
        assert after.json()["version"] == group["version"] + 1
    print(f"{store}: {len(acknowledged) + len(replaced)} acknowledged writes, all there")


async def whole_group(client: httpx.AsyncClient, group_id: str) -> dict[str, Any]:
    response = await client.get(f"/groups/{group_id}", params={"include": "preferences"})
    group: dict[str, Any] = response.raise_for_status().json()
    assert response.headers["ETag"] == f'"{group["version"]}"'
    assert group["preference_count"] == len(group["preferences"])
    return group


async def test_a_full_disk_refuses_writes_and_nothing_else(tmp_path: Path) -> None:
    async with serving_beside(tmp_path, **WITHOUT_LLM) as service:
        pid = service.process.pid
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)

        def allow(most_bytes: int) -> None:
            """No file of the service may grow beyond this, as on a disk that is full."""
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most_bytes, hard))

        async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:

            async def put(group_id: str, number: int) -> httpx.Response:
                body = {"name": str(number), "preferences": [rating(number)] * 300}
                return await client.put(f"/groups/{group_id}", json=body)

            for group_id in ("first", "second"):
                assert (await put(group_id, 0)).status_code == 201
            used = largest_file(tmp_path)
            allow(used + 150_000)
            acknowledged = {"first": (1, 0), "second": (1, 0)}
            refused: httpx.Response | None = None
            for number in range(1, 200):
                group_id = ("first", "second")[number % 2]
                answer = await put(group_id, number)
                if answer.status_code != 200:
                    refused = answer
                    break
                acknowledged[group_id] = (answer.json()["version"], number)
            assert refused is not None
            print(f"the disk was full after {number} writes: {refused.json()['detail']}")
            allow(1)
            for number in range(1000, 1006):
                body = expect_problem(await put("first", number), 503, "store_unavailable")
                assert "group store failed" in body["detail"]
            expect_problem(await put("third", 1), 503, "store_unavailable")
            ready = (await client.get("/readyz")).json()
            assert not ready["components"]["store"]["ok"]
            assert "group store failed" in ready["components"]["store"]["reason"]
            assert (await client.get("/livez")).status_code == 200
            await expect_whole(client, acknowledged)
            allow(hard)
            back = time.monotonic()
            await healed("a write", lambda: put("first", 7), since=back, allowed={503})
            ready = (await client.get("/readyz")).json()
            assert ready["components"]["store"]["ok"]
            group = await whole_group(client, "first")
            assert group["version"] == acknowledged["first"][0] + 1
            assert numbers(group) == [7] * 300
            assert (await client.get("/groups/third")).status_code == 404
        assert await asyncio.to_thread(service.stop) == 0
        assert "Traceback" not in service.said


async def expect_whole(client: httpx.AsyncClient, expected: dict[str, tuple[int, int]]) -> None:
    """Each group as its last acknowledged write left it, and it can be predicted for."""
    for group_id, (version, number) in expected.items():
        group = await whole_group(client, group_id)
        assert (group["version"], group["name"]) == (version, str(number))
        assert numbers(group) == [number] * 300
        answer = await client.post("/predict", json={"group_id": group_id, **QUESTION})
        [found] = answer.raise_for_status().json()["predictions"]
        assert found["group_version"] == version


def largest_file(folder: Path) -> int:
    return max(file.stat().st_size for file in folder.iterdir())
