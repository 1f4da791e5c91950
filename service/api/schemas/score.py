"""The body and the answer of /score."""

from __future__ import annotations

from pydantic import ConfigDict, Field

from service.api.schemas.base import ResponseModel, Responses, Text
from service.api.schemas.target import ONE_TARGET, TargetIn
from service.core.score import Approval, ScoredGroup, ScoredResponses


class ScoreIn(TargetIn):
    """Whose approval, and of which responses to a prompt."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "group_id": "city-dwellers",
                "prompt": "What makes a good holiday?",
                "responses": ["A quiet lake.", "A loud city."],
            },
            **ONE_TARGET,
        }
    )

    prompt: Text
    responses: Responses


class ScoreResult(ResponseModel):
    """The approval of one response."""

    index: int = Field(description="Its place in `responses`.")
    score: float = Field(
        description="Expected share of the group that approves, in [0, 1]; independent of the "
        "other responses."
    )
    probability: float = Field(
        description="Softmax over the list of the log odds of the scores, that is "
        "score / (1 - score), normalised: the chance of being chosen from this list."
    )
    std: float
    interval: tuple[float, float] = Field(description="The central 90 %: lo <= score <= hi.")
    truncated: bool = Field(description="Whether the embedder read only a part of the text.")

    @classmethod
    def of(cls, index: int, approval: Approval, *, truncated: bool) -> ScoreResult:
        """One response's result."""
        return cls(
            index=index,
            score=approval.score,
            probability=approval.probability,
            std=approval.std,
            interval=(approval.low, approval.high),
            truncated=truncated,
        )


class GroupScores(ResponseModel):
    """One group's results, in the order of the responses."""

    group_id: str | None
    group_version: int | None
    results: list[ScoreResult]

    @classmethod
    def of(cls, scored: ScoredGroup, truncated: tuple[bool, ...]) -> GroupScores:
        """One group's part of the answer."""
        return cls(
            group_id=scored.group.group_id,
            group_version=scored.group.group_version,
            results=[
                ScoreResult.of(index, approval, truncated=cut)
                for index, (approval, cut) in enumerate(
                    zip(scored.approvals, truncated, strict=True)
                )
            ],
        )


class ScoreUsage(ResponseModel):
    """What was computed."""

    context_tokens: int = Field(description="(prompt, response) pairs in the contexts.")
    embedded_texts: int = Field(description="(prompt, response) pairs of this request.")


class ScoreOut(ResponseModel):
    """Scores, a part for each group."""

    model: str
    scores: list[GroupScores]
    usage: ScoreUsage
    timings: dict[str, float] = Field(description="Milliseconds.")

    @classmethod
    def of(cls, result: ScoredResponses) -> ScoreOut:
        """The answer to a request."""
        return cls(
            model=result.model,
            scores=[GroupScores.of(scored, result.truncated) for scored in result.groups],
            usage=ScoreUsage(
                context_tokens=result.context_tokens, embedded_texts=len(result.truncated)
            ),
            timings=result.timings,
        )
