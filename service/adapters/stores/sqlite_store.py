"""Groups in one SQLite file: the store for a single host, without a server to run.

SQLite blocks, so one thread writes and a few read. What reads a few rows runs on the event
loop, in a tenth of the time of going through a thread, and never waits there for a lock.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from service.adapters.stores import codec, refusals, sqlite_bulk, sqlite_texts
from service.adapters.stores import sqlite_rows as rows
from service.adapters.stores.cursors import decode_cursor, encode_cursor
from service.adapters.stores.sqlite_database import Database
from service.core.domain import (
    FloatArray,
    Group,
    GroupDraft,
    GroupPage,
    GroupSummary,
    OnConflict,
    Preference,
    Roll,
    Written,
    context_tokens_of,
)
from service.core.errors import GroupExists, StoreUnavailable
from service.core.ports import Idempotency

T = TypeVar("T")
_READERS = 4
# Up to this many preferences are read and decoded faster than they are handed to a thread.
_FEW = 32


class SqliteStore:
    """A GroupStore over one file. Several processes of one host may share the file."""

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float = 5.0,
        idempotency_ttl_s: float = 86_400.0,
    ) -> None:
        """Open or create the file and bring its schema up to date. Raises StoreUnavailable."""
        self._database = Database(path, busy_timeout_s=busy_timeout_s)
        self._at_once = Database(path, busy_timeout_s=0.0, open_now=False)
        self._idempotency_ttl_s = idempotency_ttl_s
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="gpo-store-write")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="gpo-store-read")
        self._closed = False

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

        def work(conn: sqlite3.Connection) -> Group:
            if idempotency is not None:
                made_before = rows.find_idempotent(conn, tenant, idempotency)
                if isinstance(made_before, Group):
                    return made_before
                if made_before is not None:
                    raise refusals.key_reused()
            if rows.find(conn, tenant, group_id) is not None:
                raise GroupExists(group_id)
            record = rows.insert(conn, tenant, group_id, draft, embedder)
            if idempotency is not None:
                rows.remember(conn, tenant, idempotency, record, self._idempotency_ttl_s)
            return codec.decode_group(record)

        return await self._write(work)

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

        def work(conn: sqlite3.Connection) -> tuple[Group, bool]:
            row = rows.find(conn, tenant, group_id)
            if row is not None and create_only:
                raise refusals.not_new(group_id, row["version"])
            rows.check_match(group_id, if_match, row)
            if row is None:
                record = rows.insert(conn, tenant, group_id, draft, embedder)
            else:
                record = rows.replace(conn, tenant, row, draft, embedder)
            return codec.decode_group(record), row is None

        return await self._write(work)

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
        more_tokens = context_tokens_of(preferences)

        def work(conn: sqlite3.Connection) -> Group | GroupSummary:
            if idempotency is not None:
                made_before = rows.find_idempotent(conn, tenant, idempotency)
                if isinstance(made_before, Group):
                    raise refusals.key_reused()
                if made_before is not None:
                    return made_before
            row = rows.require(conn, tenant, group_id)
            rows.check_match(group_id, if_match, row)
            held = rows.preferences(conn, row["key"])
            if len(held) + len(added) > max_preferences:
                raise refusals.too_many(len(held), len(added), max_preferences)
            version, updated_at = rows.next_version(conn, tenant, group_id), codec.now()
            grown = codec.decode_group(
                codec.Record(
                    group_id, version, row["head"], held + added, row["created_at"], updated_at
                )
            )
            if max_context_tokens is not None and grown.context_tokens > max_context_tokens:
                # The version goes back with the transaction.
                raise refusals.too_many_pairs(
                    grown.context_tokens - more_tokens, more_tokens, max_context_tokens
                )
            conn.execute(
                "UPDATE groups SET version = ?, updated_at = ? WHERE key = ?",
                (version, updated_at, row["key"]),
            )
            conn.execute("DELETE FROM vectors WHERE group_key = ?", (row["key"],))
            rows.add_preferences(conn, row["key"], added, start=len(held))
            if idempotency is not None:
                summary = codec.summary_of(grown, row["head"])
                rows.remember(conn, tenant, idempotency, summary, self._idempotency_ttl_s)
            return grown

        return await self._write(work)

    async def put_many(
        self,
        tenant: str,
        groups: Sequence[tuple[str, GroupDraft]],
        *,
        embedder: str,
        on_conflict: OnConflict,
        dry_run: bool = False,
    ) -> list[tuple[Written, int | None]]:
        """Create or replace groups in one transaction; see the port."""

        def work(conn: sqlite3.Connection) -> list[tuple[Written, int | None]]:
            return [
                sqlite_bulk.write(
                    conn,
                    tenant,
                    group_id,
                    draft,
                    embedder=embedder,
                    on_conflict=on_conflict,
                    dry_run=dry_run,
                )
                for group_id, draft in groups
            ]

        return await (self._read(work) if dry_run else self._write(work))

    async def get(self, tenant: str, group_id: str) -> Group:
        """The newest version; see the port."""

        def work(conn: sqlite3.Connection) -> Group:
            return codec.decode_group(rows.record_of(conn, rows.require(conn, tenant, group_id)))

        def if_small(conn: sqlite3.Connection) -> Group | None:
            row = rows.require(conn, tenant, group_id)
            if rows.has_more_than(conn, row["key"], _FEW):
                return None
            return codec.decode_group(rows.record_of(conn, row))

        found = await self._glance(if_small, whole=True)
        return await self._read(work) if found is None else found

    async def stamps(self, tenant: str, group_ids: Sequence[str]) -> list[str]:
        """Names the newest version of each group; see the port."""
        return await self._glance(lambda conn: rows.stamps(conn, tenant, group_ids))

    async def find_idempotent(
        self, tenant: str, idempotency: Idempotency
    ) -> Group | GroupSummary | None:
        """What this key wrote before; see the port."""
        return await self._read(lambda conn: rows.find_idempotent(conn, tenant, idempotency))

    async def list(
        self, tenant: str, *, limit: int, cursor: str | None = None, after: str | None = None
    ) -> GroupPage:
        """Groups in the order of their ids; see the port."""
        start = after or "" if cursor is None else decode_cursor(cursor)

        def work(conn: sqlite3.Connection) -> GroupPage:
            found = conn.execute(
                "SELECT * FROM groups WHERE tenant = ? AND id > ? ORDER BY id LIMIT ?",
                (tenant, start, limit + 1),
            ).fetchall()
            groups = tuple(codec.decode_group(rows.record_of(conn, row)) for row in found[:limit])
            more = len(found) > limit
            return GroupPage(groups, encode_cursor(groups[-1].id) if more else None)

        return await self._read(work)

    async def count(self, tenant: str) -> int:
        """Number of groups; see the port."""

        def work(conn: sqlite3.Connection) -> int:
            statement = "SELECT count(*) FROM groups WHERE tenant = ?"
            return int(conn.execute(statement, (tenant,)).fetchone()[0])

        return await self._read(work)

    async def delete(self, tenant: str, group_id: str, *, if_match: int | None = None) -> None:
        """Remove a group and everything derived from it; see the port."""

        def work(conn: sqlite3.Connection) -> None:
            row = rows.require(conn, tenant, group_id)
            rows.check_match(group_id, if_match, row)
            texts = codec.text_keys_of(rows.preferences(conn, row["key"]))
            sqlite_texts.forget(conn, tenant, texts)
            conn.execute("DELETE FROM groups WHERE key = ?", (row["key"],))
            rows.new_tag(conn, tenant)

        await self._write(work)

    async def tag(self, tenant: str) -> str:
        """The state of the tenant's groups; see the port."""
        return await self._glance(lambda conn: rows.tag(conn, tenant))

    async def roll(self, tenant: str) -> Roll:
        """Every group of the tenant; see the port."""
        return await self._read(lambda conn: Roll(rows.tag(conn, tenant), rows.roll(conn, tenant)))

    async def get_vectors(
        self, tenant: str, group_id: str, version: int, embedder_digest: str
    ) -> FloatArray | None:
        """Cached context vectors; see the port."""

        def work(conn: sqlite3.Connection) -> FloatArray | None:
            row = conn.execute(
                "SELECT vectors.* FROM vectors JOIN groups ON groups.key = vectors.group_key"
                " AND groups.version = vectors.version WHERE tenant = ? AND id = ?",
                (tenant, group_id),
            ).fetchone()
            if row is None or (row["version"], row["embedder_digest"]) != (
                version,
                embedder_digest,
            ):
                return None
            return codec.decode_vectors(codec.VectorRecord(row["rows"], row["dim"], row["data"]))

        return await self._read(work)

    async def put_vectors(
        self, tenant: str, group_id: str, version: int, embedder_digest: str, vectors: FloatArray
    ) -> None:
        """Cache context vectors; see the port."""
        encoded = codec.encode_vectors(vectors)

        def work(conn: sqlite3.Connection) -> None:
            row = rows.find(conn, tenant, group_id)
            if row is None or row["version"] != version:
                return
            conn.execute(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?, ?, ?)",
                (row["key"], version, embedder_digest, encoded.rows, encoded.dim, encoded.data),
            )

        await self._write(work)

    async def get_texts(
        self, tenant: str, embedder_digest: str, texts: Sequence[str]
    ) -> Sequence[FloatArray | None]:
        """Kept vectors of single texts; see the port."""
        keys = [codec.text_key(text) for text in texts]
        found, ageing = await self._read(
            lambda conn: sqlite_texts.find(conn, tenant, embedder_digest, keys)
        )
        if ageing:
            await self._write(lambda conn: sqlite_texts.renew(conn, tenant, ageing))
        return [found.get(key) for key in keys]

    async def put_texts(
        self, tenant: str, embedder_digest: str, texts: Sequence[str], vectors: FloatArray
    ) -> None:
        """Keep vectors of single texts; see the port."""
        keys = [codec.text_key(text) for text in texts]
        await self._write(
            lambda conn: sqlite_texts.keep(conn, tenant, embedder_digest, keys, vectors)
        )

    async def check(self) -> None:
        """Read and write one row for real: a full disk shows in no other way."""

        def work(conn: sqlite3.Connection) -> None:
            conn.execute("INSERT OR REPLACE INTO probe VALUES (1, ?)", (time.time(),))

        await self._write(work)

    async def close(self) -> None:
        """Let running calls end, then close the file."""
        self._closed = True
        await asyncio.to_thread(self._shut_down)

    def _shut_down(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        self._database.close()
        self._at_once.close()

    async def _glance(self, work: Callable[[sqlite3.Connection], T], *, whole: bool = False) -> T:
        """Read a few rows right here, or in a thread while that is not possible at once.

        Without `whole` each row stands alone: they may come from different states.
        """
        if not self._closed:
            look = self._at_once.read if whole else self._at_once.statements
            with suppress(StoreUnavailable), look() as conn:
                return work(conn)
        return await self._read(work)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def job() -> T:
            with self._database.read() as conn:
                return work(conn)

        return await self._run(self._readers, job)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def job() -> T:
            with self._database.write() as conn:
                return work(conn)

        return await self._run(self._writer, job)

    async def _run(self, pool: ThreadPoolExecutor, job: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable("The group store is closed.")
        return await asyncio.get_running_loop().run_in_executor(pool, job)
