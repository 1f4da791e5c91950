"""Everything that a call can raise, as one tree; the one table from an answer to an error.

GPOError
├── ConnectionFailed        no answer came
│   └── TimedOut            none came in time
├── ProtocolError           an answer that is not the service's, or breaks off
├── InvalidRequest          400, 405, 415, 422: a field is wrong; `errors` has the pointers
│   └── TooLarge            413: the body or a field is over a cap
├── Unauthorized            401, 403
├── NotFound                404
├── Conflict                409: the id is taken; or an idempotency key with another body
├── PreconditionFailed      412: the group is at another version
├── RateLimited             429: over the quota of the key
├── Unavailable             503: a part is down
│   └── Overloaded          503: full, or shutting down
├── GeneratorFailed         502
├── DeadlineExceeded        504
└── ServerFailed            500, or a failed scorer
"""

from __future__ import annotations

import datetime
import email.utils
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

_SHOWN_CHARS = 200


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; `pointer` is an RFC 6901 pointer into the body."""

    pointer: str
    detail: str


class GPOError(Exception):
    """Root of the tree.

    `status` and `code` are None when no answer came. `maybe_done`: the call writes, and this try or
    one before it may have been carried out; look before you send it again.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        errors: tuple[FieldError, ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.code = code
        self.request_id = request_id
        self.errors = errors
        self.retry_after_s = retry_after_s
        self.maybe_done = False


class ConnectionFailed(GPOError):
    """No answer came: nobody listens there, or the connection broke."""


class TimedOut(ConnectionFailed):
    """No answer came in time."""


class ProtocolError(GPOError):
    """The answer is not one of this service, or it breaks off."""


class InvalidRequest(GPOError):
    """The request is wrong; `errors` says where."""


class TooLarge(InvalidRequest):
    """The body or a field is over a cap."""


class Unauthorized(GPOError):
    """The key is missing, unknown, or not allowed to do this."""


class NotFound(GPOError):
    """There is no such group."""


class Conflict(GPOError):
    """The id is taken, or the idempotency key was used with another body."""


class PreconditionFailed(GPOError):
    """The group is at another version than asked for.

    With `maybe_done` an earlier try of this very call may have made that version.
    """


class RateLimited(GPOError):
    """The quota of the key is used up."""


class Unavailable(GPOError):
    """A part of the service is down."""


class Overloaded(Unavailable):
    """The service is full or shutting down."""


class GeneratorFailed(GPOError):
    """The LLM did not answer as it should."""


class DeadlineExceeded(GPOError):
    """The time that the request allowed is up."""


class ServerFailed(GPOError):
    """The service failed; the request id finds the cause in its log."""


_BY_CODE: Mapping[str, type[GPOError]] = {
    "idempotency_conflict": Conflict,
    "overloaded": Overloaded,
    "draining": Overloaded,
    "scorer_failed": ServerFailed,
}
_BY_STATUS: Mapping[int, type[GPOError]] = {
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    413: TooLarge,
    429: RateLimited,
    502: GeneratorFailed,
    503: Unavailable,
    504: DeadlineExceeded,
}


def error_of(response: httpx.Response) -> GPOError:
    """The error that a response with a status of 300 or more stands for; its body has been read."""
    try:
        problem = json.loads(response.content)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        # A proxy's own page, or another server.
        shown = " ".join(response.text.split())[:_SHOWN_CHARS]
        problem = {"detail": f"the answer was {response.status_code}: {shown or '(empty)'}"}
    return error_from(
        problem,
        status=response.status_code,
        request_id=response.headers.get("x-request-id"),
        retry_after_s=retry_after_s(response.headers),
    )


def error_from(
    problem: Mapping[str, Any],
    *,
    status: int | None = None,
    request_id: str | None = None,
    retry_after_s: float | None = None,
) -> GPOError:
    """The error of a problem (RFC 9457), of which any part may be missing or of another type."""
    if status is None:
        found = problem.get("status")
        status = found if isinstance(found, int) else 500
    code = _string(problem.get("code"))
    listed = problem.get("errors")
    return _class_of(status, code)(
        _string(problem.get("detail")) or f"the answer was {status}",
        status=status,
        code=code,
        request_id=_string(problem.get("request_id")) or request_id,
        errors=tuple(
            FieldError(str(e.get("pointer", "")), str(e.get("detail", "")))
            for e in (listed if isinstance(listed, list) else ())
            if isinstance(e, dict)
        ),
        retry_after_s=retry_after_s,
    )


def _class_of(status: int, code: str | None) -> type[GPOError]:
    if code is not None and code in _BY_CODE:
        return _BY_CODE[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500:
        return ServerFailed
    return InvalidRequest if status >= 400 else ProtocolError


def _string(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds of Retry-After, which is a number or a date; None if there is neither."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())
