"""Keys and memory of the Redis store, and the servers and URLs that it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import numpy as np
import pytest
import redis as sync_redis
from fixtures.groups import DRAFT, PLAIN, RATING, numbered
from fixtures.redis_server import RedisServer

from service.adapters.stores.open import open_store
from service.adapters.stores.redis_store import RedisStore
from service.core.errors import GroupNotFound, StoreUnavailable
from service.core.ports import Idempotency

T, E = "t", "e"
PASSWORD = "s3cret-p4ss"


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    store = RedisStore(redis_url, timeout_s=20.0)
    yield store
    await store.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[sync_redis.Redis]:
    with sync_redis.Redis.from_url(redis_url) as client:
        yield client


async def refusal(url: str) -> str:
    """What `check` says about a server that the store refuses."""
    store = open_store(url)
    try:
        with pytest.raises(StoreUnavailable) as info:
            await store.check()
        with pytest.raises(StoreUnavailable):
            await store.create(T, "g", PLAIN, embedder=E)
    finally:
        await store.close()
    return str(info.value)


async def test_scripts_survive_a_flush_of_the_script_cache(
    store: RedisStore, client: sync_redis.Redis
) -> None:
    await store.create(T, "g", PLAIN, embedder=E)
    client.script_flush()
    assert (await store.append(T, "g", [RATING], max_preferences=9)).version == 2


# --- keys and memory


async def test_only_what_can_be_made_again_expires(
    store: RedisStore, client: sync_redis.Redis
) -> None:
    key = Idempotency("k", "d")
    group = await store.create("a}b", "g", DRAFT, embedder=E, idempotency=key)
    await store.put_vectors("a}b", "g", group.version, "d", np.ones((9, 4), np.float32))
    keys = {name.decode(): client.pttl(name) for name in client.keys("gpo:{*")}
    assert {name.split(":", 2)[2] for name in keys} == {
        "index", "versions", "tag", "group:g", "preferences:g", "vectors:g", "idempotency:k",
    }  # fmt: skip
    assert {name[name.index("{") : name.index("}") + 1] for name in keys} == {"{a%7Db}"}
    expiring = {name.split(":", 2)[2] for name, ttl in keys.items() if ttl > 0}
    assert expiring == {"vectors:g", "idempotency:k"}
    await store.delete("a}b", "g")
    left = {name.decode().split(":", 2)[2] for name in client.keys("gpo:{*")}
    assert left == {"versions", "tag", "idempotency:k"}


async def test_full_memory_evicts_vectors_and_never_groups(
    start_server: Callable[..., RedisServer],
) -> None:
    server = start_server("--maxmemory", "8mb", "--maxmemory-policy", "volatile-ttl")
    store = RedisStore(server.url, timeout_s=20.0)
    for i in range(30):
        group = await store.create(T, f"g{i}", DRAFT, embedder=E)
        await store.put_vectors(T, f"g{i}", group.version, "d", np.ones((500, 384), np.float32))
    cached = [await store.get_vectors(T, f"g{i}", 1, "d") is not None for i in range(30)]
    assert 0 < sum(cached) < 30
    for i in range(30):
        assert (await store.get(T, f"g{i}")).preferences == DRAFT.preferences
    await store.close()


async def test_full_memory_refuses_a_write_as_a_whole(
    start_server: Callable[..., RedisServer],
) -> None:
    server = start_server("--maxmemory-policy", "noeviction")
    store = RedisStore(server.url, timeout_s=20.0)
    made = await store.create(T, "g", DRAFT, embedder=E)
    with sync_redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)
        many = [numbered(i) for i in range(100)]
        with pytest.raises(StoreUnavailable, match="out of memory"):
            await store.append(T, "g", many, max_preferences=999)
        with pytest.raises(StoreUnavailable, match="out of memory"):
            await store.put(T, "g", PLAIN, embedder=E)
        with pytest.raises(StoreUnavailable, match="out of memory"):
            await store.create(T, "h", PLAIN, embedder=E, idempotency=Idempotency("k", "d"))
        with pytest.raises(StoreUnavailable, match="out of memory"):
            await store.check()
        assert await store.get(T, "g") == made
        with pytest.raises(GroupNotFound):
            await store.get(T, "h")
        client.config_set("maxmemory", 0)
    assert (await store.append(T, "g", many, max_preferences=999)).version == 2
    await store.close()


async def test_a_group_can_be_deleted_when_memory_is_full(
    start_server: Callable[..., RedisServer],
) -> None:
    server = start_server("--maxmemory-policy", "noeviction")
    store = RedisStore(server.url, timeout_s=20.0)
    await store.create(T, "g", DRAFT, embedder=E)
    tag = await store.tag(T)
    with sync_redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", 1)
        await store.delete(T, "g")
        roll = await store.roll(T)
    assert roll.groups == {}
    assert roll.tag not in ("", tag)
    await store.close()


async def test_vectors_too_large_for_redis_are_not_cached(store: RedisStore) -> None:
    await store.create(T, "g", PLAIN, embedder=E)
    await store.put_vectors(T, "g", 1, "d", np.zeros((2**23 + 1, 1), np.float32))
    assert await store.get_vectors(T, "g", 1, "d") is None


# --- servers that do not fit


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cluster-enabled", "yes"), "cluster mode"),
        (("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"), "evicts groups"),
        (("--requirepass", PASSWORD), "user name or password"),
        (("--replicaof", "127.0.0.1", "1"), "read-only replica"),
    ],
)
async def test_servers_that_cannot_keep_groups(
    options: tuple[str, ...], words: str, start_server: Callable[..., RedisServer]
) -> None:
    message = await refusal(start_server(*options).url)
    assert words in message
    assert PASSWORD not in message


async def test_the_password_is_used_and_never_shown(
    start_server: Callable[..., RedisServer],
) -> None:
    url = start_server("--requirepass", PASSWORD).url
    store = open_store(url.replace("//", f"//:{PASSWORD}@"))
    await store.check()
    await store.close()
    message = await refusal(url.replace("//", f"//:{PASSWORD}x@"))
    assert "user name or password" in message
    assert PASSWORD not in message


async def test_an_old_server_is_refused() -> None:
    info = b"# Server\r\nredis_version:6.0.16\r\nredis_mode:standalone\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                size = int((await reader.readline())[1:])
                words.append((await reader.readexactly(size + 2))[:-2])
            bulk = b"$%d\r\n%s\r\n" % (len(info), info)
            writer.write(bulk if words[0].upper() == b"INFO" else b"+OK\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    message = await refusal(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    assert "6.0.16" in message
    assert "6.2 or newer" in message
    server.close()
    await server.wait_closed()


async def test_a_server_that_is_no_redis() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    await refusal(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0")
    server.close()
    await server.wait_closed()


async def test_data_of_a_newer_release_are_refused(
    redis_url: str, client: sync_redis.Redis
) -> None:
    client.set("gpo:schema", 99)
    assert "schema 99" in await refusal(redis_url)
    assert client.get("gpo:schema") == b"99"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"redis://:{PASSWORD}@host:notaport/0", "is not one of"),
        (f"redis://:{PASSWORD}@host/0?retry_on_timeout=true", "retry_on_timeout"),
        (f"redis://:{PASSWORD}@host/groups", "is not one of"),
        (f"redis+sentinel://:{PASSWORD}@host:26379", "is not one of"),
        (f"redis+sentinel://:{PASSWORD}@host:x/primary", "is not one of"),
        (f"redis+sentinel://:{PASSWORD}@host,/primary", "is not one of"),
    ],
)
def test_urls_that_cannot_be_used(url: str, words: str) -> None:
    with pytest.raises(StoreUnavailable, match=words) as info:
        open_store(url)
    assert PASSWORD not in str(info.value)


async def test_databases_of_one_server_are_apart(redis_url: str, store: RedisStore) -> None:
    await store.create(T, "g", PLAIN, embedder=E)
    other = open_store(redis_url.replace("/0", "/1"))
    with pytest.raises(GroupNotFound):
        await other.get(T, "g")
    await other.close()


async def test_a_unix_socket_will_do(start_server: Callable[..., RedisServer]) -> None:
    # Relative, since the path of a socket may have no more than about a hundred characters.
    server = start_server("--unixsocket", "redis.sock")
    assert server.process is not None
    store = open_store(f"unix:///proc/{server.process.pid}/cwd/redis.sock?db=1")
    await store.check()
    assert (await store.create(T, "g", DRAFT, embedder=E)).version == 1
    await store.close()
