"""The whole service on an LLM server that dies, hangs, fails, or answers garbage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from fixtures.calls import QUESTION, expect_problem, healed, rating, until
from fixtures.openai_fake import Reply, Request, chat, fake_server
from fixtures.redis_server import free_port
from fixtures.serve_process import ServeProcess, serving

ASKED = {"preferences": [rating(1)], "prompt": "Should the pool open?", "n": 3, "timeout_s": 20}
GOOD = "Yes, it should."
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ANSWER = b'{"choices":[{"message":{"content":"unscored"},"finish_reason":"stop"}]}'
PORT = free_port()
LIMIT_S = 5


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with serving(
        tmp_path_factory.mktemp("generator"),
        GPO_GENERATOR="vllm-http",
        GPO_GENERATOR_URL=f"http://127.0.0.1:{PORT}/v1",
        GPO_REQUEST_TIMEOUT_S=str(LIMIT_S),
    ) as running:
        yield running
        assert running.stop() == 0
        assert "Traceback" not in running.said


@pytest.fixture
async def client(service: ServeProcess) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        yield client


async def generate(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/generate", json=ASKED | changes)


async def good(_: Request) -> Reply:
    return chat(GOOD)


async def never(_: Request) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


async def expect_healed(client: httpx.AsyncClient) -> None:
    """A server in good health takes the port; the service finds it without a restart."""
    async with fake_server(good, port=PORT):
        back = time.monotonic()
        await healed("/generate", lambda: generate(client), since=back, allowed={502})
        assert (await generate(client)).json()["text"] == GOOD
        ready = (await client.get("/readyz")).json()
        assert ready["components"]["generator"] == {"ok": True, "reason": None}


FAULTS: dict[str, tuple[Reply, str]] = {
    "500": (Reply(status=500, body={"error": {"message": "boom"}}), "generator_unavailable"),
    "500 and deeply nested": (Reply(status=500, text="[" * 100_000), "generator_unavailable"),
    "503": (Reply(status=503, text="busy"), "generator_unavailable"),
    "429": (Reply(status=429, text="later"), "generator_unavailable"),
    "401": (Reply(status=401, text="no"), "generator_unavailable"),
    "404": (Reply(status=404, body={"error": {"message": "no model"}}), "model_not_served"),
    "a redirect": (Reply(status=302, text=""), "generator_protocol_error"),
    "not JSON": (Reply(text="<html>unscored</html>"), "generator_protocol_error"),
    "a list": (Reply(body=["unscored"]), "generator_protocol_error"),
    "a string": (Reply(body="unscored"), "generator_protocol_error"),
    "no choices": (Reply(body={"choices": []}), "generator_protocol_error"),
    "choices is text": (Reply(body={"choices": "unscored"}), "generator_protocol_error"),
    "choices is null": (Reply(body={"choices": None}), "generator_protocol_error"),
    "text is a number": (
        Reply(body={"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}),
        "generator_protocol_error",
    ),
    "no finish_reason": (
        Reply(body={"choices": [{"message": {"content": "unscored"}}]}),
        "generator_protocol_error",
    ),
    "aborted": (chat("unscored", finish="abort"), "generator_protocol_error"),
    "finish_reason is a list": (
        Reply(body={"choices": [{"message": {"content": "x"}, "finish_reason": ["stop"]}]}),
        "generator_protocol_error",
    ),
    "half a surrogate": (
        Reply(text=ANSWER.decode().replace("unscored", "un\\ud800scored")),
        "generator_protocol_error",
    ),
    "deeply nested": (Reply(text="[" * 100_000), "generator_protocol_error"),
    "bytes that are no text": (
        Reply(raw=HEAD + b"Content-Length: 4\r\n\r\n\xff\xfe\xfd\xfc"),
        "generator_protocol_error",
    ),
    "a cut body": (Reply(raw=HEAD + b"Content-Length: 999\r\n\r\n" + ANSWER), "unreachable"),
    "a body beyond its length": (
        Reply(raw=HEAD + b"Content-Length: 9\r\n\r\n" + ANSWER),
        "generator_protocol_error",
    ),
    "a length that is no number": (
        Reply(raw=HEAD + b"Content-Length: many\r\n\r\n" + ANSWER),
        "unreachable",
    ),
    "a cut chunk": (
        Reply(raw=HEAD + b"Transfer-Encoding: chunked\r\n\r\n40\r\n" + ANSWER[:20]),
        "unreachable",
    ),
    "not HTTP": (Reply(raw=b"SSH-2.0-server\r\n"), "unreachable"),
    "headers cut": (Reply(raw=b"HTTP/1.1 200 OK\r\nContent-"), "unreachable"),
    "nothing": (Reply(raw=None), "unreachable"),
}
CODES = {"unreachable": "generator_unavailable"}


@pytest.mark.parametrize("fault", FAULTS)
async def test_garbage_is_a_typed_502_and_never_text(client: httpx.AsyncClient, fault: str) -> None:
    reply, kind = FAULTS[fault]

    async def answer(_: Request) -> Reply:
        return reply

    async with fake_server(answer, port=PORT) as upstream:
        response = await generate(client)
        assert upstream.completions
    expect_problem(response, 502, CODES.get(kind, kind))
    assert "unscored" not in response.text
    alone = await client.post("/predict", json={"preferences": [rating(1)], **QUESTION})
    assert alone.status_code == 200


async def test_it_heals_after_all_of_that(client: httpx.AsyncClient) -> None:
    await expect_healed(client)


async def test_one_bad_candidate_fails_the_request_unless_it_may(client: httpx.AsyncClient) -> None:
    async def third_fails(request: Request) -> Reply:
        if request.body["seed"] == 12:
            return Reply(status=500, text="unscored")
        return chat(f"Answer {request.body['seed']}.")

    async with fake_server(third_fails, port=PORT):
        expect_problem(await generate(client, seed=10), 502, "generator_unavailable")
        partial = (await generate(client, seed=10, allow_partial=True)).raise_for_status().json()
        assert sorted(c["index"] for c in partial["candidates"]) == [0, 1]
        assert partial["usage"]["failed_candidates"] == 1
        assert partial["text"] in {"Answer 10.", "Answer 11."}
        # Of nothing there is no choice, whatever is allowed.
        none = await generate(client, seed=12, n=1, allow_partial=True)
        expect_problem(none, 502, "generator_unavailable")


async def test_a_hanging_server_is_a_504_and_its_calls_are_closed(
    client: httpx.AsyncClient,
) -> None:
    async with fake_server(never, port=PORT) as upstream:
        started = time.monotonic()
        response = await generate(client, timeout_s=1)
        took = time.monotonic() - started
        expect_problem(response, 504, "deadline_exceeded")
        assert 0.9 < took < 2
        await until(lambda: upstream.under_way == 0, within_s=5)
        assert upstream.left == 3
        partial = await generate(client, timeout_s=1, allow_partial=True)
        expect_problem(partial, 504, "deadline_exceeded")
        await until(lambda: upstream.under_way == 0, within_s=5)
    await expect_healed(client)


async def test_headers_that_trickle_do_not_outlast_the_deadline(client: httpx.AsyncClient) -> None:
    closed = 0

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal closed
        try:
            await reader.readuntil(b"\r\n\r\n")
            for byte in HEAD * 100:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        except (OSError, asyncio.IncompleteReadError):
            closed += 1
        finally:
            writer.close()

    async with await asyncio.start_server(trickle, "127.0.0.1", PORT):
        started = time.monotonic()
        expect_problem(await generate(client, timeout_s=1), 504, "deadline_exceeded")
        assert time.monotonic() - started < 2
        await until(lambda: closed >= 3, within_s=5)
    await expect_healed(client)


async def test_a_server_killed_under_load_and_started_again(client: httpx.AsyncClient) -> None:
    async with fake_server(never, port=PORT) as upstream:
        running = [asyncio.create_task(generate(client)) for _ in range(8)]
        await until(lambda: upstream.under_way == 24)
        upstream.cut()
    # Both the cut connections and the closed port are behind these answers.
    for task in running:
        expect_problem(await task, 502, "generator_unavailable")
    started = time.monotonic()
    expect_problem(await generate(client), 502, "generator_unavailable")
    assert time.monotonic() - started < 2
    ready = await client.get("/readyz")
    assert ready.status_code == 503
    assert "cannot be reached" in ready.json()["components"]["generator"]["reason"]
    await expect_healed(client)


async def test_texts_that_are_empty_lose_and_are_not_made_up(client: httpx.AsyncClient) -> None:
    async def mostly_null(request: Request) -> Reply:
        return chat(GOOD if request.body["seed"] == 21 else None)

    async with fake_server(mostly_null, port=PORT):
        answer = (await generate(client, seed=20)).raise_for_status().json()
        assert answer["text"] == GOOD
        assert [c["text"] for c in answer["candidates"]] == [GOOD, "", ""]
        nothing = (await generate(client, seed=30)).raise_for_status().json()
        assert nothing["text"] == ""
        assert {c["score"] for c in nothing["candidates"]} == {0}


def long_work(path: str) -> dict[str, Any]:
    """Texts that no cache knows, enough for the embedder to be busy for many seconds."""
    fresh = f"{path} {time.monotonic_ns()}"
    if path == "/generate":
        return ASKED | {"timeout_s": 300}
    if path == "/score":
        responses = [f"{fresh} {i} {'very ' * 100}" for i in range(1000)]
        return {"preferences": [rating(1)], "prompt": "Say something.", "responses": responses}
    questions = [
        {
            "question": f"{fresh} {i}?",
            "options": [f"{fresh} {i} {k} {'very ' * 40}" for k in range(12)],
        }
        for i in range(256)
    ]
    return {"preferences": [rating(1)], "questions": questions}


@pytest.mark.parametrize("path", ["/generate", "/predict", "/score"])
async def test_a_client_that_leaves_stops_the_work(
    service: ServeProcess, client: httpx.AsyncClient, path: str
) -> None:
    async with fake_server(never, port=PORT) as upstream:
        leaving = asyncio.create_task(client.post(path, json=long_work(path)))
        await asyncio.wait([leaving], timeout=1.5)
        assert not leaving.done()
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        await until(lambda: upstream.under_way == 0, within_s=5)
    await until_idle(service.process.pid, within_s=10)


@pytest.mark.parametrize("path", ["/predict", "/score"])
async def test_work_that_takes_too_long_is_stopped(
    service: ServeProcess, client: httpx.AsyncClient, path: str
) -> None:
    started = time.monotonic()
    late = await client.post(path, json=long_work(path))
    took = time.monotonic() - started
    assert "GPO_REQUEST_TIMEOUT_S" in expect_problem(late, 504, "deadline_exceeded")["detail"]
    assert LIMIT_S <= took < LIMIT_S + 3
    await until_idle(service.process.pid, within_s=10)


def cpu_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


async def until_idle(pid: int, *, within_s: float) -> None:
    """Return when the process has used next to nothing for a second."""
    deadline = time.monotonic() + within_s
    while True:
        before = cpu_seconds(pid)
        await asyncio.sleep(1.0)
        if cpu_seconds(pid) - before < 0.1:
            return
        assert time.monotonic() < deadline, "it goes on working for nobody"
