"""Settings in, ready objects out: the one place that knows which parts there are.

Adapters are imported when they are opened, so that the command line stays quick.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version

from service.api.deps import About, UseCases
from service.core.admission import Admission
from service.core.bank import BankedScorer, OwnGroups
from service.core.complete import Complete
from service.core.contexts import Contexts, embedder_label
from service.core.groups import Groups
from service.core.guesses import Guesses
from service.core.health import Readiness
from service.core.limits import Limits
from service.core.ports import Bank, Embedder, GroupStore, LanguageModel, Scorer
from service.core.predict import Predict
from service.core.score import Score
from service.core.served import ServedModel
from service.core.steer import Steer
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service stands on, behind its ports; `bank` where own groups count."""

    store: GroupStore
    generator: LanguageModel
    embedder: Embedder
    scorer: Scorer
    bank: Bank | None = None


@asynccontextmanager
async def open_parts(settings: Settings) -> AsyncIterator[Parts]:
    """Open every part, and close them in reverse. Raises GpoServeError.

    One after the other: torch and transformers do not bear being imported from two threads.
    """
    from service.adapters.generators.open import open_generator
    from service.adapters.scoring.open import open_scoring
    from service.adapters.stores.open import open_store

    async with AsyncExitStack() as stack:
        store = open_store(settings.store_url)
        stack.push_async_callback(store.close)
        embedder, scorer = open_scoring(settings)
        stack.push_async_callback(embedder.close)
        generator = open_generator(settings)
        stack.push_async_callback(generator.close)
        yield Parts(store, generator, embedder, scorer, scorer.banks)


def build_readiness(parts: Parts) -> Readiness:
    """Asks the parts that can go down while the service runs."""
    return Readiness(
        {
            "store": parts.store.check,
            "generator": parts.generator.check,
            "scorer": parts.scorer.check,
        }
    )


def build_use_cases(settings: Settings, parts: Parts) -> UseCases:
    """The use cases over these parts."""
    limits = Limits(
        options=settings.max_options,
        preferences=settings.max_preferences,
        context_tokens=settings.max_context_tokens,
        questions=settings.max_questions,
        responses=settings.max_responses,
        groups=settings.max_groups,
        n=settings.max_n,
        tokens=settings.max_tokens,
        list=settings.max_list,
        text_chars=settings.max_text_chars,
        timeout_s=settings.max_timeout_s,
    )
    contexts = Contexts(parts.store, parts.embedder, limits)
    scorer = parts.scorer
    if parts.bank is not None:
        own = OwnGroups(
            parts.store, contexts, parts.bank, most_preferences=settings.bank_preferences
        )
        scorer = BankedScorer(scorer, own)
    admission = Admission(settings.max_candidates_in_flight)
    guesses = _guesses(settings, parts.generator, scorer, admission)
    return UseCases(
        groups=Groups(parts.store, parts.embedder, limits),
        predict=Predict(contexts, parts.embedder, scorer, limits, guesses=guesses),
        score=Score(contexts, parts.embedder, scorer, limits),
        steer=Steer(
            contexts=contexts,
            generator=parts.generator,
            embedder=parts.embedder,
            scorer=scorer,
            admission=admission,
            limits=limits,
            system_prompt=settings.system_prompt,
            consensus_weight=(
                parts.scorer.consensus_weight
                if settings.consensus_weight == "fitted"
                else settings.consensus_weight
            ),
        ),
        complete=Complete(
            generator=parts.generator,
            admission=admission,
            limits=limits,
            system_prompt=settings.system_prompt,
        ),
        served=ServedModel(parts.generator),
        readiness=build_readiness(parts),
        limits=limits,
        best_of=settings.best_of,
        about=lambda: About(
            version=version("gpo-serve"),
            generator=parts.generator.model,
            scorer=parts.scorer.model,
            embedder=embedder_label(parts.embedder.identity),
        ),
    )


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
