"""What the core needs from outside: a store, a generator, an embedder, a scorer.

Ports speak numpy and dataclasses. Adapters raise the errors of `service.core.errors` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from service.core.domain import (
    Completion,
    Context,
    EmbedderIdentity,
    FloatArray,
    Group,
    GroupDraft,
    GroupPage,
    GroupSummary,
    Guess,
    OnConflict,
    Prediction,
    Preference,
    Prompt,
    Roll,
    SamplingParams,
    Scores,
    Written,
)


@dataclass(frozen=True, slots=True)
class Idempotency:
    """A client's key for one write and the digest of what it sent."""

    key: str
    payload_digest: str


class GroupStore(Protocol):
    """Keeps groups by (tenant, id). Every write is one transaction: all of it or nothing.

    A version is an integer that grows by at least 1 with each write to an id and is never used
    twice for it, also after a delete and a new creation. `if_match` None means any version.
    Raises StoreUnavailable when the store does not answer.
    """

    async def create(
        self,
        tenant: str,
        group_id: str,
        draft: GroupDraft,
        *,
        embedder: str,
        idempotency: Idempotency | None = None,
    ) -> Group:
        """Add a group. Raises GroupExists, or IdempotencyConflict for a key with other payload.

        A repeated key with the same payload returns the group that it created.
        """

    async def put(
        self,
        tenant: str,
        group_id: str,
        draft: GroupDraft,
        *,
        embedder: str,
        if_match: int | None = None,
        create_only: bool = False,
    ) -> tuple[Group, bool]:
        """Create or replace; the flag tells whether it was created. Raises VersionMismatch."""

    async def append(
        self,
        tenant: str,
        group_id: str,
        preferences: Sequence[Preference],
        *,
        max_preferences: int,
        max_context_tokens: int | None = None,
        if_match: int | None = None,
        idempotency: Idempotency | None = None,
    ) -> Group | GroupSummary:
        """Add preferences at the end, atomically; the group as it is then.

        A repeated key with the same payload adds nothing and gives the summary of what the group
        was after the first time. Raises IdempotencyConflict for a key with other payload,
        GroupNotFound, VersionMismatch, and InputTooLarge (pointer `/preferences`) when the
        group would hold more than `max_preferences`, or more (prompt, response) pairs than
        `max_context_tokens`.
        """

    async def put_many(
        self,
        tenant: str,
        groups: Sequence[tuple[str, GroupDraft]],
        *,
        embedder: str,
        on_conflict: OnConflict,
        dry_run: bool = False,
    ) -> list[tuple[Written, int | None]]:
        """Create or replace groups by their ids: for each what became of it, and its version.

        Each group is written as a whole or not at all; a failure may leave some of them written,
        and repeating the call then changes nothing more: a group that is stored with the same
        content and embedder is left as it is, whatever `on_conflict` says. A dry run tells what
        would be done; what does not exist yet has no version then.
        """

    async def get(self, tenant: str, group_id: str) -> Group:
        """The newest version. Raises GroupNotFound."""

    async def stamps(self, tenant: str, group_ids: Sequence[str]) -> list[str]:
        """`Group.stamp` of the newest version of each group. Raises GroupNotFound.

        Every write gives a group another stamp, one that it never had: equal stamps mean equal
        groups, also after a backup was restored. Much cheaper than `get`; not older than what was
        acknowledged before the call.
        """

    async def find_idempotent(
        self, tenant: str, idempotency: Idempotency
    ) -> Group | GroupSummary | None:
        """What this key wrote before, if anything. Raises IdempotencyConflict.

        The group that it created, or the summary of the one that it added to.
        """

    async def list(
        self, tenant: str, *, limit: int, cursor: str | None = None, after: str | None = None
    ) -> GroupPage:
        """Groups in the order of their ids, from the one behind `cursor` or the id `after` on.

        Raises InvalidInput for a cursor that is not one.
        """

    async def count(self, tenant: str) -> int:
        """Number of groups."""

    async def delete(self, tenant: str, group_id: str, *, if_match: int | None = None) -> None:
        """Remove a group and everything derived from it. Raises GroupNotFound, VersionMismatch.

        Vectors of its texts go too, though other groups may have the same texts.
        """

    async def tag(self, tenant: str) -> str:
        """Names the state of the tenant's groups; empty before the first write.

        Every write that changes a group changes it too, in the same transaction, to a value that
        it never had: who has seen an equal tag before has seen these groups.
        """

    async def roll(self, tenant: str) -> Roll:
        """Every group of the tenant with its version, and the tag, as of one instant."""

    async def get_vectors(
        self, tenant: str, group_id: str, version: int, embedder_digest: str
    ) -> FloatArray | None:
        """Cached context vectors (context_tokens, D) float32 of one version, None if absent."""

    async def put_vectors(
        self, tenant: str, group_id: str, version: int, embedder_digest: str, vectors: FloatArray
    ) -> None:
        """Cache context vectors. Without effect when the group is no longer at `version`."""

    async def get_texts(
        self, tenant: str, embedder_digest: str, texts: Sequence[str]
    ) -> Sequence[FloatArray | None]:
        """Kept vectors (D,) float32 of single texts, None where there is none.

        Being asked for renews them; those that nobody asks for expire.
        """

    async def put_texts(
        self, tenant: str, embedder_digest: str, texts: Sequence[str], vectors: FloatArray
    ) -> None:
        """Keep the vectors (n, D) float32 of n texts, once for all groups of the tenant."""

    async def check(self) -> None:
        """Return when the store can read and write. Raises StoreUnavailable."""

    async def close(self) -> None:
        """Release connections."""


