"""One Redis server: connections, time limits, the breaker, and what server is acceptable.

Knows no groups. Every error of redis-py leaves here as StoreUnavailable, without a password.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis.asyncio as aioredis
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    RedisError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.adapters.stores.breaker import Breaker
from service.adapters.stores.redis_client import open_client
from service.core.errors import StoreUnavailable

SCHEMA_VERSION = 1
SCHEMA_KEY = "gpo:schema"
PROBE_KEY = "gpo:probe"
MIN_SERVER = (6, 2)
_MAX_CONNECTIONS = 32
_REFUSALS = {
    "OOM": "Redis is out of memory; nothing was written.",
    "OutOfMemory": "Redis is out of memory; nothing was written.",
    "READONLY": "Redis is a read-only replica; the store needs the primary.",
    "ReadOnly": "Redis is a read-only replica; the store needs the primary.",
    "MISCONF": "Redis cannot save to its disk and takes no writes.",
    "NoPermission": "Redis does not permit this user the commands that the store needs.",
    "WRONGTYPE": "Redis holds something else under the store's keys.",
}


class RedisConnection:
    """A pool of connections to one server that fails fast while it is down and heals by itself."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._opened = open_client(url, timeout_s=timeout_s, max_connections=_MAX_CONNECTIONS)
        self._client = self._opened.redis
        self._places = asyncio.Semaphore(_MAX_CONNECTIONS)
        self._scripts: dict[str, Any] = {}
        self._breaker = Breaker()
        self._verified = False
        self._closed = False

    async def run(self, script: str, keys: Sequence[str], args: Sequence[Any] = ()) -> Any:
        """The answer of a Lua script. Raises StoreUnavailable."""
        loaded = self._scripts.get(script)
        if loaded is None:
            loaded = self._scripts[script] = self._client.register_script(script)
        return await self.call(lambda client: loaded(keys=keys, args=args, client=client))

    async def run_many(
        self, script: str, sent: Sequence[tuple[Sequence[str], Sequence[Any]]]
    ) -> list[Any]:
        """The answers of a script to several keys and arguments, sent together.

        Each is a transaction of its own. Raises StoreUnavailable when one of them fails.
        """
        loaded = self._scripts.get(script)
        if loaded is None:
            loaded = self._scripts[script] = self._client.register_script(script)

        async def work(client: aioredis.Redis) -> list[Any]:
            async with client.pipeline(transaction=False) as pipe:
                for keys, args in sent:
                    await loaded(keys=keys, args=args, client=pipe)
                answers: list[Any] = await pipe.execute()
                return answers

        found: list[Any] = await self.call(work)
        return found

    async def call(self, command: Callable[[aioredis.Redis], Awaitable[Any]]) -> Any:
        """The answer to one command. Raises StoreUnavailable."""
        if self._closed:
            raise StoreUnavailable("The group store is closed.")
        if not self._breaker.allows():
            raise StoreUnavailable("Redis did not answer a moment ago; trying again shortly.")
        with self._translated():
            # The whole call is bounded: a wait for a connection, the connection's handshake
            # and the command itself could each use up a socket timeout.
            async with asyncio.timeout(self._timeout_s * 1.25), self._places:
                if not self._verified:
                    await self._verify()
                return await command(self._client)

    async def check(self) -> None:
        """Read and write for real, and look at the server again. Raises StoreUnavailable."""
        self._verified = False
        try:
            await self.call(lambda client: client.set(PROBE_KEY, "1", ex=60))
        except StoreUnavailable as exc:
            raise StoreUnavailable(f"{exc} [{self._opened.address}]") from exc

    async def close(self) -> None:
        """Close every connection."""
        self._closed = True
        with self._translated():
            await self._opened.aclose()

    async def _verify(self) -> None:
        """Refuse a server that cannot keep groups, and data of a newer release."""
        info: dict[str, Any] = await self._client.info("server")
        _refuse_server(str(info["redis_version"]), str(info.get("redis_mode")))
        memory: dict[str, Any] = await self._client.info("memory")
        policy = str(memory.get("maxmemory_policy", ""))
        if memory.get("maxmemory") and policy.startswith("allkeys"):
            raise StoreUnavailable(
                f"Redis has maxmemory-policy {policy}, which evicts groups; use volatile-ttl."
            )
        # Written once alone: a server without memory for writes can still be read.
        if await self._client.get(SCHEMA_KEY) is None:
            await self._client.set(SCHEMA_KEY, SCHEMA_VERSION, nx=True)
        schema = int(await self._client.get(SCHEMA_KEY) or 0)
        if schema > SCHEMA_VERSION:
            raise StoreUnavailable(
                f"The data in Redis have schema {schema}, this release knows {SCHEMA_VERSION}: "
                "they were written by a newer release."
            )
        self._verified = True

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (RedisConnectionError, RedisTimeoutError, TimeoutError, OSError) as exc:
            # Whoever answers next may be another server: look at it before using it.
            self._verified = False
            self._breaker.failed()
            raise StoreUnavailable(_outage(exc)) from exc
        except (RedisError, ValueError) as exc:
            self._breaker.succeeded()
            raise StoreUnavailable(_refusal(exc)) from exc
        except StoreUnavailable:
            self._breaker.succeeded()
            raise
        else:
            self._breaker.succeeded()


def _outage(exc: Exception) -> str:
    match exc:
        case AuthenticationError():
            return "Redis refuses the user name or password."
        case BusyLoadingError():
            return "Redis is still loading its data."
        case RedisTimeoutError() | TimeoutError():
            return "Redis does not answer in time; a write may or may not have been done."
        case _:
            return "Redis cannot be reached."


def _refusal(exc: Exception) -> str:
    # A script passes the error of a command on as text of its own, so the type does not tell.
    for code, reason in _REFUSALS.items():
        if code in str(exc) or code in type(exc).__name__:
            return reason
    return "Redis refuses the command."


def _refuse_server(version: str, mode: str) -> None:
    if mode == "cluster":
        raise StoreUnavailable("Redis runs in cluster mode; the store needs a single primary.")
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_SERVER:
        raise StoreUnavailable(f"Redis is at version {version}; the store needs 6.2 or newer.")
