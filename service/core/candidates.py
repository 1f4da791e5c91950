"""Candidates and the choice among them. Pure: texts, vectors and scores in, an order out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from service.core.domain import FloatArray
from service.core.score import Approval


@dataclass(frozen=True, slots=True)
class Draft:
    """A drawn text before scoring. `index` is the order drawn; `reasoning` is not scored."""

    index: int
    text: str
    reasoning: str | None
    finish_reason: Literal["stop", "length"]
    tokens: int
    truncated: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left to score."""
        return not self.text.strip()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A scored draft. `consensus` is the mean cosine to the other candidates, if it counts."""

    draft: Draft
    approval: Approval
    selection_score: float
    consensus: float | None
    selected: bool


NOTHING = Approval(score=0.0, probability=0.0, std=0.0, low=0.0, high=0.0)
"""What an empty text is worth."""


def choose(
    drafts: Sequence[Draft],
    approvals: Sequence[Approval],
    consensus: Sequence[float],
    *,
    consensus_weight: float,
) -> tuple[Candidate, ...]:
    """Every draft as a candidate, best first; the first is the choice.

    `approvals` and `consensus` are those of the drafts that are not empty, in their order. An
    empty text loses to any other, and of equals the one drawn first wins.
    """
    scored = [draft for draft in drafts if not draft.is_empty]
    rated = [
        (draft, approval, approval.score + consensus_weight * near, near)
        for draft, approval, near in zip(scored, approvals, consensus, strict=True)
    ]
    rated.sort(key=lambda item: (-item[2], item[0].index))
    empty = [(draft, NOTHING, 0.0, 0.0) for draft in drafts if draft.is_empty]
    return tuple(
        Candidate(
            draft=draft,
            approval=approval,
            selection_score=selection_score,
            consensus=near if consensus_weight else None,
            selected=rank == 0,
        )
        for rank, (draft, approval, selection_score, near) in enumerate(rated + empty)
    )


def consensus_of(vectors: FloatArray) -> list[float]:
    """Mean cosine of each vector (n, D) to the n - 1 others; 0 for a single one."""
    n = len(vectors)
    if n < 2:
        return [0.0] * n
    wide = vectors.astype(np.float64)
    unit = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12)
    cosines = unit @ unit.T  # (n, n)
    return [float(c) for c in (cosines.sum(axis=1) - np.diag(cosines)) / (n - 1)]
