"""Server-sent events: sends what a use case tells while it runs, and how it ended.

Owns the response and its disconnection; the names and bodies of events are the caller's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from service.api import drain
from service.api.deps import until_gone, while_connected
from service.api.errors import problem_of

PING_S = 15.0
"""Seconds of silence after which a comment tells proxies and clients that work goes on."""

BEGUN = b": begun\n\n"
"""A comment, which clients skip: sends the head of the response before the first event."""

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
# JSON leaves these as they are, but some clients take them for the end of a line.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
_LOG = logging.getLogger(__name__)

Tell = Callable[[bytes], None]


def events(*names: str) -> dict[str, Any]:
    """The schema of one event of a stream, as an OpenAPI document describes it.

    "message" is the name of an event that is sent without one.
    """
    return {
        "type": "object",
        "properties": {"event": {"enum": list(names)}, "data": {"type": "string"}},
        "required": ["data"],
    }


def event(name: str, body: BaseModel | str) -> bytes:
    """One event as it goes over the wire; `body` is a model, or JSON on one line."""
    return f"event: {name}\n".encode() + data(body)


def data(body: BaseModel | str) -> bytes:
    """The same without a name, as OpenAI sends chunks."""
    text = body if isinstance(body, str) else body.model_dump_json(exclude_unset=True)
    return f"data: {text.translate(_LINE_ENDS)}\n\n".encode()


async def stream(
    request: Request, work: Callable[[Tell], Coroutine[Any, Any, None]]
) -> EventSourceResponse:
    """A response that sends what `work` tells.

    It begins with the first thing told, so that an error before it is raised here and gets its
    status; a later one is sent as the event `error`. A client that leaves cancels the work.
    """
    told: asyncio.Queue[bytes | None] = asyncio.Queue()
    task = asyncio.ensure_future(work(told.put_nowait))
    task.add_done_callback(lambda _: told.put_nowait(None))
    try:
        first = await while_connected(request, told.get())
        if first is None:
            await task
    except BaseException:
        await _stop(task)
        raise
    return _EventStream(request, task, first, told)


class _EventStream(EventSourceResponse):
    """Owns the work from here on: however the response ends, the work has ended too."""

    def __init__(
        self,
        request: Request,
        work: asyncio.Future[None],
        first: bytes | None,
        told: asyncio.Queue[bytes | None],
    ) -> None:
        super().__init__(content=(), headers=_HEADERS)
        self._request = request
        self._work = work
        self._first = first
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the work has ended. Raises ClientGone."""
        sending = asyncio.ensure_future(self._send(send))
        try:
            await until_gone(receive, sending)
        except asyncio.CancelledError:
            if not self._request.app.state.stopping:
                raise
            # until_gone has stopped the sending; a stream that has begun ends with the reason.
            end = _error(drain.refusal(scope))
            await send({"type": "http.response.body", "body": end, "more_body": False})
        finally:
            await _stop(sending, self._work)

    async def _send(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        chunk = self._first
        while chunk is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            try:
                async with asyncio.timeout(PING_S):
                    chunk = await self._told.get()
            except TimeoutError:
                chunk = KEEPALIVE_COMMENT
        await send({"type": "http.response.body", "body": self._failure(), "more_body": False})

    def _failure(self) -> bytes:
        """The event that tells how the work failed, empty if it did not."""
        error = self._work.exception()
        if error is None:
            return b""
        if not isinstance(error, Exception):
            raise error
        problem = problem_of(self._request, error)
        if problem.status_code == 500:
            _LOG.error("a streamed request failed", exc_info=error)
        return _error(problem)


def _error(problem: Response) -> bytes:
    return event("error", bytes(problem.body).decode())


async def _stop(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
