"""The caps on what one request may hold. Knows no settings: the wiring fills it in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """More than a cap is InputTooLarge. `text_chars` bounds what is tokenised at all."""

    options: int = 64
    preferences: int = 2_000
    context_tokens: int = 8_192
    questions: int = 256
    explained: int = 256
    explained_tokens: int = 512
    responses: int = 1_000
    groups: int = 64
    n: int = 64
    tokens: int = 4_096
    list: int = 1_000
    text_chars: int = 32_000
    timeout_s: float = 600.0
    request_timeout_s: float = 120.0
