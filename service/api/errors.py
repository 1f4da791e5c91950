"""The one table from errors to statuses and codes, and the handlers that use it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from service.api.plain_words import rule_of
from service.api.problems import MAX_ERRORS, Problem, problem_response
from service.api.refusals import Refusal
from service.core import errors as core
from service.core.errors import FieldError

# Looked up along the class's bases, so a new error is answered like its parent.
_TABLE: Mapping[type[core.GpoServeError], tuple[int, str]] = {
    core.InvalidInput: (422, "invalid_input"),
    core.InputTooLarge: (413, "input_too_large"),
    core.GroupNotFound: (404, "group_not_found"),
    core.ModelNotFound: (404, "model_not_found"),
    core.GroupExists: (409, "group_exists"),
    core.VersionMismatch: (412, "version_mismatch"),
    core.IdempotencyConflict: (422, "idempotency_conflict"),
    core.StoreUnavailable: (503, "store_unavailable"),
    core.GeneratorError: (502, "generator_failed"),
    core.GeneratorUnavailable: (502, "generator_unavailable"),
    core.GeneratorRejected: (422, "generator_rejected"),
    core.UnknownModel: (502, "model_not_served"),
    core.GeneratorProtocolError: (502, "generator_protocol_error"),
    core.ScorerFailed: (502, "scorer_failed"),
    core.Overloaded: (503, "overloaded"),
    core.RateLimited: (429, "rate_limited"),
    core.DeadlineExceeded: (504, "deadline_exceeded"),
    core.GpoServeError: (500, "internal_error"),
}
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 400: "bad_request"}
_DETAILS = {404: "There is nothing at this address.", 405: "The address has no such method."}
_KINDS = {"share", "rating", "comparison"}
_ECHO_CHARS = 200
FAULT = "The service failed; the request id finds the cause in its log."
_STORE_RETRY_S = 1


def install(app: FastAPI) -> None:
    """Answer every error of the application as a problem."""
    app.add_exception_handler(core.GpoServeError, _on_core_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def code_of(kind: type[core.GpoServeError]) -> str:
    """The code by which clients know an error."""
    return next(_TABLE[base] for base in kind.__mro__ if base in _TABLE)[1]


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI responses for these statuses."""
    return {status: {"description": _DESCRIPTIONS[status], "model": Problem} for status in statuses}


_DESCRIPTIONS = {
    400: "The body is not JSON.",
    404: "No such group.",
    409: "A group with this id exists.",
    412: "The group is at another version.",
    413: "The body or a field is over a cap.",
    415: "The body is not said to be JSON.",
    422: "A field is wrong; `errors` names it.",
    500: "The service failed.",
    502: "The generator or the scorer failed.",
    503: "Full, or a part is down; see Retry-After.",
    504: "The time is up.",
}


def problem_of(request: Request, error: Exception) -> Response:
    """The response for an error of the core, or for a fault of the program: that says nothing."""
    exc = error if isinstance(error, core.GpoServeError) else core.GpoServeError(FAULT)
    status, code = next(_TABLE[base] for base in type(exc).__mro__ if base in _TABLE)
    headers = {}
    if isinstance(exc, core.Overloaded):
        headers["Retry-After"] = str(exc.retry_after_s)
    elif isinstance(exc, core.RateLimited):
        headers["Retry-After"] = str(math.floor(exc.retry_after_s) + 1)
    elif isinstance(exc, core.StoreUnavailable):
        headers["Retry-After"] = str(_STORE_RETRY_S)
    return problem_response(
        request.scope,
        status=status,
        code=code,
        detail=str(exc),
        errors=exc.errors if isinstance(exc, core.InvalidInput) else (),
        headers=headers,
    )


async def _on_core_error(request: Request, exc: Exception) -> Response:
    return problem_of(request, exc)


async def _on_validation_error(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    found = exc.errors()
    errors = fields_of(found[:MAX_ERRORS])
    too_long = [e for e, f in zip(errors, found, strict=False) if f["type"] == "too_long"]
    if too_long:
        error: core.InvalidInput = core.InputTooLarge(too_long)
    else:
        error = core.InvalidInput(errors)
    return problem_of(request, error)


async def _on_http_exception(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    headers = dict(exc.headers or {})
    if exc.status_code == 405:
        headers["Allow"] = ", ".join(_allowed(request))
    if isinstance(exc, Refusal):
        code, detail, errors = exc.code, exc.detail, exc.errors
    else:
        code = _HTTP_CODES.get(exc.status_code, "http_error")
        detail, errors = _DETAILS.get(exc.status_code, exc.detail), ()
    return problem_response(
        request.scope,
        status=exc.status_code,
        code=code,
        detail=detail,
        errors=errors,
        headers=headers,
    )


def _allowed(request: Request) -> list[str]:
    """The methods of every route at this path; Starlette knows those of the first one only.

    A path that is written out, such as /groups/export, is no group's id.
    """
    found = [r for r in request.app.routes if r.matches(request.scope)[0] is not Match.NONE]
    exact = [route for route in found if not getattr(route, "param_convertors", None)]
    methods: set[str] = set()
    for route in exact or found:
        methods |= set(getattr(route, "methods", None) or ())
    if "GET" in methods:
        methods.add("HEAD")  # answered by Head
    return sorted(methods)


def fields_of(found: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """Pydantic's errors as fields of the body; each location begins with `body` or the like."""
    return [_field_error(error) for error in found]


def _field_error(error: Mapping[str, Any]) -> FieldError:
    """One of pydantic's errors, with a pointer instead of a location."""
    message = rule_of(error)
    if error["type"] not in ("missing", "extra_forbidden"):
        message += _echo(error.get("input"))
    return FieldError(_pointer(error["loc"]), message)


def _pointer(loc: Sequence[str | int]) -> str:
    """RFC 6901; the kind that pydantic puts behind a preference's index is no key."""
    parts = [str(part) for part in loc[1:]]
    if len(parts) > 2 and parts[0] == "preferences" and parts[2] in _KINDS:
        del parts[2]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _echo(value: object) -> str:
    """What was found, if it is short to say: containers are named, not shown."""
    if isinstance(value, dict):
        return "; found an object"
    if isinstance(value, list):
        return f"; found a list of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**20:
        return "; found a very large number"
    shown = json.dumps(value[:_ECHO_CHARS] if isinstance(value, str) else value, default=str)
    return f"; found {shown[:_ECHO_CHARS]}"
