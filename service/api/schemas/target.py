"""The three ways to say whose answer is asked for."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from service.api.schemas.base import GroupId, RequestModel, capped
from service.api.schemas.either import Schema, either
from service.api.schemas.preferences import Preferences, to_core
from service.core.contexts import Target
from service.core.limits import Limits

ONE_TARGET: Schema = {"oneOf": either("group_id", "group_ids", "preferences")}
"""For the document: what `Target.of` checks."""


class TargetIn(RequestModel):
    """Exactly one of group_id, group_ids, preferences."""

    group_id: GroupId | None = None
    group_ids: (
        Annotated[
            list[GroupId],
            Field(
                fail_fast=True,
                json_schema_extra={"minItems": 1, "uniqueItems": True, **capped("groups")},
            ),
        ]
        | None
    ) = Field(None, description="Several groups at once.")
    preferences: Preferences | None = Field(
        None, description="A context sent with the request; [] asks for the prior."
    )

    def target(self, limits: Limits) -> Target:
        """The target. Raises InvalidInput, InputTooLarge."""
        given = None if self.preferences is None else to_core(self.preferences, limits)
        return Target.of(
            group_id=self.group_id, group_ids=self.group_ids, preferences=given, limits=limits
        )
