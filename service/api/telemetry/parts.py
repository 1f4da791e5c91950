"""Reads what the parts of the service count of themselves, when the metrics are asked for.

Knows their plain counters only; `wiring` says whose they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client.core import InfoMetricFamily, Metric

from service.api.deps import About
from service.api.errors import code_of
from service.api.telemetry.families import Labels, counter, gauge, histogram
from service.core.admission import Admission
from service.core.errors import GpoServeError
from service.core.health import Component
from service.core.tally import Tally


class Cache(Protocol):
    """A cache bounded in bytes that counts what it is asked."""

    hits: int
    misses: int
    bytes: int
    max_bytes: int

    def __len__(self) -> int:
        """Entries."""


class GeneratorCounts(Protocol):
    """What a generator has done."""

    @property
    def finished(self) -> Mapping[str, int]:
        """Candidates by finish reason."""

    @property
    def errors(self) -> Mapping[type[GpoServeError], int]:
        """Failed calls by error."""

    cancelled: int
    prompt_tokens: int
    completion_tokens: int


class StoreCounts(Protocol):
    """What a store has done."""

    @property
    def errors(self) -> Mapping[type[GpoServeError], int]:
        """Failed calls by error."""

    vector_hits: int
    vector_misses: int


@dataclass(frozen=True, slots=True)
class ScoringCounts:
    """Of the embedder and the scorer; a part that counts nothing is not here.

    `caches` by name; `batches` holds the tallies of jobs, texts and targets in a batch by name.
    """

    caches: dict[str, Cache] = field(default_factory=dict)
    batches: dict[str, Tally] = field(default_factory=dict)
    waiting: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """Whose counters are published; `components` is what the parts said of themselves last."""

    about: Callable[[], About]
    admission: Admission
    components: Callable[[], Mapping[str, Component]]
    generator: GeneratorCounts
    store: StoreCounts
    scoring: ScoringCounts


def collect_parts(sources: Sources) -> Iterator[Metric]:
    """Every family that is not about requests."""
    about = sources.about()
    build = InfoMetricFamily("gpo_build", "What runs here.")
    build.add_metric(
        [],
        {
            "version": about.version,
            "generator": about.generator,
            "scorer": about.scorer,
            "embedder": about.embedder,
        },
    )
    yield build
    up = {(name,): float(part.ok) for name, part in sources.components().items()}
    yield gauge(
        "gpo_component_up", "Whether a part was ok when it was last asked.", ["component"], up
    )
    ready = {(): float(all(up.values()))} if up else {}
    yield gauge("gpo_ready", "Whether all parts were ok when they were last asked.", [], ready)
    yield from _candidates(sources)
    yield from _scoring(sources.scoring)
    yield from _caches(sources)


def _candidates(sources: Sources) -> Iterator[Metric]:
    places, drawn = sources.admission, sources.generator
    yield counter(
        "gpo_candidates_admitted", "Candidates that got a place.", [], {(): places.admitted}
    )
    yield counter("gpo_candidates_refused", "Candidates that got none.", [], {(): places.refused})
    yield gauge("gpo_candidates_in_flight", "Places that are taken.", [], {(): places.taken})
    yield gauge("gpo_candidates_capacity", "Places that there are.", [], {(): places.capacity})
    finished = {(reason,): drawn.finished.get(reason, 0) for reason in ("stop", "length")}
    yield counter(
        "gpo_candidates_drawn", "Candidates that were drawn.", ["finish_reason"], finished
    )
    yield counter(
        "gpo_candidates_cancelled", "Draws stopped because nobody needed them any more.", [],
        {(): drawn.cancelled},
    )  # fmt: skip
    tokens = {("prompt",): drawn.prompt_tokens, ("completion",): drawn.completion_tokens}
    yield counter("gpo_tokens", "Tokens read and drawn by the generator.", ["kind"], tokens)
    yield counter(
        "gpo_generator_errors", "Calls of the generator that failed.", ["code"],
        _by_code(drawn.errors),
    )  # fmt: skip
    yield counter(
        "gpo_store_errors", "Calls of the store that failed.", ["code"],
        _by_code(sources.store.errors),
    )  # fmt: skip


def _scoring(scoring: ScoringCounts) -> Iterator[Metric]:
    waiting: dict[Labels, float] = {} if scoring.waiting is None else {(): scoring.waiting()}
    yield gauge("gpo_scorer_queue_jobs", "Jobs that wait for the scoring thread.", [], waiting)
    yield histogram(
        "gpo_scorer_batch_size", "Jobs, texts and target vectors that went together.", ["kind"],
        {(kind,): tally for kind, tally in scoring.batches.items()},
    )  # fmt: skip


def _caches(sources: Sources) -> Iterator[Metric]:
    caches = sources.scoring.caches
    hits = {(name,): float(cache.hits) for name, cache in caches.items()}
    misses = {(name,): float(cache.misses) for name, cache in caches.items()}
    vectors = ("store_vectors",)
    hits[vectors], misses[vectors] = sources.store.vector_hits, sources.store.vector_misses
    yield counter("gpo_cache_hits", "Lookups that found something.", ["cache"], hits)
    yield counter("gpo_cache_misses", "Lookups that found nothing.", ["cache"], misses)
    for name, text, read in (
        ("gpo_cache_bytes", "Bytes in use.", lambda cache: cache.bytes),
        ("gpo_cache_max_bytes", "Bytes that may be used.", lambda cache: cache.max_bytes),
        ("gpo_cache_entries", "Entries.", len),
    ):
        yield gauge(name, text, ["cache"], {(key,): read(c) for key, c in caches.items()})


def _by_code(errors: Mapping[type[GpoServeError], int]) -> dict[Labels, float]:
    found: dict[Labels, float] = {}
    for kind, count in errors.items():
        key = (code_of(kind),)
        found[key] = found.get(key, 0) + count
    return found
