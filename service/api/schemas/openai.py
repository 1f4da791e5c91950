"""The bodies of OpenAI's chat completions and completions, with what this service adds to them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from service.api.schemas.base import (
    Blankable,
    GroupId,
    RequestModel,
    Text,
    Undescribed,
    capped,
)
from service.api.schemas.foreign import Ignored, unsupported
from service.api.schemas.generate import MOST_SEED, USER_TURN, Stops
from service.core.complete import CompleteRequest
from service.core.contexts import Target
from service.core.domain import ChatPrompt, Message, Prompt, RawPrompt, SamplingParams
from service.core.errors import FieldError, InvalidInput
from service.core.faults import Faults
from service.core.limits import Limits
from service.core.steer import GenerateRequest
from service.core.steering import Steering

CHAT_TOKENS = 1_024
"""max_tokens of a chat completion that names none, if the settings allow so many."""

RAW_TOKENS = 16
"""max_tokens of a completion that names none, as OpenAI has it."""

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def _join_parts(value: object) -> object:
    """A list of text parts as one text; what is no list is left to the field's own type."""
    if not isinstance(value, list):
        return value
    texts = []
    for index, part in enumerate(value):
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(part.get("text"), str):
            raise PydanticCustomError(
                "text_part",
                "part {index} is no text: only parts of the type 'text' are read",
                {"index": index},
            )
        texts.append(part["text"])
    return "\n".join(texts)


def _one_prompt(value: object) -> object:
    """A list of one text as that text."""
    if not isinstance(value, list):
        return value
    if len(value) == 1 and isinstance(value[0], str):
        return value[0]
    raise PydanticCustomError("one_prompt", "must be one text; tokens and several are not read")


class TextPartIn(RequestModel):
    """One part of a message, for the document alone."""

    type: Literal["text"]
    text: Blankable


class ChatMessageIn(RequestModel):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[
        Blankable | None,
        BeforeValidator(_join_parts, json_schema_input_type=Blankable | list[TextPartIn] | None),
    ] = Field(None, description="Text, or text parts, which are joined by line ends.")
    name: Ignored = None
    reasoning_content: Ignored = None
    annotations: Ignored = None
    refusal: unsupported() = None  # type: ignore[valid-type]
    audio: unsupported() = None  # type: ignore[valid-type]
    function_call: unsupported() = None  # type: ignore[valid-type]
    tool_calls: unsupported([]) = None  # type: ignore[valid-type]

    @model_validator(mode="after")
    def _says_something(self) -> ChatMessageIn:
        if self.role == "user" and not (self.content or "").strip():
            raise PydanticCustomError("blank_text", "a turn of the user must not be blank")
        return self


class StreamOptionsIn(RequestModel):
    """What a stream holds beside the text."""

    include_usage: bool | None = Field(None, description="A last chunk with the usage.")
    include_obfuscation: Ignored = None


class OpenAIRequest(RequestModel):
    """What both kinds of completion share."""

    model: Text | None = Field(
        None,
        description="A name of `GET /v1/models`, or `<model>@<group id>`.",
        examples=["opinion-lm@city-dwellers"],
    )
    group_id: GroupId | None = Field(None, description="The group that chooses.")
    n: int | None = Field(
        None,
        ge=1,
        description="Choices to return, best first; 1 if absent.",
        json_schema_extra=capped("n"),
    )
    best_of: int | None = Field(
        None,
        ge=1,
        description="Candidates to draw for a group; if absent GPO_BEST_OF, but at least n.",
        json_schema_extra=capped("n"),
    )
    return_candidates: bool | None = Field(
        None, description="Give every candidate with its scores in `gpo`, if a group chooses."
    )
    timeout_s: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="60 if absent.",
        json_schema_extra=capped("timeout_s"),
    )
    max_tokens: int | None = Field(
        None,
        ge=1,
        description="Most tokens of one candidate.",
        json_schema_extra=capped("tokens"),
    )
    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    stop: Stops | None = None
    seed: int | None = Field(None, ge=0, le=MOST_SEED)
    stream: bool | None = None
    stream_options: StreamOptionsIn | None = None

    user: Ignored = None
    metadata: Ignored = None
    store: Ignored = None
    service_tier: Ignored = None
    safety_identifier: Ignored = None
    prompt_cache_key: Ignored = None
    prompt_cache_retention: Ignored = None
    frequency_penalty: unsupported(0) = None  # type: ignore[valid-type]
    presence_penalty: unsupported(0) = None  # type: ignore[valid-type]
    logit_bias: unsupported({}) = None  # type: ignore[valid-type]

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with its usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def to_steer(self, group_id: str, limits: Limits, *, best_of: int) -> GenerateRequest:
        """The request for a group, which draws `best_of` candidates if it names no number.

        Raises InvalidInput, InputTooLarge.
        """
        drawn = self.best_of or max(self.n or 1, min(best_of, limits.n))
        if drawn < (self.n or 1):
            raise InvalidInput([FieldError("/best_of", f"must be at least n, which is {self.n}")])
        prompt, prompt_at = self._prompt()
        return GenerateRequest(
            target=Target(group_ids=(group_id,)),
            prompt=prompt,
            prompt_at=prompt_at,
            n=drawn,
            params=self._params(limits, drawn),
            seed=self.seed,
            steering=self._steering(),
            timeout_s=self._seconds(limits),
            allow_partial=False,
        )

    def to_complete(self, limits: Limits) -> CompleteRequest:
        """The request for no group. Raises InvalidInput, InputTooLarge."""
        n = self.n or 1
        faults = Faults()
        for name in ("best_of", "steering", "return_candidates"):
            if getattr(self, name, None) and not (name == "best_of" and self.best_of == n):
                faults.wrong(f"/{name}", "needs a group that chooses; name one as group_id")
        faults.check()
        prompt, prompt_at = self._prompt()
        return CompleteRequest(
            prompt=prompt,
            prompt_at=prompt_at,
            n=n,
            params=self._params(limits, n),
            seed=self.seed,
            timeout_s=self._seconds(limits),
        )

    def _params(self, limits: Limits, drawn: int) -> SamplingParams:
        tokens, tokens_at = self._tokens(limits)
        faults = Faults()
        faults.cap("/best_of" if self.best_of else "/n", drawn, limits.n, "candidates")
        faults.cap(tokens_at, tokens, limits.tokens, "tokens")
        faults.check()
        return SamplingParams(
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            max_tokens=tokens,
            stop=tuple(self.stop or ()),
        )

    def _seconds(self, limits: Limits) -> float:
        return self.timeout_s or min(60.0, limits.timeout_s)

    def _tokens(self, limits: Limits) -> tuple[int, str]:
        return self.max_tokens or min(RAW_TOKENS, limits.tokens), "/max_tokens"

    def _steering(self) -> Steering:
        return Steering.NONE

    @abstractmethod
    def _prompt(self) -> tuple[Prompt, str]:
        """The prompt, and where in the body it stands."""


