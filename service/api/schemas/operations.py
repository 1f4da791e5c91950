"""The answers of the operations routes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from service.api.schemas.base import ResponseModel


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


class VersionOut(ResponseModel):
    """What runs here."""

    version: str
    generator: str
    scorer: str
    embedder: str
    bank: Literal["released", "own", "both", "none"] = Field(
        description="Whose answers predictions start from (`GPO_BANK`)."
    )
