"""The module scorer: contexts encoded once, requests merged, results in their places."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from models.batches import Expectation, Item
from models.batches import Kind as ItemKind
from models.llm_prior import Fit, Pool
from models.prior import Prior
from models.published import EvenPrior
from models.scorer import Asked, ContextTooLargeError
from service.adapters.scoring.banks import TenantBanks
from service.adapters.scoring.pools import Pools
from service.adapters.scoring.scoring import ModuleScorer
from service.adapters.scoring.turns import CHUNK_TOKENS, TURN_CONTEXTS
from service.adapters.scoring.worker import Worker
from service.core.domain import Context, ContextItem, Guess, Kind
from service.core.errors import InputTooLarge, ScorerFailed

DIM = 4


@dataclass(frozen=True, slots=True)
class Encoded:
    bias: float
    nbytes: int = 1000


@dataclass(frozen=True, slots=True)
class Answer:
    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray


class SumModule:
    """Scores a vector by its sum plus the context's; can be held, and counts its work."""

    card = SimpleNamespace(name="toy", digest="abc123")
    prior = EvenPrior()

    def __init__(self) -> None:
        self.encoded: list[list[Item]] = []
        self.calls: list[list[int]] = []  # what each context of a pass is asked
        self.expected: list[list[float]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def encode_contexts(
        self, contexts: Sequence[Sequence[Item]], *, priors: Sequence[Prior]
    ) -> list[Encoded]:
        return [self._encode(items, prior) for items, prior in zip(contexts, priors, strict=True)]

    def _encode(self, items: Sequence[Item], prior: Prior) -> Encoded:
        self.entered.set()
        assert self.gate.wait(30)
        self.encoded.append(list(items))
        self._expect([item.vectors for item in items], prior)
        if len(items) > 3:
            raise ContextTooLargeError("at most 3 fit")
        return Encoded(float(sum(item.values.sum() for item in items)))

    def predict_each(self, asked: Sequence[Asked]) -> list[list[Answer]]:
        for one in asked:
            assert one.prior is not None
            self._expect(one.targets, one.prior)
        self.calls.append([len(one.targets) for one in asked])
        return [[self._answer(one.context, v) for v in one.targets] for one in asked]

    def score_each(self, asked: Sequence[Asked]) -> list[list[Answer]]:
        self.calls.append([sum(map(len, one.targets)) for one in asked])
        if any(np.isnan(v).any() for one in asked for v in one.targets):
            raise ValueError("NaN")
        return [[self._answer(one.context, v) for v in one.targets] for one in asked]

    def _expect(self, questions: Sequence[np.ndarray], prior: Prior) -> None:
        found = prior.expect([(ItemKind.SHARE, vectors) for vectors in questions])
        self.expected.append([round(float(e.mean[0]), 3) for e in found])

    def _answer(self, context: Encoded, vectors: np.ndarray) -> Answer:
        mean = vectors.sum(1) + context.bias
        return Answer(mean, mean + 1, mean - 2, mean + 3)


def context(name: str, *values: float) -> Context:
    vectors = np.ones((len(values), DIM), dtype=np.float32)
    item = ContextItem(Kind.SHARE, vectors, np.array(values, dtype=np.float32), weight=7.0)
    return Context(name, (item,))


def question(k: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(k, DIM)).astype(np.float32)


A, B = context("a", 0.25, 0.75), context("b", 5.0)


@pytest.fixture
def module() -> SumModule:
    return SumModule()


@pytest.fixture
async def scorer(module: SumModule) -> AsyncIterator[ModuleScorer]:
    made = ModuleScorer(module, Worker(), cache_bytes=10_000)
    yield made
    await made.close()


async def held(scorer: ModuleScorer, module: SumModule) -> asyncio.Task[object]:
    module.gate.clear()
    task = asyncio.create_task(scorer.predict([context("held", 0.0)], [question(2, 99)]))
    assert await asyncio.to_thread(module.entered.wait, 30)
    return task


async def test_predictions_are_by_context_then_question(scorer: ModuleScorer) -> None:
    questions = [question(2, 0), question(5, 1)]
    rows = await scorer.predict([A, B], questions)
    for bias, row in zip((1.0, 5.0), rows, strict=True):
        for asked, found in zip(questions, row, strict=True):
            np.testing.assert_allclose(found.distribution, asked.sum(1) + bias, rtol=1e-6)
            np.testing.assert_allclose(found.std - found.distribution, 1, rtol=1e-5)
            np.testing.assert_allclose(found.distribution - found.low, 2, rtol=1e-5)
            np.testing.assert_allclose(found.high - found.distribution, 3, rtol=1e-5)
    assert scorer.model == "toy@abc123"


async def test_the_module_sees_the_items_with_kind_and_weight(
    scorer: ModuleScorer, module: SumModule
) -> None:
    await scorer.score([A], question(1, 0))
    (items,) = module.encoded
    assert items[0].kind is ItemKind.SHARE
    assert items[0].weight == 7.0
    np.testing.assert_array_equal(items[0].values, A.items[0].values)


async def test_scores_are_by_context(scorer: ModuleScorer) -> None:
    responses = question(3, 2)
    first, second = await scorer.score([A, B], responses)
    np.testing.assert_allclose(first.score, responses.sum(1) + 1, rtol=1e-6)
    np.testing.assert_allclose(second.score, responses.sum(1) + 5, rtol=1e-6)


def guess(first: float, k: int = 2) -> Guess:
    return Guess(np.array([first, *[(1 - first) / (k - 1)] * (k - 1)], np.float32), "toy-lm")


async def test_a_guess_is_expected_of_its_question_alone(module: SumModule) -> None:
    pools = Pools("llm", Fit("toy-lm", Pool(), Pool(1.0), {}))
    scorer = ModuleScorer(module, Worker(), cache_bytes=10_000, pools=pools)
    questions = [question(2, i) for i in range(3)]
    plain = await scorer.predict([A, B], questions)
    assert module.expected[-2:] == [[0.5, 0.5, 0.5]] * 2
    found = await scorer.predict([A, B], questions, guesses=[None, guess(0.8), guess(0.1)])
    assert module.expected[-2:] == [[0.5, 0.8, 0.1]] * 2
    np.testing.assert_array_equal(found[1][2].distribution, plain[1][2].distribution)
    await scorer.close()


async def test_guesses_stay_with_their_questions_over_chunks(module: SumModule) -> None:
    pools = Pools("llm", Fit("toy-lm", Pool(), Pool(1.0), {}))
    scorer = ModuleScorer(module, Worker(), cache_bytes=10_000, pools=pools)
    k = CHUNK_TOKENS // 2
    guesses = [guess(0.1 * (i + 1), k) for i in range(5)]
    await scorer.predict([A], [question(k, i) for i in range(5)], guesses=guesses)
    assert len(module.calls) == 3
    firsts = [value for row in module.expected[1:] for value in row]  # after the context's
    assert sorted(firsts) == firsts
    assert len(set(firsts)) == 5
    await scorer.close()


async def test_a_context_with_guesses_is_encoded_beside_the_one_without(module: SumModule) -> None:
    pools = Pools("llm", Fit("toy-lm", Pool(), Pool(1.0), {}))
    scorer = ModuleScorer(module, Worker(), cache_bytes=10_000, pools=pools)
    (item,) = A.items
    guessed = replace(A, items=(replace(item, guess=guess(0.7)),), guessed="by toy-lm")
    for asked in (A, guessed, A, guessed):
        await scorer.score([asked], question(1, 0))
    assert len(module.encoded) == 2
    assert module.expected == [[0.5], [0.7]]
    await scorer.close()


async def test_what_the_bank_knows_is_asked_once(module: SumModule) -> None:
    class Bank(EvenPrior):
        asked = 0

        def expect(self, items: Sequence[tuple[ItemKind, np.ndarray]]) -> list[Expectation]:
            Bank.asked += len(items)
            found = super().expect(items)
            return [
                replace(e, support=float(v[0, 0] > 0))
                for (_, v), e in zip(items, found, strict=True)
            ]

    module.prior = Bank()
    scorer = ModuleScorer(module, Worker(), cache_bytes=10_000)
    questions = [np.full((2, DIM), fill, np.float32) for fill in (1, -1, 1, -2)]
    for _ in range(2):
        assert await scorer.known([A, B], questions) == [True, False, True, False]
    assert await scorer.known([A], []) == []
    assert Bank.asked == 3
    await scorer.close()


async def test_a_context_is_encoded_once(scorer: ModuleScorer, module: SumModule) -> None:
    await asyncio.gather(
        *(scorer.predict([A, B], [question(2, i)]) for i in range(10)),
        *(scorer.score([B], question(2, i)) for i in range(10)),
    )
    assert len(module.encoded) == 2
    assert scorer.cache.misses == 2
    assert scorer.cache.hits >= 1


async def test_encoded_contexts_are_bounded_in_bytes(module: SumModule) -> None:
    scorer = ModuleScorer(module, Worker(), cache_bytes=2_500)
    for name in ("a", "b", "c", "c", "b", "a"):
        await scorer.score([context(name, 1.0)], question(1, 0))
    assert scorer.cache.bytes == 2000
    assert len(module.encoded) == 4
    await scorer.close()


async def test_requests_that_wait_together_run_as_one(
    scorer: ModuleScorer, module: SumModule
) -> None:
    first = await held(scorer, module)
    asked = [[question(2, 1)], [question(3, 2), question(4, 3)], []]
    tasks = [asyncio.create_task(scorer.predict([A], questions)) for questions in asked]
    other = asyncio.create_task(scorer.predict([B], [question(2, 4)]))
    await asyncio.sleep(0)
    module.gate.set()
    rows = [(await task)[0] for task in tasks]
    for questions, row in zip(asked, rows, strict=True):
        assert [len(p.distribution) for p in row] == [len(q) for q in questions]
        for vectors, found in zip(questions, row, strict=True):
            np.testing.assert_allclose(found.distribution, vectors.sum(1) + 1, rtol=1e-6)
    await first
    assert len((await other)[0]) == 1
    assert sorted(module.calls) == [[1], [3, 1]]


async def test_merged_scores_are_split_where_they_belong(
    scorer: ModuleScorer, module: SumModule
) -> None:
    first = await held(scorer, module)
    asked = [question(n, n) for n in (1, 4, 2)]
    tasks = [asyncio.create_task(scorer.score([A, B], responses)) for responses in asked]
    await asyncio.sleep(0)
    module.gate.set()
    await first
    for responses, task in zip(asked, tasks, strict=True):
        one, two = await task
        np.testing.assert_allclose(one.score, responses.sum(1) + 1, rtol=1e-6)
        np.testing.assert_allclose(two.high, responses.sum(1) + 8, rtol=1e-6)
    assert module.calls[1:] == [[7, 7]]


async def test_a_large_request_runs_in_chunks(scorer: ModuleScorer, module: SumModule) -> None:
    questions = [question(64, i) for i in range(70)]
    (row,) = await scorer.predict([A], questions)
    assert len(row) == 70
    np.testing.assert_allclose(row[69].distribution, questions[69].sum(1) + 1, rtol=1e-5)
    assert module.calls == [[CHUNK_TOKENS // 64], [70 - CHUNK_TOKENS // 64]]


async def test_a_failure_is_a_domain_error_and_hits_only_its_request(
    scorer: ModuleScorer, module: SumModule
) -> None:
    first = await held(scorer, module)
    good = asyncio.create_task(scorer.score([A], question(2, 0)))
    bad = asyncio.create_task(scorer.score([A], np.full((1, DIM), np.nan, np.float32)))
    await asyncio.sleep(0)
    module.gate.set()
    with pytest.raises(ScorerFailed) as caught:
        await bad
    assert isinstance(caught.value.__cause__, ValueError)
    assert len((await good)[0].score) == 2
    await first
    await scorer.check()


async def test_a_context_that_is_too_large_is_the_clients_error(scorer: ModuleScorer) -> None:
    big = Context("big", context("x", 1.0).items * 4)
    with pytest.raises(InputTooLarge, match="at most 3 fit"):
        await scorer.score([big], question(1, 0))


async def test_nothing_asked_is_nothing_answered(scorer: ModuleScorer) -> None:
    assert await scorer.predict([A, B], []) == [[], []]


async def test_closed_means_closed(scorer: ModuleScorer) -> None:
    await scorer.check()
    await scorer.close()
    with pytest.raises(ScorerFailed):
        await scorer.check()
    with pytest.raises(ScorerFailed):
        await scorer.score([A], question(1, 0))


async def test_others_have_their_turn_between_the_parts_of_what_is_asked_once(
    scorer: ModuleScorer, module: SumModule
) -> None:
    running = await held(scorer, module)
    lesser = [context(f"lesser {i}", float(i)) for i in range(5 * TURN_CONTEXTS)]
    done: list[str] = []
    long = asyncio.create_task(scorer.predict_once(lesser, [question(2, 0)]))
    await asyncio.sleep(0)
    short = asyncio.create_task(scorer.predict([A], [question(2, 1)]))
    for name, task in (("long", long), ("short", short)):
        task.add_done_callback(lambda _, name=name: done.append(name))  # type: ignore[misc]
    await asyncio.sleep(0)
    module.gate.set()
    rows, _, _ = await asyncio.gather(long, short, running)
    assert done == ["short", "long"]
    # The one that ran, the first part, who waited behind it, the other parts.
    assert [len(call) for call in module.calls] == [1, TURN_CONTEXTS, 1, *[TURN_CONTEXTS] * 4]
    for i, row in enumerate(rows):
        np.testing.assert_allclose(row[0].distribution, question(2, 0).sum(1) + i, rtol=1e-5)


async def test_with_own_groups_a_turn_is_one_context(module: SumModule) -> None:
    """Each has a prior of its own, which takes longer than its encoding."""
    worker = Worker()
    scorer = ModuleScorer(
        module, worker, cache_bytes=10_000, banks=TenantBanks(worker, EvenPrior())
    )
    rows = await scorer.predict_once([A, B, A], [question(2, 0)])
    assert module.calls == [[1]] * 3
    assert [len(row) for row in rows] == [1, 1, 1]
    await scorer.close()


async def test_many_questions_are_several_turns_and_keep_their_guesses(
    module: SumModule,
) -> None:
    pools = Pools("llm", Fit("toy-lm", Pool(), Pool(1.0), {}))
    scorer = ModuleScorer(module, Worker(), cache_bytes=10_000, pools=pools)
    questions = [question(64, n) for n in range(CHUNK_TOKENS // 64 + 1)]
    guesses = [*[None] * (len(questions) - 1), guess(0.5, 64)]
    rows = await scorer.predict_once([A, B], questions, guesses=guesses)
    assert module.calls == [[len(questions) - 1] * 2, [1, 1]]
    assert module.expected[-1][0] > 0.4, "even shares are 1 of 64"
    for bias, row in zip((1.0, 5.0), rows, strict=True):
        for asked, found in zip(questions, row, strict=True):
            np.testing.assert_allclose(found.distribution, asked.sum(1) + bias, rtol=1e-4)
    await scorer.close()


async def test_who_leaves_is_worked_for_no_further(scorer: ModuleScorer, module: SumModule) -> None:
    running = await held(scorer, module)
    lesser = [context(f"lesser {i}", 1.0) for i in range(5 * TURN_CONTEXTS)]
    long = asyncio.create_task(scorer.predict_once(lesser, [question(2, 0)]))
    await asyncio.sleep(0)
    long.cancel()
    module.gate.set()
    await asyncio.gather(long, running, return_exceptions=True)
    await scorer.predict([A], [question(2, 1)])
    assert long.cancelled()
    assert [len(call) for call in module.calls] == [1, 1]


async def test_a_context_that_is_too_large_is_refused_where_it_is_asked_once_too(
    scorer: ModuleScorer,
) -> None:
    item = A.items[0]
    with pytest.raises(InputTooLarge, match="at most 3"):
        await scorer.predict_once([Context("large", (item,) * 4)], [question(2, 0)])
