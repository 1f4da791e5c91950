"""Which of its preferences carried a group's answer: each is left out in turn.

The answer without a preference is the one that the group would be given if it had been registered
without it: everything but the embedding of texts is done anew. Knows no scorer, only who asks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from service.core.ask import Ask
from service.core.context_digest import ContextDigest
from service.core.contexts import GroupContext
from service.core.domain import (
    ComparisonPreference,
    ContextItem,
    FloatArray,
    Kind,
    Preference,
    Question,
    RatingPreference,
)
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.results import Shares
from service.core.timing import Stopwatch

POINTER = "/explain"
LABEL_CHARS = 160
_AT_ONCE = 64  # contexts that are prepared together; the scorer takes smaller turns of its own
# Explanations that are with the scorer at a time. Each has one turn of its queue, so that whoever
# asks anything else waits for as many turns, however many ask for explanations.
_AT_WORK = 2
# Above this many preferences leaving some out is left to a thread.
_FEW = 100

Shape = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Influence:
    """What one preference did to a distribution over k options.

    index: its place in the group, from 0. without (k,): the distribution if it were not there.
    influence (k,): the distribution minus that one; sums to 0. strength: the total variation
    distance of the two, in [0, 1].
    """

    index: int
    kind: Kind
    label: str
    without: Shape
    influence: Shape
    strength: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """The influences, the strongest first, and what a group without preferences would answer."""

    prior: Shape
    influences: tuple[Influence, ...]


class Explain:
    """Explains the predictions of one request."""

    def __init__(self, ask: Ask, limits: Limits) -> None:
        self._ask = ask
        self._limits = limits
        self._places = asyncio.Semaphore(_AT_WORK)

    def check(self, groups: Sequence[GroupContext], questions: Sequence[Question]) -> None:
        """Raises InputTooLarge for more work than one request may cause."""
        faults = Faults()
        entries = len(questions) * sum(len(g.preferences) for g in groups)
        what = "preferences, each counted for each question"
        faults.cap(POINTER, entries, self._limits.explained, what)
        tokens = max((sum(len(i.values) for i in g.context.items) for g in groups), default=0)
        what = "(prompt, response) pairs in a group"
        faults.cap(POINTER, tokens, self._limits.explained_tokens, what)
        faults.check()

    async def run(
        self,
        tenant: str,
        groups: Sequence[GroupContext],
        questions: Sequence[Question],
        rows: Sequence[Sequence[Shares]],
        *,
        at: Sequence[str],
    ) -> list[list[Explanation]]:
        """The explanations of the answers `rows`: (group, question)."""
        with Stopwatch.current().stage("explain"):
            vectors = await self._ask.vectors(questions)
            return [
                await self._of_group(tenant, group, questions, vectors, row, at=at)
                for group, row in zip(groups, rows, strict=True)
            ]

    async def _of_group(
        self,
        tenant: str,
        group: GroupContext,
        questions: Sequence[Question],
        vectors: Sequence[FloatArray],
        row: Sequence[Shares],
        *,
        at: Sequence[str],
    ) -> list[Explanation]:
        # 1. The group without each of its preferences, and without any, some at a time.
        count = len(group.preferences)
        digest = ContextDigest(tenant, self._ask.embedder_digest, group.preferences)
        answers: list[list[Shares]] = []
        for span in _spans(count):
            if count > _FEW:
                lesser = await asyncio.to_thread(_without_each, group, span, digest)
            else:
                lesser = _without_each(group, span, digest)
            answers += await self._shares(lesser, questions, vectors, at=at)
        digest = ContextDigest(tenant, self._ask.embedder_digest, ())
        nobody = _with(group, (), (), digest.whole())
        [prior] = await self._shares([nobody], questions, vectors, at=at)
        # 2. What that changes in the answer to each question.
        return [
            _explanation(group.preferences, whole, [a[i] for a in answers], prior[i])
            for i, whole in enumerate(row)
        ]

    async def _shares(
        self,
        lesser: Sequence[GroupContext],
        questions: Sequence[Question],
        vectors: Sequence[FloatArray],
        *,
        at: Sequence[str],
    ) -> list[list[Shares]]:
        async with self._places:
            return await self._ask.shares(lesser, questions, vectors, at=at, once=True)


def label_of(preference: Preference) -> str:
    """The preference in a line of at most LABEL_CHARS characters."""
    match preference:
        case RatingPreference():
            parts = [preference.prompt, preference.response]
        case ComparisonPreference():
            parts = [preference.prompt, preference.chosen]
        case _:
            parts = [preference.prompt]
    room = (LABEL_CHARS - 3 * (len(parts) - 1)) // len(parts)
    return " – ".join(_short(" ".join(part.split()), room) for part in parts)


def _short(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1].rstrip() + "…"


def _spans(count: int) -> Iterator[range]:
    for start in range(0, count, _AT_ONCE):
        yield range(start, min(start + _AT_ONCE, count))


def _without_each(
    group: GroupContext, span: Sequence[int], digest: ContextDigest
) -> list[GroupContext]:
    """The group without the preference at each index."""
    said, items = group.preferences, group.context.items
    return [
        _with(group, said[:i] + said[i + 1 :], items[:i] + items[i + 1 :], digest.without(i))
        for i in span
    ]


def _with(
    group: GroupContext,
    preferences: tuple[Preference, ...],
    items: tuple[ContextItem, ...],
    digest: str,
) -> GroupContext:
    context = replace(group.context, digest=digest, items=items)
    return replace(group, preferences=preferences, context=context)


def _explanation(
    preferences: Sequence[Preference], whole: Shares, without: Sequence[Shares], prior: Shares
) -> Explanation:
    found = [
        _influence(i, preference, _shape(whole), _shape(shares))
        for i, (preference, shares) in enumerate(zip(preferences, without, strict=True))
    ]
    found.sort(key=lambda one: (-one.strength, one.index))
    return Explanation(_shape(prior), tuple(found))


def _influence(index: int, preference: Preference, whole: Shape, without: Shape) -> Influence:
    influence = tuple(a - b for a, b in zip(whole, without, strict=True))
    return Influence(
        index=index,
        kind=preference.kind,
        label=label_of(preference),
        without=without,
        influence=influence,
        strength=min(sum(map(abs, influence)) / 2, 1.0),
    )


def _shape(shares: Shares) -> Shape:
    return tuple(one.share for one in shares)
