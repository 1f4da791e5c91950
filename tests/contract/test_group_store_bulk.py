"""Many groups at a time, appends by key, text vectors: over SQLite and over a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from fixtures.groups import DRAFT, PLAIN, PREFERENCES, RATING, SHARE, numbered

from service.core.domain import GroupDraft, GroupSummary, OnConflict, Written
from service.core.errors import GroupNotFound, IdempotencyConflict, InputTooLarge, VersionMismatch
from service.core.ports import GroupStore, Idempotency

T = "tenant"
E = "embedder-1"
UPDATE, SKIP, FAIL = OnConflict.UPDATE, OnConflict.SKIP, OnConflict.FAIL
OTHER = replace(DRAFT, name="other")


async def put_many(
    store: GroupStore,
    groups: Sequence[tuple[str, GroupDraft]],
    on_conflict: OnConflict = UPDATE,
    *,
    embedder: str = E,
    dry_run: bool = False,
) -> list[tuple[str, int | None]]:
    found = await store.put_many(
        T, groups, embedder=embedder, on_conflict=on_conflict, dry_run=dry_run
    )
    return [(written.value, version) for written, version in found]


async def test_new_groups_are_created_as_one_by_one(store: GroupStore) -> None:
    drafts = [("b", DRAFT), ("a", PLAIN), ("c", replace(DRAFT, preferences=PREFERENCES[:1]))]
    assert await put_many(store, drafts) == [("created", 1)] * 3
    for group_id, draft in drafts:
        got = await store.get(T, group_id)
        assert (got.name, got.preferences, got.metadata) == (
            draft.name,
            draft.preferences,
            draft.metadata,
        )
        assert (got.embedder, got.version) == (E, 1)
        assert got.created_at == got.updated_at
    assert [g.id for g in (await store.list(T, limit=9)).groups] == ["a", "b", "c"]
    assert await store.count(T) == 3
    assert await store.count("nobody") == 0
    assert await put_many(store, []) == []


@pytest.mark.parametrize("on_conflict", list(OnConflict))
async def test_what_is_stored_already_stays_as_it_is(
    store: GroupStore, on_conflict: OnConflict
) -> None:
    await put_many(store, [("a", DRAFT), ("b", PLAIN)])
    before, tag = await store.get(T, "a"), await store.tag(T)
    again = await put_many(store, [("a", DRAFT), ("b", PLAIN)], on_conflict)
    assert again == [("unchanged", 1)] * 2
    assert await store.get(T, "a") == before
    assert await store.tag(T) == tag


@pytest.mark.parametrize(
    "changed",
    [
        OTHER,
        replace(DRAFT, description=None),
        replace(DRAFT, metadata={}),
        replace(DRAFT, preferences=PREFERENCES[:-1]),
        replace(DRAFT, preferences=(*PREFERENCES, RATING)),
        replace(DRAFT, preferences=PREFERENCES[::-1]),
    ],
    ids=["name", "description", "metadata", "fewer", "more", "order"],
)
async def test_other_content_is_updated_skipped_or_a_conflict(
    store: GroupStore, changed: GroupDraft
) -> None:
    await put_many(store, [("a", DRAFT)])
    before = await store.get(T, "a")
    assert await put_many(store, [("a", changed)], SKIP) == [("skipped", 1)]
    assert await put_many(store, [("a", changed)], FAIL) == [("conflict", 1)]
    assert await store.get(T, "a") == before
    assert await put_many(store, [("a", changed)]) == [("updated", 2)]
    after = await store.get(T, "a")
    assert (after.name, after.preferences) == (changed.name, changed.preferences)
    assert (after.created_at, after.version) == (before.created_at, 2)


async def test_another_embedder_is_other_content(store: GroupStore) -> None:
    await put_many(store, [("a", DRAFT)])
    assert await put_many(store, [("a", DRAFT)], embedder="embedder-2") == [("updated", 2)]
    assert (await store.get(T, "a")).embedder == "embedder-2"


async def test_a_dry_run_tells_and_writes_nothing(store: GroupStore) -> None:
    await put_many(store, [("a", DRAFT)])
    tag = await store.tag(T)
    drafts = [("a", DRAFT), ("a", OTHER), ("new", DRAFT)]
    found = await put_many(store, drafts, dry_run=True)
    assert found[0] == ("unchanged", 1)
    assert found[1] == ("updated", 1)
    assert found[2] == ("created", None)
    assert await put_many(store, drafts[1:2], FAIL, dry_run=True) == [("conflict", 1)]
    assert await store.tag(T) == tag
    assert await store.count(T) == 1


async def test_versions_go_on_and_vectors_go(store: GroupStore) -> None:
    await put_many(store, [("a", DRAFT)])
    await store.put_vectors(T, "a", 1, "d", np.ones((9, 4), np.float32))
    assert await put_many(store, [("a", DRAFT)]) == [("unchanged", 1)]
    assert await store.get_vectors(T, "a", 1, "d") is not None
    await put_many(store, [("a", OTHER)])
    assert await store.get_vectors(T, "a", 1, "d") is None
    assert await store.get_vectors(T, "a", 2, "d") is None
    await store.delete(T, "a")
    assert await put_many(store, [("a", DRAFT)]) == [("created", 3)]


async def test_the_same_id_twice_in_one_call(store: GroupStore) -> None:
    drafts = [("a", DRAFT), ("a", DRAFT), ("a", OTHER)]
    assert await put_many(store, drafts) == [("created", 1), ("unchanged", 1), ("updated", 2)]
    assert await store.count(T) == 1


async def test_large_groups_and_many_of_them(store: GroupStore) -> None:
    large = GroupDraft("large", tuple(numbered(i) for i in range(2_500)))
    drafts = [("large", large), *((f"g{i:04}", PLAIN) for i in range(700)), ("end", DRAFT)]
    assert await put_many(store, drafts) == [("created", 1)] * len(drafts)
    assert (await store.get(T, "large")).preferences == large.preferences
    assert await put_many(store, drafts) == [("unchanged", 1)] * len(drafts)


async def test_two_imports_at_once_write_each_group_once(
    store: GroupStore, open_another: Callable[[], GroupStore]
) -> None:
    drafts = [(f"g{i:03}", DRAFT) for i in range(150)]
    both = await asyncio.gather(put_many(store, drafts), put_many(open_another(), drafts))
    for one, other in zip(*both, strict=True):
        assert sorted([one, other]) == [("created", 1), ("unchanged", 1)]


async def test_a_cancelled_import_leaves_whole_groups(store: GroupStore) -> None:
    drafts = [(f"g{i:03}", DRAFT) for i in range(300)]
    task = asyncio.create_task(put_many(store, drafts))
    await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    page = await store.list(T, limit=999)
    assert all(g.preferences == DRAFT.preferences for g in page.groups)
    again = await put_many(store, drafts)
    assert {version for _, version in again} == {1}


async def test_a_listing_begins_behind_an_id(store: GroupStore) -> None:
    await put_many(store, [(name, PLAIN) for name in ("a", "b", "c", "d")])
    page = await store.list(T, limit=2, after="a")
    assert [g.id for g in page.groups] == ["b", "c"]
    rest = await store.list(T, limit=2, cursor=page.next_cursor)
    assert [g.id for g in rest.groups] == ["d"]
    assert [g.id for g in (await store.list(T, limit=9, after="bb")).groups] == ["c", "d"]
    assert (await store.list(T, limit=9, after="z")).groups == ()


# --- appends by key


async def append(store: GroupStore, key: Idempotency | None, **more: object):
    options = {"max_preferences": 99, **more}
    return await store.append(T, "g", [RATING, SHARE], idempotency=key, **options)


async def test_a_repeated_key_appends_once_and_answers_the_same(
    store: GroupStore, open_another: Callable[[], GroupStore]
) -> None:
    await store.create(T, "g", DRAFT, embedder=E)
    key = Idempotency("k", "a")
    assert await store.find_idempotent(T, key) is None
    grown = await append(store, key)
    again = await append(store, key, if_match=1)
    assert isinstance(again, GroupSummary)
    for name in ("id", "name", "version", "preference_count", "context_tokens", "embedder",
                 "created_at", "updated_at", "description", "metadata"):  # fmt: skip
        assert getattr(again, name) == getattr(grown, name), name
    assert await open_another().find_idempotent(T, key) == again
    await store.put(T, "g", PLAIN, embedder=E)
    assert await append(store, key) == again
    await store.delete(T, "g")
    assert await append(open_another(), key) == again
    with pytest.raises(GroupNotFound):
        await append(store, Idempotency("l", "a"))


async def test_a_key_that_was_used_with_another_payload(store: GroupStore) -> None:
    await store.create(T, "g", DRAFT, embedder=E, idempotency=Idempotency("create", "a"))
    await append(store, Idempotency("append", "b"))
    for used in (Idempotency("create", "x"), Idempotency("append", "x")):
        with pytest.raises(IdempotencyConflict):
            await append(store, used)
        with pytest.raises(IdempotencyConflict):
            await store.create(T, "h", DRAFT, embedder=E, idempotency=used)
    assert (await store.get(T, "g")).version == 2


async def test_a_refused_append_does_not_use_up_its_key(store: GroupStore) -> None:
    made = await store.create(T, "g", DRAFT, embedder=E)
    key = Idempotency("k", "a")
    with pytest.raises(VersionMismatch):
        await append(store, key, if_match=7)
    with pytest.raises(InputTooLarge):
        await append(store, key, max_preferences=3)
    with pytest.raises(InputTooLarge):
        await append(store, key, max_context_tokens=made.context_tokens)
    assert await store.find_idempotent(T, key) is None
    assert (await append(store, key)).version == 2


async def test_concurrent_appends_with_one_key_add_once(
    store: GroupStore, open_another: Callable[[], GroupStore]
) -> None:
    await store.create(T, "g", PLAIN, embedder=E)
    stores, key = [store, open_another()], Idempotency("k", "a")
    grown = await asyncio.gather(*(append(stores[i % 2], key) for i in range(20)))
    assert {g.version for g in grown} == {2}
    assert (await store.get(T, "g")).preferences == (RATING, SHARE)


# --- text vectors


def vectors(*values: float, dim: int = 4) -> np.ndarray:
    return np.array([[value] * dim for value in values], dtype=np.float32)


async def kept(store: GroupStore, *texts: str, tenant: str = T, digest: str = "d") -> list[object]:
    found = await store.get_texts(tenant, digest, texts)
    return [None if vector is None else float(vector[0]) for vector in found]


async def test_text_vectors_come_back_by_text(
    store: GroupStore, open_another: Callable[[], GroupStore]
) -> None:
    assert await kept(store, "a", "b") == [None, None]
    await store.put_texts(T, "d", ["a", "ü\n夜"], vectors(1.5, 2.5))
    assert await kept(open_another(), "ü\n夜", "b", "a", "a") == [2.5, None, 1.5, 1.5]
    [vector] = await store.get_texts(T, "d", ["a"])
    assert vector is not None
    assert (vector.dtype, vector.shape, vector.flags.writeable) == (np.float32, (4,), True)
    assert await kept(store, "a", tenant="other") == [None]
    assert await kept(store, "a", digest="other") == [None]
    assert await kept(store) == []
    await store.put_texts(T, "other", ["a"], vectors(7))
    assert await kept(store, "a", digest="other") == [7.0]


async def test_more_text_vectors_than_go_at_once(store: GroupStore) -> None:
    texts = [f"text {i}" for i in range(1_203)]
    await store.put_texts(T, "d", texts, vectors(*range(1_203)))
    assert await kept(store, *texts[::-1]) == [float(i) for i in range(1_202, -1, -1)]


async def test_a_deleted_group_takes_its_texts_along(store: GroupStore) -> None:
    texts = [RATING.prompt.strip(), RATING.response.strip(), *SHARE.options, "of no group"]
    for tenant in (T, "other"):
        await store.create(tenant, "g", replace(DRAFT, preferences=(RATING, SHARE)), embedder=E)
        await store.put_texts(tenant, "d", texts, vectors(*range(len(texts))))
    await store.delete(T, "g")
    found = await kept(store, *texts)
    assert found == [None] * (len(texts) - 1) + [float(len(texts) - 1)]
    assert None not in await kept(store, *texts, tenant="other")


def test_every_outcome_is_named() -> None:
    assert {written.value for written in Written} == {
        "created", "updated", "unchanged", "skipped", "conflict",
    }  # fmt: skip
