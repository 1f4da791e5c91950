"""Answers bytes that are no HTTP request with a problem, as every other error.

A head that does not end is none either. uvicorn's parsers, h11 or httptools, refuse them before the
application hears of anything, in plain text. Nothing is known of such a request, so its id is new.
"""

from __future__ import annotations

import asyncio
import json
import uuid

from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.api.problems import MEDIA_TYPE

HEAD_BYTES = 65_536
_DETAIL = "This is not an HTTP/1.1 request."


def http_protocol(
    parser: type[asyncio.Protocol] = AutoHTTPProtocol, *, max_head_bytes: int = HEAD_BYTES
) -> type[asyncio.Protocol]:
    """uvicorn's protocol with its refusal of malformed requests replaced.

    A head that does not end within `max_head_bytes` is one of them; h11 sees to that by itself,
    where `h11_max_incomplete_event_size` says so.
    """
    if issubclass(parser, H11Protocol):
        return type("HttpProtocol", (_AnswersMalformed, parser), {})
    bound = {"max_head_bytes": max_head_bytes}
    return type("HttpProtocol", (_BoundsHead, _AnswersMalformed, parser), bound)


class _AnswersMalformed:
    transport: asyncio.Transport

    def send_400_response(self, msg: str) -> None:
        """Answer and hang up; what follows on the connection has no beginning."""
        self.transport.write(refusal())
        self.transport.close()


class _BoundsHead:
    """For httptools, which would keep a head in memory however long it is."""

    transport: asyncio.Transport
    max_head_bytes: int
    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        """Parse, and hang up if this is still the head and more of it than is allowed."""
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)  # type: ignore[misc]
        too_long = self._in_head and self._head_bytes > self.max_head_bytes
        if too_long and not self.transport.is_closing():
            self.send_400_response("")  # type: ignore[attr-defined]

    def on_message_begin(self) -> None:
        """The head begins; what came with it is counted from the next bytes on."""
        self._in_head = True
        super().on_message_begin()  # type: ignore[misc]

    def on_headers_complete(self) -> None:
        """The head has ended."""
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()  # type: ignore[misc]


def refusal() -> bytes:
    """The whole response."""
    request_id = uuid.uuid4().hex
    code = "malformed_request"
    body = {
        "type": f"urn:gpo-serve:error:{code}",
        "title": "Malformed request",
        "status": 400,
        "detail": _DETAIL,
        "instance": "",
        "code": code,
        "request_id": request_id,
        "errors": [],
    }
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        "HTTP/1.1 400 Bad Request\r\n"
        f"Content-Type: {MEDIA_TYPE}\r\n"
        f"Content-Length: {len(content)}\r\n"
        f"X-Request-Id: {request_id}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + content
