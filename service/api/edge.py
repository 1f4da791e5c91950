"""The edge of the application, pure ASGI: body limit, last resort for faults.

Knows nothing of routes. It sits inside Starlette's own error layer and leaves it nothing to do.
"""

from __future__ import annotations

import asyncio
import logging

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import drain
from service.api.errors import FAULT
from service.api.problems import problem_response
from service.api.refusals import ClientGone, Refusal

_LOG = logging.getLogger("service.api")


class Edge:
    """Wraps the application; whatever happens inside, a client gets an answer."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises only what happens after the response has begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def noting_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        declared = Headers(scope=scope).get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > self._max_body_bytes:
            await self._too_large().response(scope)(scope, receive, send)
            return
        try:
            await self._app(scope, self._limited(receive), noting_send)
        except (ClientGone, ClientDisconnect):
            pass  # Observe tells of it: there is no response
        except asyncio.CancelledError:
            if not scope["app"].state.stopping:
                raise
            if not started:
                await drain.refusal(scope)(scope, receive, send)
        except Exception:
            _LOG.exception("request %s failed", scope["state"]["request_id"])
            if started:
                raise
            failed = problem_response(
                scope,
                status=500,
                code="internal_error",
                detail=FAULT,
            )
            await failed(scope, receive, send)

    def _limited(self, receive: Receive) -> Receive:
        """Stop reading as soon as the body is over the limit, also without a Content-Length."""
        seen = 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._max_body_bytes:
                    raise self._too_large()
            return message

        return limited

    def _too_large(self) -> Refusal:
        return Refusal(
            413, "body_too_large", f"The body is larger than {self._max_body_bytes} bytes."
        )
