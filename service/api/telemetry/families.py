"""From plain counters to the families of prometheus_client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from service.core.tally import Tally

Labels = tuple[str, ...]
L = TypeVar("L", bound=Labels)


def histogram(
    name: str, text: str, labels: Sequence[str], tallies: Mapping[L, Tally]
) -> HistogramMetricFamily:
    """A histogram with one series for each tally."""
    family = HistogramMetricFamily(name, text, labels=labels)
    for key, tally in tallies.items():
        bounds = [*(str(float(bound)) for bound in tally.bounds), "+Inf"]
        buckets = list(zip(bounds, tally.cumulative(), strict=True))
        family.add_metric(key, buckets, tally.sum)
    return family


def counter(
    name: str, text: str, labels: Sequence[str], counts: Mapping[L, float]
) -> CounterMetricFamily:
    """A counter; the page adds `_total` to its name."""
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in counts.items():
        family.add_metric(key, count)
    return family


def gauge(
    name: str, text: str, labels: Sequence[str], values: Mapping[L, float]
) -> GaugeMetricFamily:
    """A gauge with one series for each value."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
