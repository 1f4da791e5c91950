"""Contexts: one embedding path for stored and inline preferences, each text embedded once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import DIM, FakeEmbedder

from service.adapters.stores.sqlite_store import SqliteStore
from service.core.contexts import Contexts, GroupContext, Target, embedder_label
from service.core.domain import (
    ComparisonPreference,
    Group,
    GroupDraft,
    Kind,
    Preference,
    RatingPreference,
    SharePreference,
)
from service.core.errors import GroupNotFound, InputTooLarge, InvalidInput, StoreUnavailable
from service.core.limits import Limits

TENANT = "acme"
SHARE = SharePreference("Why?", ("a", "b"), (0.25, 0.75), counts=(1.0, 3.0))
RATING = RatingPreference("Say.", "Yes.", 0.5, weight=7.0)
PAIR = ComparisonPreference("Pick.", "This.", "That.")
ALL: tuple[Preference, ...] = (SHARE, RATING, PAIR)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "groups.db")
    yield store
    await store.close()


async def keep(store: SqliteStore, embedder: FakeEmbedder, *preferences: Preference) -> Group:
    label = embedder_label(embedder.identity)
    draft = GroupDraft("Town", preferences, description="A town.")
    return await store.create(TENANT, "town", draft, embedder=label)


def stored_target() -> Target:
    return Target(group_ids=("town",))


async def only(contexts: Contexts, target: Target, tenant: str = TENANT) -> GroupContext:
    [found] = await contexts.load(tenant, target)
    return found


async def test_items_hold_each_preference_in_order(store: SqliteStore) -> None:
    embedder = FakeEmbedder()
    await keep(store, embedder, *ALL)
    found = await only(Contexts(store, embedder, Limits()), stored_target())
    assert (found.group_id, found.group_version, found.description) == ("town", 1, "A town.")
    items = found.context.items
    assert [item.kind for item in items] == [Kind.SHARE, Kind.RATING, Kind.COMPARISON]
    assert [item.vectors.shape for item in items] == [(2, DIM), (1, DIM), (2, DIM)]
    assert [item.values.tolist() for item in items] == [[0.25, 0.75], [0.5], [1.0, 0.0]]
    assert [item.weight for item in items] == [4.0, 7.0, None]
    assert embedder.embedded == [
        ("Why?", "a"), ("Why?", "b"), ("Say.", "Yes."), ("Pick.", "This."), ("Pick.", "That."),
    ]  # fmt: skip


async def test_inline_preferences_cannot_be_told_from_stored_ones(store: SqliteStore) -> None:
    embedder = FakeEmbedder()
    await keep(store, embedder, *ALL)
    contexts = Contexts(store, embedder, Limits())
    stored = await only(contexts, stored_target())
    inline = await only(contexts, Target(preferences=ALL))
    assert inline.context.digest == stored.context.digest
    for ours, theirs in zip(inline.context.items, stored.context.items, strict=True):
        assert np.array_equal(ours.vectors, theirs.vectors)


async def test_vectors_are_embedded_once_and_kept_exactly(store: SqliteStore) -> None:
    embedder = FakeEmbedder()
    await keep(store, embedder, *ALL)
    contexts = Contexts(store, embedder, Limits())
    first = await only(contexts, stored_target())
    await contexts.close()
    again = await only(Contexts(store, embedder, Limits()), stored_target())
    assert len(embedder.embedded) == 5
    for ours, theirs in zip(first.context.items, again.context.items, strict=True):
        assert ours.vectors.dtype == theirs.vectors.dtype == np.float32
        assert np.array_equal(ours.vectors, theirs.vectors)


async def test_requests_at_the_same_time_embed_once(store: SqliteStore) -> None:
    embedder = FakeEmbedder()
    await keep(store, embedder, *ALL)
    contexts = Contexts(store, embedder, Limits())
    await asyncio.gather(*(contexts.load(TENANT, stored_target()) for _ in range(5)))
    assert len(embedder.embedded) == 5


async def test_another_embedder_embeds_again_and_clips_what_it_cannot_read(
    store: SqliteStore,
) -> None:
    old = FakeEmbedder(digest="f" * 32)
    long = RatingPreference("Say.", " ".join(["word"] * 90), 0.5)
    await keep(store, old, long)
    before = Contexts(store, old, Limits())
    await only(before, stored_target())
    await before.close()
    new = FakeEmbedder()
    contexts = Contexts(store, new, Limits())
    found = await only(contexts, stored_target())
    await contexts.close()
    assert new.embedded == [("Say.", " ".join(["word"] * 20))]
    assert found.context.items[0].vectors.shape == (1, DIM)
    await only(Contexts(store, new, Limits()), stored_target())
    assert len(new.embedded) == 1


class ForgetfulStore(SqliteStore):
    """Keeps groups, but no vectors."""

    async def put_vectors(self, *args: Any) -> None:
        raise StoreUnavailable("The disk is full.")


async def test_vectors_that_cannot_be_kept_are_used_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = FakeEmbedder()
    store = ForgetfulStore(tmp_path / "forgetful.db")
    await keep(store, embedder, *ALL)
    contexts = Contexts(store, embedder, Limits())
    found = await only(contexts, stored_target())
    await contexts.close()
    assert len(found.context.items) == len(ALL)
    assert "town" in caplog.text
    assert "The disk is full." in caplog.text
    await store.close()


class SlowStore(SqliteStore):
    """Keeps vectors when it is told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.may_write = asyncio.Event()

    async def put_vectors(self, *args: Any) -> None:
        await self.may_write.wait()
        await super().put_vectors(*args)


