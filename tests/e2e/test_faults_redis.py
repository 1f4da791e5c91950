"""The whole service, two replicas of it, on a real Redis that dies, hangs or is slow."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest
from fixtures.calls import QUESTION, expect_problem, healed, numbers, rating, until
from fixtures.openai_fake import Reply, Request, chat, fake_server
from fixtures.redis_server import RedisServer, free_port
from fixtures.serve_process import ServeProcess, serving
from fixtures.slow_way import SlowWay, slow_way

SLOW_S = 6.0
PARKS = {"question": "Should the old harbour become a park?", "options": ["Yes", "No"]}


@dataclass
class Rig:
    """Replica `b` reaches Redis by a proxy; the generator's port is free until a test takes it."""

    redis: RedisServer
    way: SlowWay
    a: ServeProcess
    b: ServeProcess
    generator_port: int


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    redis = RedisServer(
        tmp_path_factory.mktemp("redis"), "--appendonly", "yes", "--appendfsync", "always"
    )
    redis.start()
    port = free_port()
    generator = {
        "GPO_GENERATOR": "vllm-http",
        "GPO_GENERATOR_URL": f"http://127.0.0.1:{port}/v1",
    }
    folder = tmp_path_factory.mktemp("replicas")
    try:
        with (
            slow_way(redis.port) as way,
            serving(folder, GPO_STORE_URL=redis.url, **generator) as a,
            serving(folder, GPO_STORE_URL=f"redis://127.0.0.1:{way.port}/0", **generator) as b,
        ):
            yield Rig(redis, way, a, b, port)
            assert a.stop() == b.stop() == 0
            assert "Traceback" not in a.said + b.said
    finally:
        redis.kill()


