"""Says in a JSON Schema that exactly one of some fields is given; null counts as absent."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

Schema = dict[str, JsonValue]


def either(*choices: str, also: Mapping[str, Schema] | None = None) -> list[JsonValue]:
    """The branches of a `oneOf`, one for each choice: a field, or several that go together.

    `also` holds what a choice says of further fields.
    """
    names = [choice.split() for choice in choices]
    branches: list[JsonValue] = []
    for choice, here in zip(choices, names, strict=True):
        given: list[JsonValue] = [*here]
        fields: Schema = {
            name: {"not": {"type": "null"}} if name in here else {"type": "null"}
            for group in names
            for name in group
        }
        fields |= (also or {}).get(choice, {})
        branches.append({"required": given, "properties": fields})
    return branches
