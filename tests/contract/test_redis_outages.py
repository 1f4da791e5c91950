"""Redis goes away, stalls, fails over, or its caller leaves: nothing is lost or mixed up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis as sync_redis
from fixtures.groups import DRAFT, PLAIN, RATING, numbered, numbers
from fixtures.redis_server import RedisServer, free_port

from service.adapters.stores.open import open_store
from service.adapters.stores.redis_store import RedisStore
from service.core.errors import StoreUnavailable

T, E = "t", "e"
PASSWORD = "s3cret-p4ss"


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[RedisStore]:
    store = RedisStore(redis_url, timeout_s=20.0)
    yield store
    await store.close()


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
