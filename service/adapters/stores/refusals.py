"""The words in which every store refuses a write."""

from __future__ import annotations

from service.core.errors import FieldError, IdempotencyConflict, InputTooLarge, VersionMismatch


def wrong_version(group_id: str, if_match: int, actual: int | None) -> VersionMismatch:
    """The group is not at the version that the caller holds."""
    return VersionMismatch(group_id, f"version {if_match}", actual)


def not_new(group_id: str, actual: int) -> VersionMismatch:
    """The caller would only create the group, but it exists."""
    return VersionMismatch(group_id, "a new group", actual)


def too_many(held: int, added: int, limit: int) -> InputTooLarge:
    """An append would take the group over the cap."""
    detail = f"the group holds {held} preferences; with {added} more it would be over {limit}"
    return InputTooLarge([FieldError("/preferences", detail)])


def too_many_pairs(held: int, added: int, limit: int) -> InputTooLarge:
    """An append would make the group's context larger than the cap."""
    detail = (
        f"the group holds {held} (prompt, response) pairs; with {added} more it would be over "
        f"{limit}"
    )
    return InputTooLarge([FieldError("/preferences", detail)])


def key_reused() -> IdempotencyConflict:
    """The idempotency key came with another payload before."""
    return IdempotencyConflict(
        "This Idempotency-Key was used before with another payload; use a new key."
    )
