"""Traces over OTLP/HTTP: a span for each request, and below it one for each run of a stage.

Imported only where traces are on. Attributes hold numbers and names, never texts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.api.telemetry.exchange import CLIENT_LEFT, Exchange
from service.core.request_context import TRACE_HEADERS

_EXPORT_TIMEOUT_S = 5.0
_FLUSH_S = 5.0
_EXPORT_EVERY_MS = 1_000
_QUEUE_SPANS = 16_384  # a request of 64 candidates has about 200
_W3C = TraceContextTextMapPropagator()


@dataclass(frozen=True, slots=True)
class _Trace:
    """A request's span; `epoch_ns` is when time.perf_counter() was 0."""

    span: Span
    context: Context
    epoch_ns: int
    token: Token[Mapping[str, str] | None]

    def at(self, instant: float) -> int:
        """Nanoseconds since 1970."""
        return self.epoch_ns + int(instant * 1e9)


class Traces:
    """An observer; spans leave in batches from a thread of their own."""

    def __init__(self, url: str, *, sample: float, version: str) -> None:
        """`url` is that of the collector; without a path it is completed with /v1/traces."""
        whole = url if urlsplit(url).path.strip("/") else url.rstrip("/") + "/v1/traces"
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(sample)),
            resource=Resource.create({"service.name": "gpo-serve", "service.version": version}),
            shutdown_on_exit=False,
        )
        self._exporter = OTLPSpanExporter(endpoint=whole, timeout=_EXPORT_TIMEOUT_S)
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=_QUEUE_SPANS,
                schedule_delay_millis=_EXPORT_EVERY_MS,
            )
        )
        self._tracer = self._provider.get_tracer("gpo-serve", version)

    def begin(self, exchange: Exchange) -> None:
        """Begin the span, as a child of the client's if it sent one."""
        epoch_ns = time.time_ns() - time.perf_counter_ns()
        span = self._tracer.start_span(
            exchange.method,
            context=_W3C.extract(exchange.headers),
            kind=SpanKind.SERVER,
            start_time=epoch_ns + int(exchange.watch.started * 1e9),
        )
        context = set_span_in_context(span)
        headers: dict[str, str] = {}
        _W3C.inject(headers, context)
        token = TRACE_HEADERS.set(headers)
        exchange.trace_id = format(span.get_span_context().trace_id, "032x")
        exchange.trace = _Trace(span, context, epoch_ns, token)

    def end(self, exchange: Exchange) -> None:
        """End the span, and add those of the stages with the times at which they ran."""
        trace: _Trace = exchange.trace
        TRACE_HEADERS.reset(trace.token)
        span = trace.span
        if not span.is_recording():
            return
        for stage in exchange.watch.stages:
            child = self._tracer.start_span(
                stage.name, context=trace.context, start_time=trace.at(stage.start)
            )
            child.end(trace.at(stage.end))
        span.update_name(f"{exchange.method} {exchange.route}")
        span.set_attributes(
            {
                "http.request.method": exchange.method,
                "http.route": exchange.route,
                "http.response.status_code": exchange.status,
                "gpo.request_id": exchange.request_id,
            }
        )
        counts = exchange.watch.counts
        if "candidates_asked" in counts:
            span.set_attribute("gpo.n", counts["candidates_asked"])
            span.set_attribute("gpo.candidates", counts.get("candidates_drawn", 0))
            span.set_attribute("gpo.completion_tokens", counts.get("completion_tokens", 0))
        if exchange.code is not None:
            span.set_attribute("error.type", exchange.code)
        if exchange.status >= 500 or exchange.status == CLIENT_LEFT:
            span.set_status(Status(StatusCode.ERROR))
        span.end(trace.at(exchange.ended))

    def close(self) -> None:
        """Send what has not been sent yet. Blocks; gives up on a collector that does not answer."""
        # The provider would try for 30 seconds; an exporter that is shut down tries no more.
        give_up = threading.Timer(_FLUSH_S, self._exporter.shutdown)
        give_up.start()
        self._provider.shutdown()
        give_up.cancel()
