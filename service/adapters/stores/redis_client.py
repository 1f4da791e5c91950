"""From a URL to a redis-py client: one server, or the primary that Sentinels name.

Knows no commands. A command is sent once: redis-py's retries are off, since a write whose answer
got lost would be done twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis.asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from service.core.errors import StoreUnavailable

SCHEMES = ("redis://", "rediss://", "unix://", "redis+sentinel://")
_SENTINEL = "redis+sentinel"
_SENTINEL_PORT = 26_379


@dataclass(frozen=True, slots=True)
class RedisClient:
    """A client with what has to be closed with it; `address` is fit to be shown."""

    redis: aioredis.Redis
    address: str
    sentinel: Sentinel | None = None

    async def aclose(self) -> None:
        """Close every connection."""
        await self.redis.aclose()
        if self.sentinel is not None:
            await self.sentinel.aclose()


def open_client(url: str, *, timeout_s: float, max_connections: int) -> RedisClient:
    """A client of `redis://host:port/db` or `redis+sentinel://host:port,…/primary/db`.

    Connects to nothing yet. Raises StoreUnavailable for a URL that cannot be used, without
    its password.
    """
    options: dict[str, Any] = {
        "max_connections": max_connections,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "retry": _once(),
        "protocol": 2,
    }
    try:
        parts = urlsplit(url)
        _refuse_options(parts.query)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        if parts.scheme == _SENTINEL:
            sentinel, redis = _by_sentinel(url, options, timeout_s)
            return RedisClient(redis, address, sentinel)
        if parts.scheme != "unix":
            _database(parts.path.strip("/"))
        return RedisClient(
            aioredis.Redis.from_pool(aioredis.ConnectionPool.from_url(url, **options)), address
        )
    except ValueError as exc:
        raise StoreUnavailable(
            "The store URL is not one of redis://host:port/db, unix:///path?db=0, "
            "redis+sentinel://host:port,host:port/primary/db."
        ) from exc


def _by_sentinel(
    url: str, options: dict[str, Any], timeout_s: float
) -> tuple[Sentinel, aioredis.Redis]:
    parts = urlsplit(url)
    service, _, database = parts.path.strip("/").partition("/")
    hosts = [urlsplit(f"//{host}") for host in parts.netloc.rpartition("@")[2].split(",")]
    if not service or not all(host.hostname for host in hosts):
        raise ValueError("no primary or no host")
    # A Sentinel that is down must leave time within one call to ask the next.
    asking = {"socket_timeout": timeout_s / 4, "socket_connect_timeout": timeout_s / 4}
    sentinel = Sentinel(  # type: ignore[no-untyped-call]
        [(host.hostname, host.port or _SENTINEL_PORT) for host in hosts],
        sentinel_kwargs={**asking, "retry": _once(), "protocol": 2},
    )
    redis: aioredis.Redis = sentinel.master_for(
        service,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        db=_database(database),
        **options,
    )
    return sentinel, redis


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def _database(text: str) -> int:
    # redis-py would take database 0 in place of a path that is no number.
    return int(text) if text else 0


def _refuse_options(query: str) -> None:
    # Options in the URL would win over ours; retry_on_timeout, say, would repeat writes.
    for option in parse_qs(query):
        if option != "db" and not option.startswith("ssl_"):
            raise StoreUnavailable(
                f"The store URL has the option {option[:40]!r}; only db and ssl_… are allowed."
            )
