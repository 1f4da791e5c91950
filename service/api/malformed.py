"""Answers bytes that are no HTTP request with a problem, as every other error.

A head that does not end is none either. uvicorn's parsers, h11 or httptools, refuse them before the
application hears of anything, in plain text. Nothing is known of such a request, so its id is new.
"""

from __future__ import annotations

import asyncio
import json
import uuid

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from service.api.problems import MEDIA_TYPE

_DETAIL = "This is not an HTTP/1.1 request."


def http_protocol(
    parser: type[asyncio.Protocol] = AutoHTTPProtocol, *, max_head_bytes: int
) -> type[asyncio.Protocol]:
    """uvicorn's protocol with its refusal of malformed requests replaced.

    A head may take `max_head_bytes`, and what arrives together with its end. h11 has a bound of
    its own.
    """
    ways: list[type] = [_AnswersMalformed, parser]
    if hasattr(parser, "on_message_begin"):  # httptools tells where a head begins and ends
        ways.insert(0, _BoundsHead)
    return type("HttpProtocol", tuple(ways), {"max_head_bytes": max_head_bytes})


class _BoundsHead:
    transport: asyncio.Transport
    max_head_bytes: int
    _in_head = True
    _head_bytes = 0

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()  # type: ignore[misc]

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        """Refuse a head once it is too long, and hang up."""
        super().data_received(data)  # type: ignore[misc]
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes:
                self.transport.write(refusal())
                self.transport.close()


class _AnswersMalformed:
    transport: asyncio.Transport

    def send_400_response(self, msg: str) -> None:
        """Answer and hang up; what follows on the connection has no beginning."""
        self.transport.write(refusal())
        self.transport.close()


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
