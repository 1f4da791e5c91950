"""Many groups in one transaction of the SQLite schema. Knows neither threads nor connections."""

from __future__ import annotations

import sqlite3

from service.adapters.stores import codec
from service.adapters.stores import sqlite_rows as rows
from service.core.domain import GroupDraft, OnConflict, Written


def write(
    conn: sqlite3.Connection,
    tenant: str,
    group_id: str,
    draft: GroupDraft,
    *,
    embedder: str,
    on_conflict: OnConflict,
    dry_run: bool,
) -> tuple[Written, int | None]:
    """What becomes of one group, and its version; see `GroupStore.put_many`."""
    row = rows.find(conn, tenant, group_id)
    if row is None:
        if dry_run:
            return Written.CREATED, None
        return Written.CREATED, rows.insert(conn, tenant, group_id, draft, embedder).version
    version = int(row["version"])
    if _is_stored(conn, row, draft, embedder):
        return Written.UNCHANGED, version
    if on_conflict is OnConflict.SKIP:
        return Written.SKIPPED, version
    if on_conflict is OnConflict.FAIL:
        return Written.CONFLICT, version
    if not dry_run:
        version = rows.replace(conn, tenant, row, draft, embedder).version
    return Written.UPDATED, version


def _is_stored(
    conn: sqlite3.Connection, row: sqlite3.Row, draft: GroupDraft, embedder: str
) -> bool:
    if row["head"] != codec.encode_head(draft, embedder=embedder):
        return False
    return rows.preferences(conn, row["key"]) == codec.encode_preferences(draft.preferences)
