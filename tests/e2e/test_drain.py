"""A signal to stop: what runs finishes, new work is refused, and then the process ends."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from fixtures.calls import QUESTION, expect_problem, rating, until
from fixtures.events import events
from fixtures.openai_fake import FakeServer, Reply, Request, chat, fake_server
from fixtures.serve_process import ServeProcess, serving_beside

ASKED = {"preferences": [rating(1)], "prompt": "Why?", "n": 2, "timeout_s": 300}
GROUP = {"name": "Swimmers", "preferences": [rating(1)]}


class Slow:
    """Answers completions once it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()

    async def __call__(self, request: Request) -> Reply:
        await self.go.wait()
        return chat("At last.")


@asynccontextmanager
async def draining(
    folder: Path, slow: Slow, **settings: str
) -> AsyncIterator[tuple[ServeProcess, httpx.AsyncClient, FakeServer]]:
    async with (
        fake_server(slow) as upstream,
        serving_beside(
            folder,
            GPO_GENERATOR="vllm-http",
            GPO_GENERATOR_URL=upstream.url,
            **settings,
        ) as service,
        httpx.AsyncClient(base_url=service.url, timeout=60) as client,
    ):
        yield service, client, upstream


async def ended(service: ServeProcess, *, within_s: float) -> float:
    started = time.monotonic()
    await until(lambda: service.process.poll() is not None, within_s=within_s)
    assert service.process.returncode == 0
    return time.monotonic() - started


async def test_what_runs_finishes_and_new_work_is_refused(tmp_path: Path) -> None:
    slow = Slow()
    async with draining(tmp_path, slow) as (service, client, upstream):
        (await client.put("/groups/swimmers", json=GROUP)).raise_for_status()
        running = [asyncio.create_task(client.post("/generate", json=ASKED)) for _ in range(2)]
        await until(lambda: upstream.under_way == 4)
        service.send(signal.SIGTERM)
        await until(lambda: httpx.get(f"{service.url}/readyz").status_code == 503, within_s=1)
        ready = (await client.get("/readyz")).json()
        assert ready["status"] == "draining"
        assert all(component["ok"] for component in ready["components"].values())
        assert (await client.get("/health")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
        for method, path, body in [
            ("POST", "/generate", ASKED),
            ("POST", "/v1/generate", ASKED),
            ("POST", "/predict", {"group_id": "swimmers", **QUESTION}),
            ("POST", "/score", {"group_id": "swimmers", "prompt": "p", "responses": ["r"]}),
            ("POST", "/groups", GROUP),
            ("PUT", "/groups/swimmers", GROUP),
            ("POST", "/groups/swimmers/preferences", {"preferences": [rating(2)]}),
            ("DELETE", "/groups/swimmers", None),
        ]:
            refused = await client.request(method, path, json=body)
            expect_problem(refused, 503, "draining")
            assert refused.headers["Connection"] == "close"
        assert (await client.get("/groups/swimmers")).json()["version"] == 1
        assert not any(task.done() for task in running)
        slow.go.set()
        for task in running:
            answer = await task
            assert (answer.status_code, answer.json()["text"]) == (200, "At last.")
        print(f"ended {await ended(service, within_s=10):.2f} s after its last answer")
        assert "stopping with" not in service.said


async def test_what_runs_too_long_is_stopped_and_answered(tmp_path: Path) -> None:
    slow = Slow()
    async with draining(tmp_path, slow, GPO_DRAIN_S="1") as (service, client, upstream):
        running = [asyncio.create_task(client.post("/generate", json=ASKED)) for _ in range(3)]
        await until(lambda: upstream.under_way == 6)
        signalled = time.monotonic()
        service.send(signal.SIGTERM)
        for task in running:
            expect_problem(await task, 503, "draining")
        assert 0.9 < time.monotonic() - signalled < 4
        await until(lambda: upstream.under_way == 0, within_s=5)
        await ended(service, within_s=10)
        assert "stopping with 3 requests unfinished" in service.said
        assert "Traceback" not in service.said


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    slow = Slow()
    async with draining(tmp_path, slow, GPO_DRAIN_S="300") as (service, client, upstream):
        running = asyncio.create_task(client.post("/generate", json=ASKED))
        await until(lambda: upstream.under_way == 2)
        service.send(signal.SIGTERM)
        await until(lambda: httpx.get(f"{service.url}/readyz").status_code == 503, within_s=1)
        signalled = time.monotonic()
        service.send(signal.SIGINT)
        expect_problem(await running, 503, "draining")
        assert time.monotonic() - signalled < 2
        await ended(service, within_s=10)


async def test_with_nothing_running_it_stops_promptly_under_open_connections(
    tmp_path: Path,
) -> None:
    async with draining(tmp_path, Slow()) as (service, client, _):
        idle = [await client.get("/livez") for _ in range(3)]
        assert {response.status_code for response in idle} == {200}
        raw = await asyncio.open_connection("127.0.0.1", int(service.url.rsplit(":", 1)[1]))
        service.send(signal.SIGINT)
        signalled = time.monotonic()
        await until(lambda: not listens(service), within_s=5)
        print(f"closed its listener after {time.monotonic() - signalled:.2f} s")
        assert time.monotonic() - signalled < 1
        took = await ended(service, within_s=10)
        print(f"ended after {took:.2f} s")
        assert await raw[0].read() == b""
        raw[1].close()


async def test_it_listens_on_for_the_load_balancers_sake(tmp_path: Path) -> None:
    async with draining(tmp_path, Slow(), GPO_DRAIN_DELAY_S="1.5") as (service, client, _):
        service.send(signal.SIGTERM)
        signalled = time.monotonic()
        seen = 0
        while listens(service):
            assert time.monotonic() - signalled < 10
            try:
                ready = await client.get("/readyz")
            except httpx.TransportError:
                break  # the listener closed between the two
            assert (ready.status_code, ready.json()["status"]) == (503, "draining")
            seen += 1
            await asyncio.sleep(0.05)
        assert 1.4 < time.monotonic() - signalled < 4
        assert seen > 3
        await ended(service, within_s=10)


def listens(service: ServeProcess) -> bool:
    try:
        httpx.get(f"{service.url}/livez", timeout=5)
    except httpx.TransportError:
        return False
    return True


async def test_a_stream_that_outlives_the_drain_ends_with_the_reason(tmp_path: Path) -> None:
    async with draining(tmp_path, Slow(), GPO_DRAIN_S="0.5") as (service, client, upstream):
        async with client.stream("POST", "/generate", json=ASKED | {"stream": True}) as response:
            assert response.status_code == 200
            await until(lambda: upstream.under_way == 2)
            service.send(signal.SIGTERM)
            [(name, problem)] = [event async for event in events(response)]
        assert (name, problem["status"], problem["code"]) == ("error", 503, "draining")
        await ended(service, within_s=20)
