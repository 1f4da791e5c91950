"""Heads of requests that do not end, over a real socket, with each parser that uvicorn may take."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn
from fixtures.calls import until
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.api.malformed import http_protocol

MOST = 65_536


def parsers() -> list[Any]:
    found: list[Any] = [H11Protocol]
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        return found
    return [*found, HttpToolsProtocol]


async def ok(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while (message := await receive()).get("more_body") or message.get("body"):
        body += message["body"]
        if not message["more_body"]:
            break
    length = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.mark.parametrize("parser", parsers())
async def test_a_head_that_does_not_end(parser: Any) -> None:
    config = uvicorn.Config(
        ok,
        http=http_protocol(parser, max_head_bytes=MOST),
        h11_max_incomplete_event_size=MOST,
        port=0,
        log_config=None,
        lifespan="off",
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        for start in (b"GET / HTTP/1.1\r\nX: ", b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n"):
            assert await sent(port, start, b"x: y\r\n" if start.endswith(b"\n") else b"x") == b"400"
        # A body as long, and a second request behind it, are none.
        whole = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (3 * MOST)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(whole + b"x" * (3 * MOST))
            await writer.drain()
            async with asyncio.timeout(20):
                answer = await reader.readuntil(b"ok")
            assert answer.split()[1] == b"200"
        writer.close()
    finally:
        server.should_exit = True
        await serving


async def sent(port: int, start: bytes, more: bytes) -> bytes:
    """The status after a start and a megabyte of more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answering = asyncio.ensure_future(reader.readuntil(b"\r\n"))
    try:
        writer.write(start)
        for _ in range(100):
            writer.write(more * (10_000 // len(more)))
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    async with asyncio.timeout(20):
        first = await answering
    writer.close()
    return first.split()[1]
