"""Streamed /generate: which events come, what they hold, and how the stream ends."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fakes import FakeGenerator
from fixtures.events import Event, parse
from fixtures.service_app import Bench

from service.api import streaming
from service.core.errors import GeneratorUnavailable, ScorerFailed

ASKED = {"group_id": "town", "prompt": "Why?", "n": 3, "seed": 5, "stream": True}


class Connection:
    """One request straight to the application, whose client can leave."""

    def __init__(self, bench: Bench, body: dict[str, Any]) -> None:
        self._app = bench.app
        self._body: list[dict[str, Any]] = [
            {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}
        ]
        self._left = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.task = asyncio.create_task(self._run())

    def leave(self) -> None:
        self._left.set()

    @property
    def chunks(self) -> list[bytes]:
        return [m["body"] for m in self.sent if m["type"] == "http.response.body"]

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            await asyncio.sleep(0)

    async def _run(self) -> None:
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "POST",
            "path": "/generate", "raw_path": b"/generate", "query_string": b"", "root_path": "",
            "scheme": "http", "http_version": "1.1", "client": ("127.0.0.1", 1),
            "server": ("test", 80), "headers": [(b"content-type", b"application/json")],
        }  # fmt: skip
        await self._app(scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        if self._body:
            return self._body.pop()
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)


async def streamed(bench: Bench, **changes: Any) -> list[Event]:
    """Every event of one request, which succeeds in beginning."""
    response = await bench.client.post("/generate", json=ASKED | changes)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert len(response.headers["x-request-id"]) == 32
    blocks = response.text.removesuffix("\n\n").split("\n\n")
    return [found for block in blocks if (found := parse(block)) is not None]


async def test_the_events_of_one_group(bench: Bench) -> None:
    await bench.add()
    *drawn, scored, selected, done = await streamed(bench)
    plain = (await bench.client.post("/generate", json=ASKED | {"stream": False})).json()
    assert [name for name, _ in drawn] == ["candidate"] * 3
    assert [scored[0], selected[0], done[0]] == ["scored", "selected", "done"]
    final = {c["index"]: c for c in plain["candidates"]}
    for _, body in drawn:
        assert set(body) == {
            "index", "text", "finish_reason", "tokens", "truncated", "score", "std",
        }  # fmt: skip
        score, std = body.pop("score"), body.pop("std")
        told = final[body["index"]]
        assert body.items() <= told.items()
        assert [score, std] == pytest.approx([told["score"], told["std"]])
    assert scored[1] == {"candidates": plain["candidates"]}
    best = plain["candidates"][0]
    assert selected[1] == {"index": best["index"], "text": best["text"]}
    volatile = {"id", "created", "timings"}
    assert set(done[1]) == set(plain)
    assert {k: v for k, v in done[1].items() if k not in volatile} == {
        k: v for k, v in plain.items() if k not in volatile
    }


async def test_the_events_of_several_groups(bench: Bench) -> None:
    await bench.add()
    await bench.add(id="village", preferences=[])
    changes = {"group_id": None, "group_ids": ["town", "village"]}
    body = {k: v for k, v in (ASKED | changes).items() if v is not None}
    response = await bench.client.post("/generate", json=body)
    found = [e for b in response.text.split("\n\n") if b and (e := parse(b)) is not None]
    candidate, scored, selected, done = found[0][1], found[-3][1], found[-2][1], found[-1][1]
    assert [s["group_id"] for s in candidate["scores"]] == ["town", "village"]
    assert "score" not in candidate
    assert scored["choices"] == done["choices"]
    assert selected["choices"] == [
        {"group_id": c["group_id"], "index": c["candidates"][0]["index"], "text": c["text"]}
        for c in done["choices"]
    ]


async def test_without_candidates_the_choice_comes_alone(bench: Bench) -> None:
    await bench.add()
    found = await streamed(bench, return_candidates=False)
    assert [name for name, _ in found] == ["selected", "done"]
    assert "candidates" not in found[-1][1]


async def test_empty_texts_and_reasoning(bench: Bench) -> None:
    await bench.add()
    bench.generator.say = lambda seed: "" if seed == 5 else "<think>Hm.</think>Yes."
    found = {body["index"]: body for name, body in await streamed(bench) if name == "candidate"}
    assert (found[0]["text"], found[0]["score"]) == ("", 0)
    assert (found[1]["text"], found[1]["reasoning"]) == ("Yes.", "Hm.")


async def test_line_ends_of_every_kind_stay_within_their_event(bench: Bench) -> None:
    await bench.add()
    text = "a\nb\r\nc\rd\u2028e\u2029f\x85g\x0bh\x0ci\x1cj"
    bench.generator.say = lambda seed: text
    response = await bench.client.post("/generate", json=ASKED)
    assert len(response.text.splitlines()) == len(response.text.split("\n")) - 1
    found = [e for b in response.text.split("\n\n") if b and (e := parse(b)) is not None]
    assert all(body["text"] == text for name, body in found if name == "candidate")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"group_id": "nobody"}, 404, "group_not_found"),
        ({"n": 0}, 422, "invalid_input"),
        ({"n": 9}, 413, "input_too_large"),
        ({"steering": "description"}, 422, "invalid_input"),
    ],
)
async def test_what_fails_before_it_begins_has_its_status(
    bench: Bench, changes: dict[str, Any], status: int, code: str
) -> None:
    await bench.add()
    response = await bench.client.post("/generate", json=ASKED | changes)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (GeneratorUnavailable("It is gone."), 502, "generator_unavailable"),
        (RuntimeError("swordfish"), 500, "internal_error"),
    ],
)
async def test_what_fails_later_is_an_event(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: Exception, status: int, code: str
) -> None:
    await bench.add()
    bench.generator.say = lambda seed: error if seed == 6 else "Yes."
    with caplog.at_level(logging.CRITICAL + 1):
        found = await streamed(bench)
    name, problem = found[-1]
    assert name == "error"
    assert (problem["status"], problem["code"]) == (status, code)
    assert "swordfish" not in problem["detail"]
    assert {n for n, _ in found[:-1]} <= {"candidate"}


async def test_an_unscored_text_is_never_told(bench: Bench) -> None:
    await bench.add()
    bench.scorer.fault = ScorerFailed("broken")
    [(name, problem)] = await streamed(bench)
    assert (name, problem["code"]) == ("error", "scorer_failed")


async def test_each_candidate_is_sent_as_it_comes(bench: Bench) -> None:
    await bench.add()
    bench.generator.hang = lambda seed: seed != 6
    connection = Connection(bench, ASKED)
    await connection.until(lambda: len(connection.chunks) == 2)
    assert connection.chunks[0].startswith(b":")
    [candidate] = [parse(chunk.decode().strip()) for chunk in connection.chunks[1:]]
    assert candidate is not None
    assert candidate[1]["index"] == 1
    connection.leave()
    await asyncio.wait_for(connection.task, 10)
    assert sorted(bench.generator.cancelled) == [5, 7]
    assert bench.app.state.use_cases.steer._admission.taken == 0


async def test_a_client_that_leaves_before_it_begins_stops_the_work(bench: Bench) -> None:
    await bench.add()
    released = asyncio.Event()
    steer = bench.app.state.use_cases.steer
    load: Callable[..., Awaitable[Any]] = steer._contexts.load

    async def slow(*args: Any) -> Any:
        await released.wait()
        return await load(*args)

    steer._contexts.load = slow
    connection = Connection(bench, ASKED)
    await connection.until(lambda: steer._admission.taken == 3)
    connection.leave()
    await asyncio.wait_for(connection.task, 10)
    assert steer._admission.taken == 0
    assert connection.sent == []


async def test_silence_is_filled_with_comments(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PING_S", 0.01)
    await bench.add()
    generator: FakeGenerator = bench.generator
    generator.hang = lambda seed: True
    connection = Connection(bench, ASKED)
    await connection.until(lambda: len(connection.chunks) >= 4)
    assert all(parse(chunk.decode().strip()) is None for chunk in connection.chunks)
    connection.leave()
    await asyncio.wait_for(connection.task, 10)
