"""What OpenAI's clients read: completions and chunks, with this service's own part as `gpo`."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from service.api.schemas.base import ResponseModel
from service.api.schemas.generate import CandidateOut
from service.core.complete import Completions
from service.core.steer import Generation

Finish = Literal["stop", "length"]


class UsageOut(ResponseModel):
    """Tokens: the prompt once, the answers of all candidates, also of those not returned."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, prompt: int, completion: int) -> UsageOut:
        """The two with their sum."""
        return cls(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
        )


class GpoOut(ResponseModel):
    """How the group chose."""

    group_id: str | None
    group_version: int | None
    best_of: int = Field(description="Candidates drawn.")
    seed: int
    scores: list[float] = Field(description="The group's approval of each choice, in order.")
    candidates: list[CandidateOut] = Field(default=[], description="With `return_candidates`.")


class ChatMessageOut(ResponseModel):
    """The answer of one choice."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoiceOut(ResponseModel):
    """One choice; the best comes first."""

    index: int
    message: ChatMessageOut
    logprobs: None
    finish_reason: Finish


class ChatOut(ResponseModel):
    """A chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoiceOut]
    usage: UsageOut
    gpo: GpoOut | None = Field(None, description="If a group chose.")


class CompletionChoiceOut(ResponseModel):
    """One choice of a completion, or a piece of it."""

    index: int
    text: str
    logprobs: None
    finish_reason: Finish | None


class CompletionOut(ResponseModel):
    """A completion of raw text; in a stream a piece of one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoiceOut]
    usage: UsageOut | None
    gpo: GpoOut | None = Field(None, description="If a group chose.")


class DeltaOut(ResponseModel):
    """What a chunk adds to a choice."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoiceOut(ResponseModel):
    """A piece of one choice."""

    index: int
    delta: DeltaOut
    logprobs: None
    finish_reason: Finish | None


class ChunkOut(ResponseModel):
    """A piece of a chat completion."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoiceOut]
    usage: UsageOut | None = None
    gpo: GpoOut | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The texts with their reasons to end, best first, whatever shape they are sent in."""

    texts: tuple[tuple[str, Finish], ...]
    usage: UsageOut
    gpo: GpoOut | None = None

    @classmethod
    def chosen(cls, result: Generation, *, n: int, with_candidates: bool) -> Answered:
        """The n best for the one group."""
        [choice] = result.choices
        best = choice.candidates[:n]
        more: dict[str, Any] = {}
        if with_candidates:
            more["candidates"] = [CandidateOut.of(c) for c in choice.candidates]
        # Every candidate read the same prompt.
        prompt = result.prompt_tokens // len(choice.candidates)
        return cls(
            texts=tuple((c.draft.text, c.draft.finish_reason) for c in best),
            usage=UsageOut.of(prompt, result.completion_tokens),
            gpo=GpoOut(
                group_id=choice.group.group_id,
                group_version=choice.group.group_version,
                best_of=len(choice.candidates),
                seed=result.seed,
                scores=[c.approval.score for c in best],
                **more,
            ),
        )

    @classmethod
    def drawn(cls, result: Completions) -> Answered:
        """All of them in the order drawn."""
        found = result.completions
        return cls(
            texts=tuple((c.text, c.finish_reason) for c in found),
            usage=UsageOut.of(found[0].prompt_tokens, sum(c.completion_tokens for c in found)),
        )


@dataclass(frozen=True, slots=True)
class ChatShape:
    """One chat completion, whole or in chunks."""

    model: str
    with_usage: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answered: Answered) -> ChatOut:
        """The answer in one piece."""
        return ChatOut(
            id=self.id,
            object="chat.completion",
            created=self.created,
            model=self.model,
            choices=[
                ChatChoiceOut(
                    index=index,
                    message=ChatMessageOut(role="assistant", content=text, refusal=None),
                    logprobs=None,
                    finish_reason=finish,
                )
                for index, (text, finish) in enumerate(answered.texts)
            ],
            usage=answered.usage,
            **_gpo(answered.gpo),
        )

    def first(self, index: int) -> ChunkOut:
        """The chunk that opens a choice."""
        return self._chunk([_delta(index, DeltaOut(role="assistant", content=""))])

    def piece(self, index: int, text: str) -> ChunkOut:
        """A piece of a choice's text."""
        return self._chunk([_delta(index, DeltaOut(content=text))])

    def end(self, index: int, finish: Finish, gpo: GpoOut | None = None) -> ChunkOut:
        """The chunk that ends a choice."""
        return self._chunk([_delta(index, DeltaOut(), finish)], gpo=gpo)

    def last(self, usage: UsageOut) -> ChunkOut:
        """The chunk behind all choices."""
        return self._chunk([], usage=usage)

    def _chunk(
        self,
        choices: list[ChunkChoiceOut],
        *,
        usage: UsageOut | None = None,
        gpo: GpoOut | None = None,
    ) -> ChunkOut:
        more: dict[str, Any] = {"usage": usage} if self.with_usage else {}
        return ChunkOut(
            id=self.id,
            object="chat.completion.chunk",
            created=self.created,
            model=self.model,
            choices=choices,
            **more,
            **_gpo(gpo),
        )


@dataclass(frozen=True, slots=True)
class RawShape:
    """One completion of raw text, whole or in chunks."""

    model: str
    with_usage: bool = False
    id: str = field(default_factory=lambda: f"cmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answered: Answered) -> CompletionOut:
        """The answer in one piece."""
        choices = [_raw(index, text, finish) for index, (text, finish) in enumerate(answered.texts)]
        return self._completion(choices, answered.usage, answered.gpo)

    def first(self, index: int) -> None:
        """Nothing opens a choice."""

    def piece(self, index: int, text: str) -> CompletionOut:
        """A piece of a choice's text."""
        return self._completion([_raw(index, text)])

    def end(self, index: int, finish: Finish, gpo: GpoOut | None = None) -> CompletionOut:
        """The chunk that ends a choice."""
        return self._completion([_raw(index, "", finish)], gpo=gpo)

    def last(self, usage: UsageOut) -> CompletionOut:
        """The chunk behind all choices."""
        return self._completion([], usage)

    def _completion(
        self,
        choices: list[CompletionChoiceOut],
        usage: UsageOut | None = None,
        gpo: GpoOut | None = None,
    ) -> CompletionOut:
        return CompletionOut(
            id=self.id,
            object="text_completion",
            created=self.created,
            model=self.model,
            choices=choices,
            usage=usage,
            **_gpo(gpo),
        )


Shape = ChatShape | RawShape


def _delta(index: int, delta: DeltaOut, finish: Finish | None = None) -> ChunkChoiceOut:
    return ChunkChoiceOut(index=index, delta=delta, logprobs=None, finish_reason=finish)


def _raw(index: int, text: str, finish: Finish | None = None) -> CompletionChoiceOut:
    return CompletionChoiceOut(index=index, text=text, logprobs=None, finish_reason=finish)


def _gpo(gpo: GpoOut | None) -> dict[str, Any]:
    return {} if gpo is None else {"gpo": gpo}


class ModelOut(ResponseModel):
    """A model that completes."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["gpo-serve"] = "gpo-serve"

    @classmethod
    def of(cls, name: str, created: int) -> ModelOut:
        """A model by its name."""
        return cls(id=name, object="model", created=created, owned_by="gpo-serve")


class ModelsOut(ResponseModel):
    """The models that complete."""

    object: Literal["list"]
    data: list[ModelOut]
