"""Sends calls over httpx, once with threads and once with asyncio; all else is shared.

Knows no call by name.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import httpx

from service.remote.answers import GenerateEvent
from service.remote.call import Call, content_of
from service.remote.retries import Retries, Tries, failure_of
from service.remote.sse import EventReader

T = TypeVar("T")
REQUEST_ID = "x-request-id"
_CONNECT_S = 5.0
_ASIDE = httpx.URL("http://127.0.0.1:8000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where the service is, and how patiently it is asked."""

    base_url: str
    api_key: str | None = field(default=None, repr=False)
    timeout_s: float
    retries: Retries

    def options(self) -> dict[str, Any]:
        """What an httpx client is made with. Raises ValueError for an address that is none."""
        try:
            url = httpx.URL(self.base_url)
        except httpx.InvalidURL as exc:
            raise ValueError(f"{self.base_url!r} is no address: {exc}") from exc
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"{self.base_url!r} is no address such as {_ASIDE}")
        headers = {"User-Agent": _user_agent(), "Accept": "application/json"}
        if self.api_key:
            if not (self.api_key.isascii() and self.api_key.isprintable()):
                raise ValueError("the API key has characters that a header cannot hold")
            headers["Authorization"] = f"Bearer {self.api_key}"
        timeout = httpx.Timeout(self.timeout_s, connect=min(_CONNECT_S, self.timeout_s))
        return {"base_url": url, "headers": headers, "timeout": timeout}

    @property
    def shown(self) -> str:
        """The address without a password that may be in it."""
        return str(httpx.URL(self.base_url).copy_with(username=None, password=None))

    def request(self, call: Call[object]) -> dict[str, Any]:
        """What httpx builds a request from."""
        content = content_of(call)
        headers = dict(call.headers)
        if content is not None:
            headers.setdefault("Content-Type", "application/json")
        reading = max(self.timeout_s, call.work_s)
        connecting = min(_CONNECT_S, self.timeout_s)
        return {
            "method": call.method,
            "url": call.path,
            "params": dict(call.query) or None,
            "headers": headers,
            "content": content,
            "timeout": httpx.Timeout(self.timeout_s, read=reading, connect=connecting),
        }

    def tries(self, call: Call[object]) -> Tries:
        """The tries of one call."""
        return Tries(call, self.retries, self.shown)


def _user_agent() -> str:
    try:
        return f"gpo-serve-client/{version('gpo-serve')}"
    except PackageNotFoundError:  # run from a copy of the source
        return "gpo-serve-client"


class SyncTransport:
    """Sends calls and waits for their answers."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._http = httpx.Client(**connection.options())

    @property
    def address(self) -> str:
        """Where the service is, without a password."""
        return self._connection.shown

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def fetch(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        """The answer to a call, with its body unless it is a stream. Raises GPOError."""
        tries = self._connection.tries(call)
        while True:
            request = self._http.build_request(**self._connection.request(call))
            try:
                response = self._http.send(request, stream=stream)
                if stream and response.status_code not in call.answers:
                    response.read()
            except httpx.HTTPError as exc:
                wait: float | None = tries.after_failure(exc)
            else:
                wait = tries.after_answer(response)
            if wait is None:
                return response
            time.sleep(wait)

    def events(self, call: Call[Any]) -> Generator[GenerateEvent, None, None]:
        """The events of a stream as they come; closed early, it ends the work. Raises GPOError."""
        response = self.fetch(call, stream=True)
        reader = EventReader(response.headers.get(REQUEST_ID))
        try:
            for chunk in response.iter_bytes():
                yield from reader.feed(chunk)
            reader.end()
        except httpx.HTTPError as exc:
            raise failure_of(exc, self._connection.shown) from exc
        finally:
            response.close()

    @contextmanager
    def opened(self, call: Call[Any]) -> Iterator[httpx.Response]:
        """The answer to a call, whose body is read as it comes. Raises GPOError.

        A body that breaks off is an error, never an end.
        """
        response = self.fetch(call, stream=True)
        try:
            yield response
        except httpx.HTTPError as exc:
            raise failure_of(exc, self._connection.shown) from exc
        finally:
            response.close()


class AsyncTransport:
    """The same without blocking the event loop."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._http = httpx.AsyncClient(**connection.options())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def fetch(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        """The answer to a call, with its body unless it is a stream. Raises GPOError."""
        tries = self._connection.tries(call)
        while True:
            request = self._http.build_request(**self._connection.request(call))
            try:
                response = await self._http.send(request, stream=stream)
                if stream and response.status_code not in call.answers:
                    await response.aread()
            except httpx.HTTPError as exc:
                wait: float | None = tries.after_failure(exc)
            else:
                wait = tries.after_answer(response)
            if wait is None:
                return response
            await asyncio.sleep(wait)

    async def events(self, call: Call[Any]) -> AsyncGenerator[GenerateEvent, None]:
        """The events of a stream as they come; closed early, it ends the work. Raises GPOError."""
        response = await self.fetch(call, stream=True)
        reader = EventReader(response.headers.get(REQUEST_ID))
        try:
            async for chunk in response.aiter_bytes():
                for event in reader.feed(chunk):
                    yield event
            reader.end()
        except httpx.HTTPError as exc:
            raise failure_of(exc, self._connection.shown) from exc
        finally:
            await response.aclose()

    @asynccontextmanager
    async def opened(self, call: Call[Any]) -> AsyncIterator[httpx.Response]:
        """The answer to a call, whose body is read as it comes. Raises GPOError.

        A body that breaks off is an error, never an end.
        """
        response = await self.fetch(call, stream=True)
        try:
            yield response
        except httpx.HTTPError as exc:
            raise failure_of(exc, self._connection.shown) from exc
        finally:
            await response.aclose()
