"""Embeds and scores the drafts of one request, each as soon as it is there.

Knows the request's prompt and groups; knows nothing of drawing, nor of the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from service.core.candidates import Draft, consensus_of
from service.core.contexts import embed_finite
from service.core.domain import Context, FloatArray, Scores
from service.core.limits import Limits
from service.core.ports import Embedder, Scorer
from service.core.score import Approval, approvals, clip_responses
from service.core.timing import Stopwatch


@dataclass(frozen=True, slots=True)
class ScoredDraft:
    """A draft with its vector (1, D) and, for each group, its scores (1,); none if it is empty."""

    draft: Draft
    vector: FloatArray | None
    scores: tuple[Scores, ...]

    @property
    def approvals(self) -> list[Approval]:
        """Each group's approval of this draft by itself; empty for an empty text."""
        return [approvals(scores)[0] for scores in self.scores]


class DraftScorer:
    """Scores are those of the whole list: they do not depend on when a draft came."""

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

    async def score(self, draft: Draft) -> ScoredDraft:
        """The draft with its vector and scores. Raises ScorerFailed, Overloaded."""
        if draft.is_empty:
            return ScoredDraft(draft, None, ())
        with self._watch.stage("embed"):
            [clipped] = await clip_responses(
                self._embedder, self._prompt, [draft.text], self._limits
            )
            pair = (clipped.prompt, clipped.response)
            vector = await embed_finite(self._embedder, [pair])
        with self._watch.stage("score"):
            scores = tuple(await self._scorer.score(self._contexts, vector))
        return ScoredDraft(replace(draft, truncated=clipped.truncated), vector, scores)

    async def of_all(self, drafts: Sequence[ScoredDraft]) -> list[tuple[Approval, ...]]:
        """For each group its approvals of the drafts that are not empty, in their order.

        Where what is expected of a group can change meanwhile (own groups), all drafts are scored
        again as of now: a choice is never made between scores of different moments.
        """
        filled = [draft for draft in drafts if draft.vector is not None]
        if not filled:
            return [() for _ in self._contexts]
        with self._watch.stage("score"):
            if self._scorer.changes and len(filled) > 1:
                vectors = np.concatenate([d.vector for d in filled if d.vector is not None])
                together = await self._scorer.score(self._contexts, vectors)
            else:
                together = [_joined(row) for row in zip(*(d.scores for d in filled), strict=True)]
            return [approvals(scores) for scores in together]

    async def consensus(self, drafts: Sequence[ScoredDraft]) -> list[float]:
        """How near the others are to each draft that is not empty.

        Of the bare texts: with the prompt in front, the vectors of all drafts are alike.
        """
        texts = [scored.draft.text for scored in drafts if not scored.draft.is_empty]
        if len(texts) < 2:
            return [0.0] * len(texts)
        with self._watch.stage("embed"):
            clipped = await clip_responses(self._embedder, "", texts, self._limits)
            pairs = [(c.prompt, c.response) for c in clipped]
            return consensus_of(await embed_finite(self._embedder, pairs))


def _joined(parts: Sequence[Scores]) -> Scores:
    names = [field.name for field in fields(Scores)]
    return Scores(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})
