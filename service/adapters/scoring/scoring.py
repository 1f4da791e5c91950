"""The Scorer port over the GPO module: encoded contexts kept in memory, requests batched.

Owns the cache of keys and values and the conversion of types; knows no network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from models.batches import Kind as ItemKind
from models.llm_prior import vectors_key
from models.networks import Encoded
from models.own_bank import OwnPrior
from models.prior import Prior
from models.scorer import ContextTooLargeError, GPOScorer
from service.adapters.scoring.banks import TenantBanks, items_of
from service.adapters.scoring.byte_lru import ByteLRU
from service.adapters.scoring.pools import Pools
from service.adapters.scoring.worker import Worker
from service.core.domain import Context, FloatArray, Guess, Prediction, Scores
from service.core.errors import FieldError, InputTooLarge
from service.core.tally import SIZES, Tally

R = TypeVar("R")
CHUNK_TOKENS = 4096
KNOWN_BYTES = 4_000_000
KNOWN_ENTRY = 400
TOKENS_PER_COST = 16


@dataclass(frozen=True, slots=True)
class _Job:
    """Contexts and what to predict or score for each of them: arrays (k, D), some with a guess."""

    contexts: Sequence[Context]
    targets: Sequence[FloatArray]
    guesses: Sequence[Guess | None] = ()


@dataclass(frozen=True, slots=True)
class _Ready:
    """An encoded context, and what is expected for its group before any guess."""

    encoded: Encoded
    base: Prior

    @property
    def nbytes(self) -> int:
        own = self.base.nbytes if isinstance(self.base, OwnPrior) else 0
        return self.encoded.nbytes + own


class ModuleScorer:
    """Predicts and scores in the worker's thread.

    Targets are independent of each other, so requests on the same contexts run as one.
    """

    def __init__(
        self,
        module: GPOScorer,
        worker: Worker,
        *,
        cache_bytes: int,
        prior: Prior | None = None,
        banks: TenantBanks | None = None,
        pools: Pools | None = None,
    ) -> None:
        """`prior` takes the place of the released one; `banks` that of both.

        `pools` says how guesses enter them; needed only where guesses come.
        """
        self._module = module
        self._worker = self.worker = worker
        self._prior = prior or module.prior
        self._pools = pools or Pools()
        self.banks = banks
        self.cache: ByteLRU[_Ready] = ByteLRU(cache_bytes)
        self.batch_targets = Tally(SIZES)
        self._known: ByteLRU[bool] = ByteLRU(KNOWN_BYTES)

    @property
    def model(self) -> str:
        """Name and short digest of the checkpoint."""
        return f"{self._module.card.name}@{self._module.card.digest}"

    @property
    def consensus_weight(self) -> float:
        """How much the consensus of candidates counts, as fitted with the checkpoint."""
        return self._module.consensus_weight

    async def predict(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        """For each context, for each question's option vectors (k, D): its distribution.

        Raises ScorerFailed, Overloaded, InputTooLarge.
        """
        rows: list[list[Prediction]] = [[] for _ in contexts]
        left = list(guesses or [])
        for chunk in _chunks(questions, len(contexts)):
            job = _Job(contexts, chunk, left[: len(chunk)])
            left = left[len(chunk) :]
            results = await self._worker.run(self._predict_batch, job, cost=_cost(job))
            for row, result in zip(rows, results, strict=True):
                row.extend(result)
        return rows

    async def score(self, contexts: Sequence[Context], responses: FloatArray) -> list[Scores]:
        """For each context: the approval of responses (n, D). Raises ScorerFailed, Overloaded."""
        job = _Job(contexts, [responses])
        results = await self._worker.run(self._score_batch, job, cost=_cost(job))
        return [row[0] for row in results]

    async def known(
        self, contexts: Sequence[Context], questions: Sequence[FloatArray]
    ) -> list[bool]:
        """For each question's option vectors (k, D): does the bank know it? See the port."""
        if not questions:
            return []
        return await self._worker.run(self._known_batch, (contexts, questions))

    async def check(self) -> None:
        """Return when the worker is alive. Raises ScorerFailed."""
        self._worker.check()

    async def close(self) -> None:
        """Stop the worker that this scorer shares with its embedder."""
        await asyncio.to_thread(self._worker.close)

    def _known_batch(
        self, jobs: list[tuple[Sequence[Context], Sequence[FloatArray]]]
    ) -> list[list[bool]]:
        """In the worker's thread: whether each expectation stands on a population."""
        found = []
        for contexts, questions in jobs:
            bases = dict(self._base(context) for context in contexts)
            each = [self._supported(name, base, questions) for name, base in bases.items()]
            found.append([all(flags) for flags in zip(*each, strict=True)])
        return found

    def _base(self, context: Context) -> tuple[str, Prior]:
        """What is expected for this context's group before a guess; equal names, equal priors."""
        if self.banks is None:
            return "", self._prior
        return self.banks.key(context), self.banks.prior(context)

    def _supported(self, name: str, base: Prior, questions: Sequence[FloatArray]) -> list[bool]:
        keys = [name + vectors_key(vectors).hex() for vectors in questions]
        flags = {key: self._known.get(key) for key in keys}
        new = {k: v for k, v in zip(keys, questions, strict=True) if flags[k] is None}
        expected = base.expect([(ItemKind.SHARE, vectors) for vectors in new.values()])
        for key, expectation in zip(new, expected, strict=True):
            flags[key] = expectation.support > 0
            self._known.put(key, expectation.support > 0, KNOWN_ENTRY)
        return [bool(flags[key]) for key in keys]

    def _predict_batch(self, jobs: list[_Job]) -> list[list[list[Prediction]]]:
        """In the worker's thread: (job, context, question)."""
        pairs = [p for job in jobs for p in zip(job.targets, job.guesses, strict=False)]

        def run(ready: list[_Ready], questions: list[FloatArray]) -> list[list[Prediction]]:
            # What several contexts share stays one prior, so that it is asked once.
            pooled = {id(r.base): self._pools.over(r.base, pairs) for r in ready}
            encoded, priors = [r.encoded for r in ready], [pooled[id(r.base)] for r in ready]
            return [
                [Prediction(p.mean, p.std, p.low, p.high) for p in row]
                for row in self._module.predict_many(encoded, questions, priors=priors)
            ]

        return self._merged(jobs, run)

    def _score_batch(self, jobs: list[_Job]) -> list[list[list[Scores]]]:
        """In the worker's thread: (job, context, 1)."""

        def run(ready: list[_Ready], lists: list[FloatArray]) -> list[list[Scores]]:
            ends = np.cumsum([len(vectors) for vectors in lists])[:-1]
            encoded, together = [r.encoded for r in ready], np.concatenate(lists)
            rows: list[list[Scores]] = []
            priors = [r.base for r in ready]
            for found in self._module.score_many(encoded, together, priors=priors):
                arrays = (found.mean, found.std, found.low, found.high)
                parts = [np.split(array, ends) for array in arrays]
                rows.append([Scores(*part) for part in zip(*parts, strict=True)])
            return rows

        return self._merged(jobs, run)

    def _merged(
        self,
        jobs: list[_Job],
        run: Callable[[list[_Ready], list[FloatArray]], list[list[R]]],
    ) -> list[list[list[R]]]:
        """Run the jobs that share their contexts as one; results in the order of the jobs."""
        by_contexts: dict[tuple[str, ...], list[int]] = {}
        for i, job in enumerate(jobs):
            by_contexts.setdefault(tuple(map(self._key, job.contexts)), []).append(i)
        results: list[list[list[R]]] = [[] for _ in jobs]
        for members in by_contexts.values():
            ready = [self._ready(context) for context in jobs[members[0]].contexts]
            targets = [vectors for i in members for vectors in jobs[i].targets]
            self.batch_targets.add(sum(map(len, targets)))
            rows = run(ready, targets) if targets else [[] for _ in ready]
            start = 0
            for i in members:
                stop = start + len(jobs[i].targets)
                results[i] = [row[start:stop] for row in rows]
                start = stop
        return results

    def _key(self, context: Context) -> str:
        """Names what is expected of a context's group: by the bank and by guesses."""
        return f"{self._bank_key(context)}:{context.guessed}"

    def _bank_key(self, context: Context) -> str:
        return context.digest if self.banks is None else self.banks.key(context)

    def _ready(self, context: Context) -> _Ready:
        key = self._key(context)
        ready = self.cache.get(key)
        if ready is None:
            _, base = self._base(context)
            prior = self._pools.over(base, [(item.vectors, item.guess) for item in context.items])
            try:
                ready = _Ready(self._module.encode_context(items_of(context), prior=prior), base)
            except ContextTooLargeError as exc:
                raise InputTooLarge([FieldError("", str(exc))]) from exc
            self.cache.put(key, ready, ready.nbytes)
        return ready


def _chunks(questions: Sequence[FloatArray], contexts: int) -> Iterator[list[FloatArray]]:
    """Runs of questions of at most CHUNK_TOKENS (context, option) pairs, or a single question."""
    chunk: list[FloatArray] = []
    tokens = 0
    for question in questions:
        size = len(question) * contexts
        if chunk and tokens + size > CHUNK_TOKENS:
            yield chunk
            chunk, tokens = [], 0
        chunk.append(question)
        tokens += size
    if chunk:
        yield chunk


def _cost(job: _Job) -> int:
    tokens = len(job.contexts) * sum(len(vectors) for vectors in job.targets)
    return 1 + tokens // TOKENS_PER_COST
