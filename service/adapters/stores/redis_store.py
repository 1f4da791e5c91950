"""Groups in Redis: the store of record for several hosts, and the cache of what is derived.

Every change is one Lua script (`redis_scripts`), so it is atomic and never done halfway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from service.adapters.stores import codec, redis_bulk, redis_scripts, refusals
from service.adapters.stores.cursors import decode_cursor, encode_cursor
from service.adapters.stores.redis_connection import RedisConnection
from service.adapters.stores.redis_keys import keys as _keys
from service.adapters.stores.redis_texts import RedisTexts
from service.adapters.stores.together import Together
from service.core.domain import (
    FloatArray,
    Group,
    GroupDraft,
    GroupPage,
    GroupSummary,
    OnConflict,
    Preference,
    Roll,
    RollEntry,
    Written,
    context_tokens_of,
)
from service.core.errors import GroupExists, GroupNotFound, StoreUnavailable
from service.core.ports import Idempotency

_LOG = logging.getLogger(__name__)

# Shorter than the idempotency keys' day: volatile-ttl evicts what expires first, and vectors
# can be made again.
_VECTORS_TTL_MS = 6 * 3_600_000
# Redis serves one command at a time; a value above this would hold up everyone else's.
_VECTORS_MAX_BYTES = 32 * 1024 * 1024
_GROUPS_PER_READ = 20
# Up to this many are decoded faster than they are handed to a thread.
_FEW_PREFERENCES = 100
# What goes to Redis on one way; a hundred groups of five preferences take it some 5 ms.
_GROUPS_PER_WRITE = 100
_VALUES_PER_WRITE = 5_000


class RedisStore:
    """A GroupStore over one Redis server, version 6.2 or newer, not in cluster mode."""

    def __init__(
        self, url: str, *, timeout_s: float = 2.0, idempotency_ttl_s: float = 86_400.0
    ) -> None:
        """Name the server; the first call connects. Raises StoreUnavailable for a wrong URL."""
        self._redis = RedisConnection(url, timeout_s=timeout_s)
        self._texts = RedisTexts(self._redis)
        self._stamps: Together[str, Sequence[bytes | None]] = Together(self._read_stamps)
        self._idempotency_ttl_ms = int(idempotency_ttl_s * 1000)

    async def create(
        self,
        tenant: str,
        group_id: str,
        draft: GroupDraft,
        *,
        embedder: str,
        idempotency: Idempotency | None = None,
    ) -> Group:
        """Add a group; see the port."""
        group, _ = await self._put(
            tenant, group_id, draft, embedder, mode="create", idempotency=idempotency
        )
        return group

    async def put(
        self,
        tenant: str,
        group_id: str,
        draft: GroupDraft,
        *,
        embedder: str,
        if_match: int | None = None,
        create_only: bool = False,
    ) -> tuple[Group, bool]:
        """Create or replace; see the port."""
        mode = "put-new" if create_only else "put"
        return await self._put(tenant, group_id, draft, embedder, mode=mode, if_match=if_match)

    async def _put(
        self,
        tenant: str,
        group_id: str,
        draft: GroupDraft,
        embedder: str,
        *,
        mode: str,
        if_match: int | None = None,
        idempotency: Idempotency | None = None,
    ) -> tuple[Group, bool]:
        keys = _keys(tenant, group_id, "group", "preferences", "vectors")
        keys += _keys(tenant, None, "versions", "tag", "index")
        digest = ""
        if idempotency is not None:
            keys += _keys(tenant, idempotency.key, "idempotency")
            digest = idempotency.payload_digest
        head, now = codec.encode_head(draft, embedder=embedder), codec.now()
        preferences = codec.encode_preferences(draft.preferences)
        ttl_ms = self._idempotency_ttl_ms
        args = [group_id, mode, _match(if_match), now, head, codec.new_tag(), digest, ttl_ms]
        args += preferences
        match await self._redis.run(redis_scripts.WRITE, keys, args):
            case [b"created" | b"replaced" as outcome, version, created]:
                record = codec.Record(group_id, version, head, preferences, created.decode(), now)
                return codec.decode_group(record), outcome == b"created"
            case [b"replayed", *fields]:
                return _replayed(fields), False
            case [b"key_reused"]:
                raise refusals.key_reused()
            case [b"not_new", actual]:
                raise refusals.not_new(group_id, int(actual))
            case [b"exists"]:
                raise GroupExists(group_id)
            case other:
                raise _refused(other, group_id, if_match)

    async def append(
        self,
        tenant: str,
        group_id: str,
        preferences: Sequence[Preference],
        *,
        max_preferences: int,
        max_context_tokens: int | None = None,
        if_match: int | None = None,
        idempotency: Idempotency | None = None,
    ) -> Group | GroupSummary:
        """Add preferences at the end; see the port."""
        added = codec.encode_preferences(preferences)
        keys = _keys(tenant, group_id, "group", "preferences", "vectors")
        keys += _keys(tenant, None, "versions", "tag")
        digest = ""
        if idempotency is not None:
            keys += _keys(tenant, idempotency.key, "idempotency")
            digest = idempotency.payload_digest
        more_tokens = context_tokens_of(preferences)
        room = "" if max_context_tokens is None else max_context_tokens - more_tokens
        args = [group_id, _match(if_match), max_preferences, room, codec.now(), codec.new_tag()]
        args += [digest, self._idempotency_ttl_ms, more_tokens, *added]
        match await self._redis.run(redis_scripts.APPEND, keys, args):
            case [b"appended", *row]:
                return codec.decode_group(_record(group_id, row))
            case [b"replayed", *fields]:
                return _replayed_append(fields)
            case [b"key_reused"]:
                raise refusals.key_reused()
            case [b"too_many", held]:
                raise refusals.too_many(held, len(added), max_preferences)
            case [b"too_many_pairs", tokens] if max_context_tokens is not None:
                raise refusals.too_many_pairs(tokens, more_tokens, max_context_tokens)
            case other:
                raise _refused(other, group_id, if_match)

    async def put_many(
        self,
        tenant: str,
        groups: Sequence[tuple[str, GroupDraft]],
        *,
        embedder: str,
        on_conflict: OnConflict,
        dry_run: bool = False,
    ) -> list[tuple[Written, int | None]]:
        """Create or replace groups, a script for each; see the port."""
        sent = await asyncio.to_thread(
            redis_bulk.calls,
            tenant,
            groups,
            embedder=embedder,
            on_conflict=on_conflict,
            dry_run=dry_run,
        )
        found: list[tuple[Written, int | None]] = []
        for some in redis_bulk.portions(
            sent, most=_GROUPS_PER_WRITE, most_values=_VALUES_PER_WRITE
        ):
            answers = await self._redis.run_many(redis_bulk.PUT, some)
            found += [redis_bulk.outcome(answer) for answer in answers]
        return found

    async def get(self, tenant: str, group_id: str) -> Group:
        """The newest version; see the port."""
        for group in await self._read(tenant, [group_id]):
            return group
        raise GroupNotFound(group_id)

    async def stamps(self, tenant: str, group_ids: Sequence[str]) -> list[str]:
        """Names the newest version of each group; see the port."""
        keys = [key for one in group_ids for key in _keys(tenant, one, "group")]
        rows = await self._stamps.get(keys)
        return [_stamp(group_id, *row) for group_id, row in zip(group_ids, rows, strict=True)]

    async def find_idempotent(
        self, tenant: str, idempotency: Idempotency
    ) -> Group | GroupSummary | None:
        """What this key wrote before; see the port."""
        (key,) = _keys(tenant, idempotency.key, "idempotency")
        fields = ["digest", "id", "version", "head", "preferences", "created_at"]
        fields += ["updated_at", "count", "tokens"]
        digest, *rest = await self._redis.call(lambda client: client.hmget(key, fields))
        if digest is None:
            return None
        if digest.decode() != idempotency.payload_digest:
            raise refusals.key_reused()
        if rest[3] is None:
            return _replayed_append(rest[:3] + rest[4:])
        return _replayed(rest[:5])

    async def list(
        self, tenant: str, *, limit: int, cursor: str | None = None, after: str | None = None
    ) -> GroupPage:
        """Groups in the order of their ids; see the port.

        A group that is deleted while the page is read is left out of it.
        """
        if cursor is not None:
            after = decode_cursor(cursor)
        start = "-" if after is None else f"({after}"
        (index,) = _keys(tenant, None, "index")
        found = await self._redis.call(
            lambda client: client.zrangebylex(index, start, "+", start=0, num=limit + 1)
        )
        ids = [member.decode() for member in found]
        groups: tuple[Group, ...] = ()
        for at in range(0, min(limit, len(ids)), _GROUPS_PER_READ):
            groups += await self._read(tenant, ids[at : min(at + _GROUPS_PER_READ, limit)])
        return GroupPage(groups, encode_cursor(ids[limit - 1]) if len(ids) > limit else None)

    async def count(self, tenant: str) -> int:
        """Number of groups; see the port."""
        (index,) = _keys(tenant, None, "index")
        return int(await self._redis.call(lambda client: client.zcard(index)))

    async def delete(self, tenant: str, group_id: str, *, if_match: int | None = None) -> None:
        """Remove a group and everything derived from it; see the port."""
        keys = _keys(tenant, group_id, "group", "preferences", "vectors")
        keys += _keys(tenant, None, "index", "tag")
        args = [group_id, _match(if_match), codec.new_tag()]
        match await self._redis.run(redis_scripts.DELETE, keys, args):
            case [b"deleted", held]:
                await self._forget_texts(tenant, [text.decode() for text in held])
            case other:
                raise _refused(other, group_id, if_match)

    async def _forget_texts(self, tenant: str, encoded: Sequence[str]) -> None:
        try:
            await self._texts.forget(tenant, codec.text_keys_of(encoded))
        except StoreUnavailable as exc:
            # The group is gone, as was asked; what is left of its texts expires.
            _LOG.warning("the vectors of a deleted group's texts are left to expire: %s", exc)

    async def tag(self, tenant: str) -> str:
        """The state of the tenant's groups; see the port."""
        (key,) = _keys(tenant, None, "tag")
        found = await self._redis.call(lambda client: client.get(key))
        return "" if found is None else str(found.decode())

    async def roll(self, tenant: str) -> Roll:
        """Every group of the tenant; see the port."""
        keys = _keys(tenant, None, "index", "tag") + _keys(tenant, "", "group", "preferences")
        tag, *cells = await self._redis.run(redis_scripts.ROLL, keys, [])
        rows = zip(cells[::3], cells[1::3], cells[2::3], strict=True)
        groups = {name.decode(): RollEntry(int(version), held) for name, version, held in rows}
        return Roll(tag.decode(), groups)

    async def get_vectors(
        self, tenant: str, group_id: str, version: int, embedder_digest: str
    ) -> FloatArray | None:
        """Cached context vectors; see the port."""
        (key,) = _keys(tenant, group_id, "vectors")
        fields = ["version", "digest", "rows", "dim", "data"]
        row = await self._redis.call(lambda client: client.hmget(key, fields))
        if row[:2] != [str(version).encode(), embedder_digest.encode()] or None in row:
            return None
        return codec.decode_vectors(codec.VectorRecord(int(row[2]), int(row[3]), row[4]))

    async def put_vectors(
        self, tenant: str, group_id: str, version: int, embedder_digest: str, vectors: FloatArray
    ) -> None:
        """Cache context vectors, unless they are larger than 32 MB; see the port."""
        encoded = codec.encode_vectors(vectors)
        if len(encoded.data) > _VECTORS_MAX_BYTES:
            return
        await self._redis.run(
            redis_scripts.PUT_VECTORS,
            _keys(tenant, group_id, "group", "vectors"),
            [version, embedder_digest, encoded.rows, encoded.dim, encoded.data, _VECTORS_TTL_MS],
        )

    async def get_texts(
        self, tenant: str, embedder_digest: str, texts: Sequence[str]
    ) -> Sequence[FloatArray | None]:
        """Kept vectors of single texts; see the port."""
        return await self._texts.find(tenant, embedder_digest, texts)

    async def put_texts(
        self, tenant: str, embedder_digest: str, texts: Sequence[str], vectors: FloatArray
    ) -> None:
        """Keep vectors of single texts; see the port."""
        await self._texts.keep(tenant, embedder_digest, texts, vectors)

    async def check(self) -> None:
        """Read and write one key for real; see the port."""
        await self._redis.check()

    async def close(self) -> None:
        """Close every connection."""
        await self._stamps.close()
        await self._redis.close()

    async def _read_stamps(self, keys: Sequence[str]) -> Sequence[Sequence[bytes | None]]:
        found: Sequence[Sequence[bytes | None]] = await self._redis.run(redis_scripts.STAMPS, keys)
        return found

    async def _read(self, tenant: str, ids: Sequence[str]) -> tuple[Group, ...]:
        """Those of the groups that exist, each as of one instant."""
        keys = [key for one in ids for key in _keys(tenant, one, "group", "preferences")]
        rows = await self._redis.run(redis_scripts.READ, keys)
        found = [
            (group_id, row) for group_id, row in zip(ids, rows, strict=True) if row is not None
        ]

        def decode() -> tuple[Group, ...]:
            return tuple(codec.decode_group(_record(group_id, row)) for group_id, row in found)

        if sum(len(row[-1]) for _, row in found) <= _FEW_PREFERENCES:
            return decode()
        return await asyncio.to_thread(decode)


