"""Requests as they are seen from outside: when they end, and with what."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fixtures.service_app import Bench, open_bench

from service.api.observe import Observe
from service.api.telemetry.exchange import Exchange
from service.api.telemetry.telemetry import Telemetry
from service.core.request_context import REQUEST_ID
from service.core.timing import Stopwatch
from service.settings import Settings

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain")],
}
CHUNK = {"type": "http.response.body", "body": b"a", "more_body": True}
END = {"type": "http.response.body", "body": b"b", "more_body": False}
App = Callable[[Any, Any, Any], Awaitable[None]]


class Seen:
    """An observer that keeps what it was told."""

    def __init__(self) -> None:
        self.begun: list[Exchange] = []
        self.ended: list[Exchange] = []

    def begin(self, exchange: Exchange) -> None:
        self.begun.append(exchange)

    def end(self, exchange: Exchange) -> None:
        self.ended.append(exchange)


async def serve(app: App, seen: Seen, *, inbox: list[Any] | None = None) -> list[Any]:
    """What was sent."""
    sent: list[Any] = []
    waiting = list(inbox or [])

    async def receive() -> Any:
        return waiting.pop(0) if waiting else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    state = SimpleNamespace(telemetry=Telemetry(traces=seen))
    scope = {
        "type": "http", "method": "POST", "path": "/x", "headers": [],
        "app": SimpleNamespace(state=state),
    }  # fmt: skip
    await Observe(app)(scope, receive, send)
    return sent


async def test_a_stream_ends_with_its_last_byte() -> None:
    seen = Seen()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        with Stopwatch.current().stage("context"):
            await send(START | {"status": 201})
        with Stopwatch.current().stage("generate"):
            await send(CHUNK)
        assert seen.ended == []
        await send(END)

    sent = await serve(stream, seen)
    [exchange] = seen.ended
    assert exchange.status == 201
    assert list(exchange.stages) == ["context", "generate"]
    assert [message.get("body") for message in sent[1:]] == [b"a", b"b"]


async def test_the_timing_of_a_stream_holds_what_was_known_at_its_start() -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        with Stopwatch.current().stage("context"):
            pass
        await send(START)
        with Stopwatch.current().stage("generate"):
            await send(END)

    sent = await serve(stream, Seen())
    headers = dict(sent[0]["headers"])
    assert headers[b"server-timing"].startswith(b"context;dur=")
    assert b"generate" not in headers[b"server-timing"]
    assert headers[b"content-type"] == b"text/plain"


async def test_a_client_that_leaves_in_mid_stream_is_499() -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(CHUNK)
        assert (await receive())["type"] == "http.disconnect"
        await send(END)  # as Starlette may, into the void

    seen = Seen()
    await serve(stream, seen, inbox=[{"type": "http.disconnect"}])
    assert [exchange.status for exchange in seen.ended] == [499]


async def test_a_client_that_goes_after_the_end_has_not_left() -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(END)
        await receive()

    seen = Seen()
    await serve(stream, seen, inbox=[{"type": "http.disconnect"}])
    assert [exchange.status for exchange in seen.ended] == [200]


async def test_a_stream_that_breaks_is_500() -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        raise RuntimeError("broken")

    seen = Seen()
    with pytest.raises(RuntimeError):
        await serve(stream, seen)
    assert [exchange.status for exchange in seen.ended] == [500]


async def test_tasks_of_a_request_know_its_id_and_its_stopwatch() -> None:
    found: list[Any] = []

    async def work() -> None:
        found.append((REQUEST_ID.get(), Stopwatch.current()))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.create_task(work())
        await send(START)
        await send(END)

    seen = Seen()
    await serve(app, seen)
    assert found == [(seen.ended[0].request_id, seen.ended[0].watch)]
    assert REQUEST_ID.get() is None


async def test_every_record_of_a_request_carries_its_id(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ids: list[str | None] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ids.append(REQUEST_ID.get())

    noting = Noting()
    logging.getLogger("service").addHandler(noting)
    try:
        bench.scorer.fault = RuntimeError("broken")
        body = {"preferences": [], "question": "Why?", "options": ["a", "b"]}
        await bench.client.post("/predict", json=body, headers={"X-Request-Id": "r-9"})
    finally:
        logging.getLogger("service").removeHandler(noting)
    assert ids
    assert set(ids) == {"r-9"}


@pytest.mark.parametrize("wanted", [True, False])
async def test_texts_are_logged_only_where_it_is_set(
    settings: Settings, caplog: pytest.LogCaptureFixture, wanted: bool
) -> None:
    caplog.set_level("DEBUG", logger="service")
    chosen = settings.model_copy(update={"log_level": "debug", "log_texts": wanted})
    async with open_bench(chosen) as bench:
        bench.generator.say = lambda seed: "A rare word: zanzibar."
        body = {"preferences": [], "prompt": "Say quetzal.", "n": 1}
        assert (await bench.client.post("/generate", json=body)).status_code == 200
    said = " ".join(str(vars(record)) for record in caplog.records)
    assert ("zanzibar" in said) == wanted
    assert ("quetzal" in said) == wanted
