"""Contexts side by side: the answers of each alone, whatever stands beside it."""

from __future__ import annotations

import numpy as np
import pytest

from models.batches import FloatArray, Item, Kind
from models.scorer import Asked, GPOScorer, load_scorer
from models.stacks import apart, packed, stacked
from service.settings import RELEASED

SIZES = (0, 1, 3, 3, 9, 40)
EXACT = 5e-6


@pytest.fixture(scope="module")
def scorer() -> GPOScorer:
    return load_scorer(RELEASED / "minilm")


def vectors(draw: np.random.Generator, k: int, dim: int = 768) -> FloatArray:
    prompt = np.repeat(draw.normal(size=(1, dim // 2)), k, 0)
    both = np.stack([prompt, draw.normal(size=(k, dim // 2))], 1)
    both /= np.linalg.norm(both, axis=2, keepdims=True)
    return np.asarray(both.reshape(k, dim), np.float32)


def items(size: int, seed: int) -> list[Item]:
    draw, found = np.random.default_rng(seed), []
    for number in range(size):
        kind = (Kind.SHARE, Kind.RATING, Kind.COMPARISON)[number % 3]
        k = {Kind.SHARE: 4, Kind.RATING: 1, Kind.COMPARISON: 2}[kind]
        values = np.array([1, 0]) if kind is Kind.COMPARISON else draw.dirichlet(np.ones(4))[:k]
        found.append(Item(kind, vectors(draw, k), values.astype(np.float32), weight=50.0))
    return found


def test_contexts_encoded_together_answer_as_if_encoded_alone(scorer: GPOScorer) -> None:
    draw = np.random.default_rng(7)
    contexts = [items(size, seed) for seed, size in enumerate(SIZES)]
    together = scorer.encode_contexts(contexts)
    alone = [scorer.encode_context(context) for context in contexts]
    assert [e.width for e in together] == [e.width for e in alone]
    assert [e.nbytes for e in together] == [e.nbytes for e in alone]
    for one, other in zip(together, alone, strict=True):
        question = vectors(draw, 5)
        for a, b in zip(
            scorer.predict(one, [question]), scorer.predict(other, [question]), strict=True
        ):
            np.testing.assert_allclose(a.mean, b.mean, atol=EXACT)
            np.testing.assert_allclose(a.std, b.std, atol=EXACT)


def test_questions_to_several_contexts_in_one_pass_are_answered_as_alone(scorer: GPOScorer) -> None:
    draw = np.random.default_rng(8)
    contexts = [scorer.encode_context(items(size, seed)) for seed, size in enumerate(SIZES)]
    asked = [
        Asked(context, [vectors(draw, k) for k in range(2, 3 + number)])
        for number, context in enumerate(contexts)
    ]
    for one, row in zip(asked, scorer.predict_each(asked), strict=True):
        for question, found in zip(one.targets, row, strict=True):
            (alone,) = scorer.predict(one.context, [question])
            for name in ("mean", "std", "low", "high"):
                np.testing.assert_allclose(getattr(found, name), getattr(alone, name), atol=EXACT)


def test_responses_to_several_contexts_in_one_pass_are_scored_as_alone(scorer: GPOScorer) -> None:
    draw = np.random.default_rng(9)
    contexts = [scorer.encode_context(items(size, seed)) for seed, size in enumerate(SIZES)]
    asked = [Asked(c, [vectors(draw, n), vectors(draw, 2)]) for n, c in enumerate(contexts, 1)]
    for one, row in zip(asked, scorer.score_each(asked), strict=True):
        for responses, found in zip(one.targets, row, strict=True):
            alone = scorer.score(one.context, responses)
            np.testing.assert_allclose(found.mean, alone.mean, atol=EXACT)


def test_a_context_that_is_cut_out_of_a_batch_shares_no_memory_with_it(scorer: GPOScorer) -> None:
    contexts = [scorer.encode_context(items(3, seed)) for seed in range(3)]
    batch = stacked(contexts)
    parts = apart(batch, [c.width for c in contexts])
    batch.frame.text.zero_()
    for part, context in zip(parts, contexts, strict=True):
        np.testing.assert_array_equal(part.frame.text, context.frame.text)


def test_passes_hold_each_piece_once_and_no_more_cells_than_allowed() -> None:
    draw = np.random.default_rng(0)
    pieces = [(i, int(r), int(c)) for i, (r, c) in enumerate(draw.integers(1, 200, (300, 2)))]
    passes = packed(pieces, 20_000)
    assert sorted(i for members in passes for i in members) == list(range(300))
    for members in passes:
        rows, columns = zip(*[pieces[i][1:] for i in members], strict=True)
        assert len(members) == 1 or len(members) * max(rows) * max(columns) <= 20_000
        assert max(rows) < 2 * min(rows)
        assert max(columns) < 2 * min(columns)