def _match(if_match: int | None) -> str:
    return "" if if_match is None else str(if_match)


def _stamp(group_id: str, version: bytes | None, updated_at: bytes | None) -> str:
    if version is None or updated_at is None:
        raise GroupNotFound(group_id)
    return codec.stamp(int(version), updated_at.decode())


def _record(group_id: str, row: Sequence[Any]) -> codec.Record:
    version, head, created_at, updated_at, preferences = row
    return codec.Record(
        group_id=group_id,
        version=int(version),
        head=head.decode(),
        preferences=tuple(text.decode() for text in preferences),
        created_at=created_at.decode(),
        updated_at=updated_at.decode(),
    )


def _replayed(fields: Sequence[bytes]) -> Group:
    group_id, version, head, preferences, created_at = (field.decode() for field in fields)
    encoded = codec.split_preferences(preferences)
    return codec.decode_group(
        codec.Record(group_id, int(version), head, encoded, created_at, created_at)
    )


def _replayed_append(fields: Sequence[bytes]) -> GroupSummary:
    group_id, version, head, created_at, updated_at, count, tokens = (f.decode() for f in fields)
    return codec.decode_summary(
        codec.SummaryRecord(
            group_id, int(version), head, int(count), int(tokens), created_at, updated_at
        )
    )


def _refused(answer: Sequence[Any], group_id: str, if_match: int | None) -> Exception:
    match answer:
        case [b"mismatch", actual] if if_match is not None:
            return refusals.wrong_version(
                group_id, if_match, None if actual is None else int(actual)
            )
        case _:
            return GroupNotFound(group_id)
