"""The Scorer port over the GPO module: encoded contexts kept in memory, requests batched.

Owns the cache of keys and values and the conversion of types; knows no network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from models.batches import Expectation
from models.batches import Kind as ItemKind
from models.networks import Encoded
from models.prior import Prior
from models.scorer import Asked, ContextTooLargeError, GPOScorer
from service.adapters.scoring.banks import TenantBanks, items_of
from service.adapters.scoring.expectations import RememberedPrior
from service.adapters.scoring.pools import Pools
from service.adapters.scoring.turns import TURN_CONTEXTS, chunks, cost_of, turns
from service.adapters.scoring.worker import Worker
from service.core.byte_lru import ByteLRU
from service.core.domain import Context, FloatArray, Guess, Prediction, Scores
from service.core.errors import FieldError, InputTooLarge
from service.core.tally import SIZES, Tally

R = TypeVar("R")
_GetReady = Callable[[Mapping[str, Context]], dict[str, "_Ready"]]
EXPECTED_BYTES = 32_000_000


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
    base: RememberedPrior

    @property
    def nbytes(self) -> int:
        return self.encoded.nbytes + self.base.nbytes


class ModuleScorer:
    """Predicts and scores in the worker's thread.

    Targets are independent of each other, so requests that wait together run as one.
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
        self.expected: ByteLRU[Expectation] = ByteLRU(EXPECTED_BYTES)
        self._prior = prior or module.prior
        # As many as there are tenants with keys.
        self._priors: dict[str, RememberedPrior] = {}
        self._pools = pools or Pools()
        self.banks = banks
        self.cache: ByteLRU[_Ready] = ByteLRU(cache_bytes)
        self.batch_targets = Tally(SIZES)

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
        for chunk, told in _told(questions, guesses, len(contexts)):
            job = _Job(contexts, chunk, told)
            cost = cost_of(contexts, chunk)
            results = await self._worker.run(self._predict_batch, job, cost=cost)
            for row, result in zip(rows, results, strict=True):
                row.extend(result)
        return rows

    async def predict_once(
        self,
        contexts: Sequence[Context],
        questions: Sequence[FloatArray],
        *,
        guesses: Sequence[Guess | None] | None = None,
    ) -> list[list[Prediction]]:
        """The answers of `predict` for contexts that nobody will ask again; see the port.

        Raises ScorerFailed, Overloaded, InputTooLarge.
        """
        rows: list[list[Prediction]] = [[] for _ in contexts]
        # With own groups each context has a prior of its own: of 300 groups some 50 to 150 ms.
        most = TURN_CONTEXTS if self.banks is None else 1
        for chunk, told in _told(questions, guesses, 1):
            answered = iter(rows)
            for turn in turns(contexts, chunk, most=most):
                cost = cost_of(turn, chunk, encoded=True)
                job = _Job(turn, chunk, told)
                for result in await self._worker.run(self._predict_once_batch, job, cost=cost):
                    next(answered).extend(result)
        return rows

    async def score(self, contexts: Sequence[Context], responses: FloatArray) -> list[Scores]:
        """For each context: the approval of responses (n, D). Raises ScorerFailed, Overloaded."""
        job = _Job(contexts, [responses])
        cost = cost_of(contexts, [responses])
        results = await self._worker.run(self._score_batch, job, cost=cost)
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
            asked = [(ItemKind.SHARE, vectors) for vectors in questions]
            # Contexts that are told apart by their own items alone have one prior.
            bases = {self._base_key(context): context for context in contexts}
            each = [self._base(context).expect(asked) for context in bases.values()]
            found.append([all(e.support > 0 for e in row) for row in zip(*each, strict=True)])
        return found

    def _base_key(self, context: Context) -> str:
        return "" if self.banks is None else self.banks.key(context)

    def _base(self, context: Context, *, keep: bool = True) -> RememberedPrior:
        """What is expected for this context's group before a guess.

        Without `keep` what own groups say to it alone takes no place of what is kept.
        """
        if self.banks is None:
            return self._remembered(context.tenant)
        key = self.banks.key(context)
        memory = self.expected if keep else ByteLRU(EXPECTED_BYTES)
        return RememberedPrior(self.banks.prior(context, keep=keep), memory, name=key)

    def _remembered(self, tenant: str) -> RememberedPrior:
        """The one of a tenant: what another asked answers it no sooner."""
        found = self._priors.get(tenant)
        if found is None:
            found = RememberedPrior(self._prior, self.expected, name=f"{tenant}\0")
            self._priors[tenant] = found
        return found

    def _predict_batch(self, jobs: list[_Job]) -> list[list[list[Prediction]]]:
        """In the worker's thread: (job, context, question)."""
        return self._predicted(jobs, self._all_ready)

    def _predict_once_batch(self, jobs: list[_Job]) -> list[list[list[Prediction]]]:
        """The same without a place in the caches."""
        return self._predicted(jobs, self._encoded)

    def _predicted(self, jobs: list[_Job], ready: _GetReady) -> list[list[list[Prediction]]]:
        pairs = [p for job in jobs for p in zip(job.targets, job.guesses, strict=False)]

        def run(asked: list[Asked]) -> list[list[Prediction]]:
            # What several contexts share stays one prior, so that it is asked once.
            bases = {id(one.prior): one.prior for one in asked if one.prior is not None}
            pooled = {key: self._pools.over(base, pairs) for key, base in bases.items()}
            asked = [replace(one, prior=pooled[id(one.prior)]) for one in asked]
            return [
                [Prediction(p.mean, p.std, p.low, p.high) for p in row]
                for row in self._module.predict_each(asked)
            ]

        return self._merged(jobs, run, ready)

    def _score_batch(self, jobs: list[_Job]) -> list[list[list[Scores]]]:
        """In the worker's thread: (job, context, 1)."""

        def run(asked: list[Asked]) -> list[list[Scores]]:
            return [
                [Scores(s.mean, s.std, s.low, s.high) for s in row]
                for row in self._module.score_each(asked)
            ]

        return self._merged(jobs, run, self._all_ready)

    def _merged(
        self, jobs: list[_Job], run: Callable[[list[Asked]], list[list[R]]], get_ready: _GetReady
    ) -> list[list[list[R]]]:
        """Run the jobs as one, each context once; results in the order of the jobs."""
        contexts: dict[str, Context] = {}
        targets: dict[str, list[FloatArray]] = {}
        places: list[list[tuple[str, slice]]] = []
        for job in jobs:
            mine = []
            for context in job.contexts:
                key = self._key(context)
                contexts.setdefault(key, context)
                asked = targets.setdefault(key, [])
                mine.append((key, slice(len(asked), len(asked) + len(job.targets))))
                asked.extend(job.targets)
            places.append(mine)
        self.batch_targets.add(sum(len(v) for asked in targets.values() for v in asked))
        ready = get_ready(contexts)
        rows = run([Asked(ready[key].encoded, v, ready[key].base) for key, v in targets.items()])
        found = dict(zip(targets, rows, strict=True))
        return [[found[key][place] for key, place in mine] for mine in places]

    def _key(self, context: Context) -> str:
        """Names what is expected of a context's group: by the bank and by guesses."""
        return f"{self._base_key(context) or context.digest}:{context.guessed}"

    def _all_ready(self, contexts: Mapping[str, Context]) -> dict[str, _Ready]:
        """Every context encoded; those that are not kept are encoded together."""
        found = {key: self.cache.get(key) for key in contexts}
        new = {key: contexts[key] for key, ready in found.items() if ready is None}
        for key, ready in self._encoded(new, keep=True).items():
            found[key] = ready
            self.cache.put(key, ready, ready.nbytes)
        return {key: ready for key, ready in found.items() if ready is not None}

    def _encoded(self, contexts: Mapping[str, Context], *, keep: bool = False) -> dict[str, _Ready]:
        """Every context encoded, and what is expected for its group kept or not."""
        bases = [self._base(context, keep=keep) for context in contexts.values()]
        try:
            encoded = self._module.encode_contexts(
                [items_of(context) for context in contexts.values()],
                priors=[
                    self._pools.over(base, [(i.vectors, i.guess) for i in context.items])
                    for base, context in zip(bases, contexts.values(), strict=True)
                ],
            )
        except ContextTooLargeError as exc:
            raise InputTooLarge([FieldError("", str(exc))]) from exc
        return dict(zip(contexts, map(_Ready, encoded, bases), strict=True))


def _told(
    questions: Sequence[FloatArray], guesses: Sequence[Guess | None] | None, contexts: int
) -> Iterator[tuple[list[FloatArray], Sequence[Guess | None]]]:
    """Chunks of questions, each with its guesses."""
    done, known = 0, guesses or ()
    for chunk in chunks(questions, contexts):
        yield chunk, known[done : done + len(chunk)]
        done += len(chunk)
