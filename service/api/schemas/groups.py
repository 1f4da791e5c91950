"""Groups on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from service.api.schemas.base import (
    GroupId,
    Metadata,
    Name,
    Note,
    RequestModel,
    ResponseModel,
)
from service.api.schemas.preferences import Preferences, from_core, to_core
from service.core.domain import Group, GroupDraft
from service.core.limits import Limits


class GroupIn(RequestModel):
    """A group as a client describes it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "city-dwellers",
                "name": "City dwellers",
                "preferences": [
                    {
                        "question": "How should the town spend its surplus?",
                        "options": ["On parks", "On roads"],
                        "distribution": [0.7, 0.3],
                    },
                    {
                        "prompt": "What makes a good holiday?",
                        "response": "Two weeks in a tent, far from any screen.",
                        "score": 0.2,
                    },
                ],
            }
        }
    )

    id: GroupId | None = Field(None, description="Chosen by the client; else one is made.")
    name: Name
    description: Note | None = Field(
        None, description="In words; used by `steering: description` alone."
    )
    metadata: Metadata | None = Field(
        None, description="Kept and given back; read by nobody. At most 16 KB."
    )
    preferences: Preferences

    def to_core(self, limits: Limits) -> GroupDraft:
        """The draft. Raises InvalidInput, InputTooLarge."""
        return GroupDraft(
            name=self.name,
            preferences=to_core(self.preferences, limits),
            description=self.description,
            metadata=self.metadata,
        )


class AppendIn(RequestModel):
    """Preferences to add to a group."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "preferences": [
                    {
                        "prompt": "What makes a good holiday?",
                        "chosen": "A quiet lake.",
                        "rejected": "A loud city.",
                    }
                ]
            }
        }
    )

    preferences: Preferences


class GroupOut(ResponseModel):
    """A stored group. `context_tokens` counts its (prompt, response) pairs."""

    id: str
    name: str
    description: str | None
    metadata: dict[str, Any] | None
    version: int
    preference_count: int
    context_tokens: int
    embedder: str
    created_at: datetime
    updated_at: datetime
    preferences: list[dict[str, Any]] = Field(
        default=[], description="With `include=preferences` alone."
    )

    @classmethod
    def of(cls, group: Group, *, with_preferences: bool = False) -> GroupOut:
        """A group, with its preferences if they were asked for."""
        more: dict[str, Any] = {}
        if with_preferences:
            more["preferences"] = [from_core(p) for p in group.preferences]
        return cls(
            id=group.id,
            name=group.name,
            description=group.description,
            metadata=None if group.metadata is None else dict(group.metadata),
            version=group.version,
            preference_count=group.preference_count,
            context_tokens=group.context_tokens,
            embedder=group.embedder,
            created_at=group.created_at,
            updated_at=group.updated_at,
            **more,
        )


class GroupPageOut(ResponseModel):
    """One page of a listing, in the order of the ids."""

    data: list[GroupOut]
    has_more: bool
    next_cursor: str | None
