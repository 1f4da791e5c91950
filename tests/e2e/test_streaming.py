"""Streamed /generate over real sockets: events arrive one by one, and a leaving client ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from fixtures.events import Event, events
from fixtures.openai_fake import FakeServer, Reply, Request, chat, fake_server
from fixtures.serve_process import serving_beside

LAKE = {"prompt": "Describe a good day off.", "response": "A swim in the lake.", "score": 0.9}
ASKED = {
    "preferences": [LAKE],
    "prompt": "What shall we do?",
    "n": 4,
    "seed": 0,
    "timeout_s": 60,
    "stream": True,
}


@dataclass
class Upstream:
    """Answers the request of each seed when it is told to."""

    answers: dict[int, asyncio.Future[Reply]] = field(default_factory=dict)
    server: FakeServer | None = None

    def says(self, seed: int, reply: Reply) -> None:
        self._of(seed).set_result(reply)

    async def answer(self, request: Request) -> Reply:
        return await asyncio.shield(self._of(request.body["seed"]))

    def _of(self, seed: int) -> asyncio.Future[Reply]:
        return self.answers.setdefault(seed, asyncio.get_running_loop().create_future())


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Upstream, httpx.AsyncClient]]:
    upstream = Upstream()
    async with fake_server(upstream.answer) as server:
        upstream.server = server
        settings = {"GPO_GENERATOR": "vllm-http", "GPO_GENERATOR_URL": server.url}
        async with (
            serving_beside(folder, **settings) as service,
            httpx.AsyncClient(base_url=service.url, timeout=60) as client,
        ):
            yield upstream, client


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.02)


async def test_a_stream_from_its_first_event_to_its_last(tmp_path: Path) -> None:
    async with opened(tmp_path) as (upstream, client):
        async with client.stream("POST", "/generate", json=ASKED) as response:
            assert response.status_code == 200
            coming = events(response)
            for seed in (2, 0, 3):
                upstream.says(seed, chat(f"Answer {seed}."))
                name, body = await asyncio.wait_for(anext(coming), 30)
                assert (name, body["index"], body["text"]) == ("candidate", seed, f"Answer {seed}.")
                assert 0 <= body["score"] <= 1
            upstream.says(1, chat("Answer 1."))
            rest = [event async for event in coming]
        assert [name for name, _ in rest] == ["candidate", "scored", "selected", "done"]
        done = rest[-1][1]
        assert done["text"] == rest[-2][1]["text"] == done["candidates"][0]["text"]
        plain = await client.post("/generate", json=ASKED | {"stream": False})
        assert plain.json()["candidates"] == done["candidates"]

        # One that fails on the way: what had come is followed by the error, not by a choice.
        failing = ASKED | {"seed": 10, "n": 2}
        async with client.stream("POST", "/v1/generate", json=failing) as response:
            coming = events(response)
            upstream.says(11, chat("Fine."))
            assert (await asyncio.wait_for(anext(coming), 30))[0] == "candidate"
            upstream.says(10, Reply(status=500, body={"error": {"message": "broken"}}))
            [(name, problem)] = [event async for event in coming]
        assert (name, problem["status"]) == ("error", 502)
        assert problem["request_id"] == response.headers["x-request-id"]
        assert problem["error"]["type"] == "server_error"


async def test_time_that_is_up_ends_a_stream_with_a_problem(tmp_path: Path) -> None:
    async with opened(tmp_path) as (upstream, client):
        started = time.monotonic()
        asked = ASKED | {"timeout_s": 1.0}
        async with client.stream("POST", "/generate", json=asked) as response:
            found: list[Event] = [event async for event in events(response)]
        assert [(name, body["status"]) for name, body in found] == [("error", 504)]
        assert time.monotonic() - started < 5
        assert upstream.server is not None
        server = upstream.server
        await until(lambda: server.left == 4)


@pytest.mark.parametrize("after_an_event", [True, False])
async def test_a_client_that_leaves_a_stream_frees_the_generator(
    tmp_path: Path, after_an_event: bool
) -> None:
    async with opened(tmp_path) as (upstream, client):
        assert upstream.server is not None
        server = upstream.server
        async with client.stream("POST", "/generate", json=ASKED) as response:
            await until(lambda: server.under_way == 4)
            if after_an_event:
                upstream.says(0, chat("Yes."))
                await asyncio.wait_for(anext(events(response)), 30)
        await until(lambda: server.under_way == 0)
        assert server.left == (3 if after_an_event else 4)
