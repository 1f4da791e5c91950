"""Predicts how groups answer questions.

One request: groups and their contexts, the options' vectors, the module, shares and intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.core.ask import Ask
from service.core.contexts import Contexts, GroupContext, Target
from service.core.domain import Question
from service.core.explain import Explain, Explanation
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
    explanation: Explanation | None = None

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
        self._limits = limits
        self._results = results
        self._ask = Ask(embedder, scorer, guesses=guesses)
        self._explain = Explain(self._ask, limits)

    async def run(
        self,
        tenant: str,
        target: Target,
        questions: Sequence[Question],
        *,
        at: Sequence[str],
        explain: bool = False,
    ) -> Predictions:
        """Predict every question for every group; `at` holds a pointer for each question.

        `explain`: also say what each preference did to each answer.
        """
        watch = Stopwatch.current()
        # 1. Refuse what cannot be answered before anything is computed.
        self._check(questions, at)
        if self._results is None:
            await self._check_fit(questions, at)
        # 2. The groups and their contexts.
        with watch.stage("context"):
            groups = await self._contexts.load(tenant, target)
        if explain:
            self._explain.check(groups, questions)
        # 3. What was answered before, or the module's answer.
        if self._results is None:
            rows = await self._answers(groups, questions, at)
        else:
            rows = await self._recall(self._results, tenant, groups, questions, at)
        # 4. The same without each preference.
        why: Sequence[Sequence[Explanation | None]] = [[None] * len(questions)] * len(groups)
        if explain:
            why = await self._explain.run(tenant, groups, questions, rows, at=at)
        return Predictions(
            model=self._ask.model,
            predictions=tuple(_each(groups, questions, rows, why)),
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
            answers = await self._answers(groups, asked, places)
            # An answer that was made while groups changed may be that of either state.
            keep = state == await results.state(tenant)
            for group, row, answered in zip(groups, rows, answers, strict=True):
                for i, shares in zip(new, answered, strict=True):
                    row[i] = shares
                    if keep:
                        results.put(state, group.context, questions[i], shares)
        return [[shares for shares in row if shares is not None] for row in rows]

    async def _answers(
        self, groups: Sequence[GroupContext], questions: Sequence[Question], at: Sequence[str]
    ) -> list[list[Shares]]:
        """The module's answers: (group, question)."""
        vectors = await self._ask.vectors(questions)
        return await self._ask.shares(groups, questions, vectors, at=at)

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


def _each(
    groups: Sequence[GroupContext],
    questions: Sequence[Question],
    rows: Sequence[Sequence[Shares]],
    why: Sequence[Sequence[Explanation | None]],
) -> Iterator[PredictedQuestion]:
    for group, row, reasons in zip(groups, rows, why, strict=True):
        for question, shares, explanation in zip(questions, row, reasons, strict=True):
            yield PredictedQuestion(group, question, shares, explanation)
