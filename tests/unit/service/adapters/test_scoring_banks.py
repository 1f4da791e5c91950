"""The banks of own groups: what lies below them is asked once, and by each tenant for itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from models.batches import Expectation, FloatArray
from models.batches import Kind as ItemKind
from models.published import EvenPrior
from service.adapters.scoring.banks import TenantBanks
from service.adapters.scoring.worker import Worker
from service.core.domain import Context, ContextItem, Kind


class Base(EvenPrior):
    """Counts the questions that it is asked."""

    asked = 0

    def expect(self, items: Sequence[tuple[ItemKind, FloatArray]]) -> list[Expectation]:
        self.asked += len(items)
        return super().expect(items)


def vectors(seed: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=(3, 8)).astype(np.float32)


def context(tenant: str, *questions: int) -> Context:
    even = np.full(3, 1 / 3, np.float32)
    items = tuple(ContextItem(Kind.SHARE, vectors(n), even) for n in questions)
    return Context(f"{questions}", items, tenant, None)


@pytest.fixture
def worker() -> Iterator[Worker]:
    running = Worker()
    yield running
    running.close()


async def test_lesser_contexts_ask_the_base_nothing_anew(worker: Worker) -> None:
    base = Base()
    banks = TenantBanks(worker, base)
    asked = [(ItemKind.SHARE, vectors(9))]
    banks.prior(context("a", 1, 2, 3)).expect(asked)
    before = base.asked
    for lesser in (context("a", 2, 3), context("a", 1, 3), context("a", 1, 2), context("a")):
        banks.prior(lesser, keep=False).expect(asked)
    assert base.asked == before == 4


async def test_what_one_tenant_asked_answers_another_no_sooner(worker: Worker) -> None:
    base = Base()
    banks = TenantBanks(worker, base)
    for tenant, expected in (("a", 2), ("b", 4), ("a", 4)):
        banks.prior(context(tenant, 1)).expect([(ItemKind.SHARE, vectors(9))])
        assert base.asked == expected
