"""The body and the answer of /generate."""

from __future__ import annotations

import time
import uuid
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from service.api.schemas.base import RequestModel, ResponseModel, Stop, Text, capped
from service.api.schemas.either import either
from service.api.schemas.target import TargetIn
from service.core.candidates import Candidate
from service.core.domain import ChatPrompt, Message, SamplingParams
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.steer import Choice, GenerateRequest, Generation
from service.core.steering import Steering

# Seeds of one request are seed, seed + 1, …; all of them stay exact in JSON numbers.
MOST_SEED = 2**53 - 2**16


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


_StopList = Annotated[list[Stop], Field(fail_fast=True, max_length=16)]
Stops = Annotated[_StopList, BeforeValidator(_as_list, json_schema_input_type=Stop | _StopList)]


class MessageIn(RequestModel):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Text


USER_TURN = {
    "contains": {"properties": {"role": {"const": "user"}}, "required": ["role"]},
    "minItems": 1,
}
"""For the document: a conversation has a turn of the user."""

# What steering may be asked for: a stored group may have a description, several are not one group.
_TARGETS = either(
    "group_id",
    "group_ids",
    "preferences",
    also={
        "group_ids": {"steering": {"const": "none"}},
        "preferences": {"steering": {"enum": ["none", "preferences"]}},
    },
)


class GenerateIn(TargetIn):
    """Whose answer, to what, and how the candidates are drawn."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "group_id": "city-dwellers",
                "prompt": "What makes a good holiday?",
                "n": 8,
                "max_tokens": 64,
            },
            "allOf": [{"oneOf": _TARGETS}, {"oneOf": either("prompt", "messages")}],
        }
    )

    prompt: Text | None = Field(None, description="One user turn; or send `messages`.")
    messages: (
        Annotated[list[MessageIn], Field(fail_fast=True, json_schema_extra=USER_TURN)] | None
    ) = Field(None, description="A conversation for the model's chat template.")
    n: int = Field(8, ge=1, description="Candidates to draw.", json_schema_extra=capped("n"))
    temperature: float = Field(1.0, ge=0, le=2, allow_inf_nan=False)
    top_p: float = Field(1.0, gt=0, le=1, allow_inf_nan=False)
    max_tokens: int = Field(
        256,
        ge=1,
        description="Most tokens of one candidate.",
        json_schema_extra=capped("tokens"),
    )
    stop: Stops | None = Field(None, description="One or more strings that end a candidate.")
    seed: int | None = Field(None, ge=0, le=MOST_SEED, description="Drawn and returned if absent.")
    steering: Literal["none", "description", "preferences"] = Field(
        "none", description="What the proposing model is told about the group."
    )
    return_candidates: bool = True
    stream: bool = Field(False, description="Answer as server-sent events.")
    timeout_s: float = Field(
        60.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds until the answer is 504.",
        json_schema_extra=capped("timeout_s"),
    )
    allow_partial: bool = Field(
        False, description="Choose among the candidates that came, if some failed."
    )

    def to_core(self, limits: Limits) -> GenerateRequest:
        """The request. Raises InvalidInput, InputTooLarge."""
        faults = Faults()
        if (self.prompt is None) == (self.messages is None):
            faults.wrong(
                "/prompt" if self.messages is None else "/messages",
                "give exactly one of prompt, messages",
            )
        faults.check()
        if self.prompt is not None:
            messages: tuple[Message, ...] = (Message("user", self.prompt),)
        else:
            messages = tuple(Message(m.role, m.content) for m in self.messages or ())
        return GenerateRequest(
            target=self.target(limits),
            prompt=ChatPrompt(messages),
            prompt_at="/messages" if self.prompt is None else "/prompt",
            n=self._or_cap("n", limits.n),
            params=SamplingParams(
                temperature=self.temperature,
                top_p=self.top_p,
                max_tokens=self._or_cap("max_tokens", limits.tokens),
                stop=tuple(self.stop or ()),
            ),
            seed=self.seed,
            steering=Steering(self.steering),
            timeout_s=self._or_cap("timeout_s", limits.timeout_s),
            allow_partial=self.allow_partial,
        )

    def _or_cap(self, name: str, cap: Any) -> Any:
        """A field as it was sent; its default is never over the cap."""
        value = getattr(self, name)
        return value if name in self.model_fields_set else min(value, cap)


class CandidateOut(ResponseModel):
    """A drawn text with its scores."""

    index: int = Field(description="The order drawn; its seed is `seed + index`.")
    text: str = Field(description="Without reasoning blocks.")
    reasoning: str = Field("", description="The reasoning that was taken out, if any.")
    score: float = Field(description="Expected share of the group that approves.")
    selection_score: float = Field(description="What the candidates are ordered by.")
    consensus: float = Field(
        0.0, description="Mean cosine to the other candidates, where settings give it a weight."
    )
    relevance: float = Field(
        0.0, description="Cosine to the prompt, where settings give it a weight."
    )
    probability: float
    std: float
    finish_reason: Literal["stop", "length"]
    tokens: int
    selected: bool
    truncated: bool = Field(description="Whether the embedder read only a part of the text.")

    @classmethod
    def of(cls, candidate: Candidate) -> CandidateOut:
        """A candidate; reasoning, consensus and relevance only where there is one."""
        draft, approval = candidate.draft, candidate.approval
        more: dict[str, Any] = {}
        if draft.reasoning is not None:
            more["reasoning"] = draft.reasoning
        if candidate.consensus is not None:
            more["consensus"] = candidate.consensus
        if candidate.relevance is not None:
            more["relevance"] = candidate.relevance
        return cls(
            index=draft.index,
            text=draft.text,
            score=approval.score,
            selection_score=candidate.selection_score,
            probability=approval.probability,
            std=approval.std,
            finish_reason=draft.finish_reason,
            tokens=draft.tokens,
            selected=candidate.selected,
            truncated=draft.truncated,
            **more,
        )


class ChoiceOut(ResponseModel):
    """One group's choice among the candidates, best first."""

    group_id: str | None
    group_version: int | None
    text: str
    candidates: list[CandidateOut] = Field(default=[])


