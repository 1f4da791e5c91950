"""Whose preferences a request is about, and their embedded context.

Loads stored groups or takes preferences sent inline; both end in the same embedding path and in a
digest of the content, so that the answer cannot tell them apart.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self
from weakref import WeakValueDictionary

import numpy as np

from service.core.byte_lru import ByteLRU
from service.core.context_digest import ContextDigest
from service.core.domain import (
    Context,
    ContextItem,
    EmbedderIdentity,
    FloatArray,
    Group,
    Preference,
)
from service.core.errors import ScorerFailed, StoreUnavailable
from service.core.faults import Faults
from service.core.kept_texts import KeptTexts
from service.core.limits import Limits
from service.core.ports import Embedder, GroupStore, TextMemory
from service.core.preferences import check_size
from service.core.texts import check_fits, place_preferences

_LOG = logging.getLogger(__name__)
# Up to this many preferences an answer is prepared faster than it is handed to a thread.
_FEW = 100
_KEEPING_AT_ONCE = 64
# What Python's objects take beside texts and vectors.
_ENTRY_BYTES = 1_000
_PREFERENCE_BYTES = 1_500


@dataclass(frozen=True, slots=True)
class Target:
    """Stored groups by their ids, or preferences sent with the request (then no ids)."""

    group_ids: tuple[str, ...] = ()
    preferences: tuple[Preference, ...] | None = None
    many: bool = False

    @classmethod
    def of(
        cls,
        *,
        group_id: str | None,
        group_ids: Sequence[str] | None,
        preferences: Sequence[Preference] | None,
        limits: Limits,
    ) -> Self:
        """Exactly one of the three. Raises InvalidInput, InputTooLarge."""
        faults = Faults()
        given = {
            "/group_id": group_id is not None,
            "/group_ids": group_ids is not None,
            "/preferences": preferences is not None,
        }
        if sum(given.values()) != 1:
            detail = "give exactly one of group_id, group_ids, preferences"
            for pointer in [p for p, is_given in given.items() if is_given] or ["/group_id"]:
                faults.wrong(pointer, detail)
        if group_ids is not None:
            faults.cap("/group_ids", len(group_ids), limits.groups, "groups")
            if not group_ids:
                faults.wrong("/group_ids", "at least 1 group")
            if len(set(group_ids)) < len(group_ids):
                faults.wrong("/group_ids", "the same group twice")
        faults.check()
        ids = (group_id,) if group_id is not None else tuple(group_ids or ())
        inline = None if preferences is None else tuple(preferences)
        return cls(group_ids=ids, preferences=inline, many=group_ids is not None)


@dataclass(frozen=True, slots=True)
class GroupContext:
    """What a request needs to know of a group. Inline preferences have no id and no version."""

    group_id: str | None
    group_version: int | None
    description: str | None
    preferences: tuple[Preference, ...]
    context: Context


def _key(tenant: str, group_id: str, stamp: str) -> str:
    return f"{tenant}\0{group_id}\0{stamp}"


def _nbytes(group: GroupContext) -> int:
    """About how much memory a group takes."""
    items, preferences = group.context.items, group.preferences
    vectors = sum(item.vectors.nbytes for item in items)
    texts = sum(len(p.prompt) + sum(map(len, p.responses)) for p in preferences)
    return vectors + texts + _ENTRY_BYTES + _PREFERENCE_BYTES * len(preferences)


def embedder_label(identity: EmbedderIdentity) -> str:
    """The embedder as a stored group names it."""
    return f"{identity.id}@{identity.digest[:12]}"


class Contexts:
    """Gives each group of a request its context, embedding what is not cached yet."""

    def __init__(
        self, store: GroupStore, embedder: Embedder, limits: Limits, *, cache_bytes: int = 0
    ) -> None:
        self.cache: ByteLRU[GroupContext] = ByteLRU(cache_bytes)
        self._store = store
        self._embedder = embedder
        self._limits = limits
        self._texts = KeptTexts(store, embedder.identity.digest)
        self._keeping: dict[str, tuple[asyncio.Task[None], FloatArray]] = {}
        self._locks: WeakValueDictionary[tuple[str, str, int], asyncio.Lock] = WeakValueDictionary()

    async def close(self) -> None:
        """Wait until what is being cached is in the store."""
        await asyncio.gather(*(task for task, _ in self._keeping.values()))
        await self._texts.close()

    async def load(self, tenant: str, target: Target) -> list[GroupContext]:
        """The groups of `target`, in its order. Raises GroupNotFound, InvalidInput."""
        if target.preferences is not None:
            return [await self._inline(tenant, target.preferences)]
        stamps = await self._store.stamps(tenant, target.group_ids)
        keys = [_key(tenant, *named) for named in zip(target.group_ids, stamps, strict=True)]
        found = {i: self.cache.get(key) for i, key in zip(target.group_ids, keys, strict=True)}
        missing = [i for i, known in found.items() if known is None]
        found |= zip(
            missing, await asyncio.gather(*(self._cold(tenant, i) for i in missing)), strict=True
        )
        return [known for known in found.values() if known is not None]

    async def _cold(self, tenant: str, group_id: str) -> GroupContext:
        group = await self._store.get(tenant, group_id)
        known = await self.of(tenant, group)
        self.cache.put(_key(tenant, group.id, group.stamp), known, _nbytes(known))
        return known

    async def _inline(self, tenant: str, preferences: tuple[Preference, ...]) -> GroupContext:
        check_size(preferences, at="/preferences", limits=self._limits)
        placed = place_preferences(preferences, at="/preferences")
        await check_fits(placed, self._embedder, self._limits)
        vectors = await self._embed([(p.prompt, p.response) for p in placed])
        context = await self._context(tenant, None, preferences, vectors)
        return GroupContext(None, None, None, preferences, context)

    async def of(self, tenant: str, group: Group) -> GroupContext:
        """A stored group with its embedded context."""
        lock = self._locks.setdefault((tenant, group.id, group.version), asyncio.Lock())
        async with lock:
            vectors = await self._vectors(tenant, group)
        context = await self._context(tenant, group.id, group.preferences, vectors)
        return GroupContext(group.id, group.version, group.description, group.preferences, context)

    async def _vectors(self, tenant: str, group: Group) -> FloatArray:
        identity = self._embedder.identity
        shape = (group.context_tokens, identity.dim)
        if not group.preferences:
            return np.zeros((0, identity.dim), dtype=np.float32)
        if under_way := self._keeping.get(_key(tenant, group.id, group.stamp)):
            return under_way[1]
        pairs = [(p.prompt, response) for p in group.preferences for response in p.responses]
        same = group.embedder == embedder_label(identity)
        if same:
            # Texts that other groups have as well: no read, and no durable write behind it.
            at_hand = self._embedder.at_hand(pairs, memory=self._texts.of(tenant))
            if at_hand is not None:
                return _finite(at_hand)
        cached = await self._store.get_vectors(tenant, group.id, group.version, identity.digest)
        if cached is not None and cached.shape == shape:
            return cached
        if not same:
            # Written under another embedder, which may have read longer texts than this one.
            pairs = await asyncio.to_thread(clip_all, self._embedder, pairs)
        vectors = await self._embed_stored(tenant, pairs)
        await self._keep(tenant, group, vectors)
        return vectors

    async def _keep(self, tenant: str, group: Group, vectors: FloatArray) -> None:
        """Cache vectors in the store behind the answer's back: a durable write takes as long.

        With too many of them under way the answer waits for its own, which slows down whoever
        asks for thousands of groups to what the store can take.
        """
        if len(self._keeping) >= _KEEPING_AT_ONCE:
            await self._put(tenant, group, vectors)
            return
        key = _key(tenant, group.id, group.stamp)
        task = asyncio.create_task(self._put(tenant, group, vectors))
        self._keeping[key] = task, vectors
        task.add_done_callback(lambda _: self._keeping.pop(key, None))

    async def _put(self, tenant: str, group: Group, vectors: FloatArray) -> None:
        digest = self._embedder.identity.digest
        try:
            await self._store.put_vectors(tenant, group.id, group.version, digest, vectors)
        except StoreUnavailable as exc:
            # They are only cached there; the request had what it needed.
            _LOG.warning("the vectors of group %r are not cached: %s", group.id, exc)

    async def _embed_stored(self, tenant: str, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        return await embed_finite(self._embedder, pairs, memory=self._texts.of(tenant))

    async def _embed(self, pairs: Sequence[tuple[str, str]]) -> FloatArray:
        if not pairs:
            return np.zeros((0, self._embedder.identity.dim), dtype=np.float32)
        return await embed_finite(self._embedder, pairs)

    async def _context(
        self,
        tenant: str,
        group_id: str | None,
        preferences: tuple[Preference, ...],
        vectors: FloatArray,
    ) -> Context:
        def build() -> Context:
            digest = ContextDigest(tenant, self._embedder.identity.digest, preferences)
            items = _items(preferences, vectors)
            return Context(digest.whole(), items, tenant, group_id)

        if len(preferences) <= _FEW:
            return build()
        return await asyncio.to_thread(build)


def clip_all(embedder: Embedder, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Every pair cut to what the embedder reads."""
    return [embedder.clip(prompt, response)[:2] for prompt, response in pairs]


async def embed_finite(
    embedder: Embedder, pairs: Sequence[tuple[str, str]], *, memory: TextMemory | None = None
) -> FloatArray:
    """Vectors (n, D); a vector that is not finite never reaches the scorer. Raises ScorerFailed."""
    return _finite(await embedder.embed(pairs, memory=memory))


def _finite(vectors: FloatArray) -> FloatArray:
    if not np.isfinite(vectors).all():
        raise ScorerFailed("The embedder gave a vector that is not finite.")
    return vectors


def _items(preferences: Sequence[Preference], vectors: FloatArray) -> tuple[ContextItem, ...]:
    items: list[ContextItem] = []
    start = 0
    for preference in preferences:
        stop = start + len(preference.responses)
        values = np.asarray(preference.values, dtype=np.float32)
        items.append(ContextItem(preference.kind, vectors[start:stop], values, preference.weight))
        start = stop
    return tuple(items)
