"""Watches every request from outside, pure ASGI: request id, stopwatch, what became of it.

Knows nothing of routes or bodies. What is made of an Exchange is up to the application's telemetry.
"""

from __future__ import annotations

import random
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.telemetry.exchange import CLIENT_LEFT, OTHER, Exchange
from service.api.telemetry.telemetry import Telemetry
from service.core.request_context import REQUEST_ID

_HEADER = "x-request-id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class Observe:
    """Wraps the application; every response leaves with a request id."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises what the application does."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        exchange = Exchange(
            method=scope["method"],
            path=scope["path"],
            request_id=_request_id(headers.get(_HEADER)),
            headers=headers,
        )
        state = scope.setdefault("state", {})
        state["exchange"], state["request_id"] = exchange, exchange.request_id
        wire = _Wire(exchange, receive, send)
        telemetry: Telemetry = scope["app"].state.telemetry
        token = REQUEST_ID.set(exchange.request_id)
        telemetry.begin(exchange)
        failed = False
        try:
            with exchange.watch.running():
                await self._app(scope, wire.receive, wire.send)
        except Exception:
            failed = True
            raise
        finally:
            route = getattr(scope.get("route"), "path", None) or OTHER
            exchange.end(route=route, status=500 if failed else wire.outcome)
            telemetry.end(exchange)
            REQUEST_ID.reset(token)


class _Wire:
    """What goes to and fro for one request."""

    def __init__(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        self._exchange = exchange
        self._receive = receive
        self._send = send
        self._status = CLIENT_LEFT
        self._complete = False
        self._left = False

    @property
    def outcome(self) -> int:
        """The status that was sent, or 499 if the client left before the end of its response."""
        return self._status if self._complete and not self._left else CLIENT_LEFT

    async def receive(self) -> Message:
        """The next message of the client."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._complete:
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every response has."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            added = [(_HEADER.encode(), self._exchange.request_id.encode())]
            if timing := self._exchange.server_timing():
                added.append((b"server-timing", timing))
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        elif not message.get("more_body", False):
            self._complete = True
        await self._send(message)


def _request_id(given: str | None) -> str:
    if given and _REQUEST_ID.fullmatch(given):
        return given
    # It keeps nothing secret, and the system's own random bits would cost a call to it.
    return f"{random.getrandbits(128):032x}"
