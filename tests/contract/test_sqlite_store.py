"""What is particular to the SQLite store: the file, other processes, the disk."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures import store_worker
from fixtures.groups import DRAFT, PLAIN, RATING, numbered

from service.adapters.stores import codec, sqlite_database, sqlite_store
from service.adapters.stores.open import open_store
from service.adapters.stores.sqlite_store import SqliteStore
from service.core.domain import Roll, RollEntry
from service.core.errors import GroupNotFound, StoreUnavailable
from service.core.ports import Idempotency

T, E = "t", "e"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "groups.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, busy_timeout_s=20.0)
    yield store
    await store.close()


def worker(mode: str, path: Path, number: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, str(store_worker.__file__), mode, str(path), str(number)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


# --- several processes


async def test_two_processes_on_one_new_file(path: Path) -> None:
    workers = [worker("append", path, 100) for _ in range(2)]
    outputs = [w.communicate(timeout=300)[0].split() for w in workers]
    assert [w.returncode for w in workers] == [0, 0]
    versions = [int(v) for output in outputs for v in output]
    assert sorted(versions) == list(range(2, 202))
    store = SqliteStore(path)
    group = await store.get("t", "g")
    await store.close()
    assert group.version == 201
    assert group.preference_count == 200
    assert len(set(group.preferences)) == 200


async def test_a_process_sees_what_another_wrote(path: Path, store: SqliteStore) -> None:
    with pytest.raises(GroupNotFound):
        await store.get("t", "g")
    process = worker("append", path, 3)
    process.communicate(timeout=300)
    assert (await store.get("t", "g")).version == 4


async def test_a_killed_writer_leaves_whole_groups(path: Path) -> None:
    acknowledged: list[int] = []
    for round_ in range(3):
        process = worker("pairs", path)
        assert process.stdout is not None
        for _ in range(5 + 3 * round_):
            acknowledged.append(int(process.stdout.readline()))
        os.kill(process.pid, signal.SIGKILL)
        rest = process.stdout.read().split()
        process.stdout.close()
        assert process.wait(timeout=60) == -signal.SIGKILL
        acknowledged += [int(v) for v in rest]

        store = SqliteStore(path)
        group = await store.get("t", "g")
        await store.close()
        texts = [p.responses[0] for p in group.preferences]
        assert texts == ["left", "right"] * (len(texts) // 2)
        assert group.version == 1 + len(texts) // 2
        assert group.version >= max(acknowledged)
    assert len(acknowledged) == len(set(acknowledged))
    with sqlite3.connect(path) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    conn.close()


# --- the disk


def test_a_full_disk_writes_nothing_by_halves(path: Path) -> None:
    process = worker("full", path, 1_000_000)
    report = json.loads(process.communicate(timeout=300)[0])
    assert process.returncode == 0
    assert report["acknowledged"]
    assert "group store failed" in report["refusal"]
    assert "group store failed" in report["second_refusal"]
    # The refused writes left no trace, and the store works again once there is room.
    assert report["kept_version"] == 1
    assert report["later"] == [2, 1]
    assert report["listed"] == ["g", *report["acknowledged"]]
    assert report["counts"] == [3]


async def test_a_write_that_fails_midway_is_undone(path: Path, store: SqliteStore) -> None:
    made = await store.create(T, "g", DRAFT, embedder=E)
    with sqlite3.connect(path) as conn:
        conn.execute(
            "CREATE TRIGGER bad_luck BEFORE INSERT ON preferences WHEN NEW.position = 3"
            " BEGIN SELECT RAISE(ABORT, 'no'); END"
        )
    conn.close()
    key = Idempotency("k", "d")
    with pytest.raises(StoreUnavailable):
        await store.put(T, "g", DRAFT, embedder=E)
    with pytest.raises(StoreUnavailable):
        await store.create(T, "h", DRAFT, embedder=E, idempotency=key)
    assert await store.get(T, "g") == made
    assert await store.find_idempotent(T, key) is None
    assert [g.id for g in (await store.list(T, limit=9)).groups] == ["g"]
    grown, _ = await store.put(T, "g", PLAIN, embedder=E)
    assert grown.version == made.version + 1


async def test_acknowledged_means_synced(path: Path, store: SqliteStore) -> None:
    with store._database.write() as conn:
        assert conn.execute("PRAGMA synchronous").fetchone()[0] == 2
        assert conn.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert conn.execute("PRAGMA foreign_keys").fetchone()[0] == 1


async def test_only_the_owner_can_read_the_files(path: Path, store: SqliteStore) -> None:
    await store.create(T, "g", DRAFT, embedder=E)
    files = sorted(path.parent.iterdir())
    assert [f.name for f in files] == ["groups.db", "groups.db-shm", "groups.db-wal"]
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}


async def test_a_deleted_group_leaves_its_version_alone(path: Path, store: SqliteStore) -> None:
    group = await store.create(T, "g", DRAFT, embedder=E)
    await store.put_vectors(T, "g", group.version, "d", np.ones((9, 4), np.float32))
    await store.delete(T, "g")
    with store._database.read() as conn:
        counts = {
            table: conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("groups", "preferences", "vectors", "versions")
        }
    assert counts == {"groups": 0, "preferences": 0, "vectors": 0, "versions": 1}


# --- locks


async def test_a_lock_stops_writes_alone(path: Path) -> None:
    store = SqliteStore(path, busy_timeout_s=1.5)
    made = await store.create(T, "g", DRAFT, embedder=E)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    write = asyncio.create_task(store.append(T, "g", [RATING], max_preferences=99))
    await asyncio.sleep(0.05)
    assert await store.get(T, "g") == made
    assert not write.done()
    with pytest.raises(StoreUnavailable, match="locked"):
        await write
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.check()
    assert ticks > 5
    ticking.cancel()

    other.execute("ROLLBACK")
    other.close()
    await store.check()
    assert (await store.append(T, "g", [RATING], max_preferences=99)).version == 2
    await store.close()


async def test_a_small_group_is_read_while_every_reader_is_busy(store: SqliteStore) -> None:
    small = [numbered(i) for i in range(sqlite_store._FEW)]
    one = await store.create(T, "small", replace(PLAIN, preferences=tuple(small)), embedder=E)
    draft = replace(PLAIN, preferences=(*small, numbered(99)))
    other = await store.create(T, "large", draft, embedder=E)
    free = threading.Event()
    busy = [store._readers.submit(free.wait, 30) for _ in range(sqlite_store._READERS)]
    async with asyncio.timeout(20):
        assert await store.get(T, "small") == one
        with pytest.raises(GroupNotFound):
            await store.get(T, "none")
    large = asyncio.create_task(store.get(T, "large"))
    await asyncio.sleep(0.05)
    assert not large.done()
    free.set()
    assert await large == other
    assert all(reader.result() for reader in busy)


async def test_a_queued_write_that_is_cancelled_never_runs(path: Path, store: SqliteStore) -> None:
    await store.create(T, "g", PLAIN, embedder=E)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    first = asyncio.create_task(store.append(T, "g", [numbered(1)], max_preferences=99))
    await asyncio.sleep(0.1)
    queued = asyncio.create_task(store.append(T, "g", [numbered(2)], max_preferences=99))
    await asyncio.sleep(0.1)
    queued.cancel()
    await asyncio.sleep(0)
    other.execute("ROLLBACK")
    other.close()
    await first
    await store.check()
    assert (await store.get(T, "g")).preferences == (numbered(1),)


# --- opening


async def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///rel.db")
    monkeypatch.chdir("/")
    await store.create(T, "g", DRAFT, embedder=E)
    await store.close()
    assert (tmp_path / "rel.db").is_file()

    strange = tmp_path / "a ?b#c%20.db"
    store = open_store(f"sqlite:///{strange}")
    await store.check()
    await store.close()
    assert strange.is_file()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///missing/folder/x.db", "missing/folder"),
        ("sqlite:///", "sqlite:///name.db"),
        ("sqlite:///:memory:", "names no file"),
        ("postgres://host/db", "postgres"),
        ("sqlite:////dev", "folder"),
    ],
)
def test_urls_that_cannot_be_opened(
    url: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StoreUnavailable, match=words):
        open_store(url)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database(path: Path) -> None:
    path.write_bytes(b"not a database, but more than a hundred bytes long " * 40)
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match=r"not a SQLite database.*groups\.db"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_the_database_of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as conn:
        conn.execute("CREATE TABLE groups (a)")
    conn.close()
    before = path.read_bytes()
    with pytest.raises(StoreUnavailable, match="another program"):
        SqliteStore(path)
    assert path.read_bytes() == before


async def test_the_database_of_a_newer_release(path: Path) -> None:
    store = SqliteStore(path)
    with sqlite3.connect(path) as conn:
        conn.execute("PRAGMA user_version = 99")
    conn.close()
    with pytest.raises(StoreUnavailable, match="schema 99"):
        SqliteStore(path)
    # A process that still runs the old release must not write by the old schema either.
    with pytest.raises(StoreUnavailable, match="newer release"):
        await store.create(T, "g", DRAFT, embedder=E)
    await store.close()


def overwrite_all_but_the_first_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))


def schema_of(path: Path) -> tuple[int, set[str]]:
    conn = sqlite3.connect(path)
    names = {name for (name,) in conn.execute("SELECT name FROM sqlite_master")}
    (version,) = conn.execute("PRAGMA user_version").fetchone()
    conn.close()
    return version, names


async def test_a_migration_keeps_the_groups(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(path)
    made = await store.create(T, "g", DRAFT, embedder=E)
    await store.close()
    now = len(sqlite_database.MIGRATIONS)
    step = ("CREATE TABLE extra (a)", "ALTER TABLE groups ADD COLUMN note TEXT")
    monkeypatch.setattr(sqlite_database, "MIGRATIONS", (*sqlite_database.MIGRATIONS, step))
    store = SqliteStore(path)
    assert await store.get(T, "g") == made
    await store.close()
    version, names = schema_of(path)
    assert version == now + 1
    assert "extra" in names


async def test_a_file_without_tags_gets_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_database, "MIGRATIONS", sqlite_database.MIGRATIONS[:1])
        await SqliteStore(path).close()
        with sqlite3.connect(path) as conn:
            conn.execute(
                "INSERT INTO groups VALUES (1, ?, 'old', 1, ?, ?, ?)",
                (T, codec.encode_head(DRAFT, embedder=E), codec.now(), codec.now()),
            )
        conn.close()
    store = SqliteStore(path)
    assert await store.roll(T) == Roll("", {"old": RollEntry(1, 0)})
    await store.delete(T, "old")
    roll = await store.roll(T)
    assert (bool(roll.tag), roll.groups) == (True, {})
    await store.close()


async def test_a_migration_that_fails_is_undone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(path)
    made = await store.create(T, "g", DRAFT, embedder=E)
    await store.close()
    before = schema_of(path)
    with monkeypatch.context() as patch:
        step = ("CREATE TABLE extra (a)", "ALTER TABLE nowhere ADD COLUMN note TEXT")
        patch.setattr(sqlite_database, "MIGRATIONS", (*sqlite_database.MIGRATIONS, step))
        with pytest.raises(StoreUnavailable):
            SqliteStore(path)
    assert schema_of(path) == before
    store = SqliteStore(path)
    assert await store.get(T, "g") == made
    await store.close()


async def list_all(path: Path) -> None:
    store = SqliteStore(path)
    try:
        await store.list(T, limit=50)
    finally:
        await store.close()


async def test_a_damaged_file(path: Path) -> None:
    store = SqliteStore(path)
    for i in range(30):
        await store.create(T, f"g{i}", DRAFT, embedder=E)
    await store.close()
    await list_all(path)
    overwrite_all_but_the_first_page(path)
    with pytest.raises(StoreUnavailable, match="damaged"):
        await list_all(path)


async def test_a_file_that_vanishes_and_comes_back(path: Path, store: SqliteStore) -> None:
    made = await store.create(T, "g", DRAFT, embedder=E)
    backup = path.with_suffix(".bak")
    with sqlite3.connect(path) as conn:
        conn.execute("VACUUM INTO ?", (str(backup),))
    conn.close()
    await store.append(T, "g", [RATING], max_preferences=99)
    for file in path.parent.glob("groups.db*"):
        file.unlink()
    with pytest.raises(StoreUnavailable, match="gone"):
        await store.get(T, "g")
    with pytest.raises(StoreUnavailable, match="gone"):
        await store.check()
    assert sorted(os.listdir(path.parent)) == [backup.name]
    shutil.move(backup, path)
    assert await store.get(T, "g") == made
    await store.check()


async def test_closing_waits_for_running_writes(path: Path) -> None:
    store = SqliteStore(path)
    writes = [asyncio.create_task(store.create(T, f"g{i}", DRAFT, embedder=E)) for i in range(10)]
    await asyncio.sleep(0)
    started = time.monotonic()
    await store.close()
    await asyncio.gather(*writes)
    assert time.monotonic() - started < 60
    again = SqliteStore(path)
    assert len((await again.list(T, limit=50)).groups) == 10
    await again.close()
