"""The events of a streamed /generate; the last one, `done`, holds the body of an unstreamed one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from service.api.schemas.base import ResponseModel
from service.api.schemas.generate import CandidateOut, ChoiceOut, GenerateOut
from service.core.contexts import GroupContext
from service.core.draft_scorer import ScoredDraft


class GroupScoreOut(ResponseModel):
    """What one group thinks of one candidate."""

    group_id: str | None
    score: float
    std: float


class CandidateEvent(ResponseModel):
    """`candidate`: a text that was drawn and scored; with `group_ids`, `scores` holds each group's.

    Its place among the others and its `probability` come with `scored`.
    """

    index: int
    text: str
    reasoning: str = ""
    finish_reason: Literal["stop", "length"]
    tokens: int
    truncated: bool
    score: float = Field(0.0, description="For one group.")
    std: float = Field(0.0, description="For one group.")
    scores: list[GroupScoreOut] = Field(default=[], description="With `group_ids` alone.")

    @classmethod
    def of(
        cls, scored: ScoredDraft, groups: Sequence[GroupContext], *, many: bool
    ) -> CandidateEvent:
        """A candidate of a request for one group, or for many."""
        draft = scored.draft
        each = [
            GroupScoreOut(group_id=group.group_id, score=approval.score, std=approval.std)
            for group, approval in zip(groups, scored.approvals, strict=True)
        ]
        more: dict[str, Any] = (
            {"scores": each} if many else {"score": each[0].score, "std": each[0].std}
        )
        if draft.reasoning is not None:
            more["reasoning"] = draft.reasoning
        return cls(
            index=draft.index,
            text=draft.text,
            finish_reason=draft.finish_reason,
            tokens=draft.tokens,
            truncated=draft.truncated,
            **more,
        )


class ScoredEvent(ResponseModel):
    """`scored`: every candidate, best first; with `group_ids`, in each group's order."""

    candidates: list[CandidateOut] = Field(default=[])
    choices: list[ChoiceOut] = Field(default=[])

    @classmethod
    def of(cls, answer: GenerateOut, *, many: bool) -> ScoredEvent:
        """What an answer says of its candidates."""
        return cls(choices=answer.choices) if many else cls(candidates=answer.candidates)


class SelectedOut(ResponseModel):
    """One group's chosen text."""

    group_id: str | None
    index: int
    text: str


class SelectedEvent(ResponseModel):
    """`selected`: the chosen text; with `group_ids`, each group's in `choices`."""

    index: int = 0
    text: str = ""
    choices: list[SelectedOut] = Field(default=[])

    @classmethod
    def of(cls, chosen: Sequence[SelectedOut], *, many: bool) -> SelectedEvent:
        """The choices of a request for one group, or for many."""
        if many:
            return cls(choices=list(chosen))
        return cls(index=chosen[0].index, text=chosen[0].text)
