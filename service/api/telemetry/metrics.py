"""What is counted of requests, and the page for Prometheus.

Counting is plain Python; prometheus_client comes in when the page is asked for. No label is made
of what a client sent: routes are templates, methods those of HTTP, codes those of the errors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from service.api.telemetry.exchange import OTHER, Exchange
from service.api.telemetry.families import histogram
from service.api.telemetry.parts import Sources, collect_parts
from service.core.tally import SECONDS, Tally

K = TypeVar("K")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics(Collector):
    """An observer with a registry of its own; `sources` are read when the page is asked for."""

    def __init__(self) -> None:
        self.sources: Sources | None = None
        self._in_flight = 0
        self._requests: dict[tuple[str, str, str], Tally] = {}
        self._stages: dict[tuple[str, str], Tally] = {}
        self._errors: Counter[tuple[str, str]] = Counter()
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def begin(self, exchange: Exchange) -> None:
        """A request has come."""
        self._in_flight += 1

    def end(self, exchange: Exchange) -> None:
        """Count the request under what is known of it now."""
        self._in_flight -= 1
        method = exchange.method if exchange.method in _METHODS else OTHER
        key = exchange.route, method, str(exchange.status)
        _tally(self._requests, key).add(exchange.seconds)
        for stage, seconds in exchange.stages.items():
            _tally(self._stages, (stage, exchange.route)).add(seconds)
        if exchange.code is not None:
            self._errors[exchange.route, exchange.code] += 1

    def page(self, accept: str) -> tuple[bytes, str]:
        """The page in the format that the Accept header asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not read the sources."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every family, from the counters as they stand."""
        yield from self._collect_requests()
        if self.sources is not None:
            yield from collect_parts(self.sources)

    def _collect_requests(self) -> Iterator[Metric]:
        labels = ["route", "method", "status"]
        requests = CounterMetricFamily(
            "gpo_requests", "Requests that have ended, 499 where the client left.", labels=labels
        )
        for key, tally in self._requests.items():
            requests.add_metric(key, tally.cumulative()[-1])
        yield requests
        yield histogram(
            "gpo_request_duration_seconds", "Time from request to the end of the response.",
            labels, self._requests,
        )  # fmt: skip
        yield histogram(
            "gpo_stage_duration_seconds", "Time in which a stage of a request ran.",
            ["stage", "route"], self._stages,
        )  # fmt: skip
        errors = CounterMetricFamily(
            "gpo_request_errors", "Problems answered, by their code.", labels=["route", "code"]
        )
        for pair, count in self._errors.items():
            errors.add_metric(pair, count)
        yield errors
        yield GaugeMetricFamily("gpo_requests_in_flight", "Requests under way.", self._in_flight)


def _tally(tallies: dict[K, Tally], key: K) -> Tally:
    found = tallies.get(key)
    if found is None:
        found = tallies[key] = Tally(SECONDS)
    return found
