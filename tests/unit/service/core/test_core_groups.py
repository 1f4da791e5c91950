"""Writes against an expected version, also when another writer comes between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fakes import FakeEmbedder

from service.adapters.stores.sqlite_store import SqliteStore
from service.core.domain import ComparisonPreference, Group, GroupDraft, RatingPreference
from service.core.errors import GroupNotFound, InputTooLarge, InvalidInput, VersionMismatch
from service.core.groups import Expected, Groups, check_id
from service.core.limits import Limits

TENANT = "acme"
DRAFT = GroupDraft("Town", ())
ANY = Expected(any=True)


class BusyStore(SqliteStore):
    """Another writer replaces the group right after each of the first `rivals` reads."""

    rivals = 0

    async def get(self, tenant: str, group_id: str) -> Group:
        group = await super().get(tenant, group_id)
        if self.rivals:
            self.rivals -= 1
            await self.put(tenant, group_id, GroupDraft("Rival", ()), embedder="e")
        return group


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[BusyStore]:
    store = BusyStore(tmp_path / "groups.db")
    yield store
    await store.close()


@pytest.fixture
def groups(store: BusyStore) -> Groups:
    return Groups(store, FakeEmbedder(), Limits())


async def test_any_version_is_found_again_after_a_rival(store: BusyStore, groups: Groups) -> None:
    await groups.put(TENANT, "town", DRAFT)
    store.rivals = 2
    group, created = await groups.put(TENANT, "town", DRAFT, expected=ANY)
    assert (group.name, group.version, created) == ("Town", 4, False)


async def test_a_named_version_is_not_found_again(store: BusyStore, groups: Groups) -> None:
    await groups.put(TENANT, "town", DRAFT)
    store.rivals = 1
    with pytest.raises(VersionMismatch) as caught:
        await groups.delete(TENANT, "town", expected=Expected(frozenset({1, 9})))
    assert caught.value.actual == 2
    assert (await groups.get(TENANT, "town")).name == "Rival"


async def test_a_storm_of_rivals_is_given_up(store: BusyStore, groups: Groups) -> None:
    await groups.put(TENANT, "town", DRAFT)
    store.rivals = 1_000
    with pytest.raises(VersionMismatch):
        await groups.append(TENANT, "town", (), expected=ANY)
    assert store.rivals > 900


async def test_any_version_of_nothing_is_a_mismatch(groups: Groups) -> None:
    with pytest.raises(VersionMismatch) as caught:
        await groups.put(TENANT, "town", DRAFT, expected=ANY)
    assert caught.value.actual is None
    with pytest.raises(GroupNotFound):
        await groups.get(TENANT, "town")


async def test_tenants_do_not_meet(groups: Groups) -> None:
    await groups.create(TENANT, DRAFT, group_id="town")
    await groups.create("other", DRAFT, group_id="town")
    await groups.delete("other", "town")
    assert (await groups.get(TENANT, "town")).version == 1


async def test_a_page_is_no_longer_than_the_cap(store: BusyStore) -> None:
    groups = Groups(store, FakeEmbedder(), Limits(list=2))
    for name in "abc":
        await groups.create(TENANT, DRAFT, group_id=name)
    page = await groups.list(TENANT, limit=None, cursor=None)
    assert [group.id for group in page.groups] == ["a", "b"]
    with pytest.raises(InputTooLarge):
        await groups.list(TENANT, limit=3, cursor=None)


async def test_a_context_has_a_largest_size(store: BusyStore) -> None:
    groups = Groups(store, FakeEmbedder(), Limits(context_tokens=3))
    pair, rating = ComparisonPreference("Pick.", "This.", "That."), RatingPreference("S.", "Y.", 1)
    small, large = GroupDraft("Town", (pair, rating)), GroupDraft("Town", (pair, pair))
    for refused in (
        groups.create(TENANT, large, group_id="town"),
        groups.put(TENANT, "town", large),
    ):
        with pytest.raises(InputTooLarge) as caught:
            await refused
        assert [fault.pointer for fault in caught.value.errors] == ["/preferences"]
    with pytest.raises(GroupNotFound):
        await groups.get(TENANT, "town")
    made = await groups.create(TENANT, small, group_id="town")
    for refused_too in (
        groups.append(TENANT, "town", (rating,)),
        groups.append(TENANT, "town", (pair, pair)),
        groups.put(TENANT, "town", large),
    ):
        with pytest.raises(InputTooLarge) as caught:
            await refused_too
        assert [fault.pointer for fault in caught.value.errors] == ["/preferences"]
    assert await groups.get(TENANT, "town") == made


@pytest.mark.parametrize("name", ["a", "A-1_2.3:4", "x" * 128, "...", "grp_0"])
def test_ids_that_may_be(name: str) -> None:
    check_id(name, at="/id")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "é", "a\n", "x" * 129, "a\0"])
def test_ids_that_may_not_be(name: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_id(name, at="/id")
    assert caught.value.errors[0].pointer == "/id"
