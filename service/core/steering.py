"""Builds the conversation that proposes candidates: the operator's words, the group's, the user's.

The operator's system prompt stays first and is said to go before the rest; the group's part is
quoted as a description of an audience, not as orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from service.core.contexts import GroupContext
from service.core.domain import (
    ChatPrompt,
    ComparisonPreference,
    Message,
    Preference,
    Prompt,
    RatingPreference,
    RawPrompt,
    SharePreference,
)
from service.core.errors import FieldError, InvalidInput

_MOST_PREFERENCES = 8
_MOST_CHARS = 4_000
_TEXT_CHARS = 400
_PRECEDENCE = "What is said above goes before everything below."


class Steering(StrEnum):
    """What the proposing model is told about the group."""

    NONE = "none"
    DESCRIPTION = "description"
    PREFERENCES = "preferences"


def steer_prompt(
    prompt: Prompt,
    *,
    system_prompt: str | None,
    steering: Steering = Steering.NONE,
    groups: Sequence[GroupContext] = (),
) -> Prompt:
    """The conversation with one system message in front, if there is anything to say in it.

    Raw text stays as it is: it has no place for one. Raises InvalidInput for steering that has
    no one group, or nothing, to speak of, or that raw text cannot take.
    """
    if isinstance(prompt, RawPrompt):
        if steering is not Steering.NONE:
            raise _no_steering("raw text takes none; send messages")
        return prompt
    rest = list(prompt.messages)
    parts = [system_prompt, _about(groups, steering)]
    if rest and rest[0].role == "system":
        parts.append(rest.pop(0).content)
    said = [part for part in parts if part]
    if system_prompt and len(said) > 1:
        said.insert(1, _PRECEDENCE)
    system = [Message("system", "\n\n".join(said))] if said else []
    return ChatPrompt((*system, *rest))


def _about(groups: Sequence[GroupContext], steering: Steering) -> str | None:
    if steering is Steering.NONE:
        return None
    if len(groups) != 1:
        raise _no_steering("steering needs one group; with group_ids it is 'none'")
    group = groups[0]
    if steering is Steering.DESCRIPTION:
        if not (group.description or "").strip():
            raise _no_steering("the group has no description")
        return f"Answer as a member of this group of people would: {group.description}"
    lines = strongest(group.preferences)
    if not lines:
        raise _no_steering("the group has no preferences")
    listed = "\n".join(f"- {line}" for line in lines)
    return f"Answer as a member of a group of people with these opinions would:\n{listed}"


def strongest(preferences: Sequence[Preference]) -> list[str]:
    """The preferences furthest from indifference, in words, strongest first."""
    ranked = sorted(preferences, key=_strength, reverse=True)
    lines: list[str] = []
    for preference in ranked[:_MOST_PREFERENCES]:
        line = _in_words(preference)
        if sum(map(len, lines)) + len(line) > _MOST_CHARS:
            break
        lines.append(line)
    return lines


def _strength(preference: Preference) -> float:
    """0 for indifference, 1 for unanimity."""
    if isinstance(preference, SharePreference):
        even = 1 / len(preference.options)
        return (max(preference.distribution) - even) / (1 - even)
    if isinstance(preference, RatingPreference):
        return abs(2 * preference.score - 1)
    return 1.0


def _in_words(preference: Preference) -> str:
    asked = _short(preference.prompt)
    if isinstance(preference, SharePreference):
        best = max(range(len(preference.options)), key=preference.distribution.__getitem__)
        share = round(100 * preference.distribution[best])
        return f'Asked "{asked}", {share} % answer "{_short(preference.options[best])}".'
    if isinstance(preference, RatingPreference):
        share = round(100 * preference.score)
        return f'Of "{_short(preference.response)}" as an answer to "{asked}", {share} % approve.'
    assert isinstance(preference, ComparisonPreference)
    chosen, rejected = _short(preference.chosen), _short(preference.rejected)
    return f'Asked "{asked}", they prefer "{chosen}" to "{rejected}".'


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _TEXT_CHARS else flat[: _TEXT_CHARS - 1] + "…"


def _no_steering(detail: str) -> InvalidInput:
    return InvalidInput([FieldError("/steering", detail)])
