"""Streams of servers over HTTP, as they come and as they break; no vLLM needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fixtures.openai_fake import DONE, USAGE, FakeServer, Reply, Request, chat, chunk, fake_server

from service.adapters.generators.vllm_http import VllmHttpGenerator
from service.core.domain import ChatPrompt, Completion, Message, SamplingParams
from service.core.errors import (
    GeneratorError,
    GeneratorProtocolError,
    GeneratorRejected,
    GeneratorUnavailable,
)

PROMPT = ChatPrompt((Message("user", "Should the pool open?"),))
PARAMS = SamplingParams(max_tokens=20)


@asynccontextmanager
async def client(*urls: str) -> AsyncIterator[VllmHttpGenerator]:
    generator = VllmHttpGenerator(urls)
    try:
        yield generator
    finally:
        await generator.close()


async def stream(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        await asyncio.sleep(0)


async def told(generator: VllmHttpGenerator) -> tuple[Completion, list[str]]:
    pieces: list[str] = []
    return await generator.generate_one(PROMPT, PARAMS, seed=1, on_text=pieces.append), pieces


@asynccontextmanager
async def answering(*parts: bytes) -> AsyncIterator[tuple[FakeServer, VllmHttpGenerator]]:
    async def answer(_: Request) -> Reply:
        return Reply(events=stream(*parts))

    async with fake_server(answer) as fake, client(fake.url) as generator:
        yield fake, generator


async def test_the_events_of_a_stream_become_pieces_and_a_completion() -> None:
    parts = (chunk("Yes,"), b": a comment\n\n", chunk(" it"), chunk(finish="stop"), USAGE, DONE)
    async with answering(*parts) as (fake, generator):
        completion, pieces = await told(generator)
    assert (completion, pieces) == (Completion("Yes, it", "stop", 7, 3), ["Yes,", " it"])
    assert fake.completions[0].body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("size", [1, 3, 1000])
async def test_events_may_be_cut_anywhere_and_hold_any_line_end(size: int) -> None:
    text = "a\u2028b\x85c\nd\re \u00e4\U0001f600"
    whole = chunk(text, finish="length") + USAGE + DONE
    parts = [whole[i : i + size] for i in range(0, len(whole), size)]
    async with answering(*parts) as (_, generator):
        completion, pieces = await told(generator)
    assert (completion.text, completion.finish_reason) == (text, "length")
    assert "".join(pieces) == text


async def test_a_server_that_does_not_stream_is_told_at_once() -> None:
    async def answer(_: Request) -> Reply:
        return chat("Yes.")

    async with fake_server(answer) as fake, client(fake.url) as generator:
        completion, pieces = await told(generator)
    assert (completion, pieces) == (Completion("Yes.", "stop", 7, 3), ["Yes."])


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        ((chunk("Yes"),), GeneratorProtocolError),
        ((chunk("Yes"), DONE), GeneratorProtocolError),
        ((chunk("Yes", finish="content_filter"), DONE), GeneratorProtocolError),
        ((chunk("Yes"), b"data: {no json\n\n"), GeneratorProtocolError),
        ((chunk("Yes"), b'data: "words"\n\n'), GeneratorProtocolError),
        ((b'data: {"choices": [{}]}\n\n',), GeneratorProtocolError),
        (
            (chunk("Yes"), b'data: {"error": {"message": "engine died"}}\n\n', DONE),
            GeneratorUnavailable,
        ),
    ],
)
async def test_a_stream_that_does_not_end_as_it_should_is_an_error(
    parts: tuple[bytes, ...], error: type[GeneratorError]
) -> None:
    async with answering(*parts) as (fake, generator):
        with pytest.raises(error):
            await told(generator)
    assert len(fake.completions) == 1


async def test_what_is_refused_before_the_stream_keeps_its_meaning() -> None:
    async def answer(_: Request) -> Reply:
        return Reply(status=400, body={"error": {"message": "too long"}})

    async with fake_server(answer) as fake, client(fake.url) as generator:
        with pytest.raises(GeneratorRejected, match="too long"):
            await told(generator)


async def test_a_stream_that_breaks_off_is_not_begun_anew_elsewhere() -> None:
    broken = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 9999\r\n\r\n"

    async def answer(_: Request) -> Reply:
        return Reply(raw=broken + chunk("Half"))

    async with fake_server(answer) as one, fake_server(answer) as two:
        async with client(one.url, two.url) as generator:
            with pytest.raises(GeneratorUnavailable):
                await told(generator)
        assert len(one.completions) + len(two.completions) == 1


async def test_leaving_closes_the_connection() -> None:
    async def endless(_: Request) -> Reply:
        async def events() -> AsyncIterator[bytes]:
            yield chunk("Well")
            await asyncio.Event().wait()

        return Reply(events=events())

    first = asyncio.Event()
    async with fake_server(endless) as fake, client(fake.url) as generator:
        drawing = asyncio.create_task(
            generator.generate_one(PROMPT, PARAMS, seed=1, on_text=lambda _: first.set())
        )
        await asyncio.wait_for(first.wait(), 10)
        drawing.cancel()
        await asyncio.gather(drawing, return_exceptions=True)
        async with asyncio.timeout(10):
            while not fake.left:  # noqa: ASYNC110 - the other side has no event to wait for
                await asyncio.sleep(0.01)