OnText = Callable[[str], None]
"""Told of each further piece of a text in the making."""


class Generator(Protocol):
    """Draws completions from a language model."""

    @property
    def model(self) -> str:
        """The name of the model that is served, as clients see it."""

    async def generate_one(
        self,
        prompt: Prompt,
        params: SamplingParams,
        *,
        seed: int,
        deadline: float | None = None,
        cache_salt: str | None = None,
        on_text: OnText | None = None,
    ) -> Completion:
        """Draw one completion. `deadline` is a time.monotonic() instant.

        `on_text` is told of the text as it grows, on the event loop of the caller: joined, the
        pieces are the completion's text. A failure may come after some of them.
        Cancelling the task stops the work in the engine. Raises DeadlineExceeded or a
        GeneratorError. Same seed, same request, idle engine: same text.
        """

    async def check(self) -> None:
        """Return when a completion could be drawn. Raises GeneratorUnavailable or UnknownModel."""

    async def close(self) -> None:
        """Release the engine or its connections."""


class OptionScorer(Protocol):
    """Says how likely a language model finds given answers."""

    @property
    def model(self) -> str:
        """The name of the model that is served, as clients see it."""

    async def option_logprobs(
        self,
        prompt: Prompt,
        options: Sequence[str],
        *,
        deadline: float | None = None,
        cache_salt: str | None = None,
    ) -> list[float]:
        """For each option the sum of the log-probabilities (natural) of its tokens.

        Chat turns go through the model's template with the option as the assistant's turn, left
        open; raw text is continued as it stands. The option's tokens are those behind the longest
        beginning that the prompt alone and the prompt with each of the options share.
        `deadline` is a time.monotonic() instant. Raises DeadlineExceeded or a GeneratorError.
        """


class LanguageModel(Generator, OptionScorer, Protocol):
    """What every adapter of a language model does."""


class Guesser(Protocol):
    """Asks a language model how it would answer questions with options."""

    async def guess(
        self, questions: Sequence[tuple[str, tuple[str, ...]]], *, tenant: str
    ) -> list[Guess]:
        """One guess for each (question, options), whatever the order of the options.

        Nothing is kept or shared beyond the tenant.

        Raises DeadlineExceeded, Overloaded or a GeneratorError.
        """


class TextMemory(Protocol):
    """Where vectors of single texts are kept beyond the life of a process."""

    async def recall(self, texts: Sequence[str]) -> Sequence[FloatArray | None]:
        """Vectors (D,) float32 that are kept, None where there is none."""

    def keep(self, texts: Sequence[str], vectors: Sequence[FloatArray]) -> None:
        """Keep vectors (D,), where they are not there already; returns before that is done."""


class Embedder(Protocol):
    """Turns texts into vectors. Knows how long a text it reads."""

    @property
    def identity(self) -> EmbedderIdentity:
        """Name, digest, dimension and languages."""

    def oversized(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """For each (prompt, response): would its template be longer than the embedder reads?"""

    def clip(self, prompt: str, response: str) -> tuple[str, str, bool]:
        """The prompt's last 96 and the response's first 152 tokens, and whether text was cut.

        A pair that fits as it stands comes back unchanged.
        """

    async def embed(
        self, pairs: Sequence[tuple[str, str]], *, memory: TextMemory | None = None
    ) -> FloatArray:
        """Vectors (n, D) float32 of `prompt\\nresponse`, in order. Raises ScorerFailed.

        Texts that `memory` knows are not embedded again; it is told of those that are.
        """

    def at_hand(
        self, pairs: Sequence[tuple[str, str]], *, memory: TextMemory | None = None
    ) -> FloatArray | None:
        """What `embed` would give, where no text has to be embedded or read; else None.

        `memory` is told of the texts.
        """

    async def close(self) -> None:
        """Release the model; the scorer that was opened with it stops too."""


class Bank(Protocol):
    """What the scorer keeps of each tenant's own groups, beside the checkpoint.

    A context is answered from the rows of its own tenant, less those of its own group and those
    of equal content.
    """

    async def put(self, contexts: Sequence[Context]) -> None:
        """Add stored groups, or replace their rows. Raises ScorerFailed, Overloaded."""

    async def remove(self, tenant: str, group_ids: Sequence[str]) -> None:
        """Forget groups; what they said takes part in no answer from here on."""

    async def forget(self, tenant: str) -> None:
        """Free the memory of a tenant's rows."""


class Scorer(Protocol):
    """The GPO module: predicts a group's preferences from its context."""

    @property
    def model(self) -> str:
        """Name and short digest of the checkpoint."""

    @property
    def consensus_weight(self) -> float:
        """How much the consensus of candidates counts, as fitted with the checkpoint."""

    async def predict(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        """For each context, for each question's option vectors (k, D): its distribution.

        `guesses` holds a language model's for each question, None where there is none; they enter
        what is expected of questions that no bank knows.
        """

    async def predict_once(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        """The answers of `predict`, for contexts that nobody will ask again.

        Nothing of them is kept. They are worked on in small parts, so that the other requests
        have their turn between them. Raises ScorerFailed, Overloaded, InputTooLarge.
        """

    async def known(
        self, contexts: Sequence[Context], questions: Sequence[FloatArray]
    ) -> list[bool]:
        """For each question's option vectors (k, D): does a bank know it for every context?"""

    async def score(self, contexts: Sequence[Context], responses: FloatArray) -> list[Scores]:
        """For each context: the approval of responses (n, D). Raises ScorerFailed."""

    async def check(self) -> None:
        """Return when the worker is alive. Raises ScorerFailed."""
