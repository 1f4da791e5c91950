"""What every GroupStore does, run over SQLite and over a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from fixtures.groups import DRAFT, PLAIN, PREFERENCES, RATING, SHARE, numbered, numbers

from service.core.domain import GroupDraft
from service.core.errors import (
    GroupExists,
    GroupNotFound,
    IdempotencyConflict,
    InputTooLarge,
    InvalidInput,
    StoreUnavailable,
    VersionMismatch,
)
from service.core.ports import GroupStore, Idempotency

T = "tenant"
E = "embedder-1"


async def create(store: GroupStore, group_id: str, draft: GroupDraft = PLAIN, tenant: str = T):
    return await store.create(tenant, group_id, draft, embedder=E)


async def ids_of(store: GroupStore, *, limit: int, tenant: str = T) -> list[str]:
    """All ids by way of the pages."""
    found: list[str] = []
    cursor = None
    while True:
        page = await store.list(tenant, limit=limit, cursor=cursor)
        assert len(page.groups) <= limit
        found += [g.id for g in page.groups]
        cursor = page.next_cursor
        if cursor is None:
            return found


# --- round trip


async def test_what_goes_in_comes_out(store: GroupStore) -> None:
    before = datetime.now(UTC)
    made = await create(store, "gruppe", DRAFT)
    got = await store.get(T, "gruppe")
    assert got == made
    assert got.preferences == PREFERENCES
    assert (got.id, got.name, got.description) == ("gruppe", DRAFT.name, DRAFT.description)
    assert got.metadata == DRAFT.metadata
    assert got.embedder == E
    assert got.version == 1
    assert got.created_at == got.updated_at
    assert before - timedelta(seconds=1) <= got.created_at <= datetime.now(UTC)
    assert got.created_at.tzinfo is not None
    assert got.context_tokens == 3 + 2 + 1 + 1 + 2


async def test_absent_fields_stay_absent(store: GroupStore) -> None:
    await create(store, "g", PLAIN)
    got = await store.get(T, "g")
    assert (got.description, got.metadata, got.preferences) == (None, None, ())


async def test_large_group_survives_whole(store: GroupStore) -> None:
    draft = GroupDraft(name="many", preferences=tuple(numbered(i) for i in range(2_500)))
    await create(store, "g", draft)
    grown = await store.append(
        T, "g", [numbered(2_500 + i) for i in range(2_500)], max_preferences=5_000
    )
    assert numbers(grown.preferences) == list(range(5_000))
    assert await store.get(T, "g") == grown


@pytest.mark.parametrize("group_id", ["a:b", "ü", "a b", "{x}", "%41", "0", "x" * 128, "*", "a}b"])
async def test_ids_are_taken_as_they_are(store: GroupStore, group_id: str) -> None:
    made = await create(store, group_id, DRAFT)
    assert made.id == group_id
    assert await store.get(T, group_id) == made
    assert await ids_of(store, limit=2) == [group_id]


# --- create, put, delete


async def test_create_refuses_an_id_that_exists(store: GroupStore) -> None:
    made = await create(store, "g", DRAFT)
    with pytest.raises(GroupExists) as info:
        await create(store, "g", PLAIN)
    assert info.value.group_id == "g"
    assert await store.get(T, "g") == made


async def test_unknown_group(store: GroupStore) -> None:
    with pytest.raises(GroupNotFound):
        await store.get(T, "nobody")
    with pytest.raises(GroupNotFound):
        await store.delete(T, "nobody")
    with pytest.raises(GroupNotFound):
        await store.delete(T, "nobody", if_match=1)
    with pytest.raises(GroupNotFound):
        await store.append(T, "nobody", [RATING], max_preferences=10)
    with pytest.raises(GroupNotFound):
        await store.append(T, "nobody", [RATING], max_preferences=10, if_match=1)
    assert await ids_of(store, limit=5) == []


async def test_put_creates_then_replaces(store: GroupStore) -> None:
    made, created = await store.put(T, "g", DRAFT, embedder=E)
    assert created
    replaced, created = await store.put(T, "g", PLAIN, embedder="embedder-2")
    assert not created
    assert replaced.version > made.version
    assert replaced.created_at == made.created_at
    assert replaced.updated_at >= made.updated_at
    assert replaced.embedder == "embedder-2"
    assert replaced.preferences == ()
    assert replaced.metadata is None
    assert await store.get(T, "g") == replaced
    assert await ids_of(store, limit=5) == ["g"]


async def test_put_compares_the_version(store: GroupStore) -> None:
    with pytest.raises(VersionMismatch) as info:
        await store.put(T, "g", DRAFT, embedder=E, if_match=1)
    assert info.value.actual is None
    with pytest.raises(GroupNotFound):
        await store.get(T, "g")

    made = await create(store, "g", DRAFT)
    with pytest.raises(VersionMismatch) as info:
        await store.put(T, "g", PLAIN, embedder=E, if_match=made.version + 1)
    assert info.value.actual == made.version
    assert await store.get(T, "g") == made

    replaced, _ = await store.put(T, "g", PLAIN, embedder=E, if_match=made.version)
    assert replaced.version == made.version + 1


async def test_put_that_only_creates(store: GroupStore) -> None:
    made, created = await store.put(T, "g", DRAFT, embedder=E, create_only=True)
    assert created
    with pytest.raises(VersionMismatch) as info:
        await store.put(T, "g", PLAIN, embedder=E, create_only=True)
    assert info.value.actual == made.version
    assert await store.get(T, "g") == made


async def test_delete_compares_the_version(store: GroupStore) -> None:
    made = await create(store, "g", DRAFT)
    with pytest.raises(VersionMismatch) as info:
        await store.delete(T, "g", if_match=made.version + 7)
    assert info.value.actual == made.version
    await store.delete(T, "g", if_match=made.version)
    with pytest.raises(GroupNotFound):
        await store.get(T, "g")
    assert await ids_of(store, limit=5) == []


async def test_versions_grow_over_deletion(store: GroupStore) -> None:
    seen = [(await create(store, "g")).version]
    seen.append((await store.append(T, "g", [RATING], max_preferences=9)).version)
    await store.delete(T, "g")
    again = await create(store, "g")
    seen.append(again.version)
    await store.delete(T, "g")
    seen.append((await store.put(T, "g", PLAIN, embedder=E))[0].version)
    assert seen == sorted(set(seen))
    assert again.preferences == ()


# --- append


async def test_append_adds_at_the_end(store: GroupStore) -> None:
    made = await create(store, "g", replace(DRAFT, preferences=(numbered(0),)))
    grown = await store.append(T, "g", [numbered(1), numbered(2)], max_preferences=3)
    assert numbers(grown.preferences) == [0, 1, 2]
    assert grown.version == made.version + 1
    assert (grown.name, grown.metadata, grown.created_at) == (
        made.name,
        made.metadata,
        made.created_at,
    )
    assert grown.updated_at >= made.updated_at
    assert await store.get(T, "g") == grown


async def test_append_over_the_cap_changes_nothing(store: GroupStore) -> None:
    made = await create(store, "g", DRAFT)
    with pytest.raises(InputTooLarge) as info:
        await store.append(T, "g", [RATING], max_preferences=len(PREFERENCES))
    assert [e.pointer for e in info.value.errors] == ["/preferences"]
    assert await store.get(T, "g") == made


async def test_append_over_the_largest_context_changes_nothing(store: GroupStore) -> None:
    made = await create(store, "g", DRAFT)
    held = made.context_tokens
    with pytest.raises(InputTooLarge) as info:
        await store.append(
            T, "g", [RATING, RATING], max_preferences=99, max_context_tokens=held + 1
        )
    [fault] = info.value.errors
    assert fault.pointer == "/preferences"
    assert f"holds {held} " in fault.detail
    assert await store.get(T, "g") == made
    grown = await store.append(T, "g", [RATING], max_preferences=99, max_context_tokens=held + 1)
    assert (grown.version, grown.context_tokens) == (made.version + 1, held + 1)
    with pytest.raises(InputTooLarge):
        await store.append(T, "g", [RATING], max_preferences=99, max_context_tokens=held + 1)


async def test_append_compares_the_version(store: GroupStore) -> None:
    made = await create(store, "g", DRAFT)
    with pytest.raises(VersionMismatch) as info:
        await store.append(T, "g", [RATING], max_preferences=99, if_match=made.version + 1)
    assert info.value.actual == made.version
    assert await store.get(T, "g") == made
    grown = await store.append(T, "g", [SHARE], max_preferences=99, if_match=made.version)
    assert grown.preferences == (*PREFERENCES, SHARE)


async def test_concurrent_appends_are_all_kept(
    store: GroupStore, open_another: Callable[[], GroupStore]
) -> None:
    await create(store, "g")
    stores = [store, open_another()]
    grown = await asyncio.gather(
        *(stores[i % 2].append(T, "g", [numbered(i)], max_preferences=999) for i in range(120))
    )
    final = await store.get(T, "g")
    assert sorted(numbers(final.preferences)) == list(range(120))
    versions = [g.version for g in grown]
    assert len(set(versions)) == 120
    assert final.version == max(versions)
    for group in grown:
        # Each answer is the prefix of the final list that its version stands for.
        assert group.preferences == final.preferences[: group.version - 1]


async def test_the_cap_holds_under_concurrency(store: GroupStore) -> None:
    await create(store, "g")
    results = await asyncio.gather(
        *(store.append(T, "g", [numbered(i)], max_preferences=10) for i in range(40)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, InputTooLarge) for r in results) == 30
    assert (await store.get(T, "g")).preference_count == 10


async def test_the_largest_context_holds_under_concurrency(store: GroupStore) -> None:
    await create(store, "g")
    results = await asyncio.gather(
        *(
            store.append(T, "g", [SHARE], max_preferences=99, max_context_tokens=20)
            for _ in range(20)
        ),
        return_exceptions=True,
    )
    fit = 20 // len(SHARE.options)
    assert sum(isinstance(r, InputTooLarge) for r in results) == 20 - fit
    assert (await store.get(T, "g")).preference_count == fit


async def test_of_concurrent_writers_with_one_version_one_wins(store: GroupStore) -> None:
    made = await create(store, "g")
    results = await asyncio.gather(
        *(
            store.put(T, "g", replace(PLAIN, name=f"n{i}"), embedder=E, if_match=made.version)
            for i in range(30)
        ),
        return_exceptions=True,
    )
    won = [r for r in results if isinstance(r, tuple)]
    assert len(won) == 1
    assert sum(isinstance(r, VersionMismatch) for r in results) == 29
    assert await store.get(T, "g") == won[0][0]


async def test_of_concurrent_creates_one_wins(store: GroupStore) -> None:
    results = await asyncio.gather(
        *(create(store, "g", replace(PLAIN, name=f"n{i}")) for i in range(30)),
        return_exceptions=True,
    )
    assert sum(isinstance(r, GroupExists) for r in results) == 29
    assert (await store.get(T, "g")).version == 1


# --- listing


async def test_listing_is_ordered_and_complete(store: GroupStore) -> None:
    names = ["b", "a", "a-1", "a1", "B", "é", "10", "9", "z" * 60, "a:1", "_"]
    for name in names:
        await create(store, name, DRAFT)
    by_bytes = sorted(names, key=str.encode)
    for limit in (1, 2, 3, 11, 50):
        assert await ids_of(store, limit=limit) == by_bytes
    page = await store.list(T, limit=3)
    assert [g.preferences for g in page.groups] == [PREFERENCES] * 3
    assert page.groups[0] == await store.get(T, by_bytes[0])


async def test_the_last_page_has_no_cursor(store: GroupStore) -> None:
    assert await store.list(T, limit=2) == await store.list("nobody", limit=2)
    for name in ("a", "b"):
        await create(store, name)
    assert (await store.list(T, limit=2)).next_cursor is None
    assert (await store.list(T, limit=1)).next_cursor is not None


async def test_pages_of_many_groups(store: GroupStore) -> None:
    names = [f"g{i:03}" for i in range(130)]
    await asyncio.gather(*(create(store, name) for name in names))
    assert await ids_of(store, limit=128) == names
    assert len((await store.list(T, limit=47)).groups) == 47


async def test_listing_while_groups_come_and_go(store: GroupStore) -> None:
    stable = [f"s{i:02}" for i in range(25)]
    for name in stable:
        await create(store, name)

    async def churn() -> None:
        for i in range(60):
            await create(store, f"s{i % 25:02}-{i}")
            if i % 2:
                await store.delete(T, f"s{i % 25:02}-{i}")

    task = asyncio.create_task(churn())
    while not task.done():
        found = await ids_of(store, limit=4)
        assert found == sorted(set(found))
        assert set(stable) <= set(found)
    await task


async def test_a_cursor_outlives_its_group(store: GroupStore) -> None:
    for name in ("a", "b", "c"):
        await create(store, name)
    first = await store.list(T, limit=2)
    await store.delete(T, "b")
    rest = await store.list(T, limit=2, cursor=first.next_cursor)
    assert [g.id for g in rest.groups] == ["c"]


@pytest.mark.parametrize("cursor", ["", "x", "garbage", "Z2FyYmFnZQ", "ä", "a" * 5000, "(a", "=="])
async def test_a_garbage_cursor_is_refused(store: GroupStore, cursor: str) -> None:
    with pytest.raises(InvalidInput) as info:
        await store.list(T, limit=2, cursor=cursor)
    assert [e.pointer for e in info.value.errors] == ["/cursor"]


# --- idempotency


async def test_a_repeated_key_returns_what_it_created(
    store: GroupStore, open_another: Callable[[], GroupStore]
) -> None:
    key = Idempotency("k1", "digest-a")
    assert await store.find_idempotent(T, key) is None
    made = await store.create(T, "g", DRAFT, embedder=E, idempotency=key)
    assert await store.find_idempotent(T, key) == made
    await store.append(T, "g", [RATING], max_preferences=99)
    # The snapshot of its creation, whatever happened to the group since, in every process.
    assert await store.create(T, "other-id", DRAFT, embedder=E, idempotency=key) == made
    await store.delete(T, "g")
    assert await open_another().create(T, "g", DRAFT, embedder=E, idempotency=key) == made
    assert await ids_of(store, limit=5) == []


async def test_a_key_with_another_payload_is_refused(store: GroupStore) -> None:
    made = await store.create(T, "g", DRAFT, embedder=E, idempotency=Idempotency("k", "a"))
    other = Idempotency("k", "b")
    with pytest.raises(IdempotencyConflict):
        await store.create(T, "h", PLAIN, embedder=E, idempotency=other)
    with pytest.raises(IdempotencyConflict):
        await store.find_idempotent(T, other)
    assert await ids_of(store, limit=5) == ["g"]
    assert await store.get(T, "g") == made


async def test_a_refused_create_does_not_use_up_its_key(store: GroupStore) -> None:
    await create(store, "g")
    key = Idempotency("k", "a")
    with pytest.raises(GroupExists):
        await store.create(T, "g", DRAFT, embedder=E, idempotency=key)
    assert await store.find_idempotent(T, key) is None
    made = await store.create(T, "h", DRAFT, embedder=E, idempotency=key)
    assert made.id == "h"


async def test_concurrent_creates_with_one_key_make_one_group(store: GroupStore) -> None:
    key = Idempotency("k", "a")
    made = await asyncio.gather(
        *(store.create(T, f"g{i}", DRAFT, embedder=E, idempotency=key) for i in range(20))
    )
    assert len({g.id for g in made}) == 1
    assert await ids_of(store, limit=50) == [made[0].id]


async def test_keys_belong_to_a_tenant_and_expire(open_another: Callable[..., GroupStore]) -> None:
    store = open_another(idempotency_ttl_s=0.3)
    key = Idempotency("k", "a")
    mine = await store.create("one", "g", DRAFT, embedder=E, idempotency=key)
    other = await store.create("two", "h", PLAIN, embedder=E, idempotency=Idempotency("k", "b"))
    assert (mine.id, other.id) == ("g", "h")
    await asyncio.sleep(0.4)
    assert await store.find_idempotent("one", key) is None
    again = await store.create("one", "i", PLAIN, embedder=E, idempotency=Idempotency("k", "c"))
    assert again.id == "i"


# --- tenants


@pytest.mark.parametrize("other", ["b", "tenant}", "tenan", "tenant:group", "{tenant}"])
async def test_tenants_do_not_see_each_other(store: GroupStore, other: str) -> None:
    mine = await create(store, "g", DRAFT)
    with pytest.raises(GroupNotFound):
        await store.get(other, "g")
    with pytest.raises(GroupNotFound):
        await store.delete(other, "g")
    with pytest.raises(GroupNotFound):
        await store.append(other, "g", [RATING], max_preferences=9)
    assert await store.get_vectors(other, "g", 1, "d") is None
    theirs = await create(store, "g", PLAIN, tenant=other)
    assert theirs.version == 1
    assert await ids_of(store, limit=9, tenant=other) == ["g"]
    await store.delete(other, "g")
    assert await store.get(T, "g") == mine
    assert await ids_of(store, limit=9) == ["g"]


# --- vectors


def some_vectors(rows: int = 9, dim: int = 5) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((rows, dim)).astype(np.float32)


async def test_vectors_come_back_bit_for_bit(store: GroupStore) -> None:
    group = await create(store, "g", DRAFT)
    vectors = some_vectors()
    vectors[0, 0] = np.float32(1e-42)
    assert await store.get_vectors(T, "g", group.version, "d") is None
    await store.put_vectors(T, "g", group.version, "d", vectors)
    got = await store.get_vectors(T, "g", group.version, "d")
    assert got is not None
    assert got.dtype == np.float32
    assert got.flags.writeable
    assert got.tobytes() == vectors.tobytes()
    assert got.shape == vectors.shape
    assert await store.get_vectors(T, "g", group.version, "another embedder") is None
    assert await store.get_vectors(T, "g", group.version + 1, "d") is None


async def test_vectors_of_any_memory_layout(store: GroupStore) -> None:
    group = await create(store, "g", DRAFT)
    vectors = np.asfortranarray(some_vectors(8, 6))[::2]
    await store.put_vectors(T, "g", group.version, "d", vectors)
    np.testing.assert_array_equal(
        await store.get_vectors(T, "g", group.version, "d"), vectors, strict=True
    )


async def test_no_vectors_are_vectors_too(store: GroupStore) -> None:
    group = await create(store, "g")
    await store.put_vectors(T, "g", group.version, "d", np.zeros((0, 5), np.float32))
    got = await store.get_vectors(T, "g", group.version, "d")
    assert got is not None
    assert got.shape == (0, 5)


async def test_vectors_of_a_new_embedder_replace_the_old(store: GroupStore) -> None:
    group = await create(store, "g", DRAFT)
    await store.put_vectors(T, "g", group.version, "d1", some_vectors(9, 5))
    await store.put_vectors(T, "g", group.version, "d2", some_vectors(9, 7))
    got = await store.get_vectors(T, "g", group.version, "d2")
    assert got is not None
    assert got.shape == (9, 7)


async def test_vectors_go_with_their_version(store: GroupStore) -> None:
    async def cached(version: int) -> bool:
        return await store.get_vectors(T, "g", version, "d") is not None

    group = await create(store, "g", DRAFT)
    await store.put_vectors(T, "g", group.version, "d", some_vectors())
    grown = await store.append(T, "g", [RATING], max_preferences=99)
    assert not await cached(group.version)
    assert not await cached(grown.version)

    # A slow embedding of the old version must not be taken for the new one.
    await store.put_vectors(T, "g", group.version, "d", some_vectors())
    assert not await cached(group.version)
    await store.put_vectors(T, "g", grown.version, "d", some_vectors(10))
    assert await cached(grown.version)
    await store.put_vectors(T, "g", group.version, "d", some_vectors())
    assert await cached(grown.version)

    replaced, _ = await store.put(T, "g", PLAIN, embedder=E)
    assert not await cached(grown.version)
    await store.put_vectors(T, "g", replaced.version, "d", some_vectors())
    await store.delete(T, "g")
    assert not await cached(replaced.version)
    await store.put_vectors(T, "g", replaced.version, "d", some_vectors())
    assert not await cached(replaced.version)


# --- life


async def test_data_outlive_the_store_object(
    store: GroupStore, open_another: Callable[[], GroupStore]
) -> None:
    made = await create(store, "g", DRAFT)
    await store.put_vectors(T, "g", made.version, "d", some_vectors())
    await store.close()
    again = open_another()
    assert await again.get(T, "g") == made
    assert await again.get_vectors(T, "g", made.version, "d") is not None
    await again.check()


async def test_a_closed_store_says_so(store: GroupStore) -> None:
    await store.check()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.get(T, "g")
    with pytest.raises(StoreUnavailable):
        await store.check()
    await store.close()


async def test_cancelled_calls_leave_the_store_sound(store: GroupStore) -> None:
    for i in range(10):
        await create(store, f"g{i}", replace(PLAIN, name=f"name {i}"))

    async def read(i: int) -> None:
        assert (await store.get(T, f"g{i}")).name == f"name {i}"

    for step in range(60):
        tasks = [asyncio.create_task(read(i)) for i in range(10)]
        for _ in range(step % 12):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(r) for r in results[1::2]} == {type(None)}
        assert {type(r) for r in results[::2]} <= {type(None), asyncio.CancelledError}
    await store.check()


async def test_a_cancelled_write_is_whole_or_absent(store: GroupStore) -> None:
    await create(store, "g")
    for i in range(40):
        task = asyncio.create_task(
            store.append(T, "g", [numbered(2 * i), numbered(2 * i + 1)], max_preferences=999)
        )
        for _ in range(i % 10):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await create(store, "end")
    group = await store.get(T, "g")
    kept = numbers(group.preferences)
    assert kept[::2] == [n - 1 for n in kept[1::2]]
    assert len(kept) == len(set(kept))
    assert group.version == 1 + len(kept) // 2


# --- stamps


async def test_a_stamp_is_that_of_the_newest_version(store: GroupStore) -> None:
    made = [await create(store, name) for name in ("a", "b", "c")]
    assert await store.stamps(T, ["c", "a", "b"]) == [made[i].stamp for i in (2, 0, 1)]
    assert await store.stamps(T, []) == []


async def test_every_write_gives_a_stamp_that_was_never_there(store: GroupStore) -> None:
    group = await create(store, "a")
    seen = {group.stamp}
    grown = await store.append(T, "a", [SHARE], max_preferences=10)
    replaced, _ = await store.put(T, "a", PLAIN, embedder=E)
    await store.delete(T, "a")
    again = await create(store, "a")
    for version in (grown, replaced, again):
        assert version.stamp not in seen
        seen.add(version.stamp)
    assert await store.stamps(T, ["a"]) == [again.stamp]


async def test_a_group_that_is_not_there_has_no_stamp(store: GroupStore) -> None:
    await create(store, "a")
    for ids in (["b"], ["a", "b"]):
        with pytest.raises(GroupNotFound):
            await store.stamps(T, ids)
    with pytest.raises(GroupNotFound):
        await store.stamps("other", ["a"])


async def test_a_write_of_one_replica_shows_in_the_stamps_of_another_at_once(
    open_another: Callable[..., GroupStore],
) -> None:
    writer, reader = open_another(), open_another()
    await create(writer, "a")
    for _ in range(20):
        group, _ = await writer.put(T, "a", PLAIN, embedder=E)
        assert await reader.stamps(T, ["a"]) == [group.stamp]
        assert await asyncio.gather(*(reader.stamps(T, ["a"]) for _ in range(5))) == (
            [[group.stamp]] * 5
        )


async def test_a_closed_store_has_no_stamps(open_another: Callable[..., GroupStore]) -> None:
    store = open_another()
    await create(store, "a")
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.stamps(T, ["a"])
