"""The answers of the operations routes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.api.deps import BankName
from service.api.schemas.base import ResponseModel
from service.core.limits import Limits


class LiveOut(ResponseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class ComponentOut(ResponseModel):
    """One part of the service."""

    ok: bool
    reason: str | None


class ReadyOut(ResponseModel):
    """Whether requests can be served, and what is down."""

    status: Literal["ready", "unavailable", "draining"]
    components: dict[str, ComponentOut] = Field(
        default={}, description="Left out for who sends no key where one is needed."
    )


class LimitsOut(ResponseModel):
    """The caps that this service is set to; more is answered 413."""

    options: int = Field(description="Of a question.")
    preferences: int = Field(description="Of a group.")
    context_tokens: int = Field(description="(prompt, response) pairs of a group.")
    questions: int = Field(description="In one /predict.")
    explained: int = Field(description="Preferences in one /predict, each for each question.")
    explained_tokens: int = Field(description="(prompt, response) pairs of a group explained.")
    responses: int = Field(description="In one /score.")
    groups: int = Field(description="`group_ids` in one request.")
    n: int = Field(description="Candidates in one /generate.")
    max_tokens: int = Field(description="Of one candidate.")

    @classmethod
    def of(cls, limits: Limits) -> LimitsOut:
        """The caps that a client may want to know."""
        return cls(
            options=limits.options,
            preferences=limits.preferences,
            context_tokens=limits.context_tokens,
            questions=limits.questions,
            explained=limits.explained,
            explained_tokens=limits.explained_tokens,
            responses=limits.responses,
            groups=limits.groups,
            n=limits.n,
            max_tokens=limits.tokens,
        )


class VersionOut(ResponseModel):
    """What runs here."""

    version: str
    generator: str
    scorer: str
    embedder: str
    limits: LimitsOut
    bank: BankName = Field(description="Whose answers predictions start from (`GPO_BANK`).")
