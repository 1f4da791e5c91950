"""Vectors of single texts as rows of the SQLite schema, each inside the caller's transaction."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence

from service.adapters.stores import codec
from service.core.domain import FloatArray

TTL_S = 7 * 86_400.0
_AT_ONCE = 500
"""Keys in one statement; SQLite bounds the variables of each."""


def find(
    conn: sqlite3.Connection, tenant: str, embedder_digest: str, keys: Sequence[str]
) -> tuple[dict[str, FloatArray], list[str]]:
    """The vectors that are there by key, and the keys of those that should be renewed."""
    found: dict[str, FloatArray] = {}
    ageing: list[str] = []
    now = time.time()
    for some, marks in _portions(keys):
        statement = (
            "SELECT key, data, expires_at FROM texts"
            f" WHERE tenant = ? AND key IN ({marks}) AND embedder_digest = ? AND expires_at > ?"
        )
        for row in conn.execute(statement, (tenant, *some, embedder_digest, now)):
            found[row["key"]] = codec.decode_vector(row["data"])
            if row["expires_at"] < now + TTL_S / 2:
                ageing.append(row["key"])
    return found, ageing


def renew(conn: sqlite3.Connection, tenant: str, keys: Sequence[str]) -> None:
    """Let vectors live their full time from now on."""
    for some, marks in _portions(keys):
        conn.execute(
            f"UPDATE texts SET expires_at = ? WHERE tenant = ? AND key IN ({marks})",
            (time.time() + TTL_S, tenant, *some),
        )


def keep(
    conn: sqlite3.Connection,
    tenant: str,
    embedder_digest: str,
    keys: Sequence[str],
    vectors: FloatArray,
) -> None:
    """Write vectors (n, D) under their keys, and remove what has expired."""
    now = time.time()
    conn.execute("DELETE FROM texts WHERE expires_at <= ?", (now,))
    conn.executemany(
        "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?)",
        (
            (
                tenant,
                key,
                embedder_digest,
                codec.encode_vectors(vectors[i : i + 1]).data,
                now + TTL_S,
            )
            for i, key in enumerate(keys)
        ),
    )


def forget(conn: sqlite3.Connection, tenant: str, keys: Sequence[str]) -> None:
    """Remove vectors, and what has expired."""
    conn.execute("DELETE FROM texts WHERE expires_at <= ?", (time.time(),))
    for some, marks in _portions(keys):
        conn.execute(f"DELETE FROM texts WHERE tenant = ? AND key IN ({marks})", (tenant, *some))


def _portions(keys: Sequence[str]) -> Iterator[tuple[Sequence[str], str]]:
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        yield some, ",".join("?" * len(some))