async def test_an_answer_does_not_wait_until_its_vectors_are_kept(tmp_path: Path) -> None:
    embedder = FakeEmbedder()
    store = SlowStore(tmp_path / "slow.db")
    await keep(store, embedder, *ALL)
    contexts = Contexts(store, embedder, Limits())
    async with asyncio.timeout(10):
        first = await only(contexts, stored_target())
        again = await only(contexts, stored_target())
    assert len(embedder.embedded) == 5
    assert again.context.digest == first.context.digest
    store.may_write.set()
    await contexts.close()
    kept = await store.get_vectors(TENANT, "town", 1, embedder.identity.digest)
    assert kept is not None
    assert kept.shape == (5, DIM)
    await store.close()


class LockedStore(SqliteStore):
    """Gives groups; whoever asks for vectors, or brings some, fails."""

    async def get_vectors(self, *args: Any) -> None:
        raise AssertionError("a group's vectors were read")

    async def put_vectors(self, *args: Any) -> None:
        raise AssertionError("a group's vectors were written")


async def test_known_texts_need_no_vectors_of_the_group(tmp_path: Path) -> None:
    store, embedder = LockedStore(tmp_path / "locked.db"), FakeEmbedder()
    await keep(store, embedder, *ALL)
    inline = await only(Contexts(store, embedder, Limits()), Target(preferences=ALL))
    embedder.known.update(embedder.embedded)
    contexts = Contexts(store, embedder, Limits())
    found = await only(contexts, stored_target())
    await contexts.close()
    assert len(embedder.embedded) == 5
    for ours, theirs in zip(found.context.items, inline.context.items, strict=True):
        assert np.array_equal(ours.vectors, theirs.vectors)
    await store.close()


async def test_a_group_under_another_embedder_is_cut_before_its_texts_are_looked_for(
    store: SqliteStore,
) -> None:
    long = RatingPreference("Say.", " ".join(["word"] * 90), 0.5)
    await keep(store, FakeEmbedder(digest="f" * 32), long)
    embedder = FakeEmbedder(known={("Say.", long.response)})
    contexts = Contexts(store, embedder, Limits())
    await only(contexts, stored_target())
    await contexts.close()
    assert embedder.embedded == [("Say.", " ".join(["word"] * 20))]


