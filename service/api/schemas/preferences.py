"""Preferences on the wire: three kinds, told by their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag

from service.api.schemas.base import (
    MOST_ITEMS,
    Finite,
    Options,
    RequestModel,
    Text,
    Values,
    capped,
)
from service.api.schemas.either import either
from service.core import preferences as core
from service.core.domain import Preference, RatingPreference, SharePreference
from service.core.errors import InvalidInput
from service.core.faults import Faults
from service.core.limits import Limits

Tagged = Literal["share", "rating", "comparison"]
_KEYS: dict[Tagged, frozenset[str]] = {
    "share": frozenset({"question", "options", "distribution", "counts"}),
    "rating": frozenset({"response", "score", "scale"}),
    "comparison": frozenset({"chosen", "rejected"}),
}

# What the core checks further on, for the document alone.
_AMOUNT = {"type": "number", "minimum": 0, "maximum": core.MOST_PEOPLE}
Amounts = Annotated[Values, Field(json_schema_extra={"items": _AMOUNT, "minItems": 2})]
Scale = Annotated[Values, Field(json_schema_extra={"minItems": 2, "maxItems": 2})]
Weight = Annotated[
    Finite, Field(json_schema_extra={"exclusiveMinimum": 0, "maximum": core.MOST_PEOPLE})
]


class ShareIn(RequestModel):
    """How a group answers a question: the share of its people for each option, or their counts."""

    model_config = ConfigDict(
        title="Share",
        json_schema_extra={
            "example": {
                "question": "How should the town spend its surplus?",
                "options": ["On parks", "On roads"],
                "distribution": [0.7, 0.3],
            },
            "oneOf": either("distribution", "counts"),
        },
    )

    question: Text
    options: Options
    distribution: Amounts | None = Field(
        None, description="One share for each option; sums to 1 within 0.01."
    )
    counts: Amounts | None = Field(
        None, description="Respondents for each option, instead of a distribution."
    )

    def to_core(self, at: str, limits: Limits) -> Preference:
        """The preference. Raises InvalidInput."""
        return core.share(
            self.question,
            self.options,
            distribution=self.distribution,
            counts=self.counts,
            at=at,
            limits=limits,
        )


class RatingIn(RequestModel):
    """The share of a group that approves of a response."""

    model_config = ConfigDict(
        title="Rating",
        json_schema_extra={
            "example": {
                "prompt": "What makes a good holiday?",
                "response": "Two weeks in a tent, far from any screen.",
                "score": 0.8,
                "weight": 41,
            },
            "oneOf": [
                {"properties": {"scale": {"type": "null"}, "score": {"minimum": 0, "maximum": 1}}},
                {"properties": {"scale": {"type": "array"}}, "required": ["scale"]},
            ],
        },
    )

    prompt: Text
    response: Text
    score: Finite = Field(description="In [0, 1], or on `scale`.")
    scale: Scale | None = Field(
        None, description="[lowest, highest] possible score.", examples=[[1, 5]]
    )
    weight: Weight | None = Field(None, description="Number of raters.")

    def to_core(self, at: str, limits: Limits) -> Preference:
        """The preference. Raises InvalidInput."""
        return core.rating(
            self.prompt, self.response, self.score, scale=self.scale, weight=self.weight, at=at
        )


class ComparisonIn(RequestModel):
    """The group prefers one response to another."""

    model_config = ConfigDict(
        title="Comparison",
        json_schema_extra={
            "example": {
                "prompt": "What makes a good holiday?",
                "chosen": "A quiet lake.",
                "rejected": "A loud city.",
            }
        },
    )

    prompt: Text
    chosen: Text
    rejected: Text
    weight: Weight | None = Field(None, description="Number of raters.")

    def to_core(self, at: str, limits: Limits) -> Preference:
        """The preference. Raises InvalidInput."""
        return core.comparison(self.prompt, self.chosen, self.rejected, weight=self.weight, at=at)


def _kind(value: Any) -> Tagged | None:
    """The one kind whose own keys are there; a `prompt` alone tells nothing."""
    if not isinstance(value, dict):
        return None
    kinds = [kind for kind, keys in _KEYS.items() if not keys.isdisjoint(value)]
    return kinds[0] if len(kinds) == 1 else None


PreferenceIn = Annotated[
    Annotated[ShareIn, Tag("share")]
    | Annotated[RatingIn, Tag("rating")]
    | Annotated[ComparisonIn, Tag("comparison")],
    Discriminator(
        _kind,
        custom_error_type="unknown_kind",
        custom_error_message="is none of: question, options, distribution (or counts) - "
        "prompt, response, score - prompt, chosen, rejected",
    ),
]
Preferences = Annotated[
    list[PreferenceIn], Field(max_length=MOST_ITEMS, json_schema_extra=capped("preferences"))
]


def to_core(
    preferences: Sequence[ShareIn | RatingIn | ComparisonIn], limits: Limits
) -> tuple[Preference, ...]:
    """All of them, or InvalidInput with what is wrong with each, or InputTooLarge."""
    faults = Faults()
    faults.cap("/preferences", len(preferences), limits.preferences, "preferences")
    faults.check()
    built: list[Preference] = []
    for index, preference in enumerate(preferences):
        try:
            built.append(preference.to_core(f"/preferences/{index}", limits))
        except InvalidInput as exc:
            faults.add(exc)
    faults.check()
    return tuple(built)


def from_core(preference: Preference) -> dict[str, Any]:
    """A preference as it could be sent again: counts where counts were given."""
    weight = {} if preference.weight is None else {"weight": preference.weight}
    if isinstance(preference, SharePreference):
        body: dict[str, Any] = {"question": preference.question, "options": preference.options}
        if preference.counts is not None:
            return {**body, "counts": preference.counts}
        return {**body, "distribution": preference.distribution}
    if isinstance(preference, RatingPreference):
        rated = {"response": preference.response, "score": preference.score}
        return {"prompt": preference.prompt, **rated, **weight}
    pair = {"chosen": preference.chosen, "rejected": preference.rejected}
    return {"prompt": preference.prompt, **pair, **weight}
