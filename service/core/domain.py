"""The words of the service: groups, preferences, contexts, candidates, choices.

Plain frozen values, numpy at most; knows no HTTP, no store, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DEFAULT_TENANT = "default"


class Kind(StrEnum):
    """What a preference value means; scales differ between kinds, so they are never mixed."""

    SHARE = "share"
    RATING = "rating"
    COMPARISON = "comparison"


@dataclass(frozen=True, slots=True)
class SharePreference:
    """The share of a group that picks each of the k options of a question.

    `distribution` sums to 1. `counts` (respondents for each option) is kept when it was given;
    `weight` is then its sum.
    """

    question: str
    options: tuple[str, ...]
    distribution: tuple[float, ...]
    counts: tuple[float, ...] | None = None

    kind = Kind.SHARE

    @property
    def weight(self) -> float | None:
        """Number of respondents, if known."""
        return None if self.counts is None else sum(self.counts)

    @property
    def prompt(self) -> str:
        """The text that the options answer."""
        return self.question

    @property
    def responses(self) -> tuple[str, ...]:
        """The candidate answers, one for each value."""
        return self.options

    @property
    def values(self) -> tuple[float, ...]:
        """y in [0, 1] for each response."""
        return self.distribution


@dataclass(frozen=True, slots=True)
class RatingPreference:
    """The share of a group that approves of one response; `score` is already on [0, 1]."""

    prompt: str
    response: str
    score: float
    weight: float | None = None

    kind = Kind.RATING

    @property
    def responses(self) -> tuple[str, ...]:
        """The one rated response."""
        return (self.response,)

    @property
    def values(self) -> tuple[float, ...]:
        """y in [0, 1] for each response."""
        return (self.score,)


@dataclass(frozen=True, slots=True)
class ComparisonPreference:
    """The group prefers `chosen` over `rejected` as an answer to `prompt`."""

    prompt: str
    chosen: str
    rejected: str
    weight: float | None = None

    kind = Kind.COMPARISON

    @property
    def responses(self) -> tuple[str, ...]:
        """Chosen first, rejected second."""
        return (self.chosen, self.rejected)

    @property
    def values(self) -> tuple[float, ...]:
        """1 for the chosen response, 0 for the rejected one."""
        return (1.0, 0.0)


Preference = SharePreference | RatingPreference | ComparisonPreference


@dataclass(frozen=True, slots=True)
class EmbedderIdentity:
    """Which embedder made a vector: two vectors compare only if the digests are equal.

    `languages` (ISO 639-1) are those that it reads well; empty means unknown.
    """

    id: str
    digest: str
    dim: int
    languages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupDraft:
    """What a client sends: a group before the store has given it a version."""

    name: str
    preferences: tuple[Preference, ...]
    description: str | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One stored version of a group. `context_tokens` counts embedded (prompt, response) pairs."""

    id: str
    name: str
    description: str | None
    metadata: Mapping[str, Any] | None
    version: int
    preferences: tuple[Preference, ...]
    embedder: str
    created_at: datetime
    updated_at: datetime

    @property
    def stamp(self) -> str:
        """Names this version, also among those that a restored backup undid."""
        return f"{self.version}@{self.updated_at.isoformat(timespec='microseconds')}"

    @property
    def preference_count(self) -> int:
        """Number of preferences."""
        return len(self.preferences)

    @property
    def context_tokens(self) -> int:
        """Number of (prompt, response) pairs, that is of tokens in the scorer's context."""
        return context_tokens_of(self.preferences)


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """One version of a group whose preferences are counted, not held."""

    id: str
    name: str
    description: str | None
    metadata: Mapping[str, Any] | None
    version: int
    preference_count: int
    context_tokens: int
    embedder: str
    created_at: datetime
    updated_at: datetime


class OnConflict(StrEnum):
    """What an import does with a group whose id exists with other content."""

    UPDATE = "update"
    SKIP = "skip"
    FAIL = "fail"


class Written(StrEnum):
    """What became of one group among many; CONFLICT: it exists, and was not to be changed."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    CONFLICT = "conflict"


def context_tokens_of(preferences: Sequence[Preference]) -> int:
    """Number of (prompt, response) pairs of these preferences."""
    return sum(len(preference.responses) for preference in preferences)


@dataclass(frozen=True, slots=True)
class GroupPage:
    """One page of a listing, ordered by id; `next_cursor` is None on the last one."""

    groups: tuple[Group, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RollEntry:
    """One group in a roll: its newest version and how many preferences it has."""

    version: int
    preferences: int


@dataclass(frozen=True, slots=True)
class Roll:
    """Every group of a tenant by its id, as of the moment that `tag` names."""

    tag: str
    groups: Mapping[str, RollEntry]


@dataclass(frozen=True, slots=True)
class Guess:
    """What a language model expects of a question: shares (k,) that sum to 1, in its order."""

    shares: FloatArray
    model: str


@dataclass(frozen=True, slots=True)
class ContextItem:
    """One preference as the scorer sees it: vectors (k, D) float32, values (k,) in [0, 1].

    `guess` is a language model's, where one was asked because no bank knows the question.
    """

    kind: Kind
    vectors: FloatArray
    values: FloatArray
    weight: float | None = None
    guess: Guess | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """A group's few-shot context. Equal `digest` means equal content: it is the cache key.

    `tenant` and `group_id` (None for preferences sent inline) say whose it is, for the bank of
    the tenant's own groups.
    `guessed` names the guesses that its items carry, empty without any: encoded they differ.
    """

    digest: str
    items: tuple[ContextItem, ...]
    tenant: str = DEFAULT_TENANT
    group_id: str | None = None
    guessed: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its options, without an answer."""

    question: str
    options: tuple[str, ...]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """A predicted distribution over k options; every array (k,) and in the order of the options.

    `low` and `high` bound the central 90 % of each option's share: low <= distribution <= high.
    """

    distribution: FloatArray
    std: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True)
class Scores:
    """Expected approval of n responses, each (n,) in [0, 1] and independent of the others."""

    score: FloatArray
    std: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """Turns that go through the model's chat template, with a generation prompt at the end."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class RawPrompt:
    """Text that the model continues as it stands."""

    text: str


Prompt = ChatPrompt | RawPrompt


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one completion is drawn. Temperature 0 is greedy; stop strings are not in the text."""

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """One drawn completion with its token counts."""

    text: str
    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int
