"""Settings in, ready objects out: the one place that knows which parts there are.

Adapters are imported when they are opened, so that the command line stays quick.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version

from service.adapters.generators.counted import CountedLanguageModel
from service.adapters.stores.counted import StoreCounts, counted
from service.api.deps import About, UseCases
from service.api.telemetry.parts import Cache, ScoringCounts, Sources
from service.api.telemetry.telemetry import Telemetry
from service.core.admission import Admission
from service.core.bank import BankedScorer, OwnGroups
from service.core.bulk import Bulk
from service.core.candidates import Weights
from service.core.complete import Complete
from service.core.contexts import Contexts, embedder_label
from service.core.groups import Groups
from service.core.guesses import Guesses
from service.core.health import Readiness
from service.core.limits import Limits
from service.core.ports import Bank, Embedder, GroupStore, LanguageModel, Scorer
from service.core.predict import Predict
from service.core.quotas import Meter, Resource
from service.core.results import Results
from service.core.score import Score
from service.core.served import ServedModel
from service.core.steer import Steer
from service.settings import Settings, SettingsError

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service stands on, behind its ports; `bank` where own groups count."""

    store: GroupStore
    generator: LanguageModel
    embedder: Embedder
    scorer: Scorer
    bank: Bank | None = None
    telemetry: Telemetry = field(default_factory=Telemetry)
    counts: ScoringCounts = field(default_factory=ScoringCounts)
    meters: Mapping[Resource, Meter] = field(default_factory=dict)


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open every part, and close them in reverse. Raises GpoServeError.

    One after the other: torch and transformers do not bear being imported from two threads.
    """
    from service.adapters.generators.open import open_generator
    from service.adapters.quotas.open import open_meters
    from service.adapters.scoring.open import open_scoring
    from service.adapters.stores.open import open_store

    async with AsyncExitStack() as stack:
        telemetry = await stack.enter_async_context(_open_telemetry(settings))
        meters = await stack.enter_async_context(open_meters(settings))
        store = open_store(settings.store_url)
        stack.push_async_callback(store.close)
        embedder, scorer = open_scoring(settings)
        stack.push_async_callback(embedder.close)
        generator = open_generator(settings)
        stack.push_async_callback(generator.close)
        counts = ScoringCounts(
            caches={
                "embeddings": embedder.cache,
                "contexts": scorer.cache,
                "expectations": scorer.expected,
            },
            batches={
                "jobs": scorer.worker.batch_jobs,
                "texts": embedder.batch_texts,
                "targets": scorer.batch_targets,
            },
            waiting=lambda: scorer.worker.waiting,
        )
        yield Parts(store, generator, embedder, scorer, scorer.banks, telemetry, counts, meters)


@asynccontextmanager
async def _open_telemetry(settings: Settings) -> AsyncIterator[Telemetry]:
    """What watches requests; spans that wait are sent at the end. Raises SettingsError."""
    if settings.traces_url is None:
        yield Telemetry()
        return
    try:
        from service.api.telemetry.traces import Traces
    except ImportError as exc:
        raise SettingsError(
            f"GPO_TRACES_URL needs OpenTelemetry ({exc.name} is missing): "
            "pip install 'gpo-serve[traces]'"
        ) from exc
    traces = Traces(
        settings.traces_url, sample=settings.traces_sample, version=version("gpo-serve")
    )
    try:
        yield Telemetry(traces=traces)
    finally:
        await asyncio.to_thread(traces.close)


def build_readiness(parts: Parts) -> Readiness:
    """Asks the parts that can go down while the service runs."""
    return Readiness(
        {
            "store": parts.store.check,
            "generator": parts.generator.check,
            "scorer": parts.scorer.check,
        }
    )


def limits_of(settings: Settings) -> Limits:
    """The caps that the settings give."""
    return Limits(
        options=settings.max_options,
        preferences=settings.max_preferences,
        context_tokens=settings.max_context_tokens,
        questions=settings.max_questions,
        explained=settings.max_explained,
        explained_tokens=settings.max_explained_tokens,
        responses=settings.max_responses,
        groups=settings.max_groups,
        n=settings.max_n,
        tokens=settings.max_tokens,
        list=settings.max_list,
        text_chars=settings.max_text_chars,
        timeout_s=settings.max_timeout_s,
        request_timeout_s=settings.request_timeout_s,
    )


def build_use_cases(settings: Settings, parts: Parts) -> UseCases:
    """The use cases over these parts."""
    limits = limits_of(settings)
    store_counts = StoreCounts()
    store = counted(parts.store, store_counts)
    generator = CountedLanguageModel(parts.generator, log_texts=settings.log_texts)
    contexts = Contexts(store, parts.embedder, limits, cache_bytes=settings.group_cache_mb * _MB)
    scorer = parts.scorer
    if parts.bank is not None:
        own = OwnGroups(store, contexts, parts.bank, most_preferences=settings.bank_preferences)
        scorer = BankedScorer(scorer, own)
    admission = Admission(settings.max_candidates_in_flight)
    guesses = _guesses(settings, generator, scorer, admission)
    readiness = build_readiness(parts)
    about = _about(settings, parts)
    results = _results(settings, store)
    caches: dict[str, Cache] = {**parts.counts.caches, "groups": contexts.cache}
    if results is not None:
        caches["results"] = results.cache
    parts.telemetry.metrics.sources = Sources(
        about,
        admission,
        lambda: readiness.last,
        generator,
        store_counts,
        replace(parts.counts, caches=caches),
    )
    return UseCases(
        groups=Groups(store, parts.embedder, limits),
        bulk=Bulk(store, parts.embedder, limits),
        predict=Predict(
            contexts,
            parts.embedder,
            scorer,
            limits,
            guesses=guesses,
            results=results,
        ),
        score=Score(contexts, parts.embedder, scorer, limits),
        steer=Steer(
            contexts=contexts,
            generator=generator,
            embedder=parts.embedder,
            scorer=scorer,
            admission=admission,
            limits=limits,
            system_prompt=settings.system_prompt,
            weights=Weights(
                consensus=(
                    parts.scorer.consensus_weight
                    if settings.consensus_weight == "fitted"
                    else settings.consensus_weight
                ),
                relevance=settings.relevance_weight,
            ),
        ),
        complete=Complete(
            generator=generator,
            admission=admission,
            limits=limits,
            system_prompt=settings.system_prompt,
        ),
        served=ServedModel(generator),
        readiness=readiness,
        limits=limits,
        best_of=settings.best_of,
        about=about,
        close=contexts.close,
    )


def _about(settings: Settings, parts: Parts) -> Callable[[], About]:
    return lambda: About(
        version=version("gpo-serve"),
        generator=parts.generator.model,
        scorer=parts.scorer.model,
        embedder=embedder_label(parts.embedder.identity),
        bank=settings.bank,
    )


def _results(settings: Settings, store: GroupStore) -> Results | None:
    """The cache of predictions, where there is to be one."""
    if not settings.result_cache_mb or settings.prior != "bank":
        return None
    state = store.tag if settings.uses_own_groups else None
    return Results(settings.result_cache_mb * _MB, state=state)


def _guesses(
    settings: Settings, generator: LanguageModel, scorer: Scorer, admission: Admission
) -> Guesses | None:
    """What asks the LLM about questions that no bank knows, if it is to be asked."""
    if settings.prior == "bank":
        return None
    from service.adapters.generators.guesser import LlmGuesser

    guesser = LlmGuesser(
        generator,
        admission,
        system_prompt=settings.system_prompt,
        places=settings.max_candidates_in_flight,
        timeout_s=settings.prior_timeout_s,
    )
    return Guesses(guesser, scorer, context_questions=settings.prior_context_questions)