async def test_an_inline_context_has_a_largest_size(store: SqliteStore) -> None:
    embedder = FakeEmbedder()
    contexts = Contexts(store, embedder, Limits(context_tokens=4))
    assert (await only(contexts, Target(preferences=(SHARE, PAIR)))).context.items
    embedder.embedded.clear()
    with pytest.raises(InputTooLarge) as caught:
        await contexts.load(TENANT, Target(preferences=ALL))
    [fault] = caught.value.errors
    assert fault.pointer == "/preferences"
    assert "found 5" in fault.detail
    assert embedder.embedded == []


@pytest.mark.parametrize(
    "other",
    [
        (SHARE, RATING),
        (SHARE, replace(RATING, score=0.51), PAIR),
        (SHARE, replace(RATING, weight=8.0), PAIR),
        (SHARE, replace(RATING, response="Yes!"), PAIR),
        (SHARE, RATING, replace(PAIR, chosen="That.", rejected="This.")),
        (),
    ],
)
async def test_another_content_has_another_digest(
    store: SqliteStore, other: tuple[Preference, ...]
) -> None:
    contexts = Contexts(store, FakeEmbedder(), Limits())
    ours = await only(contexts, Target(preferences=ALL))
    theirs = await only(contexts, Target(preferences=other))
    assert ours.context.digest != theirs.context.digest


async def test_order_is_no_content(store: SqliteStore) -> None:
    contexts = Contexts(store, FakeEmbedder(), Limits())
    turned = replace(SHARE, options=("b", "a"), distribution=(0.75, 0.25), counts=(3.0, 1.0))
    ours = await only(contexts, Target(preferences=ALL))
    theirs = await only(contexts, Target(preferences=(PAIR, RATING, turned)))
    assert ours.context.digest == theirs.context.digest
    crossed = replace(turned, distribution=(0.25, 0.75), counts=(1.0, 3.0))
    other = await only(contexts, Target(preferences=(PAIR, RATING, crossed)))
    assert ours.context.digest != other.context.digest


async def test_tenants_and_embedders_share_no_digest(store: SqliteStore) -> None:
    target = Target(preferences=ALL)
    contexts = Contexts(store, FakeEmbedder(), Limits())
    elsewhere = Contexts(store, FakeEmbedder(digest="f" * 32), Limits())
    digests = {
        (await only(contexts, target)).context.digest,
        (await only(contexts, target, "other")).context.digest,
        (await only(elsewhere, target)).context.digest,
    }
    assert len(digests) == 3


async def test_a_group_of_another_tenant_is_not_there(store: SqliteStore) -> None:
    embedder = FakeEmbedder()
    await keep(store, embedder, *ALL)
    with pytest.raises(GroupNotFound):
        await Contexts(store, embedder, Limits()).load("other", stored_target())


@pytest.mark.parametrize(
    ("given", "error", "pointers"),
    [
        ({}, InvalidInput, ["/group_id"]),
        ({"group_id": "a", "preferences": ()}, InvalidInput, ["/group_id", "/preferences"]),
        ({"group_ids": []}, InvalidInput, ["/group_ids"]),
        ({"group_ids": ["a", "a"]}, InvalidInput, ["/group_ids"]),
        ({"group_ids": ["a", "b", "c"]}, InputTooLarge, ["/group_ids"]),
    ],
)
def test_a_target_is_exactly_one_thing(
    given: dict[str, object], error: type[InvalidInput], pointers: list[str]
) -> None:
    fields = {"group_id": None, "group_ids": None, "preferences": None, **given}
    with pytest.raises(error) as caught:
        Target.of(**fields, limits=Limits(groups=2))  # type: ignore[arg-type]
    assert [fault.pointer for fault in caught.value.errors] == pointers
