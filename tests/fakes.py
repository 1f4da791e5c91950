"""Small parts that satisfy the ports: deterministic, and able to fail or to wait on request."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from service.core.domain import (
    ChatPrompt,
    Completion,
    Context,
    EmbedderIdentity,
    FloatArray,
    Guess,
    Kind,
    Prediction,
    Prompt,
    SamplingParams,
    Scores,
)
from service.core.ports import OnText, TextMemory

DIM = 16
MAX_WORDS = 40
PROMPT_WORDS = 12
RESPONSE_WORDS = 20


def text_vector(text: str) -> FloatArray:
    """A unit vector that only this text has."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass
class FakeEmbedder:
    """Hashes texts to unit vectors; a token is a word, and 40 words are the most it reads."""

    digest: str = "0123456789abcdef0123456789abcdef"
    embedded: list[tuple[str, str]] = field(default_factory=list)
    fault: Callable[[FloatArray], FloatArray] | None = None
    known: set[tuple[str, str]] = field(default_factory=set)
    closed: bool = False

    @property
    def identity(self) -> EmbedderIdentity:
        return EmbedderIdentity("fake", self.digest, DIM)

    def oversized(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        return [len(p.split()) + len(r.split()) > MAX_WORDS for p, r in pairs]

    def clip(self, prompt: str, response: str) -> tuple[str, str, bool]:
        words, more = prompt.split(), response.split()
        if len(words) + len(more) <= MAX_WORDS:
            return prompt, response, False
        short = " ".join(words[-PROMPT_WORDS:]), " ".join(more[:RESPONSE_WORDS])
        return short[0], short[1], (len(words) > PROMPT_WORDS or len(more) > RESPONSE_WORDS)

    async def embed(
        self, pairs: Sequence[tuple[str, str]], *, memory: TextMemory | None = None
    ) -> FloatArray:
        await asyncio.sleep(0)
        self.embedded.extend(pairs)
        vectors = np.stack([text_vector(f"{p}\n{r}") for p, r in pairs])
        return vectors if self.fault is None else self.fault(vectors)

    def at_hand(
        self, pairs: Sequence[tuple[str, str]], *, memory: TextMemory | None = None
    ) -> FloatArray | None:
        if not self.known.issuperset(pairs):
            return None
        return np.stack([text_vector(f"{p}\n{r}") for p, r in pairs])

    async def close(self) -> None:
        self.closed = True


@dataclass
class FakeScorer:
    """Likeness to the context: a response near well-liked vectors is liked."""

    contexts: list[Context] = field(default_factory=list)
    once: int = 0
    fault: Exception | None = None
    nan: bool = False

    @property
    def model(self) -> str:
        return "fake-scorer@0"

    @property
    def consensus_weight(self) -> float:
        return 0.25

    def _logits(self, context: Context, vectors: FloatArray) -> FloatArray:
        assert np.isfinite(vectors).all()
        total = vectors[:, 0] * 0.5
        for item in context.items:
            centred = item.values - (0.5 if item.kind is Kind.RATING else item.values.mean())
            total = total + (vectors @ item.vectors.T) @ centred
        return np.asarray(total * (np.nan if self.nan else 1.0), dtype=np.float32)

    async def predict(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        await self._begin(contexts)
        return [[self._prediction(c, q) for q in questions] for c in contexts]

    async def predict_once(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        self.once += len(contexts)
        rows = []
        for context in contexts:
            rows += await self.predict([context], questions, guesses=guesses)
        return rows

    def _prediction(self, context: Context, question: FloatArray) -> Prediction:
        weights = np.exp(self._logits(context, question))
        share = (weights / weights.sum()).astype(np.float32)
        std = np.full_like(share, 0.1)
        return Prediction(share, std, share - std, share + std)

    async def known(
        self, contexts: Sequence[Context], questions: Sequence[FloatArray]
    ) -> list[bool]:
        return [False] * len(questions)

    async def score(self, contexts: Sequence[Context], responses: FloatArray) -> list[Scores]:
        await self._begin(contexts)
        results = []
        for context in contexts:
            score = (1 / (1 + np.exp(-self._logits(context, responses)))).astype(np.float32)
            std = np.full_like(score, 0.05)
            results.append(Scores(score, std, score - std, score + std))
        return results

    async def _begin(self, contexts: Sequence[Context]) -> None:
        await asyncio.sleep(0)
        self.contexts.extend(contexts)
        if self.fault is not None:
            raise self.fault

    async def check(self) -> None:
        if self.fault is not None:
            raise self.fault


@dataclass
class FakeGenerator:
    """Says what `say` makes of the seed; can wait forever, and knows what was cancelled."""

    say: Callable[[int], str | Exception] = lambda seed: f"Opinion number {seed}."
    hang: Callable[[int], bool] = lambda seed: False
    prompts: list[Prompt] = field(default_factory=list)
    params: list[SamplingParams] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    salts: list[str | None] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    finished: list[int] = field(default_factory=list)
    down: Exception | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def model(self) -> str:
        return "fake-lm"

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
        self.prompts.append(prompt)
        self.params.append(params)
        self.seeds.append(seed)
        self.salts.append(cache_salt)
        self.started.set()
        try:
            await asyncio.sleep(3600 if self.hang(seed) else 0)
        except asyncio.CancelledError:
            self.cancelled.append(seed)
            raise
        said = self.say(seed)
        if isinstance(said, Exception):
            raise said
        self.finished.append(seed)
        if on_text is not None:
            for piece in re.findall(r"\s*\S+|\s+", said):
                on_text(piece)
                await asyncio.sleep(0)
        texts = (
            [m.content for m in prompt.messages]
            if isinstance(prompt, ChatPrompt)
            else [prompt.text]
        )
        words = sum(len(text.split()) for text in texts)
        return Completion(said, "stop", words, len(said.split()))

    async def option_logprobs(
        self,
        prompt: Prompt,
        options: Sequence[str],
        *,
        deadline: float | None = None,
        cache_salt: str | None = None,
    ) -> list[float]:
        """The longer an option, the less likely."""
        self.prompts.append(prompt)
        self.salts.append(cache_salt)
        await asyncio.sleep(0)
        if self.down is not None:
            raise self.down
        return [-float(len(option)) for option in options]

    async def check(self) -> None:
        if self.down is not None:
            raise self.down

    async def close(self) -> None:
        return None
