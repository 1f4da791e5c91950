"""One request as it looks from outside: what was asked, what became of it, how long it took.

Knows nothing of bodies. The metrics, the access log and the traces are made from it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from service.core.timing import Stopwatch

CLIENT_LEFT = 499
"""The status of a request whose client left before its response was complete, as nginx has it."""

OTHER = "other"


@dataclass(slots=True, kw_only=True)
class Exchange:
    """`route` is the template of the matched route, `code` that of the problem answered.

    `stages` are the seconds of each stage, once it has ended; `trace` belongs to the observer
    that traces.
    """

    method: str
    path: str
    request_id: str
    headers: Mapping[str, str]
    watch: Stopwatch = field(default_factory=Stopwatch)
    route: str = OTHER
    status: int = CLIENT_LEFT
    code: str | None = None
    ended: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    trace: Any = None
    trace_id: str | None = None

    @property
    def seconds(self) -> float:
        """From the first byte of the request to the last one of the response."""
        return self.ended - self.watch.started

    def end(self, *, route: str, status: int) -> None:
        """The response is complete, or will never be."""
        self.route, self.status, self.ended = route, status, time.perf_counter()
        self.stages = self.watch.seconds()

    def server_timing(self) -> bytes | None:
        """The value of Server-Timing for the stages so far, None if there are none yet."""
        if not self.watch.stages:
            return None
        spans = self.watch.seconds() | {"total": time.perf_counter() - self.watch.started}
        return ", ".join(f"{name};dur={s * 1e3:.2f}" for name, s in spans.items()).encode()


class Observer(Protocol):
    """Told of every request, at its beginning and at its end."""

    def begin(self, exchange: Exchange) -> None:
        """A request has come."""

    def end(self, exchange: Exchange) -> None:
        """Its response is complete, or will never be."""
