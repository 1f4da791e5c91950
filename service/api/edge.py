"""The outermost layer of a request, pure ASGI: request id, body limit, last resort for faults.

Knows nothing of routes. It sits inside Starlette's own error layer and leaves it nothing to do.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.errors import FAULT
from service.api.problems import problem_response
from service.api.refusals import ClientGone, Refusal

REQUEST_ID = "X-Request-Id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_STOPPING = Refusal(
    503, "overloaded", "The service is shutting down.", headers={"Retry-After": "1"}
)
_LOG = logging.getLogger("service.api")


class Edge:
    """Wraps the application; every response leaves with a request id."""

    def __init__(self, app: ASGIApp, *, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises only what happens after the response has begun."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers.get(REQUEST_ID))
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        declared = headers.get("content-length", "")
        if declared.isascii() and declared.isdigit() and int(declared) > self._max_body_bytes:
            await _answer(self._too_large(), scope, receive, send_with_id)
            return
        try:
            await self._app(scope, self._limited(receive), send_with_id)
        except ClientGone:
            _LOG.info("client left", extra={"request_id": request_id, "path": scope["path"]})
        except asyncio.CancelledError:
            if not scope["app"].state.stopping:
                raise
            if not started:
                await _answer(_STOPPING, scope, receive, send_with_id)
        except Exception:
            _LOG.exception("request %s failed", request_id)
            if started:
                raise
            failed = problem_response(
                scope,
                status=500,
                code="internal_error",
                detail=FAULT,
            )
            await failed(scope, receive, send_with_id)

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


async def _answer(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    response = problem_response(
        scope,
        status=refusal.status_code,
        code=refusal.code,
        detail=refusal.detail,
        headers=refusal.headers,
    )
    await response(scope, receive, send)


def _request_id(given: str | None) -> str:
    return given if given and _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
