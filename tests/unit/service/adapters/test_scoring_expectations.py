"""A prior that is asked once for each question: the same expectations, for the same prior alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.batches import Expectation, FloatArray, Kind
from service.adapters.scoring.expectations import RememberedPrior
from service.core.byte_lru import ByteLRU


class Counting:
    """Expects the sum of the vectors, times a factor; knows what it was asked."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.asked: list[tuple[Kind, FloatArray]] = []

    def expect(self, items: Sequence[tuple[Kind, FloatArray]]) -> list[Expectation]:
        self.asked += items
        return [
            Expectation(self.factor * v.sum(1), np.zeros((len(v), 3), np.float32)) for _, v in items
        ]


def vectors(k: int, seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(k, 4)).astype(np.float32)


def means(found: Sequence[Expectation]) -> list[list[float]]:
    return [e.mean.tolist() for e in found]


def test_each_question_is_asked_once_and_answered_in_its_place() -> None:
    base = Counting()
    prior = RememberedPrior(base, ByteLRU(10_000))
    a, b = vectors(2, 0), vectors(3, 1)
    asked = [(Kind.SHARE, v) for v in (a, b, a.copy())]
    assert means(prior.expect(asked)) == means(Counting().expect(asked))
    assert means(prior.expect(asked[::-1])) == means(Counting().expect(asked[::-1]))
    assert len(base.asked) == 2


def test_what_is_rated_is_asked_each_time_and_not_taken_for_a_question() -> None:
    base = Counting()
    prior = RememberedPrior(base, ByteLRU(10_000))
    one = vectors(2, 0)
    for kind in (Kind.RATING, Kind.SHARE, Kind.RATING, Kind.SHARE, Kind.COMPARISON):
        prior.expect([(kind, one), (kind, one)])
    kinds = [kind for kind, _ in base.asked]
    assert kinds == [Kind.RATING] * 2 + [Kind.SHARE] + [Kind.RATING] * 2 + [Kind.COMPARISON] * 2


def test_priors_of_other_names_share_the_memory_but_not_the_answers() -> None:
    cache: ByteLRU[Expectation] = ByteLRU(10_000)
    asked = [(Kind.SHARE, vectors(2, 0))]
    one = RememberedPrior(Counting(1.0), cache, name="one")
    two = RememberedPrior(Counting(2.0), cache, name="two")
    for _ in range(2):
        assert means(one.expect(asked)) == means(Counting(1.0).expect(asked))
        assert means(two.expect(asked)) == means(Counting(2.0).expect(asked))
    assert (cache.hits, cache.misses) == (2, 2)
