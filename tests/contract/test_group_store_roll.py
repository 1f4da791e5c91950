"""The roll of a tenant's groups and its tag: how one process learns what another has written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from fixtures.groups import DRAFT, PLAIN, RATING, numbered

from service.core.domain import GroupDraft, Roll, RollEntry
from service.core.errors import GpoServeError
from service.core.ports import GroupStore, Idempotency

T = "tenant"
E = "embedder-1"


async def test_nothing_written_has_an_empty_tag(store: GroupStore) -> None:
    assert await store.tag(T) == ""
    assert await store.roll(T) == Roll("", {})


async def test_every_change_gives_another_tag_and_reading_none(store: GroupStore) -> None:
    writes = (
        lambda: store.create(T, "a:b}", DRAFT, embedder=E),
        lambda: store.put(T, "a:b}", PLAIN, embedder=E),
        lambda: store.put(T, "a:b}", PLAIN, embedder=E),
        lambda: store.append(T, "a:b}", [RATING], max_preferences=9),
        lambda: store.put(T, "second", DRAFT, embedder=E),
        lambda: store.delete(T, "a:b}"),
        lambda: store.create(T, "a:b}", DRAFT, embedder=E),
    )
    tags = [await store.tag(T)]
    for write in writes:
        await write()
        tags.append(await store.tag(T))
        await store.get(T, (await store.list(T, limit=1)).groups[0].id)
        assert (await store.roll(T)).tag == await store.tag(T) == tags[-1]
    assert len(set(tags)) == len(tags)
    assert (await store.roll(T)).groups == {
        "a:b}": RollEntry(5, len(DRAFT.preferences)),
        "second": RollEntry(1, len(DRAFT.preferences)),
    }


async def test_what_changes_no_group_leaves_the_tag(store: GroupStore) -> None:
    key = Idempotency("k", "d")
    made = await store.create(T, "g", DRAFT, embedder=E, idempotency=key)
    tag = await store.tag(T)
    assert await store.create(T, "g", DRAFT, embedder=E, idempotency=key) == made
    for refused in (
        store.create(T, "g", DRAFT, embedder=E),
        store.put(T, "g", DRAFT, embedder=E, if_match=9),
        store.put(T, "g", DRAFT, embedder=E, create_only=True),
        store.append(T, "g", [RATING], max_preferences=1),
        store.append(T, "g", [RATING], max_preferences=99, max_context_tokens=1),
        store.delete(T, "g", if_match=9),
        store.delete(T, "nobody"),
    ):
        with pytest.raises(GpoServeError):
            await refused
    assert await store.tag(T) == tag


async def test_tenants_have_their_own_tags(store: GroupStore) -> None:
    await store.create("a", "g", DRAFT, embedder=E)
    tag = await store.tag("a")
    await store.create("b", "h", DRAFT, embedder=E)
    assert await store.tag("a") == tag != await store.tag("b")
    assert set((await store.roll("a")).groups) == {"g"}


async def test_another_process_sees_the_tag_of_an_acknowledged_write(
    open_another: Callable[..., GroupStore],
) -> None:
    ours, theirs = open_another(), open_another()
    for number in range(5):
        await ours.create(T, f"g{number}", PLAIN, embedder=E)
        assert await theirs.tag(T) == await ours.tag(T)
        assert len((await theirs.roll(T)).groups) == number + 1
    await ours.delete(T, "g0")
    assert await theirs.tag(T) == await ours.tag(T)
    assert "g0" not in (await theirs.roll(T)).groups


async def test_a_roll_is_of_one_instant(open_another: Callable[..., GroupStore]) -> None:
    """While pairs of groups are written, the roll that a tag names is always the same."""
    writer, reader = open_another(), open_another()
    seen: dict[str, frozenset[tuple[str, int]]] = {}

    async def write() -> None:
        for number in range(30):
            preferences = tuple(numbered(i) for i in range(number % 4))
            await writer.put(T, f"g{number % 3}", GroupDraft("n", preferences), embedder=E)
            if number % 5 == 4:
                await writer.delete(T, f"g{number % 3}")

    async def read(work: asyncio.Task[None]) -> None:
        while not work.done():
            roll = await reader.roll(T)
            found = frozenset((name, entry.version) for name, entry in roll.groups.items())
            assert seen.setdefault(roll.tag, found) == found
            await asyncio.sleep(0)

    work = asyncio.create_task(write())
    await asyncio.gather(work, read(work))
    assert len(seen) > 1


async def test_the_roll_of_many_groups(store: GroupStore) -> None:
    names = [f"g{number:04d}" for number in range(300)]
    for name in names:
        await store.create(T, name, PLAIN, embedder=E)
    roll = await store.roll(T)
    assert roll.groups == {name: RollEntry(1, 0) for name in names}
