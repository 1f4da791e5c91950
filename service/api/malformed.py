"""Answers bytes that are no HTTP request with a problem, as every other error.

uvicorn's parsers, h11 or httptools, refuse them before the application hears of anything, in plain
text. Nothing is known of such a request, so its id is a new one.
"""

from __future__ import annotations

import asyncio
import json
import uuid

from uvicorn.protocols.http.auto import AutoHTTPProtocol

from service.api.problems import MEDIA_TYPE

_DETAIL = "This is not an HTTP/1.1 request."


def http_protocol(parser: type[asyncio.Protocol] = AutoHTTPProtocol) -> type[asyncio.Protocol]:
    """uvicorn's protocol with its refusal of malformed requests replaced."""
    return type("HttpProtocol", (_AnswersMalformed, parser), {})


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
