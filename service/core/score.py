"""Scores given responses for groups: the expected share of a group that approves of each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.core.contexts import Contexts, GroupContext, Target, embed_finite
from service.core.domain import Scores
from service.core.errors import ScorerFailed
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.ports import Embedder, Scorer
from service.core.timing import Stopwatch

# Scores nearer to 0 and 1 than this count as this, so that odds stay finite.
_EDGE = 1e-6


@dataclass(frozen=True, slots=True)
class Approval:
    """Expected approval of one response, in [0, 1], with its 90 % interval.

    `score` does not depend on the other responses; `probability` does: over a list it sums to 1.
    """

    score: float
    probability: float
    std: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Clipped:
    """A (prompt, response) as the embedder reads it, and whether text was cut."""

    prompt: str
    response: str
    truncated: bool


@dataclass(frozen=True, slots=True)
class ScoredGroup:
    """One group's approval of the responses, in their order."""

    group: GroupContext
    approvals: tuple[Approval, ...]


@dataclass(frozen=True, slots=True)
class ScoredResponses:
    """What /score answers; `truncated` holds a flag for each response."""

    model: str
    groups: tuple[ScoredGroup, ...]
    truncated: tuple[bool, ...]
    context_tokens: int
    timings: dict[str, float]


class Score:
    """The use case behind /score."""

    def __init__(
        self, contexts: Contexts, embedder: Embedder, scorer: Scorer, limits: Limits
    ) -> None:
        self._contexts = contexts
        self._embedder = embedder
        self._scorer = scorer
        self._limits = limits

    async def run(
        self, tenant: str, target: Target, prompt: str, responses: Sequence[str]
    ) -> ScoredResponses:
        """Score every response for every group, in the order of both."""
        watch = Stopwatch.current()
        faults = Faults()
        faults.cap("/responses", len(responses), self._limits.responses, "responses")
        faults.check()
        with watch.stage("context"):
            groups = await self._contexts.load(tenant, target)
        with watch.stage("embed"):
            clipped = await clip_responses(self._embedder, prompt, responses, self._limits)
            vectors = await embed_finite(self._embedder, [(c.prompt, c.response) for c in clipped])
        with watch.stage("score"):
            results = await self._scorer.score([g.context for g in groups], vectors)
            scored = tuple(
                ScoredGroup(group, approvals(result))
                for group, result in zip(groups, results, strict=True)
            )
        return ScoredResponses(
            model=self._scorer.model,
            groups=scored,
            truncated=tuple(c.truncated for c in clipped),
            context_tokens=sum(len(i.values) for g in groups for i in g.context.items),
            timings=watch.timings(),
        )


async def clip_responses(
    embedder: Embedder, prompt: str, responses: Sequence[str], limits: Limits
) -> list[Clipped]:
    """The prompt with each response, cut to what the embedder reads.

    Texts beyond `limits.text_chars` are cut by characters first: they would be cut by tokens
    anyway, and tokenising megabytes takes seconds.
    """
    tail = prompt[-limits.text_chars :]

    def clip_each() -> list[Clipped]:
        clipped = []
        for response in responses:
            head = response[: limits.text_chars]
            short_prompt, short_response, cut = embedder.clip(tail, head)
            cut = cut or len(tail) < len(prompt) or len(head) < len(response)
            clipped.append(Clipped(short_prompt, short_response, cut))
        return clipped

    return await asyncio.to_thread(clip_each)


def approvals(scores: Scores) -> tuple[Approval, ...]:
    """Scores as plain numbers that hold together: 0 <= low <= score <= high <= 1."""
    stacked = np.stack([scores.score, scores.std, scores.low, scores.high]).astype(np.float64)
    if not np.isfinite(stacked).all():
        raise ScorerFailed("The module gave a score that is not finite.")
    score = np.clip(stacked[0], 0.0, 1.0)
    low = np.clip(np.minimum(stacked[2], score), 0.0, 1.0)
    high = np.clip(np.maximum(stacked[3], score), 0.0, 1.0)
    return tuple(
        Approval(float(s), float(p), float(d), float(lo), float(hi))
        for s, p, d, lo, hi in zip(
            score, list_probability(score), stacked[1], low, high, strict=True
        )
    )


def list_probability(score: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[float]:
    """Softmax over the log odds of the scores: p_i proportional to s_i / (1 - s_i).

    This is the Bradley-Terry-Luce chance that response i is chosen from the list, when against an
    even alternative it is chosen with chance s_i; it needs no temperature.
    """
    if not len(score):
        return []
    clipped = np.clip(score, _EDGE, 1 - _EDGE)
    odds = clipped / (1 - clipped)
    return [float(p) for p in odds / odds.sum()]
