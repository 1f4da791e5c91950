"""Fields of other services' requests that this one only tolerates, or refuses by name.

A field that does not change the answer is ignored; one that would is refused, unless it asks for
what happens anyway.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

Ignored = Annotated[Any, Field(description="Accepted and ignored.")]


def unsupported(*neutral: object) -> Any:
    """The type of a field that may be absent, null or one of `neutral`, and is refused else."""

    def check(value: object) -> object:
        # true equals 1 and 0 equals false in Python, which no client means.
        if value is None or any(value == n and type(value) in _types(n) for n in neutral):
            return None
        raise PydanticCustomError("unsupported", "this service does not support it; leave it out")

    allowed = [None, *neutral]
    return Annotated[
        Any,
        AfterValidator(check),
        WithJsonSchema({"enum": allowed, "default": None}),
        Field(description="Not supported: refused unless it asks for what happens anyway."),
    ]


def _types(neutral: object) -> tuple[type, ...]:
    number = isinstance(neutral, int | float) and not isinstance(neutral, bool)
    return (int, float) if number else (type(neutral),)
