"""One log record for each request, when it has ended. No bodies, texts, queries or keys."""

from __future__ import annotations

import logging

from service.api.telemetry.exchange import Exchange

_LOG = logging.getLogger("service.access")
_PATH_CHARS = 200


class AccessLog:
    """An observer that writes at level info."""

    def begin(self, exchange: Exchange) -> None:
        """Nothing to say yet."""

    def end(self, exchange: Exchange) -> None:
        """Write the record."""
        if not _LOG.isEnabledFor(logging.INFO):
            return
        # Not _LOG.info(): looking for the calling line is a third of the cost of a record.
        record = logging.LogRecord(_LOG.name, logging.INFO, __file__, 0, "request", (), None)
        record.fields = fields(exchange)
        _LOG.handle(record)


def fields(exchange: Exchange) -> dict[str, object]:
    """What the record says, all of it from outside the bodies."""
    found: dict[str, object] = {
        "request_id": exchange.request_id,
        "method": exchange.method,
        "route": exchange.route,
        "path": exchange.path[:_PATH_CHARS],
        "status": exchange.status,
        "duration_ms": round(exchange.seconds * 1e3, 2),
    }
    if exchange.code is not None:
        found["code"] = exchange.code
    if exchange.stages:
        found["stages_ms"] = {k: round(s * 1e3, 2) for k, s in exchange.stages.items()}
    if exchange.watch.counts:
        found["counts"] = dict(exchange.watch.counts)
    if exchange.trace_id is not None:
        found["trace_id"] = exchange.trace_id
    return found
