"""Embeds the drafts of one request as they come, and scores them for its groups.

Knows the request's prompt and groups; knows nothing of drawing, nor of the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from service.core.candidates import NOTHING, Draft, Nearness, Weights, consensus_of, relevance_of
from service.core.contexts import embed_finite
from service.core.domain import Context, FloatArray
from service.core.limits import Limits
from service.core.ports import Embedder, Scorer
from service.core.score import Approval, approvals, clip_responses
from service.core.timing import Stopwatch


@dataclass(frozen=True, slots=True)
class EmbeddedDraft:
    """A draft and its vector (1, D), None for an empty text."""

    draft: Draft
    vector: FloatArray | None


@dataclass(frozen=True, slots=True)
class ScoredDraft:
    """A draft and each group's approval of it by itself."""

    draft: Draft
    approvals: tuple[Approval, ...]


class DraftScorer:
    """Embedding is what takes time, so it need not wait for the other drafts."""

    def __init__(
        self,
        embedder: Embedder,
        scorer: Scorer,
        limits: Limits,
        *,
        prompt: str,
        contexts: Sequence[Context],
    ) -> None:
        self._embedder = embedder
        self._scorer = scorer
        self._limits = limits
        self._prompt = prompt
        self._contexts = list(contexts)
        self._watch = Stopwatch.current()

    async def embed(self, draft: Draft) -> EmbeddedDraft:
        """The draft with its vector, `truncated` set. Raises ScorerFailed, Overloaded."""
        if draft.is_empty:
            return EmbeddedDraft(draft, None)
        with self._watch.stage("embed"):
            [clipped] = await clip_responses(
                self._embedder, self._prompt, [draft.text], self._limits
            )
            vector = await embed_finite(self._embedder, [(clipped.prompt, clipped.response)])
        return EmbeddedDraft(replace(draft, truncated=clipped.truncated), vector)

    async def score_one(self, embedded: EmbeddedDraft) -> ScoredDraft:
        """Each group's approval of one draft. Raises ScorerFailed, Overloaded."""
        found = [row[0] if row else NOTHING for row in await self.score_all([embedded])]
        return ScoredDraft(embedded.draft, tuple(found))

    async def score_all(self, embedded: Sequence[EmbeddedDraft]) -> list[tuple[Approval, ...]]:
        """For each group its approvals of the drafts that are not empty, in their order.

        One call for all of them: the same drafts get the same scores to the last bit, and never
        scores of different moments, between which own groups may have changed.
        """
        vectors = [e.vector for e in embedded if e.vector is not None]
        if not vectors:
            return [() for _ in self._contexts]
        with self._watch.stage("score"):
            scores = await self._scorer.score(self._contexts, np.concatenate(vectors))
        return [approvals(found) for found in scores]

    async def nearness(self, drafts: Sequence[Draft], weights: Weights) -> Nearness:
        """How near the others, and the prompt, are to each draft that is not empty.

        Of the bare texts: with the prompt in front, the vectors of all drafts are alike. What has
        no weight is 0 and not computed.
        """
        texts = [draft.text for draft in drafts if not draft.is_empty]
        nothing = [0.0] * len(texts)
        with_others = bool(weights.consensus) and len(texts) > 1
        if not texts or not (with_others or weights.relevance):
            return Nearness(nothing, nothing)
        with self._watch.stage("embed"):
            bare = [*texts, self._prompt] if weights.relevance else texts
            clipped = await clip_responses(self._embedder, "", bare, self._limits)
            pairs = [(c.prompt, c.response) for c in clipped]
            vectors = await embed_finite(self._embedder, pairs)
        found = vectors[: len(texts)]
        return Nearness(
            consensus_of(found) if with_others else nothing,
            relevance_of(vectors[-1:], found) if weights.relevance else nothing,
        )
