"""What stands before everything else, pure ASGI: caps on the head of a request, security headers.

Knows nothing of routes. A response that sets one of these headers itself keeps its own.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.problems import problem_response

MOST_HEADER_BYTES = 8_192
MOST_TARGET_BYTES = 8_192
MOST_HEADERS = 100

CSP = (
    "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "object-src 'none'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# Each says where a body ends.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_CSP = (b"content-security-policy", CSP.encode())
# What has an ETag may be kept by its reader alone, who asks each time whether it is still true.
_REVALIDATED = (b"cache-control", b"private, no-cache")
_NOT_KEPT = (b"cache-control", b"no-store")


class Shield:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, max_head_bytes: int) -> None:
        """`max_head_bytes`: target, names and values of the headers together."""
        self._app = app
        self._max_head_bytes = max_head_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve or refuse one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_shielded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_added(message)]}
            await send(message)

        refused = self._refused(scope)
        if refused is None:
            await self._app(scope, receive, send_shielded)
            return
        status, code, detail = refused
        # What follows on the connection may be a part of this request.
        closing = {"Connection": "close"}
        answer = problem_response(scope, status=status, code=code, detail=detail, headers=closing)
        await answer(scope, receive, send_shielded)

    def _refused(self, scope: Scope) -> tuple[int, str, str] | None:
        """Status, code and detail for a head that is over a cap."""
        target = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if target > MOST_TARGET_BYTES:
            return 414, "uri_too_long", f"The address is longer than {MOST_TARGET_BYTES} bytes."
        headers = scope["headers"]
        if len(headers) > MOST_HEADERS:
            return 431, "headers_too_large", f"There are more than {MOST_HEADERS} headers."
        total, framed = target, 0
        for name, value in headers:
            framed += name in _FRAMING
            size = len(name) + len(value)
            total += size
            if size > MOST_HEADER_BYTES:
                shown = name[:40].decode("latin-1")
                detail = f"The header {shown} is larger than {MOST_HEADER_BYTES} bytes."
                return 431, "headers_too_large", detail
        if total > self._max_head_bytes:
            detail = f"Address and headers are larger than {self._max_head_bytes} bytes."
            return 431, "headers_too_large", detail
        if framed > 1:
            # Two servers in a row may each believe another one: so requests are smuggled.
            detail = "Send one Content-Length or one Transfer-Encoding, not both."
            return 400, "malformed_request", detail
        return None


def _added(message: Message) -> list[tuple[bytes, bytes]]:
    names = {name.lower() for name, _ in message.get("headers", ())}
    added = list(_HEADERS)
    if b"content-security-policy" not in names:
        added.append(_CSP)
    if b"cache-control" not in names:
        added.append(_REVALIDATED if b"etag" in names else _NOT_KEPT)
    return added