class ChatIn(OpenAIRequest):
    """A conversation to continue."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "opinion-lm",
                "group_id": "city-dwellers",
                "messages": [{"role": "user", "content": "What makes a good holiday?"}],
                "best_of": 8,
                "max_tokens": 64,
            }
        }
    )

    messages: Annotated[
        list[ChatMessageIn], Field(fail_fast=True, min_length=1, json_schema_extra=USER_TURN)
    ]
    max_completion_tokens: int | None = Field(
        None,
        ge=1,
        description="The newer name of `max_tokens`.",
        json_schema_extra=capped("tokens"),
    )
    steering: Literal["none", "description", "preferences"] | None = Field(
        None, description="As in /generate."
    )

    parallel_tool_calls: Ignored = None
    prediction: Ignored = None
    logprobs: unsupported(False) = None  # type: ignore[valid-type]
    top_logprobs: unsupported(0) = None  # type: ignore[valid-type]
    response_format: unsupported({"type": "text"}) = None  # type: ignore[valid-type]
    tools: unsupported([]) = None  # type: ignore[valid-type]
    tool_choice: unsupported("none", "auto") = None  # type: ignore[valid-type]
    functions: unsupported([]) = None  # type: ignore[valid-type]
    function_call: unsupported("none", "auto") = None  # type: ignore[valid-type]
    modalities: unsupported(["text"]) = None  # type: ignore[valid-type]
    audio: unsupported() = None  # type: ignore[valid-type]
    reasoning_effort: unsupported() = None  # type: ignore[valid-type]
    verbosity: unsupported() = None  # type: ignore[valid-type]
    web_search_options: unsupported() = None  # type: ignore[valid-type]

    def _prompt(self) -> tuple[Prompt, str]:
        turns = tuple(Message(_ROLES[m.role], m.content or "") for m in self.messages)
        return ChatPrompt(turns), "/messages"

    def _tokens(self, limits: Limits) -> tuple[int, str]:
        newer, older = self.max_completion_tokens, self.max_tokens
        if newer and older and newer != older:
            detail = f"max_completion_tokens is {newer}, but max_tokens is {older}"
            raise InvalidInput([FieldError("/max_completion_tokens", detail)])
        at = "/max_completion_tokens" if newer else "/max_tokens"
        return newer or older or min(CHAT_TOKENS, limits.tokens), at

    def _steering(self) -> Steering:
        return Steering(self.steering or "none")


_OneText = Annotated[list[Text], Field(min_length=1, max_length=1)]


class CompletionIn(OpenAIRequest):
    """Raw text to continue, without a chat template."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "opinion-lm@city-dwellers",
                "prompt": "A good holiday is",
                "max_tokens": 32,
            }
        }
    )

    prompt: Annotated[
        Undescribed, BeforeValidator(_one_prompt, json_schema_input_type=Text | _OneText)
    ] = Field(description="One text, or a list of one.")

    echo: unsupported(False) = None  # type: ignore[valid-type]
    suffix: unsupported("") = None  # type: ignore[valid-type]
    logprobs: unsupported() = None  # type: ignore[valid-type]

    def _prompt(self) -> tuple[Prompt, str]:
        return RawPrompt(self.prompt), "/prompt"
