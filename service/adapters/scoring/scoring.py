"""The Scorer port over the GPO module: encoded contexts kept in memory, requests batched.

Owns the cache of keys and values and the conversion of types; knows no network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from models.networks import Encoded
from models.own_bank import OwnPrior
from models.prior import Prior
from models.scorer import ContextTooLargeError, GPOScorer
from service.adapters.scoring.banks import TenantBanks, items_of
from service.adapters.scoring.byte_lru import ByteLRU
from service.adapters.scoring.worker import Worker
from service.core.domain import Context, FloatArray, Prediction, Scores
from service.core.errors import FieldError, InputTooLarge

R = TypeVar("R")
CHUNK_TOKENS = 4096
TOKENS_PER_COST = 16


@dataclass(frozen=True, slots=True)
class _Job:
    """Contexts and what to predict or score for each of them: arrays (k, D)."""

    contexts: Sequence[Context]
    targets: Sequence[FloatArray]


@dataclass(frozen=True, slots=True)
class _Ready:
    """An encoded context, and what is expected for its group in place of the released prior."""

    encoded: Encoded
    prior: Prior | None

    @property
    def nbytes(self) -> int:
        own = self.prior.nbytes if isinstance(self.prior, OwnPrior) else 0
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
    ) -> None:
        """`prior` takes the place of the released one; `banks` that of both."""
        self._module = module
        self._worker = worker
        self._prior = prior
        self.banks = banks
        self.cache: ByteLRU[_Ready] = ByteLRU(cache_bytes)

    @property
    def model(self) -> str:
        """Name and short digest of the checkpoint."""
        return f"{self._module.card.name}@{self._module.card.digest}"

    @property
    def consensus_weight(self) -> float:
        """How much the consensus of candidates counts, as fitted with the checkpoint."""
        return self._module.consensus_weight

    async def predict(
        self, contexts: Sequence[Context], questions: Sequence[FloatArray]
    ) -> list[list[Prediction]]:
        """For each context, for each question's option vectors (k, D): its distribution.

        Raises ScorerFailed, Overloaded, InputTooLarge.
        """
        rows: list[list[Prediction]] = [[] for _ in contexts]
        for chunk in _chunks(questions, len(contexts)):
            job = _Job(contexts, chunk)
            results = await self._worker.run(self._predict_batch, job, cost=_cost(job))
            for row, result in zip(rows, results, strict=True):
                row.extend(result)
        return rows

    async def score(self, contexts: Sequence[Context], responses: FloatArray) -> list[Scores]:
        """For each context: the approval of responses (n, D). Raises ScorerFailed, Overloaded."""
        job = _Job(contexts, [responses])
        results = await self._worker.run(self._score_batch, job, cost=_cost(job))
        return [row[0] for row in results]

    async def check(self) -> None:
        """Return when the worker is alive. Raises ScorerFailed."""
        self._worker.check()

    async def close(self) -> None:
        """Stop the worker that this scorer shares with its embedder."""
        await asyncio.to_thread(self._worker.close)

    def _predict_batch(self, jobs: list[_Job]) -> list[list[list[Prediction]]]:
        """In the worker's thread: (job, context, question)."""

        def run(ready: list[_Ready], questions: list[FloatArray]) -> list[list[Prediction]]:
            encoded = [r.encoded for r in ready]
            return [
                [Prediction(p.mean, p.std, p.low, p.high) for p in row]
                for row in self._module.predict_many(encoded, questions, priors=_priors(ready))
            ]

        return self._merged(jobs, run)

    def _score_batch(self, jobs: list[_Job]) -> list[list[list[Scores]]]:
        """In the worker's thread: (job, context, 1)."""

        def run(ready: list[_Ready], lists: list[FloatArray]) -> list[list[Scores]]:
            ends = np.cumsum([len(vectors) for vectors in lists])[:-1]
            encoded, together = [r.encoded for r in ready], np.concatenate(lists)
            rows: list[list[Scores]] = []
            for found in self._module.score_many(encoded, together, priors=_priors(ready)):
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
            rows = run(ready, targets) if targets else [[] for _ in ready]
            start = 0
            for i in members:
                stop = start + len(jobs[i].targets)
                results[i] = [row[start:stop] for row in rows]
                start = stop
        return results

    def _key(self, context: Context) -> str:
        return context.digest if self.banks is None else self.banks.key(context)

    def _ready(self, context: Context) -> _Ready:
        key = self._key(context)
        ready = self.cache.get(key)
        if ready is None:
            items = items_of(context)
            prior = self._prior if self.banks is None else self.banks.prior(context, items)
            try:
                ready = _Ready(self._module.encode_context(items, prior=prior), prior)
            except ContextTooLargeError as exc:
                raise InputTooLarge([FieldError("", str(exc))]) from exc
            self.cache.put(key, ready, ready.nbytes)
        return ready


def _priors(ready: Sequence[_Ready]) -> list[Prior] | None:
    """One for each context, or None for the released prior."""
    return [r.prior for r in ready if r.prior is not None] or None


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
