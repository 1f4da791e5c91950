"""Groups that share texts: each text is embedded once for a tenant, also after a restart."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import numpy as np
import redis

from service.adapters.scoring.embedding import CachingEmbedder
from service.adapters.scoring.worker import Worker
from service.adapters.stores.redis_texts import TTL_MS
from service.adapters.stores.sqlite_store import SqliteStore
from service.core.bulk import Bulk
from service.core.contexts import Contexts, Target
from service.core.domain import GroupDraft, OnConflict, SharePreference
from service.core.limits import Limits
from service.core.ports import GroupStore

T = "tenant"
QUESTIONS = 40
DIM = 8


class CountingModel:
    """Makes a vector of a text's bytes, and keeps every text that it was given."""

    id, digest, dim, max_tokens, languages = "counting", "c" * 64, DIM, 100, ()

    def __init__(self) -> None:
        self.embedded: list[str] = []

    @property
    def info(self) -> CountingModel:
        return self

    def oversized(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        return [False] * len(pairs)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        self.embedded += texts
        found = np.zeros((len(texts), DIM // 2), dtype=np.float32)
        for row, text in zip(found, texts, strict=True):
            for byte in text.encode():
                row[byte % (DIM // 2)] += byte
        return found


@asynccontextmanager
async def process(
    store: GroupStore, model: CountingModel, *, cache_bytes: int = 1_000_000
) -> AsyncIterator[tuple[Bulk, Contexts]]:
    """What a service that has just started has of groups."""
    embedder = CachingEmbedder(model, Worker(), cache_bytes=cache_bytes)
    contexts = Contexts(store, embedder, Limits())
    yield Bulk(store, embedder, Limits()), contexts
    await contexts.close()
    await embedder.close()


def pool() -> list[tuple[str, tuple[str, ...]]]:
    return [(f"Question {i}?", tuple(f"answer {i} {k}" for k in "abcd")) for i in range(QUESTIONS)]


def drafts(count: int, *, seed: int = 0) -> list[tuple[str, GroupDraft]]:
    draw, found = Random(seed), []
    for number in range(count):
        chosen = draw.sample(pool(), 5)
        shares = tuple(SharePreference(q, o, (0.25, 0.25, 0.25, 0.25)) for q, o in chosen)
        found.append((f"s{seed}-g{number:04}", GroupDraft(f"Group {number}", shares)))
    return found


async def use(contexts: Contexts, groups: Sequence[tuple[str, GroupDraft]]) -> None:
    """Load every group, some at a time, as requests do."""
    names = [name for name, _ in groups]
    for at in range(0, len(names), 20):
        await asyncio.gather(
            *(contexts.load(T, Target(group_ids=(name,))) for name in names[at : at + 20])
        )


async def test_each_text_is_embedded_once_in_a_process_and_over_a_restart(
    open_another: Callable[[], GroupStore],
) -> None:
    store, model = open_another(), CountingModel()
    first, second = drafts(300), drafts(300, seed=1)
    async with process(store, model) as (bulk, contexts):
        outcomes = await bulk.put(T, first, on_conflict=OnConflict.UPDATE)
        assert {outcome.version for outcome in outcomes} == {1}
        assert model.embedded == []  # an import checks and stores; the first use embeds
        await use(contexts, first)
        used = {text for _, draft in first for p in draft.preferences
                for text in (p.prompt, *p.responses)}  # fmt: skip
        assert len(used) == 5 * QUESTIONS
        assert sorted(model.embedded) == sorted(used)
    await store.close()

    store, again = open_another(), CountingModel()
    async with process(store, again) as (bulk, contexts):
        await bulk.put(T, second, on_conflict=OnConflict.UPDATE)
        await use(contexts, [*first, *second])
        assert again.embedded == []
        # Another tenant's texts are its own, though they are the same.
        await bulk.put("other", first[:1], on_conflict=OnConflict.UPDATE)
    async with process(store, again) as (_, contexts):
        await contexts.load("other", Target(group_ids=(first[0][0],)))
        assert len(again.embedded) == 5 * 5


async def test_texts_that_came_with_a_request_before_are_kept_too(
    open_another: Callable[[], GroupStore],
) -> None:
    store, model, again = open_another(), CountingModel(), CountingModel()
    [group] = drafts(1)
    async with process(store, model) as (bulk, contexts):
        await contexts.load(T, Target(preferences=group[1].preferences))
        assert len(model.embedded) == 5 * 5
        await bulk.put(T, [group], on_conflict=OnConflict.UPDATE)
        await use(contexts, [group])
        assert len(model.embedded) == 5 * 5
    copy = ("copy", group[1])
    async with process(store, again) as (bulk, contexts):
        await bulk.put(T, [copy], on_conflict=OnConflict.UPDATE)
        await use(contexts, [copy])
    assert again.embedded == []


async def test_contexts_from_kept_texts_are_those_of_fresh_ones(
    open_another: Callable[[], GroupStore],
) -> None:
    store = open_another()
    [group] = drafts(1)
    async with process(store, CountingModel()) as (bulk, contexts):
        await bulk.put(T, [group], on_conflict=OnConflict.UPDATE)
        [fresh] = await contexts.load(T, Target(group_ids=(group[0],)))
    other = ("copy", group[1])
    async with process(store, CountingModel()) as (bulk, contexts):
        await bulk.put(T, [other], on_conflict=OnConflict.UPDATE)
        [kept] = await contexts.load(T, Target(group_ids=("copy",)))
    for one, two in zip(fresh.context.items, kept.context.items, strict=True):
        np.testing.assert_array_equal(one.vectors, two.vectors)
    assert fresh.context.digest == kept.context.digest


async def test_a_deleted_group_leaves_no_vectors(open_another: Callable[[], GroupStore]) -> None:
    store, model = open_another(), CountingModel()
    groups = drafts(3)
    async with process(store, model) as (bulk, contexts):
        await bulk.put(T, groups, on_conflict=OnConflict.UPDATE)
        await use(contexts, groups)
    texts = sorted(set(model.embedded))
    found = await store.get_texts(T, model.digest, texts)
    assert not any(vector is None for vector in found)
    for name, _ in groups:
        await store.delete(T, name)
    assert list(await store.get_texts(T, model.digest, texts)) == [None] * len(texts)


async def test_vectors_in_sqlite_expire_a_week_after_their_last_use(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "groups.db")
    await store.put_texts(T, "d", ["fresh", "old", "gone"], np.ones((3, 4), np.float32))
    with sqlite3.connect(tmp_path / "groups.db") as conn:
        keys = [key for (key,) in conn.execute("SELECT key FROM texts ORDER BY rowid")]
        now = conn.execute("SELECT max(expires_at) FROM texts").fetchone()[0] - 7 * 86_400
        conn.execute("UPDATE texts SET expires_at = ? WHERE key = ?", (now + 3_600, keys[1]))
        conn.execute("UPDATE texts SET expires_at = ? WHERE key = ?", (now - 1, keys[2]))
    conn.close()
    found = await store.get_texts(T, "d", ["fresh", "old", "gone"])
    assert [vector is None for vector in found] == [False, False, True]
    await store.put_texts(T, "d", ["new"], np.ones((1, 4), np.float32))
    await store.close()
    conn = sqlite3.connect(tmp_path / "groups.db")
    left = dict(conn.execute("SELECT key, expires_at FROM texts"))
    conn.close()
    assert keys[2] not in left
    assert left[keys[1]] > now + 6 * 86_400


async def test_vectors_in_redis_expire_hours_after_their_last_use(redis_url: str) -> None:
    from service.adapters.stores.redis_store import RedisStore

    store = RedisStore(redis_url, timeout_s=20.0)
    await store.put_texts(T, "d", ["text"], np.ones((1, 4), np.float32))
    server = redis.Redis.from_url(redis_url, protocol=2)
    [key] = server.keys("*:text:*")
    assert TTL_MS - 60_000 < server.pttl(key) <= TTL_MS
    server.pexpire(key, 60_000)
    assert (await store.get_texts(T, "d", ["text"]))[0] is not None
    assert server.pttl(key) > TTL_MS - 60_000
    server.close()
    await store.close()
