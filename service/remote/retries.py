"""When a call is sent again, and after how long. Sends nothing itself.

A call is sent again only if that cannot do a write twice:

- no connection came about (refused, no such host, no route): nothing was sent, any call may repeat;
- 429: refused before the work began, any call may repeat;
- 503, or a connection that broke: the work may have been done (with `draining` too, which is also
  what unfinished work gets at the end of a shutdown). What only reads or computes is sent again,
  and so is a write whose repetition changes nothing more: a creation or an append with its
  idempotency key, PUT, DELETE, and an import.

A time-out is not repeated: the service is still busy with the first try, or was.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import httpx

from service.remote.call import Call, Effect
from service.remote.errors import (
    ConnectionFailed,
    GPOError,
    ProtocolError,
    RateLimited,
    TimedOut,
    Unavailable,
    error_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often and how patiently. The waits grow as `backoff_s` * 2^k, with jitter.

    A Retry-After is waited out, plus jitter; one above `longest_wait_s` is not waited for at all:
    the error is raised and carries it.
    """

    most: int = 2
    backoff_s: float = 0.5
    longest_wait_s: float = 30.0
    when_refused: bool = True
    """Whether to try again when nothing listens; a person at a terminal wants to know at once."""


class Tries:
    """The tries of one call."""

    def __init__(self, call: Call[object], policy: Retries, base_url: str) -> None:
        self._call = call
        self._policy = policy
        self._base_url = base_url
        self._left = policy.most
        self._maybe_done = False

    def after_answer(self, response: httpx.Response) -> float | None:
        """Seconds to wait before the next try; None: this is the answer. Raises GPOError."""
        if response.status_code in self._call.answers:
            return None
        if response.status_code == 404 and self._call.gone_is_done and self._maybe_done:
            return None
        error = error_of(response)
        refused = isinstance(error, RateLimited)
        if not refused and response.status_code >= 500:
            self._maybe_done |= self._call.effect is not Effect.NONE
        if not isinstance(error, (Unavailable, RateLimited)):
            raise self._last(error)
        return self._wait(error)

    def after_failure(self, exc: httpx.HTTPError | httpx.StreamError) -> float:
        """The same when no answer came."""
        error = failure_of(exc, self._base_url)
        error.__cause__ = exc
        if isinstance(exc, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
            if not self._policy.when_refused:
                raise self._last(error)
            return self._wait(error)
        self._maybe_done |= self._call.effect is not Effect.NONE
        broke = isinstance(exc, (httpx.NetworkError, httpx.RemoteProtocolError))
        if not broke:
            raise self._last(error)
        return self._wait(error)

    def _wait(self, error: GPOError) -> float:
        backoff = self._policy.backoff_s * 2.0 ** (self._policy.most - self._left)
        asked = error.retry_after_s
        if self._left <= 0 or (asked or 0.0) > self._policy.longest_wait_s:
            raise self._last(error)
        self._left -= 1
        jitter = random.uniform(0.5, 1.0) * min(backoff, self._policy.longest_wait_s)
        return jitter if asked is None else asked + jitter

    def _last(self, error: GPOError) -> GPOError:
        error.maybe_done = self._maybe_done
        return error


def failure_of(exc: httpx.HTTPError | httpx.StreamError, base_url: str) -> GPOError:
    """The error that a failure of the transport stands for."""
    reason = str(exc) or type(exc).__name__
    if isinstance(exc, httpx.ConnectError):
        return ConnectionFailed(f"no server answers at {base_url}: {reason}")
    if isinstance(exc, httpx.TimeoutException):
        return TimedOut(f"{base_url} did not answer in time ({type(exc).__name__})")
    if isinstance(exc, httpx.TransportError) and not isinstance(
        exc, (httpx.UnsupportedProtocol, httpx.DecodingError)
    ):
        return ConnectionFailed(f"the connection to {base_url} broke: {reason}")
    return ProtocolError(f"{base_url}: {reason}")
