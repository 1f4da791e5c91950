"""One call of the API: what is sent, what it changes, how its answer is read.

Opens no connection.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx

T_co = TypeVar("T_co", covariant=True)

Preference = Mapping[str, Any]
"""A share, a rating or a comparison, as in docs/client.md."""


class Effect(enum.Enum):
    """What a call changes. Every call may be sent twice: keys and ids see to that."""

    NONE = "it only reads or computes"
    ONCE = "sent twice it changes no more than sent once"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[T_co]):
    """One request, and what its answer is read as. `answers` are the statuses that `read` knows."""

    method: str
    path: str
    read: Callable[[httpx.Response], T_co]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    content: bytes | None = None
    """A body that is not JSON; its Content-Type is in `headers`."""
    effect: Effect = Effect.NONE
    answers: frozenset[int] = frozenset({200})
    gone_is_done: bool = False
    """Whether 404 to a repetition means that an earlier try succeeded."""
    work_s: float = 0.0
    """How long the service may work on it; the time-out for reading is no shorter."""


def content_of(call: Call[object]) -> bytes | None:
    """The body as it is sent. Raises ValueError for numbers that JSON does not have."""
    if call.body is None:
        return call.content
    return json.dumps(call.body, allow_nan=False, default=plain).encode()


def plain(value: object) -> object:
    """Sequences and mappings that json does not know itself, such as NumPy's arrays."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def present(**fields: Any) -> dict[str, Any]:
    """The fields that were given."""
    return {name: value for name, value in fields.items() if value is not None}
