"""The stores that the contract suite runs over, and servers of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from fixtures.redis_server import RedisServer

from service.adapters.stores.redis_store import RedisStore
from service.adapters.stores.sqlite_store import SqliteStore
from service.core.ports import GroupStore

Stores = Callable[..., GroupStore]


@pytest.fixture(params=["sqlite", "redis"])
async def open_another(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stores]:
    """Opens any number of stores on the same, at first empty, data."""
    opened: list[GroupStore] = []
    url = request.getfixturevalue("redis_url") if request.param == "redis" else None

    def open_one(*, idempotency_ttl_s: float = 86_400.0) -> GroupStore:
        store: GroupStore
        if url is None:
            store = SqliteStore(
                tmp_path / "groups.db", busy_timeout_s=30.0, idempotency_ttl_s=idempotency_ttl_s
            )
        else:
            store = RedisStore(url, timeout_s=20.0, idempotency_ttl_s=idempotency_ttl_s)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


@pytest.fixture
def store(open_another: Stores) -> GroupStore:
    return open_another()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Starts a server with options of its own."""
    servers: list[RedisServer] = []

    def start(*options: str, sentinel_config: Path | None = None) -> RedisServer:
        folder = tmp_path / f"redis-{len(servers)}"
        folder.mkdir()
        servers.append(RedisServer(folder, *options, sentinel_config=sentinel_config))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