@asynccontextmanager
async def client_of(service: ServeProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A client, once the service has got over what the test before did to it."""
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
        began = time.monotonic()
        await healed("a read", lambda: client.get("/groups"), since=began, allowed={503})
        yield client


@pytest.fixture
async def a(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(rig.a) as client:
        yield client


@pytest.fixture
async def b(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(rig.b) as client:
        yield client


async def put(client: httpx.AsyncClient, group_id: str, *preferences: dict[str, Any]) -> int:
    body = {"name": group_id, "preferences": list(preferences)}
    response = (await client.put(f"/groups/{group_id}", json=body)).raise_for_status()
    version: int = response.json()["version"]
    assert response.headers["ETag"] == f'"{version}"'
    return version


async def get(client: httpx.AsyncClient, group_id: str) -> dict[str, Any]:
    response = await client.get(f"/groups/{group_id}", params={"include": "preferences"})
    group: dict[str, Any] = response.raise_for_status().json()
    assert response.headers["ETag"] == f'"{group["version"]}"'
    return group


async def append(client: httpx.AsyncClient, group_id: str, number: int) -> httpx.Response:
    body = {"preferences": [rating(number)]}
    return await client.post(f"/groups/{group_id}/preferences", json=body)


async def predict(client: httpx.AsyncClient, group_id: str) -> httpx.Response:
    return await client.post("/predict", json={"group_id": group_id, **QUESTION})


async def test_redis_killed_and_restarted_in_mid_load(rig: Rig, a: httpx.AsyncClient) -> None:
    groups = [f"load-{i}" for i in range(4)]
    for group_id in groups:
        await put(a, group_id)
    acknowledged: dict[tuple[str, int], int] = {}
    statuses: dict[str, list[int]] = {"write": [], "predict": []}
    longest, done = 0.0, asyncio.Event()

    async def keep(kind: str, ask: Callable[[int], Any], first: int) -> None:
        nonlocal longest
        for number in range(first, first + 10_000):
            if done.is_set():
                return
            started = time.monotonic()
            response = await ask(number)
            longest = max(longest, time.monotonic() - started)
            statuses[kind].append(response.status_code)
            if response.status_code == 200 and kind == "write":
                version = int(response.headers["ETag"].strip('"'))
                acknowledged[response.json()["id"], number] = version
            elif response.status_code != 200:
                expect_problem(response, 503, "store_unavailable")
                await asyncio.sleep(0.05)

    def failed() -> int:
        return min(found.count(503) for found in statuses.values())

    load = [
        *(
            asyncio.create_task(
                keep("write", lambda n, g=groups[k % 4]: append(a, g, n), k * 10_000)
            )
            for k in range(6)
        ),
        *(
            asyncio.create_task(keep("predict", lambda _, g=group: predict(a, g), 0))
            for group in groups
        ),
    ]
    await until(lambda: len(acknowledged) > 60 and statuses["predict"].count(200) > 10)
    await asyncio.to_thread(rig.redis.kill)
    await until(lambda: failed() > 20)
    before = len(acknowledged)
    await asyncio.to_thread(rig.redis.start)
    back = time.monotonic()
    await asyncio.gather(
        healed("a write", lambda: append(a, groups[0], 99_999), since=back, allowed={503}),
        healed("/predict", lambda: predict(a, groups[1]), since=back, allowed={503}),
        healed("a read", lambda: a.get(f"/groups/{groups[2]}"), since=back, allowed={503}),
    )
    await until(lambda: len(acknowledged) > before + 60)
    done.set()
    await asyncio.gather(*load)
    print(f"{len(acknowledged)} writes acknowledged, {failed()} of each kind refused at least")
    assert longest < SLOW_S
    assert set(statuses["write"]) == set(statuses["predict"]) == {200, 503}
    for group_id in groups:
        group = await get(a, group_id)
        kept = numbers(group)
        assert group["version"] == 1 + len(kept)
        assert len(set(kept)) == len(kept)
        for (of, number), version in acknowledged.items():
            assert of != group_id or kept[version - 2] == number


async def test_a_redis_that_hangs_holds_nobody_up(rig: Rig, a: httpx.AsyncClient) -> None:
    for i in range(3):
        await put(a, f"hang-{i}", rating(i))
    inline = {"preferences": [rating(1)], **QUESTION}
    (await a.post("/predict", json=inline)).raise_for_status()

    async def timed(method: str, path: str, body: Any = None) -> tuple[httpx.Response, float]:
        started = time.monotonic()
        response = await a.request(method, path, json=body)
        return response, time.monotonic() - started

    target = {"group_id": "hang-1"}
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/groups", None),
        ("GET", "/groups/hang-0", None),
        ("PUT", "/groups/hang-2", {"name": "n", "preferences": []}),
        ("POST", "/groups/hang-0/preferences", {"preferences": [rating(7)]}),
        ("DELETE", "/groups/hang-2", None),
        ("POST", "/predict", target | QUESTION),
        ("POST", "/score", target | {"prompt": "p", "responses": ["r"]}),
        ("POST", "/generate", target | {"prompt": "p", "n": 2}),
    ]
    rig.redis.pause()
    try:
        waiting = asyncio.gather(*(timed(*call) for call in asked * 8))
        await asyncio.sleep(0.5)  # the requests themselves are read; from here on it only waits
        alive = []
        for _ in range(15):
            alive.append(await timed("GET", "/livez"))
            await asyncio.sleep(0.05)
        answer, took = await timed("POST", "/predict", inline)
        assert answer.status_code == 200
        assert took < 2
        for response, seconds in await waiting:
            expect_problem(response, 503, "store_unavailable")
            assert seconds < SLOW_S
        assert {response.status_code for response, _ in alive} == {200}
        quick = sorted(seconds for _, seconds in alive)
        print(f"/livez beside a hanging Redis: {quick[7]:.3f} s, at most {quick[-1]:.3f} s")
        assert quick[-3] < 0.2
        ready, seconds = await timed("GET", "/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert ready.json()["components"]["store"]["reason"]
        assert seconds < SLOW_S
    finally:
        rig.redis.resume()
    back = time.monotonic()
    await asyncio.gather(
        healed("a write", lambda: append(a, "hang-1", 8), since=back, allowed={503}),
        healed("/predict", lambda: predict(a, "hang-1"), since=back, allowed={503}),
    )
    assert numbers(await get(a, "hang-1"))[-1] == 8


async def test_replicas_that_update_one_group_lose_nothing(
    a: httpx.AsyncClient, b: httpx.AsyncClient
) -> None:
    await put(a, "shared")
    versions: list[int] = []
    refused = 0

    async def replace(client: httpx.AsyncClient, number: int) -> None:
        nonlocal refused
        while True:
            group = await get(client, "shared")
            body = {"name": "n", "preferences": [*group["preferences"], rating(number)]}
            match = {"If-Match": f'"{group["version"]}"'}
            response = await client.put("/groups/shared", json=body, headers=match)
            if response.status_code == 200:
                versions.append(int(response.headers["ETag"].strip('"')))
                return
            expect_problem(response, 412, "version_mismatch")
            refused += 1

    async def add(client: httpx.AsyncClient, number: int) -> None:
        response = (await append(client, "shared", number)).raise_for_status()
        versions.append(int(response.headers["ETag"].strip('"')))

    async def worker(client: httpx.AsyncClient, first: int) -> None:
        for number in range(first, first + 8):
            await (replace if number % 2 else add)(client, number)

    await asyncio.gather(*(worker((a, b)[k % 2], 100 * k) for k in range(6)))
    group = await get(b, "shared")
    sent = {100 * k + i for k in range(6) for i in range(8)}
    assert sorted(numbers(group)) == sorted(sent)
    assert sorted(versions) == list(range(2, 2 + len(sent)))
    assert group["version"] == max(versions)
    print(f"{len(sent)} writes by two replicas, {refused} refused and repeated")


async def test_a_new_version_counts_on_every_replica_at_once(
    a: httpx.AsyncClient, b: httpx.AsyncClient
) -> None:
    seen: list[int] = []
    acknowledged, done = 0, asyncio.Event()

    async def ask(client: httpx.AsyncClient, target: dict[str, Any]) -> dict[str, Any]:
        response = await client.post("/predict", json=target | PARKS)
        found: dict[str, Any] = response.raise_for_status().json()["predictions"][0]
        return found

    async def watch(client: httpx.AsyncClient) -> None:
        last = 0
        while not done.is_set():
            least = max(last, acknowledged)
            last = (await ask(client, {"group_id": "news"}))["group_version"]
            assert last >= least
            seen.append(last)

    acknowledged = await put(a, "news")
    watchers = [asyncio.create_task(watch(client)) for client in (a, b, b)]
    shares = []
    for i in range(24):
        writer, reader = (a, b) if i % 3 else (b, a)
        share = {**PARKS, "counts": [90 - i, 10] if i % 2 else [10, 90 - i]}
        version = acknowledged = await put(writer, "news", share)
        found = await ask(reader, {"group_id": "news"})
        assert found["group_version"] == version
        inline = await ask(reader, {"preferences": [share]})
        assert found["distribution"] == pytest.approx(inline["distribution"], abs=1e-5)
        shares.append(found["distribution"][0])
    done.set()
    await asyncio.gather(*watchers)
    assert all(abs(one - two) > 0.002 for one, two in pairwise(shares))
    assert len(seen) > 24


async def test_time_that_the_context_used_up_draws_nothing(rig: Rig, b: httpx.AsyncClient) -> None:
    await put(b, "slow", rating(1))

    async def always(_: Request) -> Reply:
        return chat("Yes.")

    asked = {"group_id": "slow", "prompt": "Why?", "n": 2, "timeout_s": 0.5}
    async with fake_server(always, port=rig.generator_port) as upstream:
        rig.way.delay_s = 0.8
        try:
            started = time.monotonic()
            expect_problem(await b.post("/generate", json=asked), 504, "deadline_exceeded")
            assert time.monotonic() - started < 1.5
        finally:
            rig.way.delay_s = 0.0
        rig.redis.pause()
        try:
            started = time.monotonic()
            expect_problem(await b.post("/generate", json=asked), 504, "deadline_exceeded")
            assert time.monotonic() - started < 1.5
        finally:
            rig.redis.resume()
        back = time.monotonic()
        assert upstream.completions == []
        await healed(
            "/generate",
            lambda: b.post("/generate", json=asked | {"timeout_s": 20}),
            since=back,
            allowed={503},
        )
        assert len(upstream.completions) == 2


async def test_cancelled_requests_never_mix_up_answers(rig: Rig, b: httpx.AsyncClient) -> None:
    dice = random.Random(5)
    for i in range(24):
        await put(b, f"own-{i}", rating(i), rating(100 + i))
    rig.way.delay_s = 0.02
    connections = rig.way.accepted
    cancelled = 0

    async def leave(client: httpx.AsyncClient, i: int) -> None:
        nonlocal cancelled
        ids = [f"own-{k % 24}" for k in range(i, i + 4)]
        # Reads have a command of their own; those of predictions may share one.
        if dice.random() < 0.5:
            work = client.post("/predict", json={"group_ids": ids, **QUESTION})
        else:
            work = client.get(f"/groups/{ids[0]}", params={"include": "preferences"})
        call = asyncio.create_task(work)
        await asyncio.wait([call], timeout=dice.uniform(0.005, 0.12))
        cancelled += call.cancel()
        await asyncio.gather(call, return_exceptions=True)

    async def read(i: int) -> None:
        group = await get(b, f"own-{i}")
        assert (group["id"], numbers(group)) == (f"own-{i}", [i, 100 + i])
        [found] = (await predict(b, f"own-{i}")).raise_for_status().json()["predictions"]
        assert found["group_id"] == f"own-{i}"

    try:
        async with httpx.AsyncClient(base_url=rig.b.url, timeout=30) as leaving:
            for _ in range(24):
                picked = [dice.randrange(24) for _ in range(34)]
                await asyncio.gather(
                    *(leave(leaving, i) for i in picked[:26]), *(read(i) for i in picked[26:])
                )
    finally:
        rig.way.delay_s = 0.0
    print(f"{cancelled} requests cancelled, {rig.way.accepted - connections} new connections")
    assert cancelled > 200
    # A connection whose command was cancelled is thrown away, never used again.
    assert rig.way.accepted - connections > 20
    for i in range(24):
        await read(i)
