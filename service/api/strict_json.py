"""Reads request bodies as JSON, strictly: media type, UTF-8, no duplicate keys, no runaway nesting.

Knows no schema. NaN and Infinity pass here, so that the schema can name their field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from email.message import Message
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from service.api.refusals import Refusal

_MAX_KEYS = 1_000
_EXACT = 2**53


class JsonRoute(APIRoute):
    """A route whose body, if it takes one, is strict JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given a request that reads its body strictly."""
        handler = super().get_route_handler()
        if self.body_field is None:
            return handler

        async def strict(request: Request) -> Response:
            wrapped = _StrictRequest(request.scope, request.receive)
            await body_of(wrapped)
            return await handler(wrapped)

        return strict


class _StrictRequest(Request):
    async def json(self) -> Any:
        return parse(await self.body())


async def body_of(request: Request) -> bytes:
    """The body of a request that says to send JSON. Raises Refusal (415, 400)."""
    _check_media_type(request)
    body = await request.body()
    if not body:
        raise Refusal(400, "malformed_json", "The body is empty; a JSON object is needed.")
    return body


class Malformed(Exception):
    """A text is not strict JSON; the message says why, as a clause."""


def parse(body: bytes) -> Any:
    """The value of a JSON text. Raises Refusal (400) for what is not one."""
    try:
        return load(body)
    except Malformed as exc:
        detail = f"The body cannot be read as JSON: {exc}."
        raise Refusal(400, "malformed_json", detail) from exc


def load(text: bytes) -> Any:
    """The value of a JSON text. Raises Malformed."""
    try:
        return _DECODER.decode(text.decode("utf-8"))
    except UnicodeDecodeError as exc:
        raise Malformed(f"it is not UTF-8 at byte {exc.start}") from exc
    except json.JSONDecodeError as exc:
        raise Malformed(f"{exc.msg} at line {exc.lineno}, column {exc.colno}") from exc
    except RecursionError as exc:
        raise Malformed("it is nested too deeply") from exc
    except ValueError as exc:
        raise Malformed("it holds a number with too many digits") from exc


def _number(text: str) -> float | int:
    """JSON knows one kind of number: 8.0 is the whole number 8, as JSON Schema has it."""
    value = float(text)
    if value.is_integer() and abs(value) < _EXACT and value:
        return int(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > _MAX_KEYS:
        raise Malformed(f"an object has more than {_MAX_KEYS} keys")
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise Malformed(f"the key {key[:100]!r} comes twice in one object")
            seen.add(key)
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number)


def _check_media_type(request: Request) -> None:
    """JSON, or nothing said at all by a client that is no browser.

    A page on another site can make a browser post a body without a media type, and does not need
    this service's leave for it; such a request carries an Origin.
    """
    check_uncompressed(request)
    given = request.headers.get("content-type")
    if given == "application/json":
        return
    if given is None:
        if "origin" in request.headers:
            raise _unsupported("Send the body with Content-Type: application/json.")
        return
    message = Message()
    message["content-type"] = given
    subtype = message.get_content_subtype()
    if message.get_content_maintype() != "application" or not (
        subtype == "json" or subtype.endswith("+json")
    ):
        raise _unsupported(f"Send application/json, not {given[:100]!r}.")


def check_uncompressed(request: Request) -> None:
    """Raises Refusal (415) for a body with a content coding."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise _unsupported("The body must not be compressed.")


def _unsupported(detail: str) -> Refusal:
    return Refusal(415, "unsupported_media_type", detail)
