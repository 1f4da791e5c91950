"""Everything that can go wrong, as one tree. Knows no HTTP: `api/errors.py` maps it to statuses.

GpoServeError
├── InvalidInput            a field is wrong: carries pointers
│   └── InputTooLarge       a field is over a cap
├── GroupNotFound
├── GroupExists
├── ModelNotFound           no model of this name is served here
├── VersionMismatch         compare-and-set failed
├── IdempotencyConflict     same key, other payload
├── StoreUnavailable        the store does not answer; a write is whole or absent
├── GeneratorError
│   ├── GeneratorUnavailable    no connection, or the engine died
│   ├── GeneratorRejected       the generator refuses the request (too long, bad parameter)
│   ├── UnknownModel            the generator does not serve this model
│   └── GeneratorProtocolError  an answer that cannot be understood
├── ScorerFailed            embedding or scoring failed
├── Overloaded              no place free: carries seconds to wait
├── RateLimited             the quota of the key is used up: carries seconds to wait
└── DeadlineExceeded        the request's time is up; its work was stopped
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class GpoServeError(Exception):
    """Root of the tree; the message is fit for a client to read."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """What is wrong with one field; `pointer` is an RFC 6901 pointer into the request body."""

    pointer: str
    detail: str


class InvalidInput(GpoServeError):
    """One or more fields are wrong."""

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__("; ".join(f"{e.pointer or '/'}: {e.detail}" for e in errors[:3]))
        self.errors = tuple(errors)


class InputTooLarge(InvalidInput):
    """One or more fields are over a cap."""


class GroupNotFound(GpoServeError):
    """No group has this id for this tenant."""

    def __init__(self, group_id: str) -> None:
        super().__init__(f"There is no group with the id {group_id[:200]!r}.")
        self.group_id = group_id


class ModelNotFound(GpoServeError):
    """No model of this name is served here."""

    def __init__(self, model: str, served: str) -> None:
        super().__init__(
            f"The model {model[:200]!r} does not exist; this service has {served[:200]!r}."
        )
        self.model = model


class GroupExists(GpoServeError):
    """A group with this id exists already."""

    def __init__(self, group_id: str) -> None:
        super().__init__(f"A group with the id {group_id[:200]!r} exists already.")
        self.group_id = group_id


class VersionMismatch(GpoServeError):
    """The group is at another version than the caller expected; None means it does not exist."""

    def __init__(self, group_id: str, expected: str, actual: int | None) -> None:
        found = "does not exist" if actual is None else f"is at version {actual}"
        super().__init__(f"The group {group_id[:200]!r} {found}; the request asked for {expected}.")
        self.actual = actual


class IdempotencyConflict(GpoServeError):
    """The idempotency key was used before with another payload."""


class StoreUnavailable(GpoServeError):
    """The store does not answer; a write was done as a whole or not at all."""


class GeneratorError(GpoServeError):
    """A completion could not be drawn."""


class GeneratorUnavailable(GeneratorError):
    """The generator cannot be reached or has died."""


class GeneratorRejected(GeneratorError):
    """The generator refuses the request as it stands, for example a prompt that is too long."""


class UnknownModel(GeneratorError):
    """The generator does not serve the model that was asked for."""


class GeneratorProtocolError(GeneratorError):
    """The generator answered something that cannot be understood."""


class ScorerFailed(GpoServeError):
    """Embedding or scoring failed; no text is passed off as chosen."""


class Overloaded(GpoServeError):
    """No place is free."""

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(GpoServeError):
    """The quota of the caller's key is used up for now."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(GpoServeError):
    """The time that the request allowed is up."""
