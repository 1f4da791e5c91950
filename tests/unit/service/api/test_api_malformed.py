"""Bytes that are no HTTP request get a problem from either of uvicorn's parsers."""

from __future__ import annotations

import asyncio
import importlib
import json
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from service.api.malformed import http_protocol

PARSERS = {
    "h11": "uvicorn.protocols.http.h11_impl.H11Protocol",
    "httptools": "uvicorn.protocols.http.httptools_impl.HttpToolsProtocol",
}

HEAD = 20_000


async def well(scope: Scope, receive: Receive, send: Send) -> None:
    await Request(scope, receive).body()
    await PlainTextResponse("well")(scope, receive, send)


@pytest.fixture(params=PARSERS)
async def port(request: pytest.FixtureRequest) -> AsyncIterator[int]:
    if request.param == "httptools":
        pytest.importorskip("httptools")  # comes with vLLM alone
    module, _, name = PARSERS[request.param].rpartition(".")
    parser = getattr(importlib.import_module(module), name)
    config = uvicorn.Config(
        well,
        http=http_protocol(parser, max_head_bytes=HEAD),
        h11_max_incomplete_event_size=HEAD,
        ws="none",
        log_config=None,
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        yield listener.getsockname()[1]
        await server.shutdown(sockets=[listener])


async def ask(port: int, sent: bytes) -> tuple[bytes, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    received = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    head, _, content = received.partition(b"\r\n\r\n")
    return head, content


async def test_a_request_is_answered(port: int) -> None:
    head, content = await ask(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert content == b"well"


@pytest.mark.parametrize(
    "sent",
    [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", b"\x16\x03\x01\r\n"],
)
async def test_nonsense_is_a_problem(port: int, sent: bytes) -> None:
    head, content = await ask(port, sent)
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    problem = json.loads(content)
    assert status == "HTTP/1.1 400 Bad Request"
    assert headers["content-type"] == "application/problem+json"
    assert int(headers["content-length"]) == len(content)
    assert (problem["status"], problem["code"]) == (400, "malformed_request")
    assert problem["request_id"] == headers["x-request-id"]
    assert problem["errors"] == []


async def test_a_long_body_is_no_long_head(port: int) -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n"
    answer, content = await ask(port, head + b"x" * 200_000)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert content == b"well"
