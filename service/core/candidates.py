"""Candidates and the choice among them. Pure: texts, vectors and scores in, an order out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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
    """A scored draft.

    `consensus` is the mean cosine to the other candidates, `relevance` that to the prompt; each
    is None where it does not count.
    """

    draft: Draft
    approval: Approval
    selection_score: float
    consensus: float | None
    relevance: float | None
    selected: bool


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts in the choice beside the group's approval, and how much; 0: not at all."""

    consensus: float = 0.0
    relevance: float = 0.0


APPROVAL_ALONE = Weights()


@dataclass(frozen=True, slots=True)
class Nearness:
    """Of each draft that is not empty: how near the others are, and the prompt."""

    consensus: Sequence[float]
    relevance: Sequence[float]


NOTHING = Approval(score=0.0, probability=0.0, std=0.0, low=0.0, high=0.0)
"""What an empty text is worth."""


def choose(
    drafts: Sequence[Draft],
    approvals: Sequence[Approval],
    nearness: Nearness,
    *,
    weights: Weights,
) -> tuple[Candidate, ...]:
    """Every draft as a candidate, best first; the first is the choice.

    `approvals` and `nearness` are those of the drafts that are not empty, in their order. An
    empty text loses to any other, and of equals the one drawn first wins.
    """
    scored = [draft for draft in drafts if not draft.is_empty]
    rated = [
        (
            draft,
            approval,
            approval.score + weights.consensus * near + weights.relevance * relevant,
            near,
            relevant,
        )
        for draft, approval, near, relevant in zip(
            scored, approvals, nearness.consensus, nearness.relevance, strict=True
        )
    ]
    rated.sort(key=lambda item: (-item[2], item[0].index))
    empty = [(draft, NOTHING, 0.0, 0.0, 0.0) for draft in drafts if draft.is_empty]
    return tuple(
        Candidate(
            draft=draft,
            approval=approval,
            selection_score=selection_score,
            consensus=near if weights.consensus else None,
            relevance=relevant if weights.relevance else None,
            selected=rank == 0,
        )
        for rank, (draft, approval, selection_score, near, relevant) in enumerate(rated + empty)
    )


def consensus_of(vectors: FloatArray) -> list[float]:
    """Mean cosine of each vector (n, D) to the n - 1 others; 0 for a single one."""
    n = len(vectors)
    if n < 2:
        return [0.0] * n
    unit = _unit(vectors)
    cosines = unit @ unit.T  # (n, n)
    return [float(c) for c in (cosines.sum(axis=1) - np.diag(cosines)) / (n - 1)]


def relevance_of(prompt: FloatArray, vectors: FloatArray) -> list[float]:
    """Cosine of each vector (n, D) to that of the prompt (1, D)."""
    return [float(c) for c in _unit(vectors) @ _unit(prompt)[0]]


def _unit(vectors: FloatArray) -> NDArray[np.float64]:
    wide = vectors.astype(np.float64)
    unit: NDArray[np.float64] = wide / np.maximum(
        np.linalg.norm(wide, axis=1, keepdims=True), 1e-12
    )
    return unit
