"""The counts of all replicas in one Redis: connections, time limits, the breaker.

Knows no quota. Every failure of redis-py leaves here as SharedCountDown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from limits.aio.storage import RedisStorage
from redis.exceptions import RedisError

from service.adapters.stores.breaker import Breaker
from service.adapters.stores.redis_client import open_client

T = TypeVar("T")
KEY_PREFIX = "gpo:quota"
# A request waits for its count, so this is shorter than what the store may take.
_TIMEOUT_S = 0.5
_MAX_CONNECTIONS = 32


class SharedCountDown(Exception):
    """Redis did not count."""


class SharedCount:
    """A storage of `limits` that fails fast while Redis is down, and heals by itself."""

    def __init__(self, url: str) -> None:
        """Name the server; the first count connects. Raises StoreUnavailable for a wrong URL."""
        self._client = open_client(url, timeout_s=_TIMEOUT_S, max_connections=_MAX_CONNECTIONS)
        self._breaker = Breaker(threshold=2)
        self._places = asyncio.Semaphore(_MAX_CONNECTIONS)
        # The pool knows the server, so the address is only there because one is asked for.
        self._storage = RedisStorage(
            "async+redis://",
            implementation="redispy",
            key_prefix=KEY_PREFIX,
            connection_pool=self._client.redis.connection_pool,  # type: ignore[arg-type]
        )

    async def run(self, work: Callable[[RedisStorage], Awaitable[T]]) -> T:
        """What `work` makes of the storage. Raises SharedCountDown."""
        if not self._breaker.allows():
            raise SharedCountDown("Redis did not answer a moment ago")
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._places:
                found = await work(self._storage)
        except (RedisError, TimeoutError, OSError, ValueError) as exc:
            self._breaker.failed()
            raise SharedCountDown(f"Redis does not count ({type(exc).__name__})") from exc
        self._breaker.succeeded()
        return found

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()
