"""What is particular to the Redis store: outages, cancelled commands, memory, unfit servers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import redis as sync_redis
from fixtures.groups import DRAFT, PLAIN, RATING, numbered, numbers
from fixtures.redis_server import RedisServer, free_port

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


async def until_it_heals(store: RedisStore) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            return await store.check()
        except StoreUnavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


# --- outages


async def test_a_killed_server_loses_nothing_and_the_store_heals(
    durable_redis: RedisServer,
) -> None:
    store = RedisStore(durable_redis.url)
    await store.create(T, "g", PLAIN, embedder=E)
    acknowledged: dict[int, int] = {}
    failures: list[float] = []
    enough = asyncio.Event()

    async def write(numbers_of: range) -> None:
        for i in numbers_of:
            started = time.monotonic()
            try:
                group = await store.append(T, "g", [numbered(i)], max_preferences=9_999)
                acknowledged[i] = group.version
                if len(acknowledged) == 50:
                    enough.set()
            except StoreUnavailable:
                failures.append(time.monotonic() - started)
                return

    writers = [asyncio.create_task(write(range(k * 1000, (k + 1) * 1000))) for k in range(8)]
    await enough.wait()
    durable_redis.kill()
    await asyncio.gather(*writers)
    assert len(failures) == 8
    assert max(failures) < 10

    started = time.monotonic()
    for _ in range(20):
        with pytest.raises(StoreUnavailable):
            await store.get(T, "g")
    assert time.monotonic() - started < 10

    durable_redis.start()
    await until_it_heals(store)
    group = await store.get(T, "g")
    kept = numbers(group.preferences)
    assert set(acknowledged) <= set(kept)
    assert len(kept) == len(set(kept))
    for number, version in acknowledged.items():
        assert kept[version - 2] == number
    grown = await store.append(T, "g", [RATING], max_preferences=9_999)
    assert grown.version == len(kept) + 2 > max(acknowledged.values())
    await store.close()


async def test_a_server_that_is_not_there_at_first(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    store = open_store(server.url.replace("//", f"//user:{PASSWORD}@"))
    with pytest.raises(StoreUnavailable) as info:
        await store.check()
    assert f"127.0.0.1:{server.port}" in str(info.value)
    assert PASSWORD not in str(info.value)
    await store.close()

    store = open_store(server.url)
    with pytest.raises(StoreUnavailable):
        await store.get(T, "g")
    server.start()
    try:
        assert isinstance(store, RedisStore)
        await until_it_heals(store)
        assert (await store.create(T, "g", DRAFT, embedder=E)).version == 1
    finally:
        await store.close()
        server.kill()


async def test_a_server_that_accepts_and_never_answers() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4096):
            pass
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    store = open_store(f"redis://127.0.0.1:{port}/0")
    started = time.monotonic()
    results = await asyncio.gather(*(store.get(T, "g") for _ in range(100)), return_exceptions=True)
    took = time.monotonic() - started
    assert {type(r) for r in results} == {StoreUnavailable}
    assert took < 6
    # Now the breaker answers in its place.
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await store.get(T, "g")
    assert time.monotonic() - started < 0.5
    await store.close()
    silent.close()
    await silent.wait_closed()


async def test_slow_answers_do_not_add_up(redis_server: RedisServer) -> None:
    # Each answer comes in time, but a first call needs several of them.
    async with slow_way_to(redis_server.port, 0.9) as port:
        store = RedisStore(f"redis://127.0.0.1:{port}/1", timeout_s=1.0)
        started = time.monotonic()
        with pytest.raises(StoreUnavailable, match="in time"):
            await store.get(T, "g")
        assert time.monotonic() - started < 3
        await store.close()


async def test_a_server_that_stalls_and_goes_on(durable_redis: RedisServer) -> None:
    store = RedisStore(durable_redis.url)
    for i in range(20):
        await store.create(T, f"g{i}", DRAFT, embedder=E)
    durable_redis.pause()
    try:
        stalled = await asyncio.gather(
            *(store.get(T, f"g{i}") for i in range(20)), return_exceptions=True
        )
    finally:
        durable_redis.resume()
    assert {type(r) for r in stalled} == {StoreUnavailable}
    await until_it_heals(store)
    for i in range(20):
        assert (await store.get(T, f"g{i}")).id == f"g{i}"
    await store.close()


async def test_a_restart_between_two_calls_goes_unnoticed_or_heals(
    durable_redis: RedisServer,
) -> None:
    store = RedisStore(durable_redis.url)
    made = await store.create(T, "g", DRAFT, embedder=E)
    durable_redis.kill()
    durable_redis.start()
    await until_it_heals(store)
    assert await store.get(T, "g") == made
    await store.close()


async def test_after_a_failover_the_new_primary_serves(
    start_server: Callable[..., RedisServer], tmp_path: Path
) -> None:
    primary = start_server()
    replica = start_server("--replicaof", "127.0.0.1", str(primary.port))
    config = tmp_path / "sentinel.conf"
    write_sentinel_config(config, primary.port)
    sentinel = start_server(sentinel_config=config)
    nobody = free_port()
    store = open_store(
        f"redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{sentinel.port}/groups-primary/0"
    )
    assert isinstance(store, RedisStore)
    await until_it_heals(store)
    made = await store.create(T, "g", DRAFT, embedder=E)
    with sync_redis.Redis(port=primary.port) as client:
        assert client.wait(1, 30_000) == 1
    primary.kill()
    with pytest.raises(StoreUnavailable):
        await store.append(T, "g", [RATING], max_preferences=9)
    await until_it_heals(store)
    assert await store.get(T, "g") == made
    assert (await store.append(T, "g", [RATING], max_preferences=9)).version == made.version + 1
    with sync_redis.Redis(port=replica.port) as client:
        assert client.role()[0] == b"master"
    await store.close()


def write_sentinel_config(path: Path, primary_port: int) -> None:
    path.write_text(
        f"sentinel monitor groups-primary 127.0.0.1 {primary_port} 1\n"
        "sentinel down-after-milliseconds groups-primary 1500\n"
        "sentinel failover-timeout groups-primary 5000\n"
    )


# --- cancelled commands


@asynccontextmanager
async def slow_way_to(port: int, delay_s: float) -> AsyncIterator[int]:
    """A proxy in front of a server whose answers take their time."""

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait_s: float
    ) -> None:
        try:
            while data := await reader.read(65_536):
                await asyncio.sleep(wait_s)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, up_writer, 0), pump(up_reader, writer, delay_s))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


async def test_a_cancelled_command_never_answers_another(redis_server: RedisServer) -> None:
    redis_server.flush()
    async with slow_way_to(redis_server.port, 0.02) as port:
        store = RedisStore(f"redis://127.0.0.1:{port}/0", timeout_s=20.0)
        for i in range(8):
            await store.create(T, f"g{i}", DRAFT, embedder=E)
        cancelled = 0
        for step in range(25):
            tasks = [asyncio.create_task(store.get(T, f"g{i}")) for i in range(8)]
            await asyncio.sleep(0.002 * step)
            for task in tasks[::2]:
                task.cancel()
            # These share the pool with the connections whose command was just cancelled.
            others = [asyncio.create_task(store.get(T, f"g{i}")) for i in range(8)]
            results = await asyncio.gather(*tasks, return_exceptions=True)
            cancelled += sum(isinstance(r, asyncio.CancelledError) for r in results)
            kept = [r.id for r in results[1::2] if not isinstance(r, BaseException)]
            assert kept == ["g1", "g3", "g5", "g7"]
            assert [g.id for g in await asyncio.gather(*others)] == [f"g{i}" for i in range(8)]
        assert cancelled > 40
        await store.close()


async def test_cancelled_commands_use_up_no_connections(redis_server: RedisServer) -> None:
    redis_server.flush()
    async with slow_way_to(redis_server.port, 0.01) as port:
        store = RedisStore(f"redis://127.0.0.1:{port}/0", timeout_s=20.0)
        await store.create(T, "g", PLAIN, embedder=E)
        for step in range(20):
            tasks = [asyncio.create_task(store.get(T, "g")) for _ in range(40)]
            await asyncio.sleep(0.001 * step)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        got = await asyncio.gather(*(store.get(T, "g") for _ in range(64)))
        assert {g.id for g in got} == {"g"}
        await store.close()


async def test_a_write_whose_answer_got_lost_is_not_repeated(
    redis_server: RedisServer, store: RedisStore
) -> None:
    lose_answer = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lose_answer
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", redis_server.port)
        while command := await reader.read(65_536):
            up_writer.write(command)
            answer = await up_reader.read(65_536)
            if lose_answer:
                lose_answer = False
                break
            writer.write(answer)
        up_writer.close()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    behind = RedisStore(f"redis://127.0.0.1:{port}/0", timeout_s=20.0)
    await behind.create(T, "g", PLAIN, embedder=E)
    await behind.append(T, "g", [numbered(0)], max_preferences=9)
    lose_answer = True
    with pytest.raises(StoreUnavailable):
        await behind.append(T, "g", [numbered(1)], max_preferences=9)
    assert numbers((await store.get(T, "g")).preferences) == [0, 1]
    await behind.close()
    server.close()
    await server.wait_closed()


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
        "index", "versions", "group:g", "preferences:g", "vectors:g", "idempotency:k",
    }  # fmt: skip
    assert {name[name.index("{") : name.index("}") + 1] for name in keys} == {"{a%7Db}"}
    expiring = {name.split(":", 2)[2] for name, ttl in keys.items() if ttl > 0}
    assert expiring == {"vectors:g", "idempotency:k"}
    await store.delete("a}b", "g")
    left = {name.decode().split(":", 2)[2] for name in client.keys("gpo:{*")}
    assert left == {"versions", "idempotency:k"}


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
