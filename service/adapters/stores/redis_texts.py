"""Vectors of single texts in Redis: a hash for each, which expires when nobody asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import redis.asyncio as aioredis

from service.adapters.stores import codec
from service.adapters.stores.redis_connection import RedisConnection
from service.adapters.stores.redis_keys import keys
from service.core.domain import FloatArray

# As long as a group's vectors, and for the same reason: see redis_store.
TTL_MS = 6 * 3_600_000
_AT_ONCE = 500

# KEYS: a text's hash, for each; ARGV: digest of the embedder, TTL in ms
FIND = """
local found = {}
for at, key in ipairs(KEYS) do
  local row = redis.call('HMGET', key, 'digest', 'data')
  if row[1] == ARGV[1] then
    redis.call('PEXPIRE', key, ARGV[2])
    found[at] = row[2]
  else
    found[at] = false
  end
end
return found
"""

# KEYS: a text's hash, for each; ARGV: digest of the embedder, TTL in ms, data for each
KEEP = """
for at, key in ipairs(KEYS) do
  redis.call('HSET', key, 'digest', ARGV[1], 'data', ARGV[at + 2])
  redis.call('PEXPIRE', key, ARGV[2])
end
return #KEYS
"""


class RedisTexts:
    """The vectors of all tenants' texts in one server."""

    def __init__(self, redis: RedisConnection) -> None:
        self._redis = redis

    async def find(
        self, tenant: str, embedder_digest: str, texts: Sequence[str]
    ) -> list[FloatArray | None]:
        """The vector of each text, None where there is none."""
        found: list[FloatArray | None] = []
        for names in _names(tenant, [codec.text_key(text) for text in texts]):
            rows = await self._redis.run(FIND, names, [embedder_digest, TTL_MS])
            found += [None if row is None else codec.decode_vector(row) for row in rows]
        return found

    async def keep(
        self, tenant: str, embedder_digest: str, texts: Sequence[str], vectors: FloatArray
    ) -> None:
        """Keep the vector of each text."""
        start = 0
        for names in _names(tenant, [codec.text_key(text) for text in texts]):
            some = vectors[start : start + len(names)]
            data = [codec.encode_vectors(some[i : i + 1]).data for i in range(len(names))]
            await self._redis.run(KEEP, names, [embedder_digest, TTL_MS, *data])
            start += len(names)

    async def forget(self, tenant: str, text_keys: Sequence[str]) -> None:
        """Remove vectors by the keys of their texts."""
        for names in _names(tenant, text_keys):
            await self._redis.call(partial(_unlink, names))


async def _unlink(names: Sequence[str], client: aioredis.Redis) -> None:
    await client.unlink(*names)


def _names(tenant: str, text_keys: Sequence[str]) -> list[list[str]]:
    names = [name for key in text_keys for name in keys(tenant, key, "text")]
    return [names[at : at + _AT_ONCE] for at in range(0, len(names), _AT_ONCE)]
