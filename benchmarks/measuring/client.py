"""A lean HTTP/1.1 client: one connection, one request at a time, kept alive.

A load generator shares the machine with what it measures, and httpx costs as much as a small
route of the service. This one reads Content-Length and chunked bodies and follows nothing.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """One request; `body` is sent as it is and counts as JSON."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, method: str, path: str, payload: Any, **headers: str) -> Request:
        """A request whose body is `payload`; names of headers with _ for -."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return cls(method, path, json.dumps(payload).encode(), named)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Connection:
    """One connection to the host of `url`, opened when needed and again when it was closed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._base = parts.path.rstrip("/")
        self._wire: _Wire | None = None

    async def send(self, request: Request, *, again: bool = True) -> Answer:
        """Send and read the whole answer. Raises ConnectionError when there is none.

        Whoever cancels this closes the connection, as a client that leaves does. A connection
        that the server had closed while idle is opened `again` once.
        """
        content = _encoded(request, f"{self._host}:{self._port}", self._base)
        reused = self._wire is not None and not self._wire.closed
        try:
            return await self._exchange(content)
        except ConnectionError:
            if not (reused and again):
                raise
            return await self._exchange(content)

    def close(self) -> None:
        """Close the connection at once."""
        if self._wire is not None:
            self._wire.abort()
            self._wire = None

    async def _exchange(self, content: bytes) -> Answer:
        if self._wire is None or self._wire.closed:
            loop = asyncio.get_running_loop()
            _, self._wire = await loop.create_connection(_Wire, self._host, self._port)
        try:
            return await self._wire.exchange(content)
        except BaseException:
            self.close()
            raise


class _Wire(asyncio.Protocol):
    """Bytes in, one answer out."""

    def __init__(self) -> None:
        self.closed = False
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiting: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("closed before the answer was there"))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._waiting is None or self._waiting.done():
            return
        answer = read_answer(self._received)
        if answer is not None:
            if answer.headers.get("connection", "").lower() == "close":
                self.abort()
            self._waiting.set_result(answer)

    async def exchange(self, content: bytes) -> Answer:
        assert self._transport is not None
        self._received.clear()
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(content)
        return await self._waiting

    def abort(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()


def read_answer(received: bytearray) -> Answer | None:
    """The answer, or None while a part of it is missing."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return None
    first, *lines = received[:end].decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.lower(): value.strip() for name, _, value in pairs}
    status, rest = int(first.split(" ", 2)[1]), end + 4
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _chunks(received, rest)
    else:
        length = int(headers.get("content-length", 0))
        whole = len(received) >= rest + length
        body = bytes(received[rest : rest + length]) if whole else None
    return None if body is None else Answer(status, headers, body)


def _chunks(received: bytearray, at: int) -> bytes | None:
    """The joined chunks, or None before the last one is there."""
    if not received.endswith(b"0\r\n\r\n"):
        return None
    parts: list[bytes] = []
    while (end := received.find(b"\r\n", at)) >= 0:
        size = int(received[at:end].split(b";")[0], 16)
        if size == 0:
            return b"".join(parts)
        if len(received) < end + 2 + size + 2:
            return None
        parts.append(bytes(received[end + 2 : end + 2 + size]))
        at = end + 2 + size + 2
    return None


def _encoded(request: Request, host: str, base: str) -> bytes:
    lines = [f"{request.method} {base}{request.path} HTTP/1.1", f"Host: {host}"]
    if request.body:
        lines.append("Content-Type: application/json")
    if request.body or request.method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(request.body)}")
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + request.body