class GenerateUsage(ResponseModel):
    """Tokens over all candidates."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    failed_candidates: int = Field(0, description="With `allow_partial` alone.")


class GenerateOut(ResponseModel):
    """The chosen answer. With `group_ids`, each group's is in `choices` and `text` is null."""

    id: str
    created: int
    model: str
    group_id: str | None
    group_version: int | None
    text: str | None
    candidates: list[CandidateOut] = Field(default=[], description="Best first.")
    choices: list[ChoiceOut] = Field(default=[], description="With `group_ids` alone.")
    consensus_weight: float = Field(
        0.0, description="What the consensus counts in selection_score, where it counts."
    )
    relevance_weight: float = Field(
        0.0, description="What the relevance counts in selection_score, where it counts."
    )
    usage: GenerateUsage
    seed: int
    timings: dict[str, float] = Field(description="Milliseconds.")

    @classmethod
    def of(cls, result: Generation, *, many: bool, with_candidates: bool) -> GenerateOut:
        """The answer to a request for one group, or for many."""
        choices = [_choice(choice, with_candidates) for choice in result.choices]
        more: dict[str, Any] = {"choices": choices} if many else {}
        only = None if many else choices[0]
        if only is not None and with_candidates:
            more["candidates"] = only.candidates
        for name in ("consensus", "relevance"):
            if weight := getattr(result.weights, name):
                more[f"{name}_weight"] = weight
        failed = {"failed_candidates": result.failed} if result.failed else {}
        return cls(
            id=f"gen_{uuid.uuid4().hex}",
            created=int(time.time()),
            model=result.model,
            group_id=None if only is None else only.group_id,
            group_version=None if only is None else only.group_version,
            text=None if only is None else only.text,
            usage=GenerateUsage(
                prompt_tokens=result.prompt_tokens,
                completion_tokens=result.completion_tokens,
                total_tokens=result.prompt_tokens + result.completion_tokens,
                **failed,
            ),
            seed=result.seed,
            timings=result.timings,
            **more,
        )


def _choice(choice: Choice, with_candidates: bool) -> ChoiceOut:
    candidates = [CandidateOut.of(candidate) for candidate in choice.candidates]
    more: dict[str, Any] = {"candidates": candidates} if with_candidates else {}
    return ChoiceOut(
        group_id=choice.group.group_id,
        group_version=choice.group.group_version,
        text=choice.text,
        **more,
    )
