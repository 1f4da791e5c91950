"""The whole service while real vLLM is killed, hangs, or is left by its clients."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fixtures.calls import expect_problem, healed, rating, until
from fixtures.serve_process import ServeProcess, serving
from fixtures.vllm_server import VllmServer, require_vllm

pytestmark = pytest.mark.vllm

ASKED = {
    "preferences": [rating(1)],
    "prompt": "Should the town plant more trees?",
    "n": 4,
    "max_tokens": 24,
    "timeout_s": 60,
}
SHORT = {"n": 1, "max_tokens": 8}
LONG = {"n": 16, "max_tokens": 900, "temperature": 2.0, "timeout_s": 300}


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A server that these tests may kill; the one of the other tests is shared."""
    require_vllm()
    server = VllmServer(tmp_path_factory.mktemp("own-vllm"))
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def service(
    own_server: VllmServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServeProcess]:
    with serving(
        tmp_path_factory.mktemp("service"),
        GPO_GENERATOR="vllm-http",
        GPO_GENERATOR_URL=own_server.url,
    ) as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.said


@pytest.fixture
async def client(service: ServeProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=330) as client:
        yield client


async def generate(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/generate", json=ASKED | changes)


async def busy(server: VllmServer, *, at_least: int) -> None:
    """Return when the engine has this many candidates under way.

    Fewer than were asked for, as the first ones may end before the last ones come.
    """
    async with asyncio.timeout(60):
        while await server.running() < at_least:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def idle(server: VllmServer) -> None:
    """Return when the engine has nothing under way."""
    async with asyncio.timeout(60):
        while await server.running():  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)


async def test_a_client_that_leaves_frees_the_engine_within_seconds(
    own_server: VllmServer, client: httpx.AsyncClient
) -> None:
    call = asyncio.create_task(generate(client, **LONG))
    await busy(own_server, at_least=8)
    call.cancel()
    left = time.monotonic()
    await asyncio.gather(call, return_exceptions=True)
    await idle(own_server)
    print(f"the engine was free {time.monotonic() - left:.2f} s after the client left")
    assert time.monotonic() - left < 5
    assert (await generate(client)).status_code == 200


async def test_a_stopped_server_is_a_504_at_the_deadline(
    own_server: VllmServer, client: httpx.AsyncClient
) -> None:
    family = tree(own_server.process.pid)
    for pid in family:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = time.monotonic()
        expect_problem(await generate(client, timeout_s=2), 504, "deadline_exceeded")
        assert 1.9 < time.monotonic() - started < 3
        assert (await client.get("/livez")).status_code == 200
        ready = await client.get("/readyz")
        assert not ready.json()["components"]["generator"]["ok"]
    finally:
        for pid in family:
            os.kill(pid, signal.SIGCONT)
    await asyncio.to_thread(own_server.wait)
    back = time.monotonic()
    await healed("/generate", lambda: generate(client, **SHORT), since=back, allowed={502})
    await idle(own_server)


async def test_a_killed_server_is_a_502_until_it_is_back(
    own_server: VllmServer, client: httpx.AsyncClient
) -> None:
    running = [asyncio.create_task(generate(client, **LONG)) for _ in range(3)]
    await busy(own_server, at_least=24)
    killed = time.monotonic()
    for pid in tree(own_server.process.pid):
        os.kill(pid, signal.SIGKILL)
    await asyncio.to_thread(own_server.process.wait)
    for task in running:
        expect_problem(await task, 502, "generator_unavailable")
    print(f"{len(running)} requests failed {time.monotonic() - killed:.2f} s after the kill")
    started = time.monotonic()
    expect_problem(await generate(client), 502, "generator_unavailable")
    assert time.monotonic() - started < 2
    assert (await client.get("/readyz")).status_code == 503
    await asyncio.to_thread(own_server.start)
    await asyncio.to_thread(own_server.wait)
    back = time.monotonic()
    await healed("/generate", lambda: generate(client, **SHORT), since=back, allowed={502})
    await until(lambda: httpx.get(f"{client.base_url}/readyz").status_code == 200, within_s=5)


def tree(pid: int) -> list[int]:
    """The process and everything below it, parents first."""
    family = [pid]
    for parent in family:
        for task in Path(f"/proc/{parent}/task").iterdir():
            family += [int(child) for child in (task / "children").read_text().split()]
    return family
