"""The shape of an error on the wire: RFC 9457, and OpenAI's beside it on versioned routes.

Knows no exceptions; `errors.py` maps them to this.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response
from starlette.types import Scope

from service.core.errors import FieldError

MEDIA_TYPE = "application/problem+json"
MAX_ERRORS = 10
_POINTER_CHARS = 200
_DETAIL_CHARS = 400
_INSTANCE_CHARS = 200
# A problem stays below this many bytes, whatever a client sent.
_MAX_BYTES = 7_500


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    pointer: str = Field(
        description="RFC 6901 pointer into the body, or `/name` of a query or path parameter.",
        examples=["/preferences/1/distribution"],
    )
    detail: str = Field(examples=["must sum to 1 within 0.01; it sums to 0.8"])


class OpenAIError(BaseModel):
    """The same error as OpenAI's clients read it; on `/v1` routes only."""

    message: str
    type: str
    param: str | None
    code: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(json_schema_extra={"description": "An error (RFC 9457)."})

    type: str = Field(examples=["urn:gpo-serve:error:invalid_input"])
    title: str = Field(examples=["Invalid input"])
    status: int = Field(examples=[422])
    detail: str
    instance: str = Field(description="Path of the request.", examples=["/groups"])
    code: str = Field(description="Stable, for programs to read.", examples=["invalid_input"])
    request_id: str
    errors: list[FieldProblem] = Field(description="At most 10.")
    error: OpenAIError | None = None


def problem_response(
    scope: Scope,
    *,
    status: int,
    code: str,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The response for an error; clips whatever could be long."""
    path = scope.get("path", "")
    if exchange := scope.get("state", {}).get("exchange"):
        exchange.code = code
    body: dict[str, Any] = {
        "type": f"urn:gpo-serve:error:{code}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": _clip(detail, _DETAIL_CHARS),
        "instance": _clip(path, _INSTANCE_CHARS),
        "code": code,
        "request_id": scope.get("state", {}).get("request_id", ""),
        "errors": [
            {"pointer": _clip(e.pointer, _POINTER_CHARS), "detail": _clip(e.detail, _DETAIL_CHARS)}
            for e in errors[:MAX_ERRORS]
        ],
    }
    if path.startswith(("/v1/", "/v2/")):
        pointer = body["errors"][0]["pointer"] if body["errors"] else ""
        body["error"] = {
            "message": body["detail"],
            "type": "invalid_request_error" if status < 500 else "server_error",
            "param": pointer.lstrip("/").replace("/", ".") or None,
            "code": code,
        }
    return Response(_encode(body), status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def _encode(body: dict[str, Any]) -> bytes:
    while True:
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        if len(content) <= _MAX_BYTES or not body["errors"]:
            return content
        body["errors"].pop()


def _clip(text: str, chars: int) -> str:
    """At most `chars` characters that can be encoded: half a surrogate pair becomes '?'."""
    whole = text if len(text) <= chars else text[: chars - 1] + "…"
    return whole.encode("utf-8", "replace").decode("utf-8")
