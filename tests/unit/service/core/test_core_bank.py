"""The bank in step with the store: what is read when, and what is left out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeEmbedder

from models.published import EvenPrior
from service.adapters.scoring.banks import TenantBanks
from service.adapters.scoring.worker import Worker
from service.adapters.stores.sqlite_store import SqliteStore
from service.core import bank as core_bank
from service.core.bank import OwnGroups, within
from service.core.contexts import Contexts, embedder_label
from service.core.domain import Context, GroupDraft, RatingPreference, RollEntry
from service.core.errors import ScorerFailed
from service.core.limits import Limits

T = "tenant"


class CountingBanks(TenantBanks):
    """The real banks; keeps what was asked of them."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker, EvenPrior())
        self.calls: list[tuple[str, ...]] = []
        self.late: Exception | None = None

    async def put(self, contexts: Sequence[Context]) -> None:
        self.calls.append(("put", *sorted(str(c.group_id) for c in contexts)))
        await super().put(contexts)
        if self.late is not None:
            raise self.late

    async def remove(self, tenant: str, group_ids: Sequence[str]) -> None:
        self.calls.append(("remove", *sorted(group_ids)))
        await super().remove(tenant, group_ids)

    async def forget(self, tenant: str) -> None:
        self.calls.append(("forget", tenant))
        await super().forget(tenant)


class Bench:
    """A store, real banks, and what keeps them in step."""

    def __init__(self, path: Path, worker: Worker, *, most: int = 1_000) -> None:
        self.store, self.embedder, self.banks = (
            SqliteStore(path),
            FakeEmbedder(),
            CountingBanks(worker),
        )
        contexts = Contexts(self.store, self.embedder, Limits())
        self.groups = OwnGroups(self.store, contexts, self.banks, most_preferences=most)

    async def write(self, name: str, *scores: float, tenant: str = T) -> None:
        rated = tuple(RatingPreference("p", f"text {i}", s) for i, s in enumerate(scores))
        label = embedder_label(self.embedder.identity)
        await self.store.put(tenant, name, GroupDraft(name, rated), embedder=label)

    async def refresh(self, tenant: str = T) -> list[tuple[str, ...]]:
        """What the bank was asked to do."""
        self.banks.calls.clear()
        async with self.groups.fresh(tenant):
            return list(self.banks.calls)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    worker = Worker()
    bench = Bench(tmp_path / "groups.db", worker)
    yield bench
    await bench.store.close()
    worker.close()


async def test_only_what_changed_is_read(bench: Bench) -> None:
    assert await bench.refresh() == []
    await bench.write("a", 0.1)
    await bench.write("b", 0.2)
    await bench.write("empty")
    assert await bench.refresh() == [("put", "a", "b")]
    assert await bench.refresh() == []
    await bench.write("b", 0.3)
    await bench.write("c", 0.4)
    await bench.store.delete(T, "a")
    assert await bench.refresh() == [("remove", "a"), ("put", "b", "c")]
    await bench.write("b")  # without preferences it has nothing to say
    assert await bench.refresh() == [("remove", "b")]
    assert await bench.refresh() == []


async def test_a_group_deleted_and_made_again_is_read_again(bench: Bench) -> None:
    await bench.write("a", 0.1)
    await bench.refresh()
    await bench.store.delete(T, "a")
    await bench.write("a", 0.9)
    assert await bench.refresh() == [("put", "a")]


async def test_requests_at_the_same_time_read_once(bench: Bench) -> None:
    await bench.write("a", 0.1)

    async def ask() -> None:
        async with bench.groups.fresh(T):
            pass

    await asyncio.gather(*(ask() for _ in range(8)))
    assert bench.banks.calls == [("put", "a")]


async def test_many_groups_are_read_in_portions(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_bank, "AT_ONCE", 5)
    monkeypatch.setattr(core_bank, "GROUPS_AT_ONCE", 3)
    for n in range(8):
        await bench.write(f"g{n}", *([0.5] * (7 if n == 0 else 1)))
    calls = await bench.refresh()
    assert sorted(name for _, *names in calls for name in names) == [f"g{n}" for n in range(8)]
    assert max(len(names) for _, *names in calls) == 3


async def test_what_failed_is_tried_again(bench: Bench) -> None:
    """A broken embedder fails the answer; what was deleted is gone all the same."""
    await bench.write("a", 0.1)
    await bench.refresh()
    await bench.store.delete(T, "a")
    await bench.write("b", 0.2)
    bench.embedder.fault = lambda vectors: np.full_like(vectors, np.nan)
    for _ in range(2):
        with pytest.raises(ScorerFailed):
            await bench.refresh()
    bench.embedder.fault = None
    assert await bench.refresh() == [("put", "b")]


async def test_what_was_broken_off_can_still_be_deleted(bench: Bench) -> None:
    """The row got in, but the one who brought it never heard so."""
    await bench.write("a", 0.1)
    bench.banks.late = ScorerFailed("too late")
    with pytest.raises(ScorerFailed):
        await bench.refresh()
    bench.banks.late = None
    await bench.store.delete(T, "a")
    assert await bench.refresh() == [("remove", "a")]


async def test_the_bank_of_whoever_asked_longest_ago_is_freed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_bank, "TENANTS", 2)
    for tenant in "abc":
        await bench.write("g", 0.5, tenant=tenant)
    await bench.refresh("a")
    await bench.refresh("b")
    await bench.refresh("a")
    assert await bench.refresh("c") == [("put", "g"), ("forget", "b")]
    assert await bench.refresh("a") == []
    assert await bench.refresh("b") == [("put", "g"), ("forget", "c")]


async def test_a_bank_in_use_is_not_freed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_bank, "TENANTS", 1)
    for tenant in "ab":
        await bench.write("g", 0.5, tenant=tenant)
    async with bench.groups.fresh("a"):
        assert ("forget", "a") not in await bench.refresh("b")
    assert await bench.refresh("a") == []


def test_all_groups_that_fit_are_taken() -> None:
    groups = {f"g{n}": RollEntry(1, n) for n in range(10)}
    assert within(groups, 45) == {name: e for name, e in groups.items() if e.preferences}
    assert within({}, 5) == {}


def test_of_too_many_a_sample_that_hardly_moves() -> None:
    """Whatever the order in which they are listed, and whoever comes or goes."""
    groups = {f"g{n}": RollEntry(1, 10) for n in range(1_000)}
    chosen = within(groups, 2_000)
    assert len(chosen) == 200
    assert within(dict(reversed(groups.items())), 2_000) == chosen
    more = within(groups | {f"new{n}": RollEntry(1, 10) for n in range(100)}, 2_000)
    assert len(more) == 200
    assert len(chosen.keys() & more.keys()) > 150
    rest = {name: e for name, e in groups.items() if name != next(iter(chosen))}
    assert len(chosen.keys() & within(rest, 2_000).keys()) == 199


def test_a_group_too_large_for_the_bank_leaves_room_for_others() -> None:
    groups = {"huge": RollEntry(1, 50), **{f"g{n}": RollEntry(1, 5) for n in range(4)}}
    assert set(within(groups, 20)) == {f"g{n}" for n in range(4)}
