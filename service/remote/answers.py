"""What the service answers, typed. Knows how JSON becomes these, not how it came.

Fields that a newer service adds are kept as attributes; `None` stands for what was left out.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from service.remote.errors import ProtocolError

A = TypeVar("A", bound="Answer")


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


def read(kind: type[A], response: httpx.Response) -> A:
    """The answer in a response. Raises ProtocolError."""
    return read_json(kind, response.content, request_id=response.headers.get("x-request-id"))


def read_json(kind: type[A], content: bytes | str, *, request_id: str | None) -> A:
    """The answer that JSON holds. Raises ProtocolError."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as exc:
        # Without the values: they may be long, and nobody's business in a log.
        at = "; ".join(
            f"{'.'.join(map(str, error['loc'])) or 'the body'}: {error['msg']}"
            for error in exc.errors(include_url=False, include_input=False)[:3]
        )
        raise ProtocolError(f"not an answer of this service: {at}", request_id=request_id) from exc


class Group(Answer):
    """A stored group; `preferences` only if they were asked for."""

    id: str
    name: str
    description: str | None
    metadata: dict[str, Any] | None
    version: int
    preference_count: int
    context_tokens: int
    embedder: str
    created_at: datetime
    updated_at: datetime
    preferences: list[dict[str, Any]] | None = None

    @property
    def etag(self) -> str:
        """What `if_match` takes, to change this version and no other."""
        return f'"{self.version}"'


class GroupPage(Answer):
    """One page of a listing, in the order of the ids."""

    data: list[Group]
    has_more: bool
    next_cursor: str | None


class RowProblem(Answer):
    """What is wrong with one field of a group, and where it stands in what was sent."""

    line: int
    column: str | None
    pointer: str
    detail: str


class ImportedGroup(Answer):
    """What became of one group: created, updated, unchanged, skipped or refused."""

    line: int
    id: str | None
    status: str
    version: int | None
    errors: list[RowProblem]


class ImportReport(Answer):
    """Every group of one request in its order, and how many came to what."""

    dry_run: bool
    created: int
    updated: int
    unchanged: int
    skipped: int
    refused: int
    results: list[ImportedGroup]


class ExportedGroup(Answer):
    """A group as `groups.create` and `groups.import_` take it."""

    id: str
    name: str
    description: str | None = None
    metadata: dict[str, Any] | None = None
    preferences: list[dict[str, Any]]


class ComputeUsage(Answer):
    """What was computed: (prompt, response) pairs in the contexts, and of the request."""

    context_tokens: int
    embedded_texts: int


class Influence(Answer):
    """What the preference at `index` did to an answer; lists are in the order of the options.

    `influence` is `distribution` minus `distribution_without` and sums to 0; `strength` is their
    total variation distance, in [0, 1].
    """

    index: int
    kind: str
    preference: str
    distribution_without: list[float]
    influence: list[float]
    strength: float


class Prediction(Answer):
    """A group's answer to a question; every list is in the order of the options.

    With `explain`, `prior` is the answer of a group without preferences, and `explanation` has
    every preference of this one, the strongest first.
    """

    group_id: str | None
    group_version: int | None
    id: str | None = None
    question: str
    options: list[str]
    distribution: list[float]
    std: list[float]
    interval: list[tuple[float, float]]
    top: str
    prior: list[float] | None = None
    explanation: list[Influence] | None = None


class Predictions(Answer):
    """Group after group, and within a group in the order of the questions."""

    model: str
    predictions: list[Prediction]
    usage: ComputeUsage
    timings: dict[str, float]


class ScoredResponse(Answer):
    """The approval of the response at `index`."""

    index: int
    score: float
    probability: float
    std: float
    interval: tuple[float, float]
    truncated: bool


class GroupScores(Answer):
    """One group's results, in the order of the responses."""

    group_id: str | None
    group_version: int | None
    results: list[ScoredResponse]


class Scores(Answer):
    """Scores, a part for each group."""

    model: str
    scores: list[GroupScores]
    usage: ComputeUsage
    timings: dict[str, float]


class Candidate(Answer):
    """A drawn text with its scores; `index` is the order drawn."""

    index: int
    text: str
    reasoning: str | None = None
    score: float
    selection_score: float
    consensus: float | None = None
    relevance: float | None = None
    probability: float
    std: float
    finish_reason: str
    tokens: int
    selected: bool
    truncated: bool


class Choice(Answer):
    """One group's choice among the candidates, best first."""

    group_id: str | None
    group_version: int | None
    text: str
    candidates: list[Candidate] | None = None


class GenerateUsage(Answer):
    """Tokens over all candidates."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    failed_candidates: int = 0


class Generation(Answer):
    """The chosen answer. With `group_ids`, each group's is in `choices` and `text` is None."""

    id: str
    created: int
    model: str
    group_id: str | None
    group_version: int | None
    text: str | None
    candidates: list[Candidate] | None = None
    choices: list[Choice] | None = None
    consensus_weight: float = 0.0
    relevance_weight: float = 0.0
    usage: GenerateUsage
    seed: int
    timings: dict[str, float]


class GroupScore(Answer):
    """What one group thinks of one candidate."""

    group_id: str | None
    score: float
    std: float


class CandidateEvent(Answer):
    """A text that was drawn and scored; with `group_ids`, `scores` holds each group's."""

    index: int
    text: str
    reasoning: str | None = None
    finish_reason: str
    tokens: int
    truncated: bool
    score: float | None = None
    std: float | None = None
    scores: list[GroupScore] | None = None


class ScoredEvent(Answer):
    """Every candidate, best first; with `group_ids`, in each group's order in `choices`."""

    candidates: list[Candidate] | None = None
    choices: list[Choice] | None = None


class Selected(Answer):
    """One group's chosen text."""

    group_id: str | None
    index: int
    text: str


class SelectedEvent(Answer):
    """The chosen text; with `group_ids`, each group's in `choices`."""

    index: int | None = None
    text: str | None = None
    choices: list[Selected] | None = None


class DoneEvent(Answer):
    """The end of a stream: what the same call without a stream answers."""

    generation: Generation


GenerateEvent = CandidateEvent | ScoredEvent | SelectedEvent | DoneEvent


class Liveness(Answer):
    """The process answers."""

    status: str


class Component(Answer):
    """One part of the service."""

    ok: bool
    reason: str | None


class Readiness(Answer):
    """Whether requests can be served, and what is down."""

    status: str
    components: dict[str, Component] = {}

    @property
    def ok(self) -> bool:
        """Whether the service takes requests."""
        return self.status == "ready"


class Limits(Answer):
    """The caps that the service is set to; more is refused."""

    options: int
    preferences: int
    context_tokens: int
    questions: int
    explained: int
    explained_tokens: int
    responses: int
    groups: int
    n: int
    max_tokens: int


class Version(Answer):
    """What runs there; a service that is older than `limits` tells none."""

    version: str
    generator: str
    scorer: str
    embedder: str
    limits: Limits | None = None
    bank: str | None = None
    """Whose answers predictions start from (`GPO_BANK`); None: the service is too old to say."""
