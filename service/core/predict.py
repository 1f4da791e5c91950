"""Predicts how groups answer questions.

One request: groups and their contexts, the options' vectors, the module, shares and intervals.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.core.contexts import Contexts, GroupContext, Target, embed_finite
from service.core.domain import FloatArray, Prediction, Question
from service.core.errors import ScorerFailed
from service.core.faults import Faults
from service.core.guesses import Guesses
from service.core.limits import Limits
from service.core.ports import Embedder, Scorer
from service.core.texts import PlacedPair, check_fits, check_options, place_question
from service.core.timing import Stopwatch


@dataclass(frozen=True, slots=True)
class OptionShare:
    """One option's predicted share with its 90 % interval; low <= share <= high in [0, 1]."""

    share: float
    std: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PredictedQuestion:
    """One group's answer to one question; shares in the order of the options, summing to 1."""

    group: GroupContext
    question: Question
    shares: tuple[OptionShare, ...]

    @property
    def top(self) -> str:
        """The option with the highest share; the first of equals."""
        best = max(range(len(self.shares)), key=lambda index: self.shares[index].share)
        return self.question.options[best]


@dataclass(frozen=True, slots=True)
class Predictions:
    """Group after group, and within a group in the order of the questions."""

    model: str
    predictions: tuple[PredictedQuestion, ...]
    context_tokens: int
    embedded_texts: int
    timings: dict[str, float]


class Predict:
    """The use case behind /predict."""

    def __init__(
        self,
        contexts: Contexts,
        embedder: Embedder,
        scorer: Scorer,
        limits: Limits,
        *,
        guesses: Guesses | None = None,
    ) -> None:
        """`guesses`: a language model's, for questions that no bank knows."""
        self._contexts = contexts
        self._embedder = embedder
        self._scorer = scorer
        self._limits = limits
        self._guesses = guesses

    async def run(
        self, tenant: str, target: Target, questions: Sequence[Question], *, at: Sequence[str]
    ) -> Predictions:
        """Predict every question for every group; `at` holds a pointer for each question."""
        watch = Stopwatch.current()
        # 1. Refuse what cannot be answered before anything is computed.
        self._check(questions, at)
        placed = [place_question(q, at=here) for q, here in zip(questions, at, strict=True)]
        flat = [pair for pairs in placed for pair in pairs]
        await check_fits(flat, self._embedder, self._limits)
        # 2. The groups and their contexts.
        with watch.stage("context"):
            groups = await self._contexts.load(tenant, target)
        # 3. Vectors of the options, one (k, D) for each question.
        with watch.stage("embed"):
            vectors = await self._vectors(flat, [len(pairs) for pairs in placed])
        # 4. The module, then shares and intervals that hold together.
        contexts, guesses = [g.context for g in groups], None
        if self._guesses is not None:
            with watch.stage("prior"):
                contexts = await self._guesses.of_contexts(groups)
                guesses = await self._guesses.of_questions(contexts, questions, vectors, at=at)
        with watch.stage("score"):
            results = await self._scorer.predict(contexts, vectors, guesses=guesses)
            predictions = tuple(
                PredictedQuestion(group, question, _shares(result))
                for group, row in zip(groups, results, strict=True)
                for question, result in zip(questions, row, strict=True)
            )
        return Predictions(
            model=self._scorer.model,
            predictions=predictions,
            context_tokens=sum(len(i.values) for g in groups for i in g.context.items),
            embedded_texts=len(flat),
            timings=watch.timings(),
        )

    def _check(self, questions: Sequence[Question], at: Sequence[str]) -> None:
        faults = Faults()
        faults.cap("/questions", len(questions), self._limits.questions, "questions")
        for question, here in zip(questions, at, strict=True):
            check_options(
                question.options, at=f"{here}/options", limits=self._limits, faults=faults
            )
        faults.check()

    async def _vectors(self, flat: Sequence[PlacedPair], sizes: list[int]) -> list[FloatArray]:
        vectors = await embed_finite(self._embedder, [(p.prompt, p.response) for p in flat])
        return np.split(vectors, np.cumsum(sizes)[:-1])


def _shares(prediction: Prediction) -> tuple[OptionShare, ...]:
    """Shares in float64, so that they sum to 1 beyond what float32 can hold."""
    shares = prediction.distribution.astype(np.float64)
    std, low, high = (
        a.astype(np.float64) for a in (prediction.std, prediction.low, prediction.high)
    )
    total = shares.sum()
    if not np.isfinite(np.concatenate([shares, std, low, high])).all() or total <= 0:
        raise ScorerFailed("The module gave a share that is not finite.")
    shares = np.clip(shares / total, 0.0, 1.0)
    low = np.clip(np.minimum(low, shares), 0.0, 1.0)
    high = np.clip(np.maximum(high, shares), 0.0, 1.0)
    return tuple(
        OptionShare(float(p), float(s), float(lo), float(hi))
        for p, s, lo, hi in zip(shares, std, low, high, strict=True)
    )
