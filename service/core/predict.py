"""Predicts how groups answer questions.

One request: groups and their contexts, the options' vectors, the module, shares and intervals.
"""

from __future__ import annotations

import math
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
from service.core.results import OptionShare, Results, Shares
from service.core.texts import check_fits, check_options, place_question
from service.core.timing import Stopwatch


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
        results: Results | None = None,
    ) -> None:
        """`guesses`: a language model's, for questions that no bank knows.

        `results`: what was predicted before; not together with guesses, which may change.
        """
        self._contexts = contexts
        self._embedder = embedder
        self._scorer = scorer
        self._limits = limits
        self._guesses = guesses
        self._results = results

    async def run(
        self, tenant: str, target: Target, questions: Sequence[Question], *, at: Sequence[str]
    ) -> Predictions:
        """Predict every question for every group; `at` holds a pointer for each question."""
        watch = Stopwatch.current()
        # 1. Refuse what cannot be answered before anything is computed.
        self._check(questions, at)
        if self._results is None:
            await self._check_fit(questions, at)
        # 2. The groups and their contexts.
        with watch.stage("context"):
            groups = await self._contexts.load(tenant, target)
        # 3. What was answered before, or the module's answer.
        if self._results is None:
            rows = await self._ask(groups, questions, at)
        else:
            rows = await self._recall(self._results, tenant, groups, questions, at)
        return Predictions(
            model=self._scorer.model,
            predictions=tuple(
                PredictedQuestion(group, question, shares)
                for group, row in zip(groups, rows, strict=True)
                for question, shares in zip(questions, row, strict=True)
            ),
            context_tokens=sum(len(i.values) for g in groups for i in g.context.items),
            embedded_texts=sum(len(q.options) for q in questions),
            timings=watch.timings(),
        )

    async def _recall(
        self,
        results: Results,
        tenant: str,
        groups: Sequence[GroupContext],
        questions: Sequence[Question],
        at: Sequence[str],
    ) -> list[list[Shares]]:
        """From the results; questions that are new to one of the groups are asked for all."""
        state = await results.state(tenant)
        rows = [[results.get(state, g.context, q) for q in questions] for g in groups]
        new = [i for i, column in enumerate(zip(*rows, strict=True)) if None in column]
        if new:
            asked, places = [questions[i] for i in new], [at[i] for i in new]
            await self._check_fit(asked, places)
            answers = await self._ask(groups, asked, places)
            # An answer that was made while groups changed may be that of either state.
            keep = state == await results.state(tenant)
            for group, row, answered in zip(groups, rows, answers, strict=True):
                for i, shares in zip(new, answered, strict=True):
                    row[i] = shares
                    if keep:
                        results.put(state, group.context, questions[i], shares)
        return [[shares for shares in row if shares is not None] for row in rows]

    async def _ask(
        self, groups: Sequence[GroupContext], questions: Sequence[Question], at: Sequence[str]
    ) -> list[list[Shares]]:
        """The module's answers: (group, question)."""
        watch = Stopwatch.current()
        with watch.stage("embed"):
            vectors = await self._vectors(questions)
        contexts, guesses = [g.context for g in groups], None
        if self._guesses is not None:
            with watch.stage("prior"):
                contexts = await self._guesses.of_contexts(groups)
                guesses = await self._guesses.of_questions(contexts, questions, vectors, at=at)
        with watch.stage("score"):
            results = await self._scorer.predict(contexts, vectors, guesses=guesses)
            return [[_shares(result) for result in row] for row in results]

    def _check(self, questions: Sequence[Question], at: Sequence[str]) -> None:
        faults = Faults()
        faults.cap("/questions", len(questions), self._limits.questions, "questions")
        for question, here in zip(questions, at, strict=True):
            check_options(
                question.options, at=f"{here}/options", limits=self._limits, faults=faults
            )
        faults.check()

    async def _check_fit(self, questions: Sequence[Question], at: Sequence[str]) -> None:
        placed = [place_question(q, at=here) for q, here in zip(questions, at, strict=True)]
        await check_fits([p for pairs in placed for p in pairs], self._embedder, self._limits)

    async def _vectors(self, questions: Sequence[Question]) -> list[FloatArray]:
        """Vectors of the options, one (k, D) for each question."""
        pairs = [(q.question, option) for q in questions for option in q.options]
        vectors = await embed_finite(self._embedder, pairs)
        return np.split(vectors, np.cumsum([len(q.options) for q in questions])[:-1])


def _shares(prediction: Prediction) -> Shares:
    """Shares in double precision, so that they sum to 1 beyond what float32 can hold."""
    shares, std, low, high = (
        values.tolist()
        for values in (prediction.distribution, prediction.std, prediction.low, prediction.high)
    )
    total = sum(shares)
    if not all(map(math.isfinite, (*shares, *std, *low, *high))) or total <= 0:
        raise ScorerFailed("The module gave a share that is not finite.")
    return tuple(
        OptionShare(share, s, min(max(lo, 0.0), share), max(min(hi, 1.0), share))
        for share, s, lo, hi in zip((_unit(p / total) for p in shares), std, low, high, strict=True)
    )


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
