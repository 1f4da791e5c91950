"""Groups as rows of the SQLite schema: every statement, each inside the caller's transaction.

Knows neither threads nor connections.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from service.adapters.stores import codec, refusals
from service.core.domain import Group, GroupDraft, GroupSummary, RollEntry
from service.core.errors import GroupNotFound
from service.core.ports import Idempotency


def find(conn: sqlite3.Connection, tenant: str, group_id: str) -> sqlite3.Row | None:
    """The row of a group, None if there is none."""
    row: sqlite3.Row | None = conn.execute(
        "SELECT * FROM groups WHERE tenant = ? AND id = ?", (tenant, group_id)
    ).fetchone()
    return row


def require(conn: sqlite3.Connection, tenant: str, group_id: str) -> sqlite3.Row:
    """The row of a group. Raises GroupNotFound."""
    row = find(conn, tenant, group_id)
    if row is None:
        raise GroupNotFound(group_id)
    return row


def stamps(conn: sqlite3.Connection, tenant: str, group_ids: Sequence[str]) -> list[str]:
    """The stamp of each group. Raises GroupNotFound."""
    statement = "SELECT version, updated_at FROM groups WHERE tenant = ? AND id = ?"
    found = []
    for group_id in group_ids:
        row = conn.execute(statement, (tenant, group_id)).fetchone()
        if row is None:
            raise GroupNotFound(group_id)
        found.append(codec.stamp(*row))
    return found


def check_match(group_id: str, if_match: int | None, row: sqlite3.Row | None) -> None:
    """Raise VersionMismatch unless the row is at `if_match`; None means any version."""
    actual = None if row is None else row["version"]
    if if_match is not None and if_match != actual:
        raise refusals.wrong_version(group_id, if_match, actual)


def preferences(conn: sqlite3.Connection, key: int) -> tuple[str, ...]:
    """The encoded preferences of a group, in order."""
    rows = conn.execute(
        "SELECT body FROM preferences WHERE group_key = ? ORDER BY position", (key,)
    )
    return tuple(row["body"] for row in rows)


def has_more_than(conn: sqlite3.Connection, key: int, count: int) -> bool:
    """Does a group have more preferences? Their positions count from 0, without gaps."""
    statement = "SELECT 1 FROM preferences WHERE group_key = ? AND position = ?"
    return conn.execute(statement, (key, count)).fetchone() is not None


def record_of(conn: sqlite3.Connection, row: sqlite3.Row) -> codec.Record:
    """A group's row together with its preferences."""
    return codec.Record(
        group_id=row["id"],
        version=row["version"],
        head=row["head"],
        preferences=preferences(conn, row["key"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def tag(conn: sqlite3.Connection, tenant: str) -> str:
    """The state of the tenant's groups; empty before the first write."""
    row = conn.execute("SELECT tag FROM tags WHERE tenant = ?", (tenant,)).fetchone()
    return "" if row is None else str(row["tag"])


def new_tag(conn: sqlite3.Connection, tenant: str) -> None:
    """Give the state of the tenant's groups a name that it never had."""
    conn.execute("INSERT OR REPLACE INTO tags VALUES (?, ?)", (tenant, codec.new_tag()))


def roll(conn: sqlite3.Connection, tenant: str) -> dict[str, RollEntry]:
    """Every group of the tenant."""
    found = conn.execute(
        "SELECT id, version, (SELECT count(*) FROM preferences WHERE group_key = key) AS held"
        " FROM groups WHERE tenant = ?",
        (tenant,),
    )
    return {row["id"]: RollEntry(row["version"], row["held"]) for row in found}


def next_version(conn: sqlite3.Connection, tenant: str, group_id: str) -> int:
    """A version number that this id has never had; the tenant's groups get a new tag with it."""
    new_tag(conn, tenant)
    rows = conn.execute(
        "INSERT INTO versions VALUES (?, ?, 1)"
        " ON CONFLICT DO UPDATE SET last = last + 1 RETURNING last",
        (tenant, group_id),
    ).fetchall()
    return int(rows[0]["last"])


def add_preferences(
    conn: sqlite3.Connection, key: int, encoded: Sequence[str], *, start: int = 0
) -> None:
    """Write encoded preferences from position `start` on."""
    conn.executemany(
        "INSERT INTO preferences VALUES (?, ?, ?)",
        ((key, position, body) for position, body in enumerate(encoded, start)),
    )


def insert(
    conn: sqlite3.Connection, tenant: str, group_id: str, draft: GroupDraft, embedder: str
) -> codec.Record:
    """Add a group that does not exist yet."""
    created_at = codec.now()
    record = codec.Record(
        group_id=group_id,
        version=next_version(conn, tenant, group_id),
        head=codec.encode_head(draft, embedder=embedder),
        preferences=codec.encode_preferences(draft.preferences),
        created_at=created_at,
        updated_at=created_at,
    )
    key = conn.execute(
        "INSERT INTO groups (tenant, id, version, head, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (tenant, group_id, record.version, record.head, created_at, created_at),
    ).lastrowid
    assert key is not None
    add_preferences(conn, key, record.preferences)
    return record


def replace(
    conn: sqlite3.Connection, tenant: str, row: sqlite3.Row, draft: GroupDraft, embedder: str
) -> codec.Record:
    """Give an existing group new content; vectors of the old one go."""
    key = row["key"]
    record = codec.Record(
        group_id=row["id"],
        version=next_version(conn, tenant, row["id"]),
        head=codec.encode_head(draft, embedder=embedder),
        preferences=codec.encode_preferences(draft.preferences),
        created_at=row["created_at"],
        updated_at=codec.now(),
    )
    conn.execute(
        "UPDATE groups SET version = ?, head = ?, updated_at = ? WHERE key = ?",
        (record.version, record.head, record.updated_at, key),
    )
    conn.execute("DELETE FROM vectors WHERE group_key = ?", (key,))
    conn.execute("DELETE FROM preferences WHERE group_key = ?", (key,))
    add_preferences(conn, key, record.preferences)
    return record


def find_idempotent(
    conn: sqlite3.Connection, tenant: str, idempotency: Idempotency
) -> Group | GroupSummary | None:
    """What this key wrote before. Raises IdempotencyConflict."""
    row = conn.execute(
        "SELECT * FROM idempotency WHERE tenant = ? AND key = ? AND expires_at > ?",
        (tenant, idempotency.key, time.time()),
    ).fetchone()
    if row is None:
        return None
    if row["payload_digest"] != idempotency.payload_digest:
        raise refusals.key_reused()
    if row["updated_at"] is not None:
        return codec.decode_summary(
            codec.SummaryRecord(
                group_id=row["group_id"],
                version=row["version"],
                head=row["head"],
                preference_count=row["preference_count"],
                context_tokens=row["context_tokens"],
                created_at=row["created_at"],
                updated_at=row["updated_at"],
            )
        )
    return codec.decode_group(
        codec.Record(
            group_id=row["group_id"],
            version=row["version"],
            head=row["head"],
            preferences=codec.split_preferences(row["preferences"]),
            created_at=row["created_at"],
            updated_at=row["created_at"],
        )
    )


def remember(
    conn: sqlite3.Connection,
    tenant: str,
    idempotency: Idempotency,
    record: codec.Record | codec.SummaryRecord,
    ttl_s: float,
) -> None:
    """Keep what a key wrote, for `ttl_s` seconds; forget what has expired."""
    conn.execute("DELETE FROM idempotency WHERE expires_at <= ?", (time.time(),))
    if isinstance(record, codec.Record):
        preferences = codec.join_preferences(record.preferences)
        counts: tuple[int | None, int | None, str | None] = (None, None, None)
    else:
        preferences = ""
        counts = (record.preference_count, record.context_tokens, record.updated_at)
    conn.execute(
        "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tenant,
            idempotency.key,
            idempotency.payload_digest,
            record.group_id,
            record.version,
            record.head,
            preferences,
            record.created_at,
            time.time() + ttl_s,
            *counts,
        ),
    )
