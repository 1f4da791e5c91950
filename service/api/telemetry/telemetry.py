"""Everything that watches requests, as the application holds it."""

from __future__ import annotations

from dataclasses import dataclass, field

from service.api.telemetry.access_log import AccessLog
from service.api.telemetry.exchange import Exchange, Observer
from service.api.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Metrics and the access log always, traces where they are on."""

    metrics: Metrics = field(default_factory=Metrics)
    traces: Observer | None = None
    log: AccessLog = field(default_factory=AccessLog)

    def begin(self, exchange: Exchange) -> None:
        """A request has come."""
        self.metrics.begin(exchange)
        if self.traces is not None:
            self.traces.begin(exchange)

    def end(self, exchange: Exchange) -> None:
        """Its response is complete, or will never be."""
        self.metrics.end(exchange)
        if self.traces is not None:
            self.traces.end(exchange)
        self.log.end(exchange)
